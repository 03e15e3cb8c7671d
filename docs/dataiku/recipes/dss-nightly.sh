#!/bin/sh
# /usr/local/bin/dss-nightly.sh, for a crontab: silent when all is well, so that a mail of cron means something.
set -eu
set -a
. "${DSS_NIGHTLY_ENV:-/etc/dss-nightly.env}"    # DKU_DSS_URL=... and DKU_API_KEY=...; mode 0600
set +a
log=$(mktemp)
trap 'rm -f "$log"' EXIT
code=0
treadle dataiku run SALES NIGHTLY WEEKLY_REPORT --timeout 3600 >"$log" 2>&1 || code=$?
[ "$code" -eq 0 ] || cat "$log"
exit "$code"

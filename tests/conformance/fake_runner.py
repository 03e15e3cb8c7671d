"""A runner that reads no document and does what its first argument says: it is here to be judged."""

import http.client
import json
import os
import signal
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit


def main() -> int:
    what = json.loads(sys.argv[1])
    server = urlsplit(sys.argv[2]).netloc
    for request in what.get("send", []):
        time.sleep(request.get("pause", 0))
        connection = http.client.HTTPConnection(server, timeout=10)
        method, _, target = request["line"].partition(" ")
        connection.request(method, target, request.get("body"), request.get("headers", {}))
        connection.getresponse().read()
        connection.close()
    if "print" in what:
        print(what["print"] if isinstance(what["print"], str) else json.dumps(what["print"]))
    if what.get("arguments"):
        print(json.dumps({"arguments": sys.argv[3:]}))
    if "write" in what:
        Path(sys.argv[3]).write_text(json.dumps(what["write"]), "utf-8")
    if "hang" in what:
        time.sleep(what["hang"])
    if "signal" in what:
        os.kill(os.getpid(), signal.SIGTERM)
    return what.get("exit", 0)


if __name__ == "__main__":
    sys.exit(main())

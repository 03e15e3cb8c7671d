"""Run a command and write the most memory that it used, in KiB, to a file: `python measured.py FILE COMMAND...`.

Between a large test process and the command, for a child's peak begins with that of the process that started it.
"""

import os
import subprocess
import sys
from pathlib import Path

process = subprocess.Popen(sys.argv[2:])
_, status, usage = os.wait4(process.pid, 0)
Path(sys.argv[1]).write_text(str(usage.ru_maxrss), "utf-8")
sys.exit(os.waitstatus_to_exitcode(status))

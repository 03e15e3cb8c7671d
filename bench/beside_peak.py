"""`python beside_peak.py FILE SCRIPT|-m MODULE [ARGUMENT...]`: run a program as python does, and leave its peak memory in FILE (KiB).

What the parent reads of a child that has ended begins with the parent's own size on Linux; so the program's process says it.
"""

import re
import runpy
import sys
from pathlib import Path

file, *command = sys.argv[1:]
try:
    if command[0] == "-m":
        sys.argv = command[1:]
        runpy.run_module(command[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = command
        runpy.run_path(command[0], run_name="__main__")
finally:
    status = Path("/proc/self/status").read_text("ascii")
    Path(file).write_text(re.findall(r"VmHWM:\s+(\d+) kB", status)[0], "ascii")

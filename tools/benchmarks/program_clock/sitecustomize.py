"""Measures a Pulumi program's own process. Python imports this if PYTHONPATH has its folder.

When the program ends, one line of JSON is added to the file that OLLAMAZURE_PROGRAM_CLOCK names:
`elapsed` seconds since the process started, and `processor` seconds of all its threads.
"""

import atexit
import json
import os
import sys
import time
from pathlib import Path

# The stand-in for the language host and the official one start the program with these.
_STARTERS = ("program.py", "pulumi-language-python-exec")


def _write(file: str) -> None:
    fields = Path("/proc/self/stat").read_text("utf-8").rpartition(")")[2].split()
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    elapsed = time.clock_gettime(time.CLOCK_BOOTTIME) - started
    line = json.dumps({"elapsed": elapsed, "processor": time.process_time()})
    with Path(file).open("a", encoding="utf-8") as opened:
        opened.write(f"{line}\n")


_file = os.environ.get("OLLAMAZURE_PROGRAM_CLOCK")
if _file and any(Path(argument).name in _STARTERS for argument in sys.orig_argv[1:]):
    atexit.register(_write, _file)

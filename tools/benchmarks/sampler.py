"""How much memory a machine takes during a load: runs there until it gets SIGTERM.

    python3 sampler.py RESULT.json

The emulated machine has no kernel of its own, so the figures are those of its processes: `before`
and `application` are resident memory of Open WebUI's container, `machine` the proportional set size
of all processes.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

EVERY = 0.5  # seconds


def main(result: str) -> None:
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ended.append(number))
    container = subprocess.run(
        ["podman", "inspect", "--format", "{{.State.Pid}}", "open-webui"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    seen = {"before": resident(container), "application": 0, "machine": 0}
    # From now on the kernel keeps the highest.
    Path(f"/proc/{container}/clear_refs").write_text("5")
    while not ended:
        seen["machine"] = max(seen["machine"], machine())
        time.sleep(EVERY)
    seen["application"] = resident(container, "VmHWM")
    Path(result).write_text(json.dumps(seen))


def resident(process: str, field: str = "VmRSS") -> int:
    """MiB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) // 1024


def machine() -> int:
    """MiB."""
    total = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            lines = (process / "smaps_rollup").read_text().splitlines()
        except OSError:  # it has ended, or is the kernel's
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total // 1024


if __name__ == "__main__":
    main(sys.argv[1])

"""The power is cut at each moment of our programs that write a file, on a real file system.

Afterwards the file has its former content or the new one, and the new one if the program had ended.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from components.remote_command import GUEST
from emulator.host import faults

TOOLS = GUEST / "usr/local/lib/ollamazure"
# Without imports, because it starts hundreds of times.
CUT = f"{sys.executable} -ISc " + shlex.quote(
    "import fcntl, os, sys;"
    f"fcntl.ioctl(os.open(sys.argv[1], 0), {faults.EXT4_IOC_SHUTDOWN}, {faults.NO_LOG_FLUSH})"
)
FORMER, NEW = "the former content\n" * 500, "the new content\n" * 700

# Cuts the power before command number $moment of a script, which a trap counts.
COUNT = f"""set -T
count=0
next() {{ if [ $((++count)) = "$moment" ]; then {CUT} "$disk"; kill -KILL $$; fi; }}
trap next DEBUG
"""
PUT = f"""set -euo pipefail
{{count}}
source <(sed -n '/^put()/,/^}}$/p' {TOOLS}/command.sh)
put "$disk/folder/file" 0644 <"$new"
# As at the end of each command: a folder that is changed later, and synced.
mkdir "$disk/installed"
sync "$disk/installed"
rmdir "$disk/installed"
"""
WRITE_FILE = f"""set -euo pipefail
. {TOOLS}/lib.sh
{{count}}
write_file "$disk/folder/file" <"$new"
"""
AUTHORIZE = f"""set -eu
{{count}}
set -- add "$(cat "$new")"
HOME=$disk
source {TOOLS}/authorized-keys
"""
# The same for a program in Python: a trace counts its lines.
WRITE = f"""
import os, shlex, subprocess, sys
sys.path.insert(0, {str(TOOLS)!r})
from pathlib import Path
from durable import write
count = 0
def trace(frame, event, argument):
    global count
    if frame.f_code.co_filename.endswith("durable.py") and event == "line":
        count += 1
        if count == int(os.environ["moment"]):
            subprocess.run([*shlex.split({CUT!r}), os.environ["disk"]])
            os._exit(1)
    return trace
sys.settrace(trace)
write(Path(os.environ["disk"], "folder/file"), Path(os.environ["new"]).read_text())
sys.settrace(None)
"""
WRITERS = {
    "put, for each file of a command": ["bash", "-c", PUT.replace("{count}", COUNT)],
    "write_file of lib.sh": ["bash", "-c", WRITE_FILE.replace("{count}", COUNT)],
    "write of durable.py": [sys.executable, "-c", WRITE],
    "authorized-keys": ["bash", "-c", AUTHORIZE.replace("{count}", COUNT)],
}


class Disk:
    """A small ext4 in a file, and where it is mounted."""

    def __init__(self, folder: Path) -> None:
        self.image, self.mount = folder / "disk.img", folder / "disk"
        self.mount.mkdir()
        with self.image.open("wb") as image:
            image.truncate(16 << 20)
        subprocess.run(["mkfs.ext4", "-q", self.image], check=True)

    @contextmanager
    def mounted(self) -> Iterator[Path]:
        subprocess.run(["mount", "-o", "loop", self.image, self.mount], check=True)
        try:
            yield self.mount
        finally:
            subprocess.run(["umount", self.mount], check=True)


@pytest.fixture
def disk() -> Iterator[Disk]:
    """A disk in memory: it is the file system that forgets."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Disk(Path(folder))


@pytest.mark.parametrize("former", [FORMER, None], ids=["replaces", "creates"])
@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_is_whole_after_a_power_cut(
    disk: Disk, tmp_path: Path, writer: str, former: str | None
) -> None:
    new = tmp_path / "new"
    new.write_text(NEW)
    name = ".ssh/authorized_keys" if writer == "authorized-keys" else "folder/file"
    moment, ended = 0, False
    while not ended:
        moment += 1
        with disk.mounted() as mount:
            file = mount / name
            file.parent.mkdir(exist_ok=True)
            file.unlink(missing_ok=True)
            if former is not None or writer == "authorized-keys":
                file.write_text(former or "")
            subprocess.run(["sync", "--file-system", mount], check=True)
            ran = subprocess.run(
                WRITERS[writer],
                env={
                    **os.environ,
                    **{"moment": str(moment), "disk": str(mount), "new": str(new)},
                },
                check=False,
            )
            ended = ran.returncode == 0
            if ended:
                subprocess.run([*shlex.split(CUT), str(mount)], check=True)
        with disk.mounted():
            content = file.read_text() if file.exists() else None
        assert content in (former, *[(former or "") + NEW, NEW]), f"moment {moment}: {content!r}"
    assert content is not None and content.endswith(NEW)
    assert moment > 4

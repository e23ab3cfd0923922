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
from pathlib import Path

import pytest

from components.remote_command import GUEST
from emulator.host import faults

TOOLS = GUEST / "usr/local/lib/ollamazure"
# Without imports, because it starts hundreds of times.
CUT = f"{sys.executable} -ISc " + shlex.quote(
    "import fcntl, os, sys;"
    f"fcntl.ioctl(os.open(sys.argv[1], 0), {faults.EXT4_IOC_SHUTDOWN}, {faults.NO_LOG_FLUSH!r})"
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
mkdir -p "$disk/installed"
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


# One attempt. Its mounts are in a namespace of its own: a container that starts meanwhile would
# have a copy of them, and a file system that is still mounted does not forget.
ATTEMPT = f"""set -eu
mount -o loop "$image" "$disk"
mkdir -p "$disk/folder" "$disk/.ssh"
rm -f "$disk/folder/file" "$disk/.ssh/authorized_keys"
[ ! -e "$former" ] || cp "$former" "$disk/$name"
sync --file-system "$disk"
code=0
"$@" || code=$?
[ "$code" != 0 ] || {CUT} "$disk"
umount "$disk"
mount -o loop "$image" "$disk"
rm -f "$found"
[ ! -e "$disk/$name" ] || cp "$disk/$name" "$found"
umount "$disk"
exit "$code"
"""


@pytest.fixture
def disk() -> Iterator[Path]:
    """A folder in memory with the image of a small ext4: it is the file system that forgets."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        folder = Path(name)
        (folder / "disk").mkdir()
        with (folder / "image").open("wb") as image:
            image.truncate(16 << 20)
        subprocess.run(["mkfs.ext4", "-q", folder / "image"], check=True)
        yield folder


@pytest.mark.parametrize("former", [FORMER, None], ids=["replaces", "creates"])
@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_is_whole_after_a_power_cut(disk: Path, writer: str, former: str | None) -> None:
    if writer == "authorized-keys":
        former = former or "# the file of a new machine\n"
    name = ".ssh/authorized_keys" if writer == "authorized-keys" else "folder/file"
    (disk / "new").write_text(NEW)
    if former:
        (disk / "former").write_text(former)
    places = {each: str(disk / each) for each in ("image", "disk", "former", "new", "found")}
    for moment in range(1, 100):
        ran = subprocess.run(
            ["unshare", "--mount", "bash", "-c", ATTEMPT, "attempt", *WRITERS[writer]],
            env={**os.environ, **places, "name": name, "moment": str(moment)},
            check=False,
        )
        found = disk / "found"
        content = found.read_text() if found.exists() else None
        wanted = former + NEW if former and writer == "authorized-keys" else NEW
        assert content in (former, wanted), f"moment {moment}"
        if ran.returncode == 0:
            assert content == wanted
            assert moment > 4
            return
    pytest.fail("it never ended")

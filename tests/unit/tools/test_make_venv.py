"""tools/make-venv.sh: which of the shared Python environments it removes."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sysconfig
import time
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[3]
OLD = time.time() - 40 * 24 * 3600


@pytest.fixture
def environments(tmp_path: Path) -> Path:
    """A cache that has the environment of this project already."""
    pth = Path(sysconfig.get_path("purelib")) / "ollamazure.pth"
    (found,) = re.findall(r'addsitedir\("(.+)/lib/', pth.read_text())
    folder = tmp_path / "cache" / "ollamazure" / "venv"
    folder.mkdir(parents=True)
    (folder / Path(found).name).symlink_to(found)
    (tmp_path / "clone" / "tools").mkdir(parents=True)
    for path in (*PROJECT.glob("requirements*.txt"), PROJECT / "constraints.txt"):
        shutil.copy(path, tmp_path / "clone")
    shutil.copy(PROJECT / "tools" / "make-venv.sh", tmp_path / "clone" / "tools")
    return folder


def environment(folder: Path, name: str, used: str | None = None) -> Path:
    """An old environment, of which `used` is from now; without `.complete` if that is missing."""
    one = folder / name
    (one / "lib/python3.11/site-packages").mkdir(parents=True)
    (one / ".complete").touch()
    for path in ("lib/python3.11/site-packages", ".complete", ""):
        if used is None or path != used:
            os.utime(one / path, (OLD, OLD))
    return one


def make_venv(environments: Path) -> str:
    clone = environments.parents[2] / "clone"
    done = subprocess.run(
        ["tools/make-venv.sh"],
        cwd=clone,
        env={**os.environ, "XDG_CACHE_HOME": str(environments.parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (clone / ".venv" / "bin" / "python").exists()
    assert "installing" not in done.stdout
    return done.stdout


def test_only_what_no_clone_has_used_for_30_days_is_removed(environments: Path) -> None:
    kept = {path.name for path in environments.iterdir()} | {"made", "imported", "busy"}
    environment(environments, "made", used=".complete")
    environment(environments, "imported", used="lib/python3.11/site-packages")
    environment(environments, "unused")
    shutil.rmtree(environment(environments, "broken") / "lib")
    os.utime(environments / "broken", (OLD, OLD))
    environment(environments, "busy")
    with (environments / "busy.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        printed = make_venv(environments)
    assert {path.name for path in environments.iterdir() if path.is_dir()} == kept
    for name in ("unused", "broken"):
        assert f"removed {environments / name}, unused for 30 days" in printed

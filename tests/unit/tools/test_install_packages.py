"""tools/install-packages.sh installs the missing packages, and no others."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from emulator.instance import PROJECT

pytestmark = pytest.mark.unit
SCRIPT = PROJECT / "tools" / "install-packages.sh"
TESTS_ONLY = {"chromium-headless-shell", "openssh-server", "openssl", "shellcheck"}


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder of stand-ins: dpkg-query knows what `installed` lists, apt-get notes its calls."""
    folder = tmp_path / "programs"
    folder.mkdir()
    stand_in(
        folder / "dpkg-query",
        f'for name; do :; done; grep -qx "$name" {tmp_path}/installed && echo -n installed',
    )
    stand_in(folder / "apt-get", f'echo "$@" >>{tmp_path}/calls; [ ! -e {tmp_path}/broken ]')
    stand_in(folder / "sudo", '"$@"')
    return folder


def stand_in(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def install(programs: Path, *, installed: str, what: str) -> subprocess.CompletedProcess[str]:
    (programs.parent / "installed").write_text(installed)
    return subprocess.run(
        [SCRIPT, what],
        env={"PATH": f"{programs}:/usr/bin:/bin"},
        check=False,
        capture_output=True,
        text=True,
    )


def everything(programs: Path) -> list[str]:
    """What the script installs on a machine that has nothing, for the tests."""
    install(programs, installed="", what="test")
    calls = (programs.parent / "calls").read_text().splitlines()
    (programs.parent / "calls").unlink()
    return calls[-1].split("--no-install-recommends ")[1].split()


def test_only_what_is_missing_is_installed(programs: Path) -> None:
    wanted = everything(programs)
    assert {"podman", "mmdebstrap", "chromium-headless-shell"} < set(wanted)
    rest = "\n".join(package for package in wanted if package != "podman")
    done = install(programs, installed=rest, what="test")
    assert done.returncode == 0, done.stderr
    update, installation = (programs.parent / "calls").read_text().splitlines()
    assert update.endswith(" update")
    assert installation.endswith("install --yes --no-install-recommends podman")


def test_without_a_missing_package_nothing_happens(programs: Path) -> None:
    wanted = everything(programs)
    done = install(programs, installed="\n".join(wanted), what="test")
    assert (done.returncode, done.stdout) == (0, "")
    assert not (programs.parent / "calls").exists()


def test_a_browser_is_installed_for_the_tests_only(programs: Path) -> None:
    wanted = everything(programs)
    rest = "\n".join(package for package in wanted if package not in TESTS_ONLY)
    install(programs, installed=rest, what="up")
    assert not (programs.parent / "calls").exists()


def test_a_failure_names_the_fix(programs: Path) -> None:
    (programs.parent / "broken").touch()
    done = install(programs, installed="", what="up")
    assert done.returncode == 1
    assert "install these packages yourself:" in done.stderr

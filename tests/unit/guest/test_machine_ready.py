"""Debian's packages from a mirror that does not work, with the real apt.

The driver of a GPU and certbot come the same way.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from components import remote_command
from tests.faulty_mirror import FaultyMirror
from tests.tiers import first_of

TOOLS = remote_command.GUEST / "usr/local/lib/ollamazure"
CONTENT = os.urandom(100_000)
APT = """APT::Sandbox::User "root";
Acquire::Retries "0";
Acquire::http::Proxy "DIRECT";
Acquire::http::Timeout "TIMEOUT";
Dir "ROOT/apt";
Dir::State::status "ROOT/status";
"""
# cloud-init installs the list of packages with apt.
COMMANDS = {
    "cloud-init": '[ "$1" = single ] || exit 1\n'
    "apt-get --quiet --yes --download-only install tiny && touch ROOT/installed",
    "dpkg": '[ "$1" != --configure ] || exit 0\nexec /usr/bin/dpkg "$@"',
    "tail": ":",
}


@dataclass
class Machine:
    """The function of machine-ready that completes the first boot, with apt in a folder."""

    root: Path
    mirror: FaultyMirror

    def run(self, host: str = "", timeout: int = 60) -> subprocess.CompletedProcess[str]:
        source = f"deb [trusted=yes] http://{host or self.mirror.address}/debian ./\n"
        (self.root / "apt/etc/apt/sources.list").write_text(source)
        settings = APT.replace("ROOT", str(self.root)).replace("TIMEOUT", str(timeout))
        (self.root / "apt.conf").write_text(settings)
        script = (TOOLS / "machine-ready").read_text().partition("\nfirst_boot\ndata_disk\n")[0]
        script = script.replace("/usr/local/lib/ollamazure", str(TOOLS))
        script = script.replace("/var/lib/ollamazure", str(self.root))
        has = f"has_programs() {{ [ -e {self.root}/installed ]; }}"
        return subprocess.run(
            ["bash", "-c", f"{script}\n{has}\ncomplete_first_boot 1"],
            env={
                **os.environ,
                "APT_CONFIG": str(self.root / "apt.conf"),
                "PATH": f"{self.root}/bin:{os.environ['PATH']}",
            },
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def downloaded(self) -> list[bytes]:
        """What apt keeps of packages, complete or not."""
        archives = self.root / "apt/var/cache/apt/archives"
        return [file.read_bytes() for file in archives.rglob("*.deb")]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    for folder in ("apt/etc/apt", "apt/var/lib/apt/lists/partial", "bin", "debian"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "apt/var/cache/apt/archives/partial").mkdir(parents=True)
    (tmp_path / "status").touch()
    control = {
        "Package": "tiny",
        "Version": "1",
        "Architecture": "all",
        "Maintainer": "test",
        "Description": "tiny",
        "Filename": "./tiny_1_all.deb",
        "Size": len(CONTENT),
        "SHA256": hashlib.sha256(CONTENT).hexdigest(),
    }
    (tmp_path / "debian/tiny_1_all.deb").write_bytes(CONTENT)
    listed = "".join(f"{name}: {value}\n" for name, value in control.items())
    (tmp_path / "debian/Packages").write_text(listed)
    for name, text in COMMANDS.items():
        program = tmp_path / "bin" / name
        program.write_text(f"#!/bin/bash\n{text.replace('ROOT', str(tmp_path))}\n")
        program.chmod(0o755)
    return Machine(tmp_path, FaultyMirror(tmp_path))


@pytest.mark.parametrize(
    ("fault", "path", "reason"),
    first_of(
        [
            ("wrong", "tiny", "Hash Sum mismatch"),
            ("cut", "tiny", "Failed to fetch"),
            ("gone", "tiny", "503"),
            ("stalled", "tiny", "timed out|Timeout"),
            ("endless", "tiny", "unexpected size|Hash Sum mismatch"),
            ("gone", "Packages", "Failed to fetch .*Packages"),
            ("stalled", "Packages", "timed out|Timeout"),
        ]
    ),
)
def test_packages_that_cannot_be_downloaded_are_installed_by_the_next_run(
    machine: Machine, fault: str, path: str, reason: str
) -> None:
    with machine.mirror.serving():
        machine.mirror.fail(fault, path)
        failed = machine.run(timeout=2 if fault == "stalled" else 60)
        assert failed.returncode == 1
        assert re.search(reason, failed.stderr), failed.stderr
        assert f"http://{machine.mirror.address}/debian" in failed.stderr
        last = failed.stderr.splitlines()[-1]
        assert "Debian's packages cannot be installed" in last
        assert "`pulumi up` tries again" in last

        machine.mirror.work()
        done = machine.run()
    assert done.returncode == 0, done.stderr
    assert machine.downloaded == [CONTENT]


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("127.0.0.1:1", "Could not connect to 127.0.0.1:1"),
        pytest.param("mirror.invalid", "resolve 'mirror.invalid'", marks=pytest.mark.long),
    ],
)
def test_a_mirror_of_debian_that_is_not_reached_is_named(
    machine: Machine, host: str, reason: str
) -> None:
    failed = machine.run(host)
    assert failed.returncode == 1
    assert reason in failed.stderr, failed.stderr
    assert "Debian's packages cannot be installed" in failed.stderr.splitlines()[-1]

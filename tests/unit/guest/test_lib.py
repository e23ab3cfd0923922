"""Downloads by curl and Podman from a mirror that does not work, with the real programs."""

from __future__ import annotations

import io
import os
import shutil
import ssl
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from components import remote_command
from emulator.host.services import make_blob_certificates
from tests.faulty_mirror import FaultyMirror, publish

AS_BEFORE = 75  # as in command.sh
LIB = remote_command.GUEST / "usr/local/lib/ollamazure/lib.sh"
FILE = "release/bundle"
CONTENT = bytes(range(256)) * 4096
LARGEST_KIB = 2048
IMAGE = "library/tiny"


@dataclass
class Machine:
    """A shell with lib.sh that downloads files up to 2 MiB.

    Attributes:
        patience: seconds until a download has stalled.
    """

    root: Path
    mirror: FaultyMirror
    layer: str
    patience: int = 120

    def run(self, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        text = (
            LIB.read_text()
            .replace("stalled=120", f"stalled={self.patience}")
            .replace("--retry 5", "")
        )
        text = text.replace("largest=8388608", f"largest={LARGEST_KIB}")
        text = text.replace("/var/lib/ollamazure", str(self.root / "var"))
        (self.root / "lib.sh").write_text(text)
        without_proxy = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        return subprocess.run(
            ["bash", "-c", f"set -euo pipefail; . {self.root}/lib.sh; {command}"],
            capture_output=True,
            text=True,
            check=False,
            env={
                **without_proxy,
                "PATH": f"{self.root}/bin:{os.environ['PATH']}",
                "TMPDIR": str(self.temporary),
                **environment,
            },
        )

    @property
    def temporary(self) -> Path:
        return self.root / "tmp"

    @property
    def file(self) -> Path:
        return self.root / "downloaded"

    def download(self, host: str = "", scheme: str = "http") -> subprocess.CompletedProcess[str]:
        url = f"{scheme}://{host or self.mirror.address}/{FILE}"
        return self.run(f"download {url} {self.file}")

    def pull(self, host: str = "") -> subprocess.CompletedProcess[str]:
        return self.run(f"pull_image web {host or self.mirror.address}/{IMAGE}:1")


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    tree = tmp_path / "tree"
    (tree / FILE).parent.mkdir(parents=True)
    (tree / FILE).write_bytes(CONTENT)
    kind = "application/vnd.docker.image.rootfs.diff.tar"
    layer, _ = publish(tree / "v2" / IMAGE, "1", kind, pack(CONTENT))
    for folder in ("bin", "tmp"):
        (tmp_path / folder).mkdir()
    podman = tmp_path / "bin/podman"
    run = tempfile.mkdtemp()  # short, as Podman wants it
    places = f"--root {tmp_path}/images --runroot {run} --storage-driver vfs"
    podman.write_text(
        '#!/bin/bash\n[ "$1" != pull ] || set -- pull --tls-verify=${VERIFY:-false} "${@:2}"\n'
        f'exec /usr/bin/podman {places} "$@"\n'
    )
    podman.chmod(0o755)
    yield Machine(tmp_path, FaultyMirror(tree), layer)
    shutil.rmtree(run)


def pack(content: bytes) -> bytes:
    """A layer with one file; it is not compressed, so that it can be of any length."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        member = tarfile.TarInfo("content")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


@contextmanager
def with_tls(machine: Machine) -> Iterator[None]:
    """The mirror with a certificate of an authority that nothing trusts."""
    make_blob_certificates(machine.root / "tls")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(machine.root / "tls/server.pem", machine.root / "tls/server.key")
    machine.mirror.tls = context
    try:
        with machine.mirror.serving():
            yield
    finally:
        machine.mirror.tls = None


@pytest.mark.parametrize("fault", ["cut", "stalled"])
def test_a_download_goes_on_where_the_connection_broke(machine: Machine, fault: str) -> None:
    machine.patience = 5
    with machine.mirror.serving():
        machine.mirror.fail(fault, FILE, times=2)
        done = machine.download()
    assert done.returncode == 0, done.stderr
    assert machine.file.read_bytes() == CONTENT
    first, *later = [wanted for _, wanted in machine.mirror.requests]
    assert first is None
    assert len(later) == 2 and all(later), later
    assert "The connection broke (2 of 5)." in done.stderr


def test_a_download_without_end_is_bounded_and_deleted(machine: Machine) -> None:
    with machine.mirror.serving():
        machine.mirror.fail("endless", FILE, times=1)
        failed = machine.download()
        assert failed.returncode == 1
        assert not machine.file.exists()
        assert f"/{FILE} cannot be stored: the disk is full, or the file is larger" in failed.stderr
        assert machine.download().returncode == 0
    assert machine.file.read_bytes() == CONTENT


def test_a_download_that_cannot_begin_names_its_address(machine: Machine) -> None:
    """Refused, a name that does not exist, a certificate of an unknown authority."""
    with machine.mirror.serving():
        pass
    refused = machine.download()
    unknown = machine.download("mirror.invalid")
    with with_tls(machine):
        untrusted = machine.download(scheme="https")
    for failed, reason in (
        (refused, "Failed to connect"),
        (unknown, "Could not resolve host: mirror.invalid"),
        (untrusted, "SSL certificate problem"),
    ):
        assert failed.returncode == 1
        assert reason in failed.stderr, failed.stderr
        assert f"/{FILE} cannot be downloaded; the reason from curl" in failed.stderr
        assert not machine.file.exists()
    with machine.mirror.serving():
        assert machine.download().returncode == 0


# A process whose main thread waits as for a disk (state D): the kernel stops it until its child has
# opened the file, a named pipe, and starts its program.
WAITS = """
import os, sys
opened = (os.POSIX_SPAWN_OPEN, 0, sys.argv[1], os.O_RDONLY, 0)
os.waitpid(os.posix_spawn("/bin/true", ["true"], {}, file_actions=[opened]), 0)
"""


def test_what_waits_for_a_slow_disk_has_not_stalled(machine: Machine) -> None:
    """It is waited for more than three times as long as a download that has stalled."""
    pipe = machine.root / "pipe"
    os.mkfifo(pipe)
    machine.patience = 2
    wait = 'python3 -c "$WAITS" "$PIPE" & attend $! release || code=$?'
    command = f'code=0; {wait}; : <>"$PIPE"; exit $code'
    release = 'release() { [ $SECONDS -lt 7 ] || : <>"$PIPE"; }; '
    # `attend` runs the command more often than every 15 seconds here.
    more_often = "eval \"$(declare -f watch | sed 's/>= 15/>= 1/')\"; "
    done = machine.run(more_often + release + command, WAITS=WAITS, PIPE=str(pipe))
    assert done.returncode == 0, done.stderr


def test_an_image_that_cannot_be_pulled_leaves_nothing_and_the_next_pull_completes(
    machine: Machine,
) -> None:
    with machine.mirror.serving():
        for fault, reason in {
            "cut": "unexpected EOF",
            "wrong": "Digest did not match",
            "stalled": "Nothing has arrived for 5 seconds.",
            "endless": "file too large",
            "gone": "503",
        }.items():
            machine.mirror.fail(fault, machine.layer)
            machine.patience = 5 if fault == "stalled" else 120
            failed = machine.pull()
            assert failed.returncode == AS_BEFORE, fault
            assert reason in failed.stderr, failed.stderr
            assert f"/{IMAGE}:1 cannot be pulled, so web keeps the image" in failed.stderr
            assert list(machine.temporary.iterdir()) == [], fault
            assert machine.mirror.sent < 20 * len(CONTENT)
        machine.mirror.work()
        machine.patience = 120
        done = machine.pull()
    assert done.returncode == 0, done.stderr
    assert machine.run(f"podman image exists {machine.mirror.address}/{IMAGE}:1").returncode == 0


def test_an_image_of_an_unreachable_mirror_is_named(machine: Machine) -> None:
    with machine.mirror.serving():
        pass
    attempts: dict[str, Callable[[], subprocess.CompletedProcess[str]]] = {
        "connection refused": machine.pull,
        "no such host": lambda: machine.pull("mirror.invalid:1"),
    }
    for reason, attempt in attempts.items():
        failed = attempt()
        assert failed.returncode == AS_BEFORE
        assert reason in failed.stderr, failed.stderr
        assert f"/{IMAGE}:1 cannot be pulled, so web keeps the image" in failed.stderr
    with with_tls(machine):
        image = f"{machine.mirror.address}/{IMAGE}:1"
        untrusted = machine.run(f"pull_image web {image}", VERIFY="true")
    assert untrusted.returncode == AS_BEFORE
    assert "certificate" in untrusted.stderr

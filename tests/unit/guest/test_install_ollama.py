"""Ollama's installation on a folder that stands for the machine, from a server that we control."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import re
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import zstandard

from components import remote_command

TOOLS = remote_command.GUEST / "usr/local/lib/ollamazure"
BUNDLE = "ollama-linux-amd64.tar.zst"
UNIT = "/etc/systemd/system/ollama.service"
AS_BEFORE = 75  # as in command.sh

# It runs what the unit on trial starts, else what /etc defines; not while the file `broken-VERSION`
# exists.
SYSTEMCTL = """case "$1" in
restart)
    unit=ROOT/run/systemd/system.control/ollama.service
    [ -e "$unit" ] || unit=ROOT/etc/systemd/system/ollama.service
    program=$(sed -n 's/^ExecStart=//; s/ serve$//p' "$unit")
    version=$(cat "$program")
    echo "$version" >>ROOT/ran
    [ ! -e "ROOT/broken-$version" ] && touch ROOT/active
    ;;
is-active) [ -e ROOT/active ] ;;
enable) echo "$*" >>ROOT/enabled ;;
esac"""
# `silent [NAME…]`: of these models, or of all, those that do not answer with the version that runs.
MODEL = """shift
asked="$*"
cat "ROOT/silent-$(tail --lines 1 ROOT/ran)" 2>/dev/null | while read -r name; do
    case " ${asked:-$name} " in *" $name "*) echo "$name" ;; esac
done"""


@dataclass
class Machine:
    """The machine's root below `root`, and the releases that `files` holds by path."""

    root: Path
    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    ranges: list[str | None] = field(default_factory=list)
    honours_ranges: bool = True
    begun: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def release(self, version: str, *, checksum: str | None = None) -> bytes:
        """Publish a release, with a wrong checksum if one is given."""
        packed = bundle(version)
        total = checksum or hashlib.sha256(packed).hexdigest()
        self.files[f"/v{version}/{BUNDLE}"] = packed
        self.files[f"/v{version}/sha256sum.txt"] = f"{total}  ./{BUNDLE}\n".encode()
        return packed

    def install(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments)
        output, errors = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def start(self, version: str, kind: str = "cpu") -> subprocess.Popen[str]:
        script = self.root / "install-ollama"
        return subprocess.Popen(
            ["bash", str(script), version, f"{self.url}/v{version}", kind],
            env={**os.environ, "PATH": f"{self.root / 'bin'}:{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def home(self) -> Path:
        return self.root / "opt/ollama"

    @property
    def runs(self) -> str:
        """The version that /usr/local/bin/ollama is."""
        return (self.root / "usr/local/bin/ollama").read_text()

    @property
    def restarts(self) -> int:
        return len(self.ran)

    @property
    def ran(self) -> list[str]:
        """The version that each start of the service ran."""
        log = self.root / "ran"
        return log.read_text().split() if log.exists() else []

    def silence(self, version: str, *models: str) -> None:
        """These models do not answer with this version."""
        (self.root / f"silent-{version}").write_text("".join(f"{name}\n" for name in models))

    @property
    def trials(self) -> Path:
        return self.root / "run/systemd/system.control"

    @property
    def unit(self) -> Path:
        return self.root / UNIT.removeprefix("/")


def bundle(version: str) -> bytes:
    """As Ollama publishes it, with libraries of every kind of graphics card."""
    names = ("cuda_v12/libggml.so", "cuda_v13/libggml.so", "vulkan/libggml.so", "mlx_cuda/lib.so")
    content = {"bin/ollama": version, "lib/ollama/llama-server": "server"}
    content |= {f"lib/ollama/{name}": "large" for name in names}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, text in content.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(text), 0o755
            tar.addfile(member, io.BytesIO(text.encode()))
    return zstandard.compress(packed.getvalue())


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    class Releases(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/api/version":
                return self.answer(200, b"{}")
            content = found.files.get(self.path)
            if content is None:
                return self.answer(404, b"")
            wanted = self.headers.get("Range") if found.honours_ranges else None
            if self.path.endswith(BUNDLE):
                found.ranges.append(wanted)
                found.begun.set()
                found.go_on.wait(60)
            if wanted is None:
                return self.answer(200, content)
            begin = int(wanted.removeprefix("bytes=").split("-")[0])
            if begin >= len(content):
                return self.answer(416, b"")
            return self.answer(206, content[begin:], f"bytes {begin}-/{len(content)}")

        def answer(self, status: int, content: bytes, content_range: str = "") -> None:
            self.send_response(status)
            if content_range:
                self.send_header("Content-Range", content_range)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Releases)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    found = Machine(tmp_path, f"http://127.0.0.1:{server.server_port}")
    found.go_on.set()
    furnish(found)
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


def furnish(machine: Machine) -> None:
    """The scripts with their paths below the root, and commands that need a running systemd."""
    root = machine.root
    places = re.compile(
        r"/(opt/ollama|usr/local/bin|usr/local/lib/ollamazure|var/lib|srv/data|etc|run/systemd)"
    )
    (root / "usr/local/lib/ollamazure").mkdir(parents=True)
    for source, target in {
        "install-ollama": root / "install-ollama",
        "lib.sh": root / "usr/local/lib/ollamazure/lib.sh",
    }.items():
        text = places.sub(rf"{root}/\1", (TOOLS / source).read_text())
        text = text.replace("http://127.0.0.1:11434", machine.url).replace(
            "-o ollama -g ollama", ""
        )
        target.write_text(text)
    for folder in ("usr/local/bin", "etc/systemd/system", "bin"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    machine.unit.write_text(unit_of(machine))
    commands = {
        "systemctl": SYSTEMCTL.replace("ROOT", str(root)),
        "systemd-sysusers": ":",
        "journalctl": f"cat {root}/journal",
    }
    (root / "journal").write_text('msg="inference compute" id=GPU-4f name=CUDA0 library=CUDA\n')
    programs = {root / "bin" / name: text for name, text in commands.items()}
    programs[root / "usr/local/lib/ollamazure/model.py"] = MODEL.replace("ROOT", str(root))
    for path, text in programs.items():
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)


def unit_of(machine: Machine, more: str = "") -> str:
    return f"[Service]\nExecStart={machine.root}/usr/local/bin/ollama serve\n{more}"


def test_installs_without_the_libraries_of_graphics_cards(machine: Machine) -> None:
    machine.release("1.0.0")
    done = machine.install("1.0.0")
    assert done.returncode == 0, done.stderr
    assert machine.runs == "1.0.0"
    libraries = machine.home / "current/lib/ollama"
    assert [path.name for path in libraries.iterdir()] == ["llama-server"]
    assert list(machine.home.glob("*.tar.zst")) == []
    enabled = (machine.root / "enabled").read_text().splitlines()
    assert [words.split()[-1] for words in enabled] == [
        "ollama.service",
        "ollamazure-load-model.service",
    ]


def test_a_size_with_a_graphics_card_gets_those_of_nvidia(machine: Machine) -> None:
    machine.release("1.0.0")
    machine.install("1.0.0")
    done = machine.install("1.0.0", "gpu")
    assert done.returncode == 0, done.stderr
    libraries = machine.home / "current/lib/ollama"
    assert {path.name for path in libraries.iterdir()} == {"llama-server", "cuda_v12", "cuda_v13"}


def test_a_gpu_that_ollama_does_not_use_is_an_error(machine: Machine) -> None:
    """Without the libraries or with an old driver it computes on the processors, and says so."""
    (machine.root / "journal").write_text('msg="inference compute" id=cpu library=cpu\n')
    machine.release("1.0.0")
    assert machine.install("1.0.0").returncode == 0
    done = machine.install("1.0.0", "gpu")
    assert done.returncode == 1
    assert "library=cpu" in done.stderr
    assert "Ollama finds no GPU that it supports" in done.stderr.splitlines()[-1]


def test_again_it_downloads_and_restarts_nothing(machine: Machine) -> None:
    machine.release("1.0.0")
    machine.install("1.0.0")
    machine.files.clear()
    assert machine.install("1.0.0").returncode == 0
    assert machine.restarts == 1


def test_a_new_version_keeps_the_one_before_and_no_other(machine: Machine) -> None:
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        machine.release(version)
        assert machine.install(version).returncode == 0
    assert machine.runs == "1.2.0"
    assert machine.restarts == 3
    folders = {path.name for path in machine.home.iterdir() if not path.is_symlink()}
    assert folders == {"1.1.0", "1.2.0"}

    machine.files.clear()
    assert machine.install("1.1.0").returncode == 0  # back, without the network
    assert machine.runs == "1.1.0"


def test_another_version_is_kept_if_its_models_answer(machine: Machine) -> None:
    for version in ("1.0.0", "1.1.0"):
        machine.release(version)
        (machine.root / f"{UNIT}.next".removeprefix("/")).write_text(
            unit_of(machine, f"#{version}")
        )
        done = machine.install(version)
        assert done.returncode == 0, done.stderr
        assert machine.runs == version
        assert machine.unit.read_text().endswith(f"#{version}")
    assert machine.ran == ["1.0.0", "1.1.0"]
    assert list(machine.trials.iterdir()) == []


@pytest.mark.parametrize("fault", ["broken", "silent"])
def test_the_former_version_comes_back_with_its_unit(machine: Machine, fault: str) -> None:
    """It does not start, or a model does not answer that answers with the former one."""
    for version in ("1.0.0", "1.1.0"):
        machine.release(version)
    machine.install("1.0.0")
    declared = machine.unit.read_text()
    (machine.root / f"{UNIT}.next".removeprefix("/")).write_text(unit_of(machine, "Nice=1\n"))
    machine.silence("1.0.0", "broken:1b")
    if fault == "silent":
        machine.silence("1.1.0", "broken:1b", "llama3.2:1b")
    else:
        (machine.root / "broken-1.1.0").touch()
    done = machine.install("1.1.0")
    assert done.returncode == AS_BEFORE
    last = done.stderr.splitlines()[-1]
    assert "Ollama 1.1.0 is not used: " in last and "Ollama 1.0.0 serves again." in last
    assert "`journalctl --unit ollama --since '2" in last
    if fault == "silent":
        assert "is not used: llama3.2:1b does not answer, but answers with 1.0.0." in last
    assert machine.ran == ["1.0.0", "1.1.0", "1.0.0"]
    assert machine.runs == "1.0.0"
    assert machine.unit.read_text() == declared
    assert list(machine.trials.iterdir()) == []


def test_a_model_that_answers_with_neither_version_is_no_reason_to_go_back(
    machine: Machine,
) -> None:
    for version in ("1.0.0", "1.1.0"):
        machine.release(version)
        machine.silence(version, "broken:1b")
        done = machine.install(version)
        assert done.returncode == 0, done.stderr
    assert machine.ran == ["1.0.0", "1.1.0", "1.0.0", "1.1.0"]
    assert machine.runs == "1.1.0"


def test_until_its_models_have_answered_a_restart_starts_the_former_version(
    machine: Machine,
) -> None:
    """What is in /run is gone after it. Then the next run tries the new version again."""
    for version in ("1.0.0", "1.1.0"):
        machine.release(version)
    machine.install("1.0.0")
    model = machine.root / "usr/local/lib/ollamazure/model.py"
    program = model.read_text()
    asked, answer = machine.root / "asked", machine.root / "answer"
    model.write_text(f"#!/bin/sh\ntouch {asked}\nuntil [ -e {answer} ]; do sleep 0.1; done\n")
    process = machine.start("1.1.0")
    while not asked.exists():
        assert process.poll() is None
    process.kill()
    answer.touch()
    process.communicate(timeout=60)
    assert machine.ran == ["1.0.0", "1.1.0"]
    assert (machine.home / "current").readlink() == Path("1.0.0")
    assert str(machine.home / "1.1.0") in (machine.trials / "ollama.service").read_text()

    model.write_text(program)
    assert machine.install("1.0.0").returncode == 0  # as long as it was not kept, nothing is lost
    assert machine.ran[-1] == "1.0.0"
    assert machine.install("1.1.0").returncode == 0
    assert machine.runs == "1.1.0"


def test_a_restart_that_did_not_happen_is_made_good(machine: Machine) -> None:
    """The connection may break between the new unit file and the restart."""
    machine.release("1.0.0")
    machine.install("1.0.0")
    machine.unit.write_text(unit_of(machine, "Nice=1\n"))
    assert machine.install("1.0.0").returncode == 0
    assert machine.install("1.0.0").returncode == 0
    assert machine.restarts == 2


def test_another_authority_of_the_mirrors_restarts_ollama(machine: Machine) -> None:
    """Ollama reads the authorities once. A file without one changes nothing."""
    authority = machine.root / "etc/ollamazure/mirrors-ca.pem"
    authority.parent.mkdir()
    machine.release("1.0.0")
    restarts = []
    for text in (None, "# none\n", "BEGIN CERTIFICATE\n", "# none\n"):
        if text:
            authority.write_text(text)
        assert machine.install("1.0.0").returncode == 0
        restarts.append(machine.restarts)
    assert restarts == [1, 1, 2, 3]


def test_refuses_a_download_that_does_not_match_its_checksum(machine: Machine) -> None:
    machine.release("1.0.0", checksum="0" * 64)
    done = machine.install("1.0.0")
    assert done.returncode == AS_BEFORE
    assert "does not match its checksum" in done.stderr
    assert not (machine.home / "current").exists()
    assert list(machine.home.iterdir()) == []


def test_goes_on_where_a_download_stopped(machine: Machine) -> None:
    packed = machine.release("1.0.0")
    machine.home.mkdir(parents=True)
    (machine.home / "1.0.0.tar.zst").write_bytes(packed[:50])
    done = machine.install("1.0.0")
    assert done.returncode == 0, done.stderr
    assert machine.ranges == ["bytes=50-"]


@pytest.mark.parametrize("honours_ranges", [True, False])
def test_starts_again_if_it_cannot_resume(machine: Machine, honours_ranges: bool) -> None:
    packed = machine.release("1.0.0")
    machine.honours_ranges = honours_ranges
    machine.home.mkdir(parents=True)
    (machine.home / "1.0.0.tar.zst").write_bytes(b"something else " * len(packed))
    done = machine.install("1.0.0")
    assert done.returncode == 0, done.stderr
    assert machine.runs == "1.0.0"


@pytest.mark.parametrize(
    ("headers", "line"),
    [
        ("HTTP/2 302\r\ncontent-length: 0\r\n\r\nContent-Length: 2000000000\r\n", "25"),
        ("Content-Range: bytes 9-1999999999/2000000000\r\nContent-Length: 1999999991\r\n", "25"),
        ("Content-Length: 12\r\n\r\nTransfer-Encoding: chunked\r\n", None),
        (None, None),
    ],
    ids=["redirected", "resumed", "of unknown length", "not begun"],
)
def test_says_how_far_a_download_is(tmp_path: Path, headers: str | None, line: str | None) -> None:
    file = tmp_path / "bundle"
    file.touch()
    os.truncate(file, 500_000_000)
    if headers is not None:
        Path(f"{file}.headers").write_text(headers)
    script = f"""set -euo pipefail; . {TOOLS}/lib.sh
        start_progress bytes_of_download {file}; echo "$transferred"
        transferred=0 looked=$((SECONDS - 20)); say_progress bytes_of_download {file}"""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "500000000\n"
    part = f" of 2000 MB ({line} %)" if line else " MB"
    assert f"  500{part}, 25.0 MB/s" in done.stderr


def test_a_download_ends_with_the_run_that_began_it(machine: Machine) -> None:
    """Two downloads into one file would spoil it."""
    machine.release("1.0.0")
    machine.go_on.clear()
    process = machine.start("1.0.0")
    machine.begun.wait(30)
    process.terminate()
    process.communicate(timeout=30)  # until nothing holds its output open: not curl either
    machine.go_on.set()
    assert machine.install("1.0.0").returncode == 0


def test_says_that_there_is_no_such_release(machine: Machine) -> None:
    done = machine.install("9.9.9")
    assert done.returncode == AS_BEFORE
    assert f"{machine.url}/v9.9.9/sha256sum.txt" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("url", "protocols"), [("https://x/y", "=https,https"), ("http://x/y", "=http,https")]
)
def test_no_redirect_leads_from_https_to_plain_http(url: str, protocols: str) -> None:
    """What curl's --proto-redir gets."""
    done = subprocess.run(
        ["bash", "-c", f". {TOOLS}/lib.sh && redirects_of {url}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{protocols}\n"

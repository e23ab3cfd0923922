"""Pulling and removing models, against a server that answers as Ollama does, and the real one."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from components import remote_command
from emulator.artifacts import paths
from emulator.host import mirrors
from tests.faulty_mirror import FaultyMirror, publish

TOOL = remote_command.GUEST / "usr/local/lib/ollamazure/model.py"
STALLED, SILENT = "nothing has arrived for 2 s", "no answer (TimeoutError('timed out'))"
# Instead of an event: nothing comes for a while.
SILENCE = object()


@dataclass
class Ollama:
    """Its models with their digests, what each pull answers (the last again and again), and what
    was asked."""

    program: Path
    models: dict[str, str] = field(default_factory=dict)
    pulls: list[list[Any]] = field(default_factory=lambda: [[{"status": "success"}]])
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    capabilities: list[str] | None = None
    broken: set[str] = field(default_factory=set)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(self.program), *arguments],
            capture_output=True,
            text=True,
            check=False,
        )

    def pull(self, name: str, *mirror: str) -> subprocess.CompletedProcess[str]:
        return self.run("pull", name, str(self.memory), *mirror)

    @property
    def memory(self) -> Path:
        return self.program.with_name("model")

    def paths(self) -> list[str]:
        return [path for path, _ in self.asked if path != "/api/tags"]

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, list[Any]]:
        self.asked.append((path, body))
        name = body.get("model", "")
        if path in ("/api/generate", "/api/embed"):
            return self.answer_question(path, name)
        if path == "/api/tags":
            listed = [{"name": name, "digest": digest} for name, digest in self.models.items()]
            return 200, [{"models": listed}]
        if path == "/api/pull":
            events = self.pulls.pop(0) if len(self.pulls) > 1 else self.pulls[0]
            if events[-1] == {"status": "success"}:
                self.models[name] = "of the registry"
            return 200, events
        if path == "/api/show":
            can = ["embedding"] if name.startswith("embed:") else self.capabilities
            return 200, [{"capabilities": can} if can else {}]
        if path == "/api/copy":
            self.models[body["destination"]] = self.models[body["source"]]
        if path == "/api/delete":
            del self.models[name]
        return 200, []

    def answer_question(self, path: str, name: str) -> tuple[int, list[Any]]:
        if name in self.broken or name not in self.models:
            return 500, [{"error": "it cannot be loaded"}]
        return 200, [{"eval_count": 2} if path == "/api/generate" else {"embeddings": [[0.1]]}]


@pytest.fixture
def ollama(tmp_path: Path) -> Iterator[Ollama]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def handle_request(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            status, events = found.answer(self.path, json.loads(self.rfile.read(length) or "{}"))
            self.send_response(status)
            self.end_headers()
            for event in events:
                if event is SILENCE:
                    self.wfile.flush()
                    threading.Event().wait(2)
                    continue
                text = "{" if event is None else json.dumps(event)
                self.wfile.write(f"{text}\n".encode())

        do_GET = do_POST = do_DELETE = handle_request  # noqa: N815  names of http.server

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    program = tmp_path / "model.py"
    text = TOOL.read_text().replace("11434", str(server.server_port))
    text = text.replace("/srv/data/ollama/models", str(tmp_path / "models"))
    text = text.replace("/srv/data/pulling/models", str(tmp_path / "pulling/models"))
    shutil.copy(TOOL.with_name("durable.py"), tmp_path)
    text = text.replace("/etc/ollamazure/", f"{tmp_path}/")
    program.write_text(text.replace("PAUSE = 10", "PAUSE = 0"))
    found = Ollama(program)
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


def test_pulls_from_the_library(ollama: Ollama) -> None:
    done = ollama.pull("llama3.2:1b")
    assert done.returncode == 0, done.stderr
    assert ollama.models.keys() == {"llama3.2:1b"}
    assert ("/api/pull", {"model": "llama3.2:1b", "insecure": False}) in ollama.asked


@pytest.mark.parametrize(
    ("name", "path"), [("llama3.2:1b", "library/llama3.2:1b"), ("team/tuned:1b", "team/tuned:1b")]
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_model_of_a_mirror_has_its_usual_name(
    ollama: Ollama, name: str, path: str, scheme: str
) -> None:
    """Ollama uses plain HTTP if, and only if, a pull is insecure."""
    done = ollama.pull(name, f"{scheme}://mirror:8480")
    assert done.returncode == 0, done.stderr
    assert ollama.models.keys() == {name}
    assert (
        "/api/pull",
        {"model": f"mirror:8480/{path}", "insecure": scheme == "http"},
    ) in ollama.asked


def test_what_is_there_is_left_alone(ollama: Ollama) -> None:
    ollama.models["llama3.2:1b"] = "of a kept disk"
    for _ in range(2):
        assert ollama.pull("llama3.2:1b").returncode == 0
    assert ollama.paths() == []
    assert json.loads(ollama.memory.read_text()) == {
        "name": "llama3.2:1b",
        "digest": "of a kept disk",
    }


def test_another_model_of_the_name_gives_way(ollama: Ollama) -> None:
    ollama.pull("m:1b")
    ollama.models["m:1b"] = "made by hand"
    done = ollama.pull("m:1b", "https://mirror:8480")

    assert done.returncode == 0, done.stderr
    assert ollama.models == {"m:1b": "of the registry"}


def test_what_cannot_be_pulled_again_is_not_lost(ollama: Ollama) -> None:
    ollama.pull("m:1b")
    ollama.models["m:1b"] = "made by hand"
    ollama.pulls = [[{"error": "connection refused"}]]

    assert ollama.pull("m:1b").returncode == 1
    assert ollama.models == {"m:1b": "made by hand"}


def test_a_layer_may_be_verified_for_long(ollama: Ollama) -> None:
    """Only until the manifest has come, silence means that nothing comes."""
    verifying = [{"digest": "sha256:ab", "total": 1}, {"status": "verifying sha256 digest"}]
    ollama.pulls = [[*verifying, SILENCE, {"status": "success"}]]
    text = ollama.program.read_text()
    ollama.program.write_text(text.replace("MANIFEST_WITHIN = 60", "MANIFEST_WITHIN = 1"))
    done = ollama.pull("m:1b")
    assert done.returncode == 0, done.stderr


def test_tells_how_far_it_is(ollama: Ollama) -> None:
    ollama.pulls = [
        [
            {"status": "pulling abc", "total": 2_000_000_000, "completed": 500_000_000},
            {"status": "success"},
        ]
    ]
    assert "pulling abc: 500 of 2000 MB (25 %)" in ollama.pull("m:1b").stderr


def test_tells_how_fast_it_is(ollama: Ollama) -> None:
    text = ollama.program.read_text().replace("PROGRESS_EVERY = 10 ", "PROGRESS_EVERY = 0 ")
    ollama.program.write_text(text)
    parts = [
        {"status": "pulling abc", "total": 2_000_000_000, "completed": n * 10**9} for n in (1, 2)
    ]
    ollama.pulls = [[*parts, {"status": "success"}]]
    printed = ollama.pull("m:1b").stderr
    assert "pulling abc: 1000 of 2000 MB (50 %)\n" in printed
    assert re.search(r"pulling abc: 2000 of 2000 MB \(100 %\), \d+\.\d MB/s\n", printed)


@pytest.mark.parametrize("broken", [[{"error": "connection reset"}], [None]])
def test_tries_again_after_a_broken_connection(ollama: Ollama, broken: list[Any]) -> None:
    ollama.pulls = [broken, broken, [{"status": "success"}]]
    done = ollama.pull("m:1b")
    assert done.returncode == 0, done.stderr
    assert ollama.paths() == ["/api/pull"] * 3


def test_gives_up_after_a_while_and_names_the_place(ollama: Ollama) -> None:
    ollama.pulls = [[{"error": "connection refused"}]]
    done = ollama.pull("m:1b", "https://mirror:8480")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last == "Ollama: m:1b cannot be pulled from mirror:8480/library/m:1b: connection refused"


@pytest.mark.parametrize(
    "reason",
    [
        "pull model manifest: file does not exist",
        "write x: no space left on device",
        "tls: failed to verify certificate: x509: certificate signed by unknown authority",
    ],
)
def test_does_not_repeat_what_cannot_work(ollama: Ollama, reason: str) -> None:
    ollama.pulls = [[{"error": reason}]]
    assert ollama.pull("m:1b").returncode == 1
    assert ollama.paths() == ["/api/pull"]


@pytest.mark.parametrize(
    ("reason", "kept"),
    [("write x: no space left on device", {"sha256-bb"}), ("connection refused", None)],
)
def test_only_a_full_disk_removes_what_was_downloaded(
    ollama: Ollama, reason: str, kept: set[str] | None
) -> None:
    """Else the next pull continues. A layer that another model uses stays in any case."""
    models = ollama.program.with_name("models")
    (models / "blobs").mkdir(parents=True)
    files = {"sha256-aa", "sha256-ab-partial", "sha256-ab-partial-0", "sha256-bb"}
    for name in files:
        (models / "blobs" / name).touch()
    (models / "manifests/library").mkdir(parents=True)
    (models / "manifests/library/other").write_text('{"digest": "sha256:bb"}')
    # Ollama may fail before it reports a layer.
    ollama.pulls = [[{"status": "pulling manifest"}, {"error": reason}]]

    done = ollama.pull("m:1b")

    assert done.returncode == 1
    assert {file.name for file in (models / "blobs").iterdir()} == (kept or files)
    assert ("what was downloaded is removed" in done.stderr) == (kept is not None)


def test_removes_what_is_there_and_nothing_else(ollama: Ollama) -> None:
    ollama.models.update({"m:1b": "1", "n:1b": "2"})
    for _ in range(2):
        assert ollama.run("remove", "m:1b").returncode == 0
    assert ollama.models.keys() == {"n:1b"}


def test_says_that_ollama_does_not_answer(ollama: Ollama) -> None:
    ollama.program.write_text(TOOL.read_text().replace("11434", "1"))
    done = ollama.pull("m:1b")
    assert done.returncode == 1
    assert "journalctl --unit ollama" in done.stderr


def test_a_model_that_only_embeds_is_no_chat_model(ollama: Ollama) -> None:
    ollama.capabilities = ["embedding"]
    done = ollama.run("check-chat", "qwen3-embedding:0.6b")
    assert done.returncode == 1
    fix = "pulumi config set --path 'ollamazure:modelKinds[\"qwen3-embedding:0.6b\"]' embedding"
    assert "qwen3-embedding:0.6b answers no questions, it only has: embedding." in done.stderr
    assert fix in done.stderr
    assert ("/api/show", {"model": "qwen3-embedding:0.6b"}) in ollama.asked


@pytest.mark.parametrize("capabilities", [["completion", "tools"], ["completion"], None])
def test_a_model_that_answers_is_a_chat_model(
    ollama: Ollama, capabilities: list[str] | None
) -> None:
    ollama.capabilities = capabilities
    assert ollama.run("check-chat", "llama3.2:1b").returncode == 0


def test_a_model_that_gives_no_answer_is_named(ollama: Ollama, tmp_path: Path) -> None:
    """Of those that commands have pulled: a chat model, one that embeds, one that does not load."""
    for name in ("chat:1b", "embed:1b", "broken:1b"):
        record = tmp_path / f"installed/model-{name}/model"
        record.parent.mkdir(parents=True)
        record.write_text(json.dumps({"name": name, "digest": "a"}))
        ollama.models[name] = "a"
    ollama.broken = {"broken:1b"}
    done = ollama.run("silent")
    assert done.returncode == 0
    assert done.stdout == "broken:1b\n"
    assert "broken:1b does not answer: it cannot be loaded" in done.stderr
    assert {path for path, body in ollama.asked if body.get("model") == "embed:1b"} == {
        "/api/show",
        "/api/embed",
    }
    assert ollama.run("silent", "chat:1b").stdout == ""
    assert ollama.run("silent", "missing:1b").stdout == "missing:1b\n"


@pytest.mark.parametrize(("start", "asked"), [("chat:1b", ["chat:1b"]), ("brief", ["chat:1b"])])
def test_after_a_boot_the_model_of_new_chats_is_asked(
    ollama: Ollama, tmp_path: Path, start: str, asked: list[str]
) -> None:
    """Also when they start with a preset."""
    preset = tmp_path / "declared/preset/brief.json"
    preset.parent.mkdir(parents=True)
    preset.write_text(json.dumps({"id": "brief", "base_model": "chat:1b"}))
    config = {"ui.default_models": start}
    (tmp_path / "open-webui.json").write_text(json.dumps({"config": config}))
    ollama.models = dict.fromkeys(("chat:1b", "other:1b"), "a")
    assert ollama.run("load").returncode == 0
    assert [body["model"] for path, body in ollama.asked if path == "/api/generate"] == asked


def test_a_boot_without_settings_model_or_ollama_asks_nothing(
    ollama: Ollama, tmp_path: Path
) -> None:
    assert ollama.run("load").returncode == 0
    assert ollama.asked == []
    config = {"ui.default_models": "chat:1b"}
    (tmp_path / "open-webui.json").write_text(json.dumps({"config": config}))
    assert ollama.run("load").returncode == 0
    assert ollama.paths() == []
    text = ollama.program.read_text().replace("UP_WITHIN = 60", "UP_WITHIN = 0")
    ollama.program.write_text(re.sub(r'"127.0.0.1"\), \d+', '"127.0.0.1"), 1', text))
    done = ollama.run("load")
    assert done.returncode == 0
    assert "no answer" in done.stderr


@pytest.fixture(scope="module")
def real_ollama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ollama]:
    """The real Ollama, and a program that gives up after two attempts."""
    folder = tmp_path_factory.mktemp("ollama")
    [bundle] = paths.ollama_bundle().glob("*.tar.zst")
    subprocess.run(["tar", "-C", folder, "--zstd", "-xf", bundle, "bin/ollama"], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    models = folder / "models"
    proxies = {name: "" for name in os.environ if name.lower().endswith("_proxy")}
    environment = {"OLLAMA_HOST": f"127.0.0.1:{port}", "OLLAMA_MODELS": str(models)}
    program = folder / "model.py"
    text = TOOL.read_text().replace("11434", str(port)).replace("ATTEMPTS = 5", "ATTEMPTS = 2")
    text = text.replace("/srv/data/ollama/models", str(models)).replace("PAUSE = 10", "PAUSE = 0")
    program.write_text(text.replace("/srv/data/pulling", str(folder / "pulling")))
    shutil.copy(TOOL.with_name("durable.py"), folder)
    with subprocess.Popen(
        [folder / "bin/ollama", "serve"],
        env={**os.environ, **proxies, **environment, "HOME": str(folder)},
        stderr=subprocess.DEVNULL,
    ) as server:
        found = Ollama(program)
        while found.run("remove", "none:1").returncode != 0:
            assert server.poll() is None
        yield found
        server.terminate()


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyMirror]:
    """A registry with the model tiny:1, of which nothing is downloaded."""
    # Ollama takes layers only from another host than the registry's.
    monkeypatch.setattr(mirrors, "REGISTRY_HOST", "127.0.0.1")
    monkeypatch.setattr(mirrors, "BLOB_HOST", "localhost")
    layers = [os.urandom(300_000), os.urandom(200_000)]
    publish(tmp_path / "v2/library/tiny", "1", "application/vnd.ollama.image.model", *layers)
    mirror = FaultyMirror(tmp_path)
    with mirror.serving():
        yield mirror


@pytest.mark.parametrize(
    ("fault", "path", "reason"),
    [
        ("stalled", "blobs", STALLED),
        ("wrong", "blobs", "digest mismatch"),
        pytest.param("endless", "blobs", "digest mismatch", marks=pytest.mark.long),
        pytest.param("stalled", "manifests", SILENT, marks=pytest.mark.long),
        pytest.param("endless", "manifests", SILENT, marks=pytest.mark.long),
        pytest.param("cut", "manifests", "unexpected EOF", marks=pytest.mark.long),
        pytest.param("gone", "blobs", "503", marks=pytest.mark.long),
    ],
)
def test_a_pull_that_failed_is_completed_by_the_next(
    real_ollama: Ollama, mirror: FaultyMirror, fault: str, path: str, reason: str
) -> None:
    """And no layer is kept that is not what its name states."""
    mirror.fail(fault, path)
    patient = real_ollama.program.read_text()
    if reason in (SILENT, STALLED):
        impatient = patient.replace("STALLED = 300", "STALLED = 2")
        real_ollama.program.write_text(impatient.replace("WITHIN = 60", "WITHIN = 2"))
    failed = real_ollama.pull("tiny:1", f"http://{mirror.address}")
    real_ollama.program.write_text(patient)
    assert failed.returncode == 1
    last = failed.stderr.splitlines()[-1]
    source = f"{mirror.address}/library/tiny:1"
    assert last.startswith(f"Ollama: tiny:1 cannot be pulled from {source}: ")
    assert reason in last

    mirror.work()
    done = real_ollama.pull("tiny:1", f"http://{mirror.address}")
    assert done.returncode == 0, done.stderr
    blobs = real_ollama.program.with_name("models") / "blobs"
    layers = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in blobs.iterdir()}
    assert len(layers) == 3
    assert all(name == f"sha256-{digest}" for name, digest in layers.items())
    assert real_ollama.run("remove", "tiny:1").returncode == 0


def test_a_pull_goes_on_where_the_connection_broke(
    real_ollama: Ollama, mirror: FaultyMirror
) -> None:
    """Ollama itself requests the rest again."""
    mirror.fail("cut", "blobs", times=2)
    done = real_ollama.pull("tiny:1", f"http://{mirror.address}")
    assert done.returncode == 0, done.stderr
    assert mirror.times == 0
    assert real_ollama.run("remove", "tiny:1").returncode == 0


def test_a_registry_that_is_not_reached_is_named(real_ollama: Ollama, mirror: FaultyMirror) -> None:
    """Refused, a name that does not exist, no certificate."""
    for address, reason in (
        ("http://127.0.0.1:1", "connection refused"),
        ("http://mirror.invalid:1", "no such host"),
        (f"https://{mirror.address}", "server gave HTTP response to HTTPS client"),
    ):
        failed = real_ollama.pull("tiny:1", address)
        assert failed.returncode == 1
        assert f"tiny:1 cannot be pulled from {address.partition('//')[2]}" in failed.stderr
        assert reason in failed.stderr


def blob(models: Path, content: bytes, named: bytes | None = None) -> Path:
    """A file with this content, and the name that it, or another content, has."""
    digest = hashlib.sha256(content if named is None else named).hexdigest()
    file = models / f"blobs/sha256-{digest}"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def manifest(models: Path, name: str, *blobs: Path) -> Path:
    digests = [{"digest": file.name.replace("-", ":")} for file in blobs]
    file = models / "manifests/registry.ollama.ai/library" / name / "latest"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"config": digests[0], "layers": digests[1:]}))
    return file


def test_after_a_power_cut_a_pull_removes_what_is_damaged(ollama: Ollama) -> None:
    """Ollama takes a file of the right name for a complete download."""
    models = ollama.program.with_name("models")
    whole, zeros = blob(models, b"whole"), blob(models, b"\0" * 7, b"content")
    former = blob(models, b"changed by hand", b"of long ago")
    os.utime(former, (0, 0))
    good, bad = manifest(models, "good", whole, former), manifest(models, "bad", whole, zeros)
    empty = manifest(models, "empty", whole)
    empty.write_text("")
    partial = models / "blobs/sha256-0123-partial-0"
    partial.touch()
    pulling = ollama.program.with_name("pulling") / "models/bad"
    pulling.parent.mkdir(parents=True)
    pulling.write_text("another boot")
    os.utime(pulling, (1, 1))

    done = ollama.pull("llama3.2:1b")

    assert done.returncode == 0, done.stderr
    assert f"{zeros.name} is damaged, and removed." in done.stderr
    assert [file.exists() for file in (whole, former, good)] == [True] * 3
    assert [file.exists() for file in (zeros, bad, empty, partial)] == [False] * 4
    assert list(pulling.parent.iterdir()) == []


def test_a_pull_that_was_cut_off_without_a_restart_goes_on(ollama: Ollama) -> None:
    partial = ollama.program.with_name("models") / "blobs/sha256-0123-partial"
    partial.parent.mkdir(parents=True)
    partial.touch()
    pulling = ollama.program.with_name("pulling") / "models/llama3.2:1b"
    pulling.parent.mkdir(parents=True)
    pulling.write_text(Path("/proc/sys/kernel/random/boot_id").read_text())
    assert ollama.pull("llama3.2:1b").returncode == 0
    assert partial.exists()
    assert not pulling.exists()

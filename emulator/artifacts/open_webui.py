"""The Open WebUI image: the official one, else its PyPI package on a minimal Debian 12.

Same layout, command, port, environment and data path as the official image, without the machine
learning packages that run models inside Open WebUI (its embeddings come from Ollama here).
"""

from __future__ import annotations

import email
import json
import re
import shutil
import zipfile
from functools import partial
from pathlib import Path

from emulator.artifacts import debian, paths, pins, python_packages, registry
from emulator.artifacts.artifact import Artifact, registry_url
from emulator.artifacts.oci import Repository
from emulator.artifacts.work import Work

_PIN = pins.CATALOG["open-webui"]
_NAME: str = _PIN["repository"]
_TAG: str = _PIN["tag"]
# The last release before the present one's, from which the long tests upgrade.
FORMER_TAG = "v0.11.4"
_FILES = Path(__file__).parent / "open_webui_image"
_PYTHON = "3.11"
_PACKAGES = ("ca-certificates", "curl", "jq", "libmagic1", "media-types", "netbase", "python3")
_LEFT_OUT = frozenset(
    {
        "accelerate",
        "faster-whisper",
        "opencv-python-headless",
        "rapidocr",
        "sentence-transformers",
        "transformers",
    }
)
_LIBRARIES = f"/usr/local/lib/python{_PYTHON}/dist-packages"
_SETTINGS = {
    "Cmd": ["bash", "start.sh"],
    "Env": [
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME=/root",
        "ENV=prod",
        "DOCKER=true",
        "PORT=8080",
        "OLLAMA_BASE_URL=/ollama",
        "OPENAI_API_BASE_URL=",
        "OPENAI_API_KEY=",
        "WEBUI_SECRET_KEY=",
        "SCARF_NO_ANALYTICS=true",
        "DO_NOT_TRACK=true",
        "ANONYMIZED_TELEMETRY=false",
        "PYTHONUNBUFFERED=1",
        # Instead of the packages left out: no model is looked for, here or on the internet.
        "RAG_EMBEDDING_ENGINE=ollama",
        "OFFLINE_MODE=true",
        "HF_HUB_OFFLINE=1",
    ],
    "ExposedPorts": {"8080/tcp": {}},
    "WorkingDir": "/app/backend",
}


def copy_official(work: Work, base: str, *, tag: str = _TAG) -> None:
    digest = pins.DIGESTS["open-webui"].get(tag, "")
    registry.pull(base, Repository(paths.mirror(), _NAME), tag, work.say, digest=digest)


def build(work: Work, *, tag: str = _TAG) -> None:
    version = tag.removeprefix("v")
    libraries, application = work.folder / "dist-packages", work.folder / "app"
    _install(work, libraries, version)
    _arrange(libraries, application, version)
    hooks = (
        f"mkdir -p $1{_LIBRARIES}",
        f"sync-in {libraries} {_LIBRARIES}",
        "mkdir $1/app",
        f"sync-in {application} /app",
        # Compiled once here, not at each start of a new container.
        f"chroot $1 python3 -m compileall -q -j 2 {_LIBRARIES} /app/backend || true",
    )
    tar = debian.root_filesystem(work, "bookworm", _PACKAGES, hooks)
    work.say("packing the image")
    Repository(paths.mirror(), _NAME).add_image(tag, tar, _SETTINGS)


def _install(work: Work, target: Path, version: str) -> None:
    wheel = python_packages.fetch(work, "open-webui", version)
    requirements = work.folder / "requirements.txt"
    requirements.write_text("\n".join(_requirements(wheel)))
    shutil.rmtree(target, ignore_errors=True)
    python_packages.install(work, target, _PYTHON, ["-r", str(requirements)])
    python_packages.install(work, target, _PYTHON, ["--no-deps", str(wheel)])


def _requirements(wheel: Path) -> list[str]:
    """The requirements of the wheel, without its extras and without what is left out here."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(name))
    wanted = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    return [line for line in wanted if re.split(r"[\[=<>~! ]", line)[0] not in _LEFT_OUT]


def _arrange(libraries: Path, application: Path, version: str) -> None:
    """Move the application from the libraries to its place in the official image."""
    shutil.rmtree(application, ignore_errors=True)
    backend = application / "backend"
    (backend / "data").mkdir(parents=True)
    (libraries / "open_webui").rename(backend / "open_webui")
    (backend / "open_webui" / "frontend").rename(application / "build")
    (backend / "open_webui" / "CHANGELOG.md").rename(application / "CHANGELOG.md")
    (application / "package.json").write_text(json.dumps({"version": version}))
    shutil.copy2(_FILES / "start.sh", backend)
    for source_map in application.rglob("*.js.map"):
        source_map.unlink()
    for tests in [path for path in libraries.rglob("tests") if path.is_dir()]:
        shutil.rmtree(tests, ignore_errors=True)


def _artifact(name: str, tag: str, *, optional: bool) -> Artifact:
    return Artifact(
        name=name,
        lane="network",
        gib=8,
        recipe=(
            tag,
            *_PACKAGES,
            *sorted(_LEFT_OUT),
            json.dumps(_SETTINGS),
            (_FILES / "start.sh").read_text(),
        ),
        targets=(paths.manifest(_NAME, tag),),
        build=partial(build, tag=tag),
        copy_official=partial(copy_official, tag=tag),
        place=registry_url(_PIN["registry"]),
        optional=optional,
    )


ARTIFACT = _artifact("open-webui", _TAG, optional=False)
FORMER = _artifact("open-webui-former", FORMER_TAG, optional=True)

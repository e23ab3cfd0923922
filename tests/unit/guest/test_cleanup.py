"""What the nightly cleanup removes, and what it keeps. With real images: tests/e2e."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import cleanup
import model
import pytest

NGINX, WEBUI = "docker.io/library/nginx", "ghcr.io/open-webui/open-webui"
VOLUME, BUSY = "a" * 64, "b" * 64
# Each image with its name, and the days since it was pulled.
IMAGES = {
    "declared": (f"{NGINX}:4@sha256:44", 30),
    "works": (f"{NGINX}:3", 30),
    "before": (f"{NGINX}:2", 30),
    "runs": (f"{WEBUI}:2", 30),
    "former": (f"{NGINX}:1", 30),
    "just-pulled": (f"{NGINX}:5", 1),
    "nameless": ("", 30),
    "of-others": ("docker.io/library/debian:13", 30),
}


@pytest.fixture
def old(tmp_path: Path) -> Callable[..., Path]:
    """Makes a file or, with a slash at the end, a folder below the machine's root."""

    def make(name: str, days: float = 30) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if name.endswith("/") else path.touch()
        os.utime(path, (0, time.time() - days * cleanup.DAY))
        return path

    return make


@pytest.fixture
def removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: Callable[..., Path]) -> list[str]:
    """What Podman was ordered to remove; the machine has IMAGES."""
    for name, folder in {
        "CONTAINERS": "etc",
        "STORAGE": "containers",
        "RECORDS": "lib",
        "OLLAMA": "ollama",
        "TEMPORARY": "tmp",
    }.items():
        monkeypatch.setattr(cleanup, name, tmp_path / folder)
    for each, (_, days) in IMAGES.items():
        old(f"containers/overlay-images/{each}/", days)
    old("etc/nginx.container").write_text(f"Image={NGINX}:4@sha256:44\n")
    old("etc/open-webui.container").write_text(f"Image={WEBUI}:2\n")
    old("lib/nginx.image").write_text(f"{NGINX}:3\n")
    old("lib/nginx.image.former").write_text(f"{NGINX}:2\n")
    ordered: list[str] = []

    def podman(*arguments: str) -> str:
        match arguments:
            case ["images", *_]:
                listed = [
                    {"Id": each, "Names": [name] if name else None}
                    for each, (name, _) in IMAGES.items()
                ]
                return json.dumps(listed)
            case ["ps", *_]:
                return "sha256:runs\n"
            case ["volume", "ls", *_]:
                return f"open-webui\n{VOLUME}\n{BUSY}\n"
        ordered.append(" ".join(arguments))
        return ""

    by_name = {name: each for each, (name, _) in IMAGES.items()}
    monkeypatch.setattr(cleanup, "podman", podman)
    monkeypatch.setattr(cleanup, "image_id", lambda image: by_name.get(image, ""))
    return ordered


def test_of_images_the_present_and_the_previous_ones_stay(removed: list[str]) -> None:
    cleanup.remove_images()
    assert removed == ["rmi former", "rmi nameless"]


def test_of_volumes_only_old_ones_without_a_name_are_removed(
    removed: list[str], old: Callable[..., Path]
) -> None:
    """The chats are in one with a name, which no container uses while Open WebUI is stopped."""
    for name, days in {"open-webui": 30, VOLUME: 30, BUSY: 1}.items():
        old(f"containers/volumes/{name}/", days)
    cleanup.remove_volumes()
    assert removed == [f"volume rm {VOLUME}"]


@pytest.mark.usefixtures("removed")
def test_of_ollama_the_current_and_the_previous_version_stay(old: Callable[..., Path]) -> None:
    for version in ("1.0", "1.1", "1.2", "1.3.new"):
        old(f"ollama/{version}/")
    old("ollama/1.4/", days=1)
    for link, version in {"current": "1.2", "previous": "1.1"}.items():
        (cleanup.OLLAMA / link).symlink_to(version)
    old("ollama/1.3.tar.zst")
    cleanup.remove_versions()
    left = {path.name for path in cleanup.OLLAMA.iterdir()}
    assert left == {"current", "previous", "1.1", "1.2", "1.4"}


@pytest.mark.usefixtures("removed")
def test_what_podman_left_of_a_pull_is_removed_after_a_day(old: Callable[..., Path]) -> None:
    old("tmp/container_images_storage1/", days=2)
    old("tmp/container_images_storage2/", days=0.5)
    old("tmp/other/", days=2)
    cleanup.remove_temporary()
    left = {path.name for path in cleanup.TEMPORARY.iterdir()}
    assert left == {"container_images_storage2", "other"}


def test_parts_of_models_are_removed_if_no_download_goes_on(
    old: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(model, "MODELS", tmp_path)
    old("manifests/library/chat/1b").write_text('{"digest": "sha256:used"}')
    for name, days in {"used": 30, "left": 30, "left-partial-0": 30, "new-partial": 1}.items():
        old(f"blobs/sha256-{name}", days)
    cleanup.remove_downloads()
    left = sorted(path.name for path in (tmp_path / "blobs").iterdir())
    assert left == ["sha256-new-partial", "sha256-used"]


def test_a_task_that_fails_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise OSError("podman is busy")

    done: list[str] = []
    for name in ("images", "volumes", "versions", "temporary", "downloads"):
        monkeypatch.setattr(cleanup, f"remove_{name}", lambda name=name: done.append(name))
    monkeypatch.setattr(cleanup, "remove_images", fail)
    assert cleanup.main() == 1
    assert done == ["volumes", "versions", "temporary", "downloads"]
    assert capsys.readouterr().err == "fail: podman is busy\n"


@pytest.mark.parametrize(
    ("image", "repository"),
    [
        ("docker.io/library/nginx:1.30.3", NGINX),
        ("docker.io/library/nginx:1.30.3@sha256:ab", NGINX),
        ("docker.io/library/nginx@sha256:ab", NGINX),
        ("host:5000/nginx", "host:5000/nginx"),
    ],
)
def test_the_repository_of_an_image(image: str, repository: str) -> None:
    assert cleanup.repository(image) == repository

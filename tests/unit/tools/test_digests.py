"""The digests come from a registry with the documented protocol, here served on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from emulator.artifacts.oci import digest_of
from ollamazure import catalog
from tests.unit.emulator.artifacts.loopback import Server, serving
from tools import digests

PINS = catalog.versions()
INDEX = b'{"manifests": [{"digest": "sha256:1"}, {"digest": "sha256:2"}]}'
OLD = "sha256:" + "0" * 64


def registry(*images: tuple[str, str]) -> Server:
    """A registry with these images, each a list of platforms; it requires a session."""
    files = {f"/v2/{name}/manifests/{tag}": INDEX for name, tag in images}
    return Server(files=files, token="anonymous-session")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "digests.yaml"
    path.write_text(f"# Two lines\n# of comment.\nopen-webui: {{}}\nnginx:\n  1.30.0: {OLD}\n")
    return path


def test_pinned_listed_and_named_versions_get_the_digest_of_all_platforms(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = [
        ("open-webui/open-webui", PINS.open_webui.tag),
        *(("library/nginx", tag) for tag in ("1.30.0", PINS.nginx.tag, "1.31.0")),
    ]
    with serving(registry(*images)) as server:
        assert digests.main(["nginx=1.31.0"], file, server.url) == 0
    assert file.read_text().startswith("# Two lines\n# of comment.\nopen-webui:\n")
    now = digest_of(INDEX)
    assert yaml.safe_load(file.read_text()) == {
        "open-webui": {PINS.open_webui.tag: now},
        "nginx": {"1.30.0": now, PINS.nginx.tag: now, "1.31.0": now},
    }
    assert f"nginx 1.30.0: {now} (was {OLD})" in capsys.readouterr().out


def test_what_a_registry_does_not_have_keeps_its_digest(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(registry(("library/nginx", PINS.nginx.tag))) as server:
        assert digests.main([], file, server.url) == 1
    assert yaml.safe_load(file.read_text()) == {
        "open-webui": {},
        "nginx": {"1.30.0": OLD, PINS.nginx.tag: digest_of(INDEX)},
    }
    assert "nginx 1.30.0: http://127.0.0.1" in capsys.readouterr().err


def test_the_file_is_as_the_program_writes_it() -> None:
    text = digests.FILE.read_text(encoding="utf-8")
    assert digests.render(text, yaml.safe_load(text)) == text


@pytest.mark.parametrize("name", ["nginx", "apache=2", "nginx=1@x"])
def test_a_wrong_name_is_refused(name: str, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = file.read_text()
    assert digests.main([name], file) == 1
    assert "use open-webui=VERSION and nginx=VERSION" in capsys.readouterr().err
    assert file.read_text() == before

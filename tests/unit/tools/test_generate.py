"""The files that are derived from the settings and the catalog are up to date and complete."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ollamazure import catalog
from ollamazure.settings.load import parse
from ollamazure.settings.stack import Settings
from tools import generate, reference_pages


@pytest.mark.parametrize("path", generate.derived(), ids=lambda path: path.name)
def test_derived_files_are_up_to_date(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == generate.derived()[path], (
        "run `python -m tools.generate`"
    )


def declared() -> dict[str, Any]:
    project = yaml.safe_load((generate.ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))
    return dict(project["config"])


def test_every_setting_is_declared_with_a_default_and_without_a_type() -> None:
    """The CLI refuses to start without a default, and checks a type before the program can."""
    block = declared()
    assert list(block) == [field.alias for field in Settings.model_fields.values()]
    for entry in block.values():
        assert set(entry) == {"description", "default"}


def test_declared_defaults_are_the_programs_own() -> None:
    defaults = {key: entry["default"] for key, entry in declared().items()}
    texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in defaults.items()}
    clients = {"sshClients": "203.0.113.7"}
    assert parse({**texts, **clients}) == parse(clients)


def test_the_pages_name_every_setting_model_and_size() -> None:
    pages = {path.name: text for path, text in generate.derived().items()}
    for field in Settings.model_fields.values():
        assert f"| `{field.alias}` |" in pages["settings.md"]
    for name in catalog.models():
        assert f"`{name}`" in pages["models.md"]
    for name in catalog.vm_sizes():
        assert f"| {name}" in pages["vm-sizes.md"]


def test_figures_that_were_not_looked_up_are_marked() -> None:
    page = reference_pages.models_page()
    for model in {model.name: model for model in catalog.models().values()}.values():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{model.name}`")]
        cells = row.split(" | ")
        assert cells[2].endswith(reference_pages.MARK) == ("download" in model.unverified)
        assert cells[3].endswith(reference_pages.MARK) == ("dimensions" in model.unverified)


def test_a_stale_file_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    path = generate.ROOT / "docs" / "reference" / "models.md"
    monkeypatch.setattr(generate, "derived", lambda: {path: "something newer"})
    assert generate.main(["--check"]) == 1
    assert "docs/reference/models.md is out of date" in capsys.readouterr().err


def test_markers_are_required() -> None:
    with pytest.raises(ValueError, match="needs the lines"):
        generate.project("name: ollamazure\n")


def test_text_around_the_block_is_kept() -> None:
    text = f"name: x\n{generate.BEGIN}\nto be replaced\n{generate.END}\nbackend: {{}}\n"
    made = generate.project(text)
    assert made.startswith("name: x\n") and made.endswith("\nbackend: {}\n")
    assert "to be replaced" not in made

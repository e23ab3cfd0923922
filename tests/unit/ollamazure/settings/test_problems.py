"""Problems in words: the key, the reason and the fix of every invalid setting, and the layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ollamazure import catalog
from ollamazure.settings import team_file
from ollamazure.settings.load import parse
from ollamazure.settings.problems import SettingsError
from ollamazure.settings.stack import Settings

HERE = Path(__file__).parent
BASE = {"sshClients": '["203.0.113.7/32"]'}
INVALID = yaml.safe_load((HERE / "bad_settings.yaml").read_text(encoding="utf-8"))
VERSIONS = catalog.versions()


@pytest.mark.parametrize("case", INVALID, ids=lambda case: json.dumps(case["given"])[:60])
def test_an_invalid_setting_is_reported_with_its_reason_and_its_fix(case: dict[str, Any]) -> None:
    texts = {key: text for key, text in {**BASE, **case["given"]}.items() if text is not None}
    with pytest.raises(SettingsError) as error:
        parse(texts, frozenset(case.get("secrets", ())))
    (problem,) = error.value.problems
    assert problem.where == f"ollamazure:{case['key']}"
    assert with_versions(case["reason"]) in problem.what
    assert problem.fix.splitlines()[0] == with_versions(case["fix"])
    assert problem.allowed


def with_versions(text: str) -> str:
    names = {
        "{ollama}": VERSIONS.ollama.version,
        "{webui}": VERSIONS.open_webui.tag,
        "{nginx}": VERSIONS.nginx.tag,
    }
    for name, version in names.items():
        text = text.replace(name, version)
    return text


def test_the_table_has_every_setting() -> None:
    keys = {key for case in INVALID for key in case["given"]}
    assert {str(field.alias) for field in Settings.model_fields.values()} <= keys


def test_the_layout_of_a_whole_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """message.txt has one problem of each kind: missing, unknown, secret, in another file, …"""
    monkeypatch.setattr(team_file, "PROJECT", tmp_path)
    (tmp_path / "team.yaml").write_text("users:\n  - {email: bob@example.com, name: Bob, rol: x}\n")
    with pytest.raises(SettingsError) as error:
        parse(
            {
                "teamFile": "team.yaml",
                "adminPassword": "correct horse battery",
                "signInSecret": "short",
                "location": "francecentrl",
                "dataDiskGiB": "two",
                "mirrors": "{",
                "colour": "blue",
                "users": '[{"email": "alice@example.com", "name": "Alice", "groups": ["sales"]}]',
            },
            frozenset({"signInSecret"}),
        )
    assert f"{error.value}\n" == (HERE / "message.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("key", ["adminPassword", "domain", "tags"])
def test_a_secret_is_never_shown(key: str) -> None:
    with pytest.raises(SettingsError) as error:
        parse({**BASE, key: "{hush hush"}, frozenset({key}))
    assert "hush" not in str(error.value)
    assert "[secret]" in str(error.value)

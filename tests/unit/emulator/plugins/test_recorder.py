"""What plan mode records."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from emulator.plugins import recorder
from emulator.plugins.values import UNKNOWN, Secret

pytestmark = pytest.mark.unit

URN = "urn:pulumi:dev::test::command:remote:Command::it"


def test_secrets_are_masked_wherever_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMAZURE_EMULATOR", str(tmp_path))
    inputs = {
        "connection": Secret({"host": "127.0.0.1", "user": "u", "privateKey": "hidden"}),
        "environment": {"A": Secret("hidden"), "B": "seen"},
        "stdin": Secret("hidden"),
        "triggers": [UNKNOWN, "1"],
    }
    recorder.record("create", URN, Secret("echo hidden"), inputs)
    recorder.record("delete", URN, None, inputs)
    text = (tmp_path / "recorder.jsonl").read_text()
    assert "hidden" not in text
    created, deleted = (json.loads(line) for line in text.splitlines())
    assert created == {
        "operation": "create",
        "type": "command:remote:Command",
        "name": "it",
        "command": recorder.MASK,
        "host": "127.0.0.1",
        "user": "u",
        "environment": {"A": recorder.MASK, "B": "seen"},
        "stdin": recorder.MASK,
        "triggers": [None, "1"],
    }
    assert deleted["command"] is None

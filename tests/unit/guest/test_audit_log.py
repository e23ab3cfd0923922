"""Reading the audit log, in files as Open WebUI writes them. The real ones: tests/e2e."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import audit_log
import pytest


def entry(timestamp: int, **values: Any) -> str:
    defaults = {
        "timestamp": timestamp,
        "user": {"id": "1", "email": "alice@example.com"},
        "verb": "POST",
        "request_uri": "http://chat.example.com/api/v1/groups/create?secret=x",
        "source_ip": "203.0.113.7",
        "extra": {},
    }
    return json.dumps({**defaults, **values}) + "\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(audit_log, "FOLDER", tmp_path)
    return tmp_path


def test_former_and_present_entries_are_printed_in_order(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with zipfile.ZipFile(folder / "audit.2027-01-01.log.zip", "w") as archive:
        archive.writestr("audit.2027-01-01.log", entry(1000) + entry(1060, user={}))
    second_factor = {"user": {"id": "7"}, "verb": "MFA", "extra": {"event": "auth.mfa.failed"}}
    (folder / "audit.log").write_text(entry(1120, **second_factor) + '{"timestamp": 1180, "us')

    assert audit_log.main("@1060") == 0
    assert capsys.readouterr().out == (
        "1970-01-01T00:17:40Z - 203.0.113.7 POST /api/v1/groups/create\n"
        "1970-01-01T00:18:40Z 7 203.0.113.7 MFA /api/v1/groups/create auth.mfa.failed\n"
    )


def test_files_from_before_are_not_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "audit.old.log.zip").write_text("no zip file")
    os.utime(folder / "audit.old.log.zip", (1000, 1000))
    assert audit_log.main("@2000") == 0
    assert audit_log.main("when?") == 1
    assert capsys.readouterr().err == "'when?' is no moment, such as -2d or today.\n"

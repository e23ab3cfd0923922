"""Tokens of the emulated directory are what Azurite and Azure's libraries read."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from emulator.host.tokens import Directory, Identity, InvalidTokenError

IDENTITY = Identity("/subscriptions/s/identity", "principal", "client")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Directory:
    return Directory(tmp_path_factory.mktemp("directory") / "key.pem")


def test_a_token_has_the_claims_of_the_identity(directory: Directory) -> None:
    token, claims = directory.issue(IDENTITY, "https://storage.azure.com")
    assert directory.verify(token) == claims
    assert claims["iss"].startswith("https://sts.windows.net/"), "Azurite requires it"
    assert (claims["oid"], claims["appid"]) == ("principal", "client")
    assert claims["aud"] == "https://storage.azure.com"


def test_the_key_stays_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    token, claims = Directory(tmp_path / "key.pem").issue(IDENTITY, "a")
    assert Directory(tmp_path / "key.pem").verify(token) == claims
    assert (tmp_path / "key.pem").stat().st_mode & 0o077 == 0


def test_a_token_of_another_directory_is_refused(directory: Directory, tmp_path: Path) -> None:
    token, _ = Directory(tmp_path / "key.pem").issue(IDENTITY, "a")
    with pytest.raises(InvalidTokenError, match="not signed"):
        directory.verify(token)


def test_a_changed_or_broken_token_is_refused(directory: Directory) -> None:
    token, claims = directory.issue(IDENTITY, "a")
    head, _, signature = token.split(".")
    other = base64.urlsafe_b64encode(json.dumps({**claims, "oid": "other"}).encode()).decode()
    for forged in (f"{head}.{other.rstrip('=')}.{signature}", "nothing", "a.b.c", ""):
        with pytest.raises(InvalidTokenError):
            directory.verify(forged)


def test_a_token_expires(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    token, claims = directory.issue(IDENTITY, "a")
    monkeypatch.setattr("time.time", lambda: claims["exp"])
    with pytest.raises(InvalidTokenError, match="not valid now"):
        directory.verify(token)

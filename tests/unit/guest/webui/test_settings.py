"""Applying the declared settings. The requests to Open WebUI are tested on a machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from webui import client, settings
from webui.client import WebuiSession
from webui.errors import WebuiError


def test_only_what_differs_is_set() -> None:
    present = {"a": 1, "b": 2, "undeclared": 3}
    assert settings.changed_keys(present, {"a": 1, "b": 5, "c": None, "d": 0}) == {"b": 5, "d": 0}


def test_undeclared_keys_of_a_mapping_stay() -> None:
    present: dict[str, Any] = {
        "permissions": {"chat": {"delete": True, "web": True}, "own": {"x": 1}}
    }
    wanted = {"permissions": {"chat": {"web": False}}}

    assert settings.changed_keys(present, wanted) == {
        "permissions": {"chat": {"delete": True, "web": False}, "own": {"x": 1}}
    }
    assert present["permissions"]["chat"]["web"] is True


def test_a_mapping_can_start_empty() -> None:
    assert settings.changed_keys({"a": None}, {"a": {"b": {"c": 1}}}) == {"a": {"b": {"c": 1}}}


class Documents(WebuiSession):
    """One base with one document; embedding it fails with `error`."""

    def __init__(self, error: str | None, present: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.waits: dict[str, float] = {}
        self.imported: dict[str, Any] = {}
        self.answers: dict[str, Any] = {
            "GET /api/v1/configs/export": {
                **(present or {}),
                "rag.embedding_batch_size": 1,
                "rag.enable_async_embedding": True,
                "rag.embedding_concurrent_requests": 0,
                "rag.ollama.base_url": "http://localhost:11434",
                "rag.ollama.api_key": "",
            },
            "POST /api/v1/configs/import": {},
            "POST /api/v1/retrieval/embedding/update": {"status": True},
            "POST /api/v1/knowledge/reindex": True,
            "GET /api/v1/knowledge/?page=1": {"items": [{"id": "1", "name": "Book"}], "total": 1},
            # As in Open WebUI, only the document itself has the result.
            "GET /api/v1/knowledge/1/files?page=1": {
                "items": [{"id": "2", "filename": "hours.md", "data": None}],
                "total": 1,
            },
            "GET /api/v1/files/2": {
                "filename": "hours.md",
                "data": {"status": "failed" if error else "completed", "error": error},
            },
        }

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        *,
        answer_within: float = client.ANSWER_WITHIN,
    ) -> Any:
        self.waits[path] = answer_within
        if path.endswith("/import"):
            self.imported |= body["config"]
        return self.answers[f"{method} {path}"]


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file that records the embedding model; it does not exist yet."""
    for name in ("DEFAULTS_SET", "EMBEDDED", "LAST_DECLARED", "SETTINGS"):
        monkeypatch.setattr(settings, name, tmp_path / name)
    return tmp_path / "EMBEDDED"


OURS = {"rag.bypass_embedding_and_retrieval": True}


def searched_by(engine: str, model: str) -> dict[str, Any]:
    config = {"rag.embedding_engine": engine, "rag.embedding_model": model}
    return {"config": {"rag.bypass_embedding_and_retrieval": False, **config}, "defaults": {}}


def test_a_document_that_no_model_embeds_fails_the_run_and_is_tried_again(embedded: Path) -> None:
    declared = searched_by("ollama", "all-minilm:22m")
    with pytest.raises(WebuiError, match=r"all-minilm:22m cannot embed hours\.md \(Book\): away"):
        settings.apply(Documents("away"), declared)
    assert embedded.read_text() == ""

    settings.apply(Documents(None), declared)
    assert json.loads(embedded.read_text())["rag.embedding_model"] == "all-minilm:22m"


def test_a_search_that_failed_is_switched_off_when_it_is_no_longer_declared(embedded: Path) -> None:
    with pytest.raises(WebuiError):
        settings.apply(Documents("away"), searched_by("ollama", "all-minilm:22m"))
    session = Documents(None, {"rag.bypass_embedding_and_retrieval": False})
    settings.apply(session, {"config": {}, "defaults": OURS})
    assert session.imported == {"rag.bypass_embedding_and_retrieval": True}
    assert not embedded.exists()


class Defaults:
    """The program that prints Open WebUI's defaults; `queried` are the keys that were."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.queried: list[str] = []
        monkeypatch.setattr(settings, "run_in_container", self.run)

    def run(self, program: str, text: str) -> str:
        assert program == "defaults"
        self.queried += json.loads(text)
        theirs = {"ui.banners": [], "ui.default_user_role": "pending", "a": {"x": 1}}
        return json.dumps({key: value for key, value in theirs.items() if key in self.queried})


def applied(
    present: dict[str, Any], config: dict[str, Any], defaults: dict[str, Any] | None = None
) -> dict[str, Any]:
    """What a run with this declaration sets on an instance that is not new."""
    settings.DEFAULTS_SET.touch()
    session = Documents(None, present)
    settings.apply(session, {"config": config, "defaults": defaults or {}})
    return session.imported


BANNERS = [{"id": "1", "content": "Closed on Friday"}]


@pytest.mark.usefixtures("embedded")
def test_a_value_that_is_no_longer_declared_goes_back_to_its_default(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    defaults = Defaults(monkeypatch)
    assert applied({"ui.banners": []}, {"ui.banners": BANNERS}) == {"ui.banners": BANNERS}
    assert defaults.queried == []

    assert applied({"ui.banners": BANNERS}, {}) == {"ui.banners": []}
    assert (
        "No longer declared, so it is at its default again: ui.banners." in capsys.readouterr().err
    )
    assert applied({"ui.banners": BANNERS}, {}) == {}, "later it is the administrator's"


@pytest.mark.usefixtures("embedded")
def test_a_value_that_the_administrator_changed_since_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Defaults(monkeypatch)
    own = [{"id": "2", "content": "Hello"}]
    applied({"ui.banners": []}, {"ui.banners": BANNERS})
    assert applied({"ui.banners": own, "never.declared": 1}, {}) == {}


@pytest.mark.usefixtures("embedded")
def test_each_part_of_a_mapping_goes_back_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program's own default for a new instance comes before Open WebUI's."""
    defaults = Defaults(monkeypatch)
    ours = {"user.permissions": {"chat": {"upload": False, "share": False}}}
    declared = {"user.permissions": {"chat": {"upload": True, "share": False}}}
    present = {"user.permissions": {"chat": {"upload": True, "share": True, "new": True}}}
    applied(declared, declared, ours)
    assert applied(present, {}, ours) == {
        "user.permissions": {"chat": {"upload": False, "share": True, "new": True}}
    }
    assert defaults.queried == []


@pytest.mark.usefixtures("embedded")
def test_a_part_that_is_no_longer_declared_goes_back_too(monkeypatch: pytest.MonkeyPatch) -> None:
    Defaults(monkeypatch)
    applied({"a": {"x": 1}}, {"a": {"x": 2, "y": 3}})
    assert applied({"a": {"x": 2, "y": 3, "z": 4}}, {"a": {"y": 3}}) == {
        "a": {"x": 1, "y": 3, "z": 4}
    }


@pytest.mark.usefixtures("embedded")
def test_what_an_earlier_version_declared_goes_back_at_the_upgrade(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It recorded nothing, but its declaration is still on the machine."""
    Defaults(monkeypatch)
    settings.SETTINGS.write_text(json.dumps({"config": {"ui.default_user_role": "user"}}))
    assert applied({"ui.default_user_role": "user"}, {}) == {"ui.default_user_role": "pending"}


def test_a_setting_that_this_version_no_longer_has_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, embedded: Path
) -> None:
    Defaults(monkeypatch)
    applied({"former": 1}, {"former": 2})
    assert applied({"former": 2}, {}) == {}
    embedded.touch()
    assert settings.last_declared() == {}


def test_embedding_all_documents_may_take_longer_than_another_answer(embedded: Path) -> None:
    session = Documents(None)
    settings.apply(session, searched_by("ollama", "all-minilm:22m"))
    assert session.waits["/api/v1/knowledge/reindex"] > client.ANSWER_WITHIN
    assert embedded.exists()


@pytest.mark.parametrize("exists", [True, False])
def test_a_missing_model_is_reported_before_anything_changes(
    monkeypatch: pytest.MonkeyPatch, embedded: Path, *, exists: bool
) -> None:
    checked: list[str] = []

    def run_in_container(_: str, text: str) -> str:
        checked.append(json.loads(text))
        return json.dumps(exists)

    monkeypatch.setattr(settings, "run_in_container", run_in_container)
    session = Documents(None)
    declared = searched_by("", "sentence-transformers/all-MiniLM-L6-v2")
    if exists:
        settings.apply(session, declared)
        assert embedded.read_text()
    else:
        with pytest.raises(WebuiError, match="sentence-transformers/all-MiniLM-L6-v2 is missing"):
            settings.apply(session, declared)
        assert session.waits == {}
        assert not embedded.exists()
    assert checked == ["sentence-transformers/all-MiniLM-L6-v2"]


@pytest.mark.usefixtures("embedded")
def test_the_second_factor_is_not_set_through_the_interface(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """There it needs the session of a person."""
    ran: list[tuple[str, Any]] = []
    monkeypatch.setattr(
        settings, "run_in_container", lambda program, text: ran.append((program, json.loads(text)))
    )
    declared = {"auth.mfa.enable": True, "channels.enable": False}
    present = {"auth.mfa.enable": False, "channels.enable": True}
    assert applied(present, declared) == {"channels.enable": False}
    assert ran == [("set_multi_factor", {"auth.mfa.enable": True})]

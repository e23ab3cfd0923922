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

    def __init__(self, error: str | None) -> None:
        super().__init__()
        self.waits: dict[str, float] = {}
        self.imported: dict[str, Any] = {}
        self.answers: dict[str, Any] = {
            "GET /api/v1/configs/export": {
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
    for name in ("DEFAULTS_SET", "EMBEDDED"):
        monkeypatch.setattr(settings, name, tmp_path / name)
    return tmp_path / "EMBEDDED"


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
    session = Documents(None)
    settings.apply(session, {"config": {}, "defaults": {}})
    assert session.imported == {"rag.bypass_embedding_and_retrieval": True}
    assert not embedded.exists()


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

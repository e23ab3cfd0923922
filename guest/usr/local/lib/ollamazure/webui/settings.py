"""The settings that are declared for Open WebUI as a whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from durable import write

from webui.client import WebuiSession, say
from webui.container import run_in_container
from webui.errors import WebuiError
from webui.items import difference
from webui.knowledge import documents_not_read

SETTINGS = Path("/etc/ollamazure/open-webui.json")
# The settings that were declared last; on the data disk, like what they set.
LAST_DECLARED = Path("/srv/data/open-webui/declared.json")
# Exists when the defaults of a new instance were set; on the data disk, like what they set.
DEFAULTS_SET = Path("/srv/data/open-webui/begun")
# The settings that documents were last embedded with; on the data disk, like the documents.
EMBEDDED = Path("/srv/data/open-webui/embedded-with")
EMBEDDED_WITHIN = 6000  # seconds, for all documents; `pulumi up` waits for two hours
WHOLE_DOCUMENTS = "rag.bypass_embedding_and_retrieval"
EMBEDDING = (
    WHOLE_DOCUMENTS,
    "rag.embedding_engine",
    "rag.embedding_model",
    "rag.ollama.base_url",
)
MULTI_FACTOR = "auth.mfa."

MISSING = object()


def apply(webui: WebuiSession, declared: dict[str, Any]) -> None:
    """Sets the declared configuration; on a new instance, also its defaults.

    What was declared last and no longer is goes back to the default of a new instance, unless an
    administrator has changed it since.
    """
    last, wanted = last_declared(), dict(declared["config"])
    if not DEFAULTS_SET.exists():
        wanted = {**declared["defaults"], **wanted}
    if wanted.get("rag.embedding_engine") == "":
        require_model(wanted["rag.embedding_model"])
    DEFAULTS_SET.parent.mkdir(mode=0o700, exist_ok=True)
    present = webui.get("/api/v1/configs/export")
    restored = restored_keys(present, last, wanted, declared["defaults"])
    changes = {**restored, **changed_keys({**present, **restored}, wanted)}
    # Before anything is set, so that a declaration that fails can still be withdrawn.
    write_last_declared({**last, **declared["config"]})
    if "rag.embedding_model" in wanted:
        EMBEDDED.touch()
    if changes:
        set_all(webui, changes)
        say(f"Set: {', '.join(sorted(changes))}.")
    if restored:
        say(f"No longer declared, so it is at its default again: {', '.join(sorted(restored))}.")
    if "rag.embedding_model" in wanted:
        embed(webui, {**present, **changes}, again=not changes.keys().isdisjoint(EMBEDDING))
    else:
        EMBEDDED.unlink(missing_ok=True)
    write_last_declared(declared["config"])
    DEFAULTS_SET.touch()
    say("Open WebUI has what the settings declare.")


def set_all(webui: WebuiSession, changes: dict[str, Any]) -> None:
    """Sets these keys. Those of the second factor only a person can set through the interface."""
    factor = {key: value for key, value in changes.items() if key.startswith(MULTI_FACTOR)}
    others = {key: value for key, value in changes.items() if key not in factor}
    if others:
        webui.post("/api/v1/configs/import", {"config": others})
    if factor:
        run_in_container("set_multi_factor", json.dumps(factor))
        webui.forget_session()
        say("The rules for a second factor have changed, so all users sign in again.")


def last_declared() -> dict[str, Any]:
    """The configuration that was declared last, also by a version that did not record it."""
    if LAST_DECLARED.exists():
        return dict(json.loads(LAST_DECLARED.read_text()))
    last = json.loads(SETTINGS.read_text())["config"] if SETTINGS.exists() else {}
    # Such a version left this file if documents were searched.
    return {**({WHOLE_DOCUMENTS: False} if EMBEDDED.exists() else {}), **last}


def write_last_declared(config: dict[str, Any]) -> None:
    write(LAST_DECLARED, json.dumps(config, indent=2, sort_keys=True))


def restored_keys(
    present: dict[str, Any], last: dict[str, Any], wanted: dict[str, Any], ours: dict[str, Any]
) -> dict[str, Any]:
    """The keys with something that is no longer declared, with the default in its place.

    `ours` are the program's defaults for a new instance, which replace Open WebUI's own.
    """

    def restored(defaults: dict[str, Any]) -> dict[str, Any]:
        after = restore(present, last, wanted, defaults)
        return {key: after.get(key, MISSING) for key in last if after.get(key) != present.get(key)}

    unknown = sorted(restored({}).keys() - ours.keys())
    theirs = json.loads(run_in_container("defaults", json.dumps(unknown))) if unknown else {}
    return {
        key: value
        for key, value in restored({**theirs, **ours}).items()
        if value is not MISSING  # a setting that this version no longer has
    }


def restore(present: Any, last: Any, wanted: Any, default: Any) -> Any:
    """The present value with its default, part by part, where it is as last declared and only then.

    MISSING stands for a part that is not declared, or has no default and ends.
    """
    if not isinstance(last, dict) or not isinstance(present, dict):
        return default if wanted is MISSING and present == last else present
    inner = [part if isinstance(part, dict) else {} for part in (wanted, default)]
    parts = {
        name: restore(present[name], value, *(part.get(name, MISSING) for part in inner))
        for name, value in last.items()
        if name in present
    }
    return {name: part for name, part in {**present, **parts}.items() if part is not MISSING}


def require_model(model: str) -> None:
    """Checks that the model exists before anything changes: without it no document is found."""
    if not json.loads(run_in_container("can_embed", json.dumps(model))):
        raise WebuiError(
            f"{model} is missing, which Open WebUI's official image contains; unset"
            " `documentSearch`, and declare an embedding model in `models`, such as all-minilm:22m."
        )


def embed(webui: WebuiSession, config: dict[str, Any], *, again: bool) -> None:
    """Has all documents embedded by the declared model.

    Open WebUI changes the model only when it starts or by this request, never by its configuration
    alone. And a model finds only the documents that it embedded itself.
    """
    declared = json.dumps({key: config[key] for key in EMBEDDING}, sort_keys=True)
    if not again and EMBEDDED.read_text() == declared:
        return
    say(f"Embedding all documents with {config['rag.embedding_model']}.")
    webui.post(
        "/api/v1/retrieval/embedding/update",
        {
            "RAG_EMBEDDING_ENGINE": config["rag.embedding_engine"],
            "RAG_EMBEDDING_MODEL": config["rag.embedding_model"],
            "RAG_EMBEDDING_BATCH_SIZE": config["rag.embedding_batch_size"],
            "ENABLE_ASYNC_EMBEDDING": config["rag.enable_async_embedding"],
            "RAG_EMBEDDING_CONCURRENT_REQUESTS": config["rag.embedding_concurrent_requests"],
            "ollama_config": {
                "url": config["rag.ollama.base_url"],
                "key": config["rag.ollama.api_key"],
            },
        },
    )
    webui.call("POST", "/api/v1/knowledge/reindex", {}, answer_within=EMBEDDED_WITHIN)
    failed = documents_not_read(webui)
    if failed:
        raise WebuiError(f"{config['rag.embedding_model']} cannot embed {', '.join(failed)}.")
    write(EMBEDDED, declared)
    say(f"All documents are embedded with {config['rag.embedding_model']}.")


def changed_keys(present: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """The wanted keys with another value; of a mapping, names that are not wanted stay."""
    merged = {key: merge(present.get(key), value) for key, value in wanted.items()}
    return {key: value for key, value in merged.items() if present.get(key) != value}


def merge(present: Any, wanted: Any) -> Any:
    if not isinstance(wanted, dict):
        return wanted
    base = present if isinstance(present, dict) else {}
    return {**base, **{key: merge(base.get(key), value) for key, value in wanted.items()}}


def drift(webui: WebuiSession) -> list[dict[str, str]]:
    """What differs from the declared settings."""
    present = webui.get("/api/v1/configs/export")
    changes = changed_keys(present, json.loads(SETTINGS.read_text())["config"])
    return [
        {"resource": "open-webui-settings", "what": what}
        for key, value in changes.items()
        for what in difference(key, present.get(key), value)
    ]

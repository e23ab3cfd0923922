#!/usr/bin/python3
"""Tells the Open WebUI of this machine what the settings declare, through its own interface.

    webui.py admin                  {"email": …, "name": …, "password": …} on standard input
    webui.py apply-settings FILE    the configuration
    webui.py apply KIND FILE        one item; a new user's initial password on standard input
    webui.py remove KIND KEY        one item, with what declares it; a user is suspended
    webui.py show MODEL             to every user
    webui.py drift                  prints what is otherwise than declared, as JSON; changes nothing
    webui.py drift-of-admin         the same for the admin, who is given as above

KIND is group, user, knowledge, access, preset or prompt. What is declared wins at each run; what is
not declared stays the admin's. Runs as root, which alone reaches Open WebUI's port, has its key,
and sets the admin's password when the declared one does not sign in.
"""

from __future__ import annotations

import http.client
import json
import sys
from pathlib import Path
from typing import Any

import webui_items
from webui_accounts import Groups, Users
from webui_client import OpenWebui, RefusedError, WebuiError, in_container, locked, ready, say
from webui_items import Kind, difference
from webui_workspace import (
    Access,
    Knowledge,
    Presets,
    Prompts,
    documents_not_read,
    show_to_everyone,
)

SETTINGS = Path("/etc/ollamazure/open-webui.json")
# Says that the settings for a new instance were applied; on the data disk, as what they set.
BEGUN = Path("/srv/data/open-webui/begun")
# What documents were embedded with last, as the settings declare it; on the data disk, as they are.
EMBEDDED = Path("/srv/data/open-webui/embedded-with")
EMBEDDED_WITHIN = 6000  # seconds, for all documents; `pulumi up` waits for two hours
WHOLE_DOCUMENTS = "rag.bypass_embedding_and_retrieval"
EMBEDDING = (
    WHOLE_DOCUMENTS,
    "rag.embedding_engine",
    "rag.embedding_model",
    "rag.ollama.base_url",
)
REFUSED = (http.client.BAD_REQUEST, http.client.UNAUTHORIZED, http.client.FORBIDDEN)

KINDS: dict[str, Kind] = {
    "group": Groups(),
    "user": Users(),
    "knowledge": Knowledge(),
    "access": Access(),
    "preset": Presets(),
    "prompt": Prompts(),
}

# Run by the container's Python, which has the library that Open WebUI hashes with.
#
# The account with the declared address becomes an admin; without one, the first account, which Open
# WebUI never lets go of, gets the address: it is the one that this program made.
SET_ADMIN = """
import json, sqlite3, sys, uuid
import bcrypt
admin = json.load(sys.stdin)
hashed = bcrypt.hashpw(admin["password"].encode(), bcrypt.gensalt()).decode()
database = sqlite3.connect("/app/backend/data/webui.db", timeout=30)
with database:
    row = database.execute("select id from user where email = ?", [admin["email"]]).fetchone()
    if row is None:
        row = database.execute(
            "select id from user order by created_at, role != 'admin', id limit 1"
        ).fetchone()
        database.execute("update user set name = ? where id = ?", [admin["name"], row[0]])
    for table in ("user", "auth"):
        database.execute(f"update {table} set email = ? where id = ?", [admin["email"], row[0]])
    database.execute("update user set role = 'admin' where id = ?", row)
    database.execute(
        "update auth set password = ?, active = 1, session_stamp = ? where id = ?",
        [hashed, str(uuid.uuid4()), row[0]],
    )
"""

# Whether the declared admin would sign in. Asked of the database, where it counts as no sign-in.
IS_ADMIN = """
import json, sqlite3, sys
import bcrypt
admin = json.load(sys.stdin)
database = sqlite3.connect("/app/backend/data/webui.db", timeout=30)
row = database.execute(
    "select auth.password from user join auth on auth.id = user.id"
    " where user.email = ? and user.role = 'admin' and auth.active",
    [admin["email"]],
).fetchone()
print(json.dumps(bool(row and bcrypt.checkpw(admin["password"].encode(), row[0].encode()))))
"""

# Whether Open WebUI can embed by itself. Its interface takes any model, and tells only in its log
# that it loaded none. The slim image has no library for it; and as a volume is filled by the first
# image it is used with, one of another image may have no model.
CAN_EMBED = """
import importlib.util, json, os, sys
try:
    from huggingface_hub import snapshot_download
    cache = os.getenv("SENTENCE_TRANSFORMERS_HOME")
    snapshot_download(json.load(sys.stdin), cache_dir=cache, local_files_only=True)
    can = importlib.util.find_spec("sentence_transformers") is not None
except (ImportError, OSError):
    can = False
print(json.dumps(can))
"""


def main(arguments: list[str]) -> int:
    webui = OpenWebui()
    try:
        with webui.understood():
            return run(webui, arguments)
    except WebuiError as problem:
        say(f"Open WebUI: {problem}")
        return 1


def run(webui: OpenWebui, arguments: list[str]) -> int:
    match arguments:
        case ["drift"]:
            ready(webui)
            print(json.dumps(drift(webui), indent=2))
        case ["drift-of-admin"]:
            print(json.dumps(drift_of_admin(sys.stdin.read())))
        case ["admin" | "apply" | "apply-settings" | "remove" | "show", *_]:
            ready(webui)
            with locked():
                return change(webui, arguments)
        case _:
            return usage()
    return 0


def change(webui: OpenWebui, arguments: list[str]) -> int:
    match arguments:
        case ["admin"]:
            set_admin(webui, json.load(sys.stdin))
        case ["apply-settings", path]:
            apply_settings(webui, json.loads(Path(path).read_text()))
        case ["apply", "user", path]:
            webui_items.apply(webui, Users(sys.stdin.read()), Path(path))
        case ["apply", kind, path] if kind in KINDS:
            webui_items.apply(webui, KINDS[kind], Path(path))
        case ["remove", kind, key] if kind in KINDS:
            webui_items.remove(webui, KINDS[kind], kind, key)
        case ["show", model]:
            show_to_everyone(webui, model)
        case _:
            return usage()
    return 0


def usage() -> int:
    say(__doc__ or "")
    return 2


def set_admin(webui: OpenWebui, admin: dict[str, str]) -> None:
    """The declared admin signs in with the declared password, whoever had which before."""
    if signs_in(webui, admin["email"], admin["password"]):
        say("The declared admin signs in.")
        return
    say("The declared admin does not sign in; setting the account as root.")
    in_container(SET_ADMIN, json.dumps(admin))
    if not signs_in(webui, admin["email"], admin["password"]):
        raise WebuiError("the admin's account is set, and still does not sign in.")


def signs_in(webui: OpenWebui, email: str, password: str) -> bool:
    """Whether it is the password of an admin; a second factor may be asked for after it."""
    credentials = {"email": email, "password": password}
    try:
        answer = webui.send("POST", "/api/v1/auths/signin", credentials)
    except RefusedError as refusal:
        if refusal.status in REFUSED:
            return False
        raise
    return bool(answer.get("role", "admin") == "admin")


def apply_settings(webui: OpenWebui, declared: dict[str, Any]) -> None:
    wanted = dict(declared["config"])
    if not BEGUN.exists():
        wanted = {**declared["initial"], **wanted}
    if wanted.get("rag.embedding_engine") == "":
        need_model(wanted["rag.embedding_model"])
    BEGUN.parent.mkdir(mode=0o700, exist_ok=True)
    if "rag.embedding_model" in wanted:
        # Before anything is set: what failed and is declared no more is taken back all the same.
        EMBEDDED.touch()
    present = webui.get("/api/v1/configs/export")
    changes = changed_keys(present, wanted)
    if changes:
        webui.post("/api/v1/configs/import", {"config": changes})
        say(f"Set: {', '.join(sorted(changes))}.")
    if "rag.embedding_model" in wanted:
        embed(webui, {**present, **changes}, again=not changes.keys().isdisjoint(EMBEDDING))
    elif EMBEDDED.exists():
        # The model that embedded is declared no more: models read whole documents again.
        webui.post("/api/v1/configs/import", {"config": {WHOLE_DOCUMENTS: True}})
        EMBEDDED.unlink()
    BEGUN.touch()
    say("Open WebUI has what the settings declare.")


def need_model(model: str) -> None:
    """Before anything is changed: with a model that is not there, no document would be found."""
    if not json.loads(in_container(CAN_EMBED, json.dumps(model))):
        raise WebuiError(
            f"there is no {model}, which Open WebUI's official image brings along; unset"
            " `documentSearch`, and declare an embedding model in `models`, such as all-minilm:22m."
        )


def embed(webui: OpenWebui, config: dict[str, Any], *, again: bool) -> None:
    """Has all documents embedded by the declared model.

    Open WebUI takes up another model when it starts or when it is told here, never by its
    configuration alone; and what one model embedded, no other finds.
    """
    declared = json.dumps({key: config[key] for key in EMBEDDING}, sort_keys=True)
    if not again and EMBEDDED.read_text() == declared:
        return
    say(f"All documents are being embedded by {config['rag.embedding_model']}.")
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
    EMBEDDED.write_text(declared)
    say(f"Documents are embedded by {config['rag.embedding_model']}.")


def changed_keys(present: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """The wanted keys that are not so yet; of a mapping, what is not named stays as it is."""
    merged = {key: merge(present.get(key), value) for key, value in wanted.items()}
    return {key: value for key, value in merged.items() if present.get(key) != value}


def merge(present: Any, wanted: Any) -> Any:
    if not isinstance(wanted, dict):
        return wanted
    base = present if isinstance(present, dict) else {}
    return {**base, **{key: merge(base.get(key), value) for key, value in wanted.items()}}


def drift_of_admin(admin: str) -> list[dict[str, str]]:
    """Whether the declared admin signs in with the declared password."""
    if json.loads(in_container(IS_ADMIN, admin)):
        return []
    what = "the declared administrator does not sign in with the declared password"
    return [{"resource": "open-webui-admin", "what": what}]


def drift(webui: OpenWebui) -> list[dict[str, str]]:
    """What of the settings and of all declared items is otherwise than declared."""
    present = webui.get("/api/v1/configs/export")
    changes = changed_keys(present, json.loads(SETTINGS.read_text())["config"])
    settings = [
        {"resource": "open-webui-settings", "what": what}
        for key, value in changes.items()
        for what in difference(key, present.get(key), value)
    ]
    return settings + webui_items.drift(webui, KINDS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

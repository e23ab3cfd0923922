"""What Open WebUI has in its workspace, as items of the settings: models, prompts, knowledge.

Who may use an item is said by grants. Only root's client and admins see one without any.
"""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlencode

from webui_accounts import group_ids, user_ids
from webui_client import OpenWebui, WebuiError, say
from webui_items import Item, declared_files, only

# Marks a document as put there from here, with the name it is declared under.
OURS = "declared"
EVERYONE = {"principal_type": "user", "principal_id": "*", "permission": "read"}


class Access:
    """Who sees a model that not everyone sees."""

    def key(self, declared: Item) -> str:
        return str(declared["model"])

    def wanted(self, declared: Item) -> Item:
        return {"access": words_of_access(declared)}

    def present(self, webui: OpenWebui, declared: Item) -> Item:
        record = find_model(webui, self.key(declared)) or {}
        return {"access": words_of_grants(webui, record.get("access_grants"))}

    def set(self, webui: OpenWebui, declared: Item, present: Item | None) -> None:
        grant(webui, self.key(declared), grants(webui, declared))

    def remove(self, webui: OpenWebui, key: str) -> None:
        """Takes the grants back. When the model is everyone's now, its own command says so."""
        given = (find_model(webui, key) or {}).get("access_grants") or []
        kept = [one for one in given if is_for_everyone(one)]
        if kept != given:
            grant(webui, key, kept)


class Presets:
    """Models made of a base model. What is not declared of them (tags, a picture) stays."""

    def key(self, declared: Item) -> str:
        return str(declared["id"])

    def wanted(self, declared: Item) -> Item:
        return {
            "name": declared["name"],
            "base_model": declared["base_model"],
            "description": declared["description"],
            "system": declared["system"],
            "params": params_of(declared),
            "suggestions": declared["suggestions"],
            "knowledge": sorted(declared["knowledge"]),
            "access": words_of_access(declared["access"]),
            "active": True,
        }

    def present(self, webui: OpenWebui, declared: Item) -> Item | None:
        record = find_model(webui, self.key(declared))
        if record is None:
            return None
        meta, params = record["meta"], dict(record["params"])
        names = {base["id"]: base["name"] for base in webui.pages("/api/v1/knowledge/", "items")}
        knowledge = [names.get(used["id"], used["id"]) for used in meta.get("knowledge") or []]
        return {
            "meta": meta,
            "name": record["name"],
            "base_model": record["base_model_id"],
            "description": meta.get("description") or "",
            "system": params.pop("system", ""),
            "params": params,
            "suggestions": [one["content"] for one in meta.get("suggestion_prompts") or []],
            "knowledge": sorted(knowledge),
            "access": words_of_grants(webui, record["access_grants"]),
            "active": record["is_active"],
        }

    def set(self, webui: OpenWebui, declared: Item, present: Item | None) -> None:
        meta = {
            **(present["meta"] if present else {}),
            "description": declared["description"],
            "suggestion_prompts": [
                {"title": ["", ""], "content": text} for text in declared["suggestions"]
            ],
            "knowledge": [self._used(webui, name) for name in declared["knowledge"]],
        }
        system = {"system": declared["system"]} if declared["system"] else {}
        webui.post(
            f"/api/v1/models/{'model/update' if present else 'create'}",
            {
                "id": self.key(declared),
                "name": declared["name"],
                "base_model_id": declared["base_model"],
                "meta": meta,
                "params": {**params_of(declared), **system},
                "access_grants": grants(webui, declared["access"]),
                "is_active": True,
            },
        )
        self._have_known(webui)

    def remove(self, webui: OpenWebui, key: str) -> None:
        if find_model(webui, key) is not None:
            webui.post("/api/v1/models/model/delete", {"id": key})
            self._have_known(webui)

    def _have_known(self, webui: OpenWebui) -> None:
        """Open WebUI reads its presets when somebody lists the models, as its page does. A program
        that asks one at once would be told that there is no such model."""
        webui.get("/api/models")

    def _used(self, webui: OpenWebui, name: str) -> Item:
        base = find_knowledge(webui, name)
        if base is None:
            raise WebuiError(f"there is no knowledge base {name}; declare it in `knowledge`.")
        return {"id": base["id"], "name": name, "type": "collection"}


def params_of(declared: Item) -> Item:
    """What is declared. Only in this mode does Open WebUI put the documents before the model.

    In its usual one it offers the model a tool that searches them, which a small model never calls.
    """
    documents = {"function_calling": "legacy"} if declared["knowledge"] else {}
    return {**documents, **declared["params"]}


class Prompts:
    """Texts that a user calls by a command."""

    def key(self, declared: Item) -> str:
        return str(declared["command"])

    def wanted(self, declared: Item) -> Item:
        return {
            "title": declared["title"],
            "content": declared["content"],
            "access": words_of_access(declared["access"]),
            "active": True,
        }

    def present(self, webui: OpenWebui, declared: Item) -> Item | None:
        record = self._find(webui, self.key(declared))
        return record and {
            "id": record["id"],
            "title": record["name"],
            "content": record["content"],
            "access": words_of_grants(webui, record["access_grants"]),
            "active": record["is_active"],
        }

    def set(self, webui: OpenWebui, declared: Item, present: Item | None) -> None:
        wanted = self.wanted(declared)
        form = {
            "command": self.key(declared),
            "name": declared["title"],
            "content": declared["content"],
        }
        access = {"access_grants": grants(webui, declared["access"])}
        if present is None:
            webui.post("/api/v1/prompts/create", form | access)
            return
        path = f"/api/v1/prompts/id/{present['id']}"
        if (present["title"], present["content"]) != (wanted["title"], wanted["content"]):
            webui.post(f"{path}/update", form)
        if present["access"] != wanted["access"]:
            webui.post(f"{path}/access/update", access)
        if not present["active"]:
            webui.post(f"{path}/toggle", {})

    def remove(self, webui: OpenWebui, key: str) -> None:
        record = self._find(webui, key)
        if record is not None:
            webui.delete(f"/api/v1/prompts/id/{record['id']}/delete")

    def _find(self, webui: OpenWebui, command: str) -> Item | None:
        # The query matches titles and contents, too.
        found = webui.pages("/api/v1/prompts/list", "items", query=command)
        return next((prompt for prompt in found if prompt["command"] == command), None)


class Knowledge:
    """Documents that a model answers from. Documents that somebody added by hand stay."""

    def key(self, declared: Item) -> str:
        return str(declared["name"])

    def wanted(self, declared: Item) -> Item:
        return {
            "description": declared["description"],
            "access": words_of_access(declared["access"]),
            "files": {name: short(sha256) for name, sha256 in documents(declared).items()},
        }

    def present(self, webui: OpenWebui, declared: Item) -> Item | None:
        base = find_knowledge(webui, self.key(declared))
        if base is None:
            return None
        files: dict[str, str] = {}
        folder = folder_of(self.key(declared))
        for name, file in our_files(webui, base, documents(declared)):
            known = short(content_of(file, folder))
            files[name] = f"{files[name]} and {known}" if name in files else known
        return {
            "id": base["id"],
            "description": base["description"],
            "access": words_of_grants(webui, base["access_grants"]),
            "files": files,
        }

    def set(self, webui: OpenWebui, declared: Item, present: Item | None) -> None:
        wanted = self.wanted(declared)
        access = {"access_grants": grants(webui, declared["access"])}
        form = {field: declared[field] for field in ("name", "description")}
        if present is None:
            base = webui.post("/api/v1/knowledge/create", form | access)
        else:
            base, path = present, f"/api/v1/knowledge/{present['id']}"
            if present["description"] != wanted["description"]:
                webui.post(f"{path}/update", form)
            if present["access"] != wanted["access"]:
                webui.post(f"{path}/access/update", access)
        set_files(webui, base, documents(declared), folder_of(self.key(declared)))

    def remove(self, webui: OpenWebui, key: str) -> None:
        base = find_knowledge(webui, key)
        if base is not None:
            for _, file in our_files(webui, base, {}):
                remove_file(webui, base, file)
            webui.delete(f"/api/v1/knowledge/{base['id']}/delete")


def documents(declared: Item) -> dict[str, str]:
    """SHA-256 by name; of one content once, as Open WebUI refuses a text that is there already."""
    names = {file["sha256"]: file["name"] for file in reversed(declared["files"])}
    return {name: sha256 for sha256, name in reversed(names.items())}


def folder_of(name: str) -> Path:
    """Where the contents of a base's documents lie: beside its declaration."""
    files = declared_files("knowledge")
    named = (file for file in files if json.loads(file.read_text())["name"] == name)
    return next(named).with_suffix("")


def short(sha256: str) -> str:
    return sha256[:12]


def our_files(webui: OpenWebui, base: Item, wanted: dict[str, str]) -> list[tuple[str, Item]]:
    """Files of the base, with their names, that were put there from here, or might have been."""
    found = []
    for file in webui.pages(f"/api/v1/knowledge/{base['id']}/files", "items"):
        meta = file["meta"]
        name = (meta.get("data") or {}).get(OURS)
        if name is None and wanted.get(file["filename"], "") == meta.get("file_hash"):
            name = file["filename"]
        if name is not None:
            found.append((name, file))
    return found


def content_of(file: Item, folder: Path) -> str:
    """SHA-256 of what was put there, unless somebody has written another text since."""
    sha256 = str(file["meta"]["file_hash"])
    read = text_read(folder / sha256)
    return sha256 if not read.exists() or read.read_text() == file["hash"] else "changed"


def text_read(content: Path) -> Path:
    """Where the SHA-256 is kept of the text that Open WebUI read in a document."""
    return content.with_suffix(".read")


def set_files(webui: OpenWebui, base: Item, wanted: dict[str, str], folder: Path) -> None:
    """Has the documents `wanted` (SHA-256 by name), whose contents lie in `folder`."""
    there = set()
    # First away with the old: a new one may have the same text.
    for name, file in our_files(webui, base, wanted):
        if name not in there and wanted.get(name) == content_of(file, folder):
            there.add(name)
        else:
            remove_file(webui, base, file)
    for name, sha256 in wanted.items():
        if name not in there:
            add_file(webui, base, name, folder / sha256)
    for content in folder.glob("*"):
        if content.stem not in wanted.values():
            content.unlink()


def add_file(webui: OpenWebui, base: Item, name: str, content: Path) -> None:
    """Adds a document and waits until its text is read, and embedded where that is set."""
    added = webui.upload(
        # Read at once: what goes wrong is known when the answer comes.
        "/api/v1/files/?process_in_background=false",
        name,
        content.read_bytes(),
        {"knowledge_id": base["id"], OURS: name},
    )
    file = webui.get(f"/api/v1/files/{added['id']}")
    if file["data"]["status"] != "completed":
        webui.delete(f"/api/v1/files/{added['id']}")
        raise WebuiError(f"the document {name} cannot be read: {file['data'].get('error')}")
    text_read(content).write_text(file["hash"])


def remove_file(webui: OpenWebui, base: Item, file: Item) -> None:
    path = f"/api/v1/knowledge/{base['id']}/file/remove?delete_file=true"
    webui.post(path, {"file_id": file["id"]})


def documents_not_read(webui: OpenWebui) -> list[str]:
    """Those of all knowledge bases, declared or not. Open WebUI's list of a base leaves out how it
    went, and what embeds them all again tells of failures in its log only."""
    return [
        f"{file['filename']} ({base['name']}): {file['data'].get('error')}"
        for base in webui.pages("/api/v1/knowledge/", "items")
        for listed in webui.pages(f"/api/v1/knowledge/{base['id']}/files", "items")
        for file in [webui.get(f"/api/v1/files/{listed['id']}")]
        if (file["data"] or {}).get("status") == "failed"
    ]


def find_model(webui: OpenWebui, model: str) -> Item | None:
    """None as well for a model of Ollama that nobody has touched: it has no record."""
    found: Item | None = webui.get_or_none(f"/api/v1/models/model?{urlencode({'id': model})}")
    return found


def find_knowledge(webui: OpenWebui, name: str) -> Item | None:
    found = webui.pages("/api/v1/knowledge/", "items")
    return only(name, [base for base in found if base["name"] == name])


def show_to_everyone(webui: OpenWebui, model: str) -> None:
    """A model without a grant is for admins only, which users report as "no models"."""
    given = (find_model(webui, model) or {}).get("access_grants") or []
    if not any(is_for_everyone(one) for one in given):
        grant(webui, model, [*given, EVERYONE])
        say(f"{model} is there for every user.")


def grant(webui: OpenWebui, model: str, given: list[Item]) -> None:
    webui.post(
        "/api/v1/models/model/access/update",
        {"id": model, "name": model, "access_grants": given},
    )


def grants(webui: OpenWebui, access: Item) -> list[Item]:
    """Open WebUI's grants for a declared access: {"everyone": true}, or groups and users."""
    if access.get("everyone"):
        return [EVERYONE]
    groups, users = group_ids(webui), user_ids(webui)
    missing = [name for name in access["groups"] if name not in groups]
    missing += [email for email in access["users"] if email not in users]
    if missing:
        raise WebuiError(
            f"there is no {', '.join(missing)} to give access to;"
            " declare it in `groups` or `users`."
        )
    return [
        *[reads("group", groups[name]) for name in access["groups"]],
        *[reads("user", users[email]) for email in access["users"]],
    ]


def reads(principal: str, id: str) -> Item:
    return {"principal_type": principal, "principal_id": id, "permission": "read"}


def words_of_access(access: Item) -> list[str]:
    if access.get("everyone"):
        return ["everyone"]
    return sorted(
        [
            *(f"group {name}" for name in access["groups"]),
            *(f"user {one}" for one in access["users"]),
        ]
    )


def words_of_grants(webui: OpenWebui, given: list[Item] | None) -> list[str]:
    """The same in words; a grant that cannot be declared, as one to write, is told in full."""
    names: dict[tuple[str, str], str] = {("user", "*"): "everyone"}
    if any(not is_for_everyone(one) for one in given or []):
        names |= {("group", id): f"group {name}" for name, id in group_ids(webui).items()}
        names |= {("user", id): f"user {email}" for email, id in user_ids(webui).items()}
    words = []
    for one in given or []:
        principal = one["principal_type"], one["principal_id"]
        word = names.get(principal, " ".join(principal))
        words.append(word if one["permission"] == "read" else f"{word} ({one['permission']})")
    return sorted(words)


def is_for_everyone(given: Item) -> bool:
    return all(given.get(field) == value for field, value in EVERYONE.items())

"""Open WebUI's presets and prompts, as items of the settings."""

from __future__ import annotations

from webui.access import find_model, grants, words_of_access, words_of_grants
from webui.client import WebuiSession
from webui.errors import WebuiError
from webui.items import Item
from webui.knowledge import find_knowledge


class Presets:
    """Models that are based on another one. What is not declared (tags, a picture) stays."""

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

    def present(self, webui: WebuiSession, declared: Item) -> Item | None:
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

    def set(self, webui: WebuiSession, declared: Item, present: Item | None) -> None:
        meta = {
            **(present["meta"] if present else {}),
            "description": declared["description"],
            # Without any, a new chat has those of all chats; an empty list would hide these.
            "suggestion_prompts": [
                {"title": ["", ""], "content": text} for text in declared["suggestions"]
            ]
            or None,
            "knowledge": [self._knowledge_used(webui, name) for name in declared["knowledge"]],
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
        self._load_presets(webui)

    def remove(self, webui: WebuiSession, key: str) -> None:
        if find_model(webui, key) is not None:
            webui.post("/api/v1/models/model/delete", {"id": key})
            self._load_presets(webui)

    def _load_presets(self, webui: WebuiSession) -> None:
        """Lists the models: Open WebUI loads its presets only then.

        A program that uses a preset at once would else get the answer that the model is missing.
        """
        webui.get("/api/models")

    def _knowledge_used(self, webui: WebuiSession, name: str) -> Item:
        base = find_knowledge(webui, name)
        if base is None:
            raise WebuiError(f"there is no knowledge base {name}; declare it in `knowledge`.")
        return {"id": base["id"], "name": name, "type": "collection"}


def params_of(declared: Item) -> Item:
    """The declared parameters; with documents, also the mode that passes them to the model.

    In its usual mode Open WebUI offers the model a tool that searches the documents, and small
    models never call it.
    """
    documents = {"function_calling": "legacy"} if declared["knowledge"] else {}
    return {**documents, **declared["params"]}


class Prompts:
    """Texts that a user inserts with a command."""

    def key(self, declared: Item) -> str:
        return str(declared["command"])

    def wanted(self, declared: Item) -> Item:
        return {
            "title": declared["title"],
            "content": declared["content"],
            "access": words_of_access(declared["access"]),
            "active": True,
        }

    def present(self, webui: WebuiSession, declared: Item) -> Item | None:
        record = self._find(webui, self.key(declared))
        return record and {
            "id": record["id"],
            "title": record["name"],
            "content": record["content"],
            "access": words_of_grants(webui, record["access_grants"]),
            "active": record["is_active"],
        }

    def set(self, webui: WebuiSession, declared: Item, present: Item | None) -> None:
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

    def remove(self, webui: WebuiSession, key: str) -> None:
        record = self._find(webui, key)
        if record is not None:
            webui.delete(f"/api/v1/prompts/id/{record['id']}/delete")

    def _find(self, webui: WebuiSession, command: str) -> Item | None:
        # The query also matches titles and contents.
        found = webui.pages("/api/v1/prompts/list", "items", query=command)
        return next((prompt for prompt in found if prompt["command"] == command), None)

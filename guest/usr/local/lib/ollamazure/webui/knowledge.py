"""Open WebUI's knowledge bases, as items of the settings."""

from __future__ import annotations

import json
from pathlib import Path

from webui.access import grants, words_of_access, words_of_grants
from webui.client import WebuiSession
from webui.errors import WebuiError
from webui.items import Item, declared_files, only

# Marks a document that this tool added; the value is its declared name.
OURS = "declared"


class KnowledgeBases:
    """Documents that a model answers from. Documents that were added by hand stay."""

    def key(self, declared: Item) -> str:
        return str(declared["name"])

    def wanted(self, declared: Item) -> Item:
        return {
            "description": declared["description"],
            "access": words_of_access(declared["access"]),
            "files": {name: short(sha256) for name, sha256 in documents(declared).items()},
        }

    def present(self, webui: WebuiSession, declared: Item) -> Item | None:
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

    def set(self, webui: WebuiSession, declared: Item, present: Item | None) -> None:
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

    def remove(self, webui: WebuiSession, key: str) -> None:
        base = find_knowledge(webui, key)
        if base is not None:
            for _, file in our_files(webui, base, {}):
                remove_file(webui, base, file)
            webui.delete(f"/api/v1/knowledge/{base['id']}/delete")


def documents(declared: Item) -> dict[str, str]:
    """SHA-256 by name, each content once: Open WebUI refuses a text that the base already has."""
    names = {file["sha256"]: file["name"] for file in reversed(declared["files"])}
    return {name: sha256 for sha256, name in reversed(names.items())}


def folder_of(name: str) -> Path:
    """The folder with the contents of a base's documents, beside its declaration."""
    files = declared_files("knowledge")
    named = (file for file in files if json.loads(file.read_text())["name"] == name)
    return next(named).with_suffix("")


def short(sha256: str) -> str:
    return sha256[:12]


def our_files(webui: WebuiSession, base: Item, wanted: dict[str, str]) -> list[tuple[str, Item]]:
    """The names and files of the base that this tool added, or may have added."""
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
    """SHA-256 of the file as it was uploaded, or "changed" if its text was edited since."""
    sha256 = str(file["meta"]["file_hash"])
    read = read_text_of(folder / sha256)
    return sha256 if not read.exists() or read.read_text() == file["hash"] else "changed"


def read_text_of(content: Path) -> Path:
    """The file with the SHA-256 of the text that Open WebUI read from a document."""
    return content.with_suffix(".read")


def set_files(webui: WebuiSession, base: Item, wanted: dict[str, str], folder: Path) -> None:
    """Sets the documents of a base to `wanted` (SHA-256 by name), with contents in `folder`."""
    present = set()
    # Removes old documents first: a new one may have the same text.
    for name, file in our_files(webui, base, wanted):
        if name not in present and wanted.get(name) == content_of(file, folder):
            present.add(name)
        else:
            remove_file(webui, base, file)
    for name, sha256 in wanted.items():
        if name not in present:
            add_file(webui, base, name, folder / sha256)
    for content in folder.glob("*"):
        if content.stem not in wanted.values():
            content.unlink()


def add_file(webui: WebuiSession, base: Item, name: str, content: Path) -> None:
    """Adds a document and waits until Open WebUI has read and, if that is set, embedded it."""
    added = webui.upload(
        # Processed at once, so that the answer tells what failed.
        "/api/v1/files/?process_in_background=false",
        name,
        content.read_bytes(),
        {"knowledge_id": base["id"], OURS: name},
    )
    file = webui.get(f"/api/v1/files/{added['id']}")
    if file["data"]["status"] != "completed":
        webui.delete(f"/api/v1/files/{added['id']}")
        raise WebuiError(f"the document {name} cannot be read: {file['data'].get('error')}")
    read_text_of(content).write_text(file["hash"])


def remove_file(webui: WebuiSession, base: Item, file: Item) -> None:
    path = f"/api/v1/knowledge/{base['id']}/file/remove?delete_file=true"
    webui.post(path, {"file_id": file["id"]})


def documents_not_read(webui: WebuiSession) -> list[str]:
    """The documents of all knowledge bases, declared or not, that Open WebUI could not process.

    Its list of a base does not tell, and embedding all documents reports failures only in the log.
    """
    return [
        f"{file['filename']} ({base['name']}): {file['data'].get('error')}"
        for base in webui.pages("/api/v1/knowledge/", "items")
        for listed in webui.pages(f"/api/v1/knowledge/{base['id']}/files", "items")
        for file in [webui.get(f"/api/v1/files/{listed['id']}")]
        if (file["data"] or {}).get("status") == "failed"
    ]


def find_knowledge(webui: WebuiSession, name: str) -> Item | None:
    found = webui.pages("/api/v1/knowledge/", "items")
    return only(name, [base for base in found if base["name"] == name])

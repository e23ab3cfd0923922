"""Open WebUI's knowledge bases, as items of the settings."""

from __future__ import annotations

import json
from pathlib import Path

from durable import write

from webui.access import grants, words_of_access, words_of_grants
from webui.client import WebuiSession
from webui.errors import WebuiError
from webui.items import Item, declared_files, only
from webui.uploads import delete_upload, uploads

# Marks a document that this tool added; the value is its declared name.
OURS = "declared"
# Marks a document that was uploaded for a base; the value is the base's id.
FOR_BASE = "declared_for"


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


def files_of(webui: WebuiSession, base: Item) -> list[Item]:
    """All files of the base, also those that were added by hand."""
    return list(webui.pages(f"/api/v1/knowledge/{base['id']}/files", "items"))


def our_files(webui: WebuiSession, base: Item, wanted: dict[str, str]) -> list[tuple[str, Item]]:
    """The names and files of the base that this tool added, or may have added."""
    found = []
    for file in files_of(webui, base):
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
    """Sets the documents of a base to `wanted` (SHA-256 by name), with contents in `folder`.

    The base changes only after Open WebUI has read all new documents.

    Raises:
        WebuiError: Open WebUI cannot read some documents; it names all of them.
    """
    present, old = set(), []
    for name, file in our_files(webui, base, wanted):
        if name not in present and wanted.get(name) == content_of(file, folder):
            present.add(name)
        else:
            old.append(file)
    remove_uploads(webui, base)
    new = [name for name in wanted if name not in present]
    uploaded = {name: upload(webui, base, name, folder / wanted[name]) for name in new}
    replaced = {file["id"] for file in old}
    faults = faults_of(uploaded, [f for f in files_of(webui, base) if f["id"] not in replaced])
    if faults:
        remove_uploads(webui, base)
        raise WebuiError(f"no document was changed: {'; '.join(faults)}")
    # Removes old documents first: a new one may have the same text.
    for file in old:
        remove_file(webui, base, file)
    for name, file in uploaded.items():
        webui.post(f"/api/v1/knowledge/{base['id']}/file/add", {"file_id": file["id"]})
        write(read_text_of(folder / wanted[name]), file["hash"])
    for content in folder.glob("*"):
        if content.stem not in wanted.values():
            content.unlink()


def upload(webui: WebuiSession, base: Item, name: str, content: Path) -> Item:
    """The document after Open WebUI has read and, if that is set, embedded it for itself alone."""
    added = webui.upload(
        # Processed at once, so that the answer tells what failed.
        "/api/v1/files/?process_in_background=false",
        name,
        content.read_bytes(),
        {OURS: name, FOR_BASE: base["id"]},
    )
    file: Item = webui.get(f"/api/v1/files/{added['id']}")
    return file


def remove_uploads(webui: WebuiSession, base: Item) -> None:
    """Removes documents that were uploaded for the base and not added, also by an earlier run."""
    added = {file["id"] for file in files_of(webui, base)}
    for file in uploads(webui):
        is_for_base = ((file["meta"] or {}).get("data") or {}).get(FOR_BASE) == base["id"]
        if is_for_base and file["id"] not in added:
            delete_upload(webui, file)


def faults_of(uploaded: dict[str, Item], kept: list[Item]) -> list[str]:
    """Why documents cannot be added to a base that has the documents `kept`."""
    faults, names = [], {file["hash"]: file["filename"] for file in kept}
    for name, file in uploaded.items():
        data = file["data"] or {}
        if data.get("status") != "completed":
            faults.append(f"the document {name} cannot be read: {data.get('error')}")
        elif not (data.get("content") or "").strip():
            faults.append(f"the document {name} has no text; a scan needs OCR first")
        elif file["hash"] in names:
            faults.append(f"the document {name} has the same text as {names[file['hash']]}")
        else:
            names[file["hash"]] = name
    return faults


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

"""Files that users, or this program for knowledge bases, have uploaded to Open WebUI."""

from __future__ import annotations

from webui.client import WebuiSession
from webui.items import Item


def uploads(webui: WebuiSession) -> list[Item]:
    """All uploaded files of all users, without their text."""
    return list(webui.pages("/api/v1/files/", "items", content="false"))


def delete_upload(webui: WebuiSession, file: Item) -> None:
    """Deletes a file, its text, and its numbers for the search, alone and in knowledge bases."""
    if file["hash"]:
        # Open WebUI's own deletion leaves these: it names neither ids nor a filter (Chroma).
        entries = {"collection_name": f"file-{file['id']}", "file_id": file["id"]}
        webui.post("/api/v1/retrieval/delete", entries)
    webui.delete(f"/api/v1/files/{file['id']}")

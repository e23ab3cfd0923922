"""What a user of the chat has, so that a test can require that a fault lost none of it."""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.e2e.deployment import Deployment

TEXT = b"The cat is called Mungojerrie."


class Kept(NamedTuple):
    """What a user has: a chat, and a file."""

    chat: str
    file: str

    @classmethod
    def by(cls, deployment: Deployment) -> Kept:
        message = {"role": "user", "content": "Kept?"}
        chat = {"title": "Kept", "models": deployment.outputs["models"], "messages": [message]}
        file = {"file": ("cat.txt", TEXT, "text/plain")}
        with deployment.client(deployment.token) as client:
            stored = client.post("/api/v1/chats/new", json={"chat": chat}).json()
            return cls(stored["id"], client.post("/api/v1/files/", files=file).json()["id"])

    def of(self, deployment: Deployment) -> tuple[Any, bytes]:
        with deployment.client(deployment.token) as client:
            chat = client.get(f"/api/v1/chats/{self.chat}").json()["chat"]
            # Versions differ in what they add to a chat and its messages when they show them.
            messages = [(one["role"], one["content"]) for one in chat["messages"]]
            shown = (chat["title"], chat["models"], messages)
            return shown, client.get(f"/api/v1/files/{self.file}/content").content

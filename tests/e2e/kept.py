"""What a user of the chat has, so that a test can require that a fault lost none of it."""

from __future__ import annotations

from typing import Any, NamedTuple

import httpx

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
            stored = answered(client.post("/api/v1/chats/new", json={"chat": chat})).json()
            uploaded = answered(client.post("/api/v1/files/", files=file)).json()
            return cls(stored["id"], uploaded["id"])

    def of(self, deployment: Deployment) -> tuple[Any, bytes]:
        """Raises AssertionError while the chat does not answer, or has lost one of them."""
        with deployment.client(deployment.token) as client:
            chat = answered(client.get(f"/api/v1/chats/{self.chat}")).json()["chat"]
            # Versions differ in what they add to a chat and its messages when they show them.
            messages = [(one["role"], one["content"]) for one in chat["messages"]]
            shown = (chat["title"], chat["models"], messages)
            return shown, answered(client.get(f"/api/v1/files/{self.file}/content")).content


def answered(answer: httpx.Response) -> httpx.Response:
    assert answer.status_code == 200, answer.text
    return answer

"""The data disk outlives the VM, and nothing is ever formatted or started in its place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.azure.service import Azure
from emulator.host.fabric import HostFabric
from emulator.instance import Instance
from tests.e2e.conftest import remove
from tests.e2e.deployment import Deployment, wait_until


def title_of_chat(deployment: Deployment, token: str) -> list[str]:
    with deployment.client(token) as client:
        chats = client.get("/api/v1/chats/", params={"page": 1}).json()
    return [chat["title"] for chat in chats]


def keep_a_chat(deployment: Deployment, title: str) -> None:
    """Store a chat as the browser does."""
    chat = {"chat": {"title": title, "models": deployment.outputs["models"], "messages": []}}
    with deployment.client(deployment.sign_in()) as client:
        assert client.post("/api/v1/chats/new", json=chat).status_code == 200

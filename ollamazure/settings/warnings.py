"""Risks that valid settings have: an open port, deleted chats, unchecked names."""

from __future__ import annotations

from collections.abc import Iterator

from ollamazure import catalog
from ollamazure.settings.problems import NAMESPACE, command
from ollamazure.settings.stack import Settings
from ollamazure.settings.types import opens_to_everyone


def warnings_of(settings: Settings) -> list[str]:
    """The warnings about valid settings."""
    return [
        *_open_to_everyone(settings),
        *_lost(settings),
        *_unchecked(settings),
        *_framed(settings),
        *_silent(settings),
    ]


def _open_to_everyone(settings: Settings) -> Iterator[str]:
    for index, client in enumerate(settings.ssh_clients):
        if opens_to_everyone(client):
            fix = command(("sshClients", index), "203.0.113.7/32")
            yield (
                f"{NAMESPACE}:sshClients holds {client}: the SSH port is open to the whole "
                f"internet. To close it: {fix} with your address."
            )


def _lost(settings: Settings) -> Iterator[str]:
    for user in settings.users:
        if user.state == "deleted":
            yield (
                f"{NAMESPACE}:users has {user.email} with state: deleted, so `pulumi up` removes "
                "the account and all of its chats for good. To keep them, set state: suspended."
            )


def _unchecked(settings: Settings) -> Iterator[str]:
    version = catalog.webui_permissions().version
    named = settings.default_permissions or any(group.permissions for group in settings.groups)
    if named and settings.webui_version != version:
        yield (
            "The names of permissions were not checked: "
            f"ollamazure/catalog/open-webui-permissions.yaml has those of Open WebUI {version}, "
            f"and {NAMESPACE}:webuiVersion is {settings.webui_version}."
        )


def _framed(settings: Settings) -> Iterator[str]:
    if settings.frame_origins:
        yield (
            f"{NAMESPACE}:frameOrigins lets {', '.join(settings.frame_origins)} show the chat in a "
            "frame, and browsers then send the chat's cookies from every site. A page of these "
            "sites can lay something over the chat and mislead a user who clicks. List only sites "
            "that you trust; docs/how-to/show-the-chat-in-a-frame.md explains it."
        )


def _silent(settings: Settings) -> Iterator[str]:
    granted = [settings.default_permissions, *(group.permissions for group in settings.groups)]
    if not settings.microphone and any(each.get("chat", {}).get("stt") for each in granted):
        yield (
            "The permission chat.stt has no effect, because the microphone is off. To allow it: "
            f"{command(('microphone',), 'true')}"
        )

"""Risks that valid settings have: an open port, deleted chats, unchecked names."""

from __future__ import annotations

from collections.abc import Iterator

from ollamazure import catalog
from ollamazure.settings.problems import NAMESPACE, command
from ollamazure.settings.stack import Settings
from ollamazure.settings.types import opens_to_everyone


def warnings_of(settings: Settings) -> list[str]:
    """The warnings about valid settings."""
    checks = (_open_to_everyone, _by_https, _lost, _unchecked)
    return [warning for check in checks for warning in check(settings)]


def _open_to_everyone(settings: Settings) -> Iterator[str]:
    for index, client in enumerate(settings.ssh_clients):
        if opens_to_everyone(client):
            fix = command(("sshClients", index), "203.0.113.7/32")
            yield (
                f"{NAMESPACE}:sshClients holds {client}: the SSH port is open to the whole "
                f"internet. To close it: {fix} with your address."
            )


def _by_https(settings: Settings) -> Iterator[str]:
    """Before, a mirror without a scheme was contacted by plain HTTP as well."""
    mirror = settings.mirrors.containers
    if mirror and "://" not in mirror:
        path = ("mirrors", "containers")
        yield (
            f"{NAMESPACE}:mirrors.containers is {mirror}, without http:// or https://: the machine "
            "uses HTTPS and checks the certificate. To accept that without this warning: "
            f"{command(path, f'https://{mirror}')}. For a mirror by plain HTTP: "
            f"{command(path, f'http://{mirror}')}."
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

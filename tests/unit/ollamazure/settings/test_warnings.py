"""Warnings about settings that are valid and risky."""

from __future__ import annotations

import pytest

from ollamazure.settings.load import parse
from ollamazure.settings.warnings import warnings_of


def warnings(**given: str) -> list[str]:
    return warnings_of(parse({"sshClients": '["203.0.113.7"]', **given}))


@pytest.mark.parametrize("clients", ["0.0.0.0/0", "203.0.113.7,0.0.0.0/1", "128.0.0.0/1"])
def test_an_ssh_port_that_is_open_to_everyone(clients: str) -> None:
    (warning,) = warnings(sshClients=clients)
    index = clients.count(",")
    assert "open to the whole internet" in warning
    assert f"pulumi config set --path 'ollamazure:sshClients[{index}]' 203.0.113.7/32" in warning


def test_chats_that_will_be_deleted() -> None:
    bob = '[{"email": "bob@example.com", "name": "Bob", "state": "deleted"}]'
    (warning,) = warnings(users=bob)
    assert "bob@example.com with state: deleted" in warning and "all of its chats" in warning
    assert warnings(users=bob.replace("deleted", "suspended")) == []


def test_permissions_of_another_version_are_not_checked() -> None:
    (warning,) = warnings(defaultPermissions='{"chat": {"dream": true}}', webuiVersion="v0.13.0")
    assert "were not checked" in warning and "v0.13.0" in warning

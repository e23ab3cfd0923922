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


def test_sites_that_show_the_chat_in_a_frame() -> None:
    (warning,) = warnings(frameOrigins='["https://portal.example.com"]')
    assert "https://portal.example.com show the chat in a frame" in warning
    assert "mislead a user" in warning


def test_speech_that_is_granted_while_the_microphone_is_off() -> None:
    for granted in (
        {"defaultPermissions": '{"chat": {"stt": true}}'},
        {"groups": '[{"name": "speakers", "permissions": {"chat": {"stt": true}}}]'},
    ):
        (warning,) = warnings(**granted)
        assert "pulumi config set ollamazure:microphone true" in warning
        assert warnings(**granted, microphone="true") == []

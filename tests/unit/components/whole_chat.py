"""The whole program, run without an engine; the values that Azure and Pulumi make are invented."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from components.chat import Chat, ChatArgs
from components.tags import Tags
from ollamazure.names import group_names
from ollamazure.settings.stack import Settings
from ollamazure.sizing.plan import make_plan
from tests.unit.components.recorder import Recorder, record

ADDRESS = "192.0.2.10"
_KEY = {
    "privateKeyOpenssh": "private",
    "privateKeyPem": "private",
    "publicKeyOpenssh": "ssh-ed25519 AAAA",
}
_PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
_KEYS = ("ssh-key", "host-key", "certificate-key", "certificate-authority-key")


def make_chat(settings: Settings) -> Chat:
    """The chat of the stack `dev`."""
    groups = group_names("ollamazure", "dev")
    return Chat("chat", ChatArgs(groups, settings, make_plan(settings), tags=Tags({})))


def record_chat(program: Callable[[], Any]) -> Recorder:
    """Run a program that makes a chat, and record what it registers."""
    return record(
        program,
        outputs={
            **dict.fromkeys(_KEYS, _KEY),
            "certificate-authority": {"certPem": _PEM},
            "certificate": {"certPem": _PEM},
            "certificate-request": {"certRequestPem": "a request"},
            "admin-password": {"result": "a password"},
        },
        calls={
            "azure-native:compute:getVirtualMachine": {"vmId": "vm-1"},
            "azure-native:network:getPublicIPAddress": {"ipAddress": ADDRESS},
        },
    )

"""Azure's alerts about what it sees from outside: who gets them, and the availability test.

Limits of an action group: https://learn.microsoft.com/azure/azure-monitor/fundamentals/service-limits
"""

from __future__ import annotations

import ipaddress
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from ollamazure.settings.base import Section, setting
from ollamazure.settings.problems import refusal
from ollamazure.settings.types import EmailAddress, matching

_WEBHOOK = "an https:// address without blanks, of at most 2048 characters"


def _webhook(value: SecretStr) -> SecretStr:
    """The reasons never contain the address: anyone who has it can send alerts."""
    text = value.get_secret_value()
    try:
        address = urlsplit(text)
        host, port = address.hostname or "", address.port
    except ValueError:  # brackets, or a port that is none
        raise refusal(f"it is not {_WEBHOOK}") from None
    if address.scheme == "http":
        raise refusal("anyone who can intercept http:// could read and forge alerts; use https://")
    plain = text.isascii() and text.isprintable() and " " not in text and len(text) <= 2048
    if address.scheme != "https" or not host or port == 0 or not plain:
        raise refusal(f"it is not {_WEBHOOK}")
    try:
        reachable = ipaddress.ip_address(host).is_global
    except ValueError:
        reachable = "." in host and not host.endswith((".local", ".internal", ".localhost"))
    if not reachable:
        raise refusal("Azure calls it from the internet, where no host has this name or address")
    return value


AlertEmail = Annotated[
    EmailAddress,
    Field(max_length=64),
    matching(
        r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+",
        "it is not an e-mail address in ASCII",
    ),
]
AlertsWebhook = Annotated[SecretStr, AfterValidator(_webhook)]


class AlertSettings(Section):
    """Alerts of Azure about the machine and the chat's address; none without a receiver."""

    email: Annotated[tuple[AlertEmail, ...], Field(max_length=1000)] = setting(
        (),
        description="E-mail addresses that Azure writes to. Azure first sends each a code, which "
        "its owner has to enter within 30 minutes.",
        allowed="at most 1000 e-mail addresses of at most 64 characters, each once",
        example=["team@example.com"],
    )
    availability_test: bool | None = setting(
        None,
        description="Whether Azure opens the chat's address from five places every 15 minutes and "
        "alerts if it fails. Unset: if the chat is open to the internet under a name, with a "
        "certificate that browsers trust.",
        allowed="true or false; true only if there is a receiver, and the test is possible",
        example=False,
    )

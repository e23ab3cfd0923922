"""The message for a person who gets an account or a new password, in the language of the chat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID

from ollamazure import catalog
from ollamazure.templates import render_text


@dataclass(frozen=True)
class ChatAddress:
    """What every message has: how the chat is reached, and how a browser knows that it is the one.

    Attributes:
        url: of the chat.
        language: of the chat, a locale of Open WebUI; None if it was deployed before there was one.
        certificate: the setting certificate.mode.
        fingerprint: SHA-256 of the certificate, as browsers show it; None if the machine renews it.
        authority: the name of the stack's authority; None if the certificate is from the settings.
    """

    url: str
    language: str | None
    certificate: str
    fingerprint: str | None
    authority: str | None

    @classmethod
    def from_outputs(cls, outputs: Mapping[str, Any]) -> ChatAddress:
        """The address that a stack's outputs describe."""
        authority = outputs.get("caCertificate")
        return cls(
            outputs["url"],
            outputs.get("language"),
            outputs["certificateMode"],
            outputs.get("certificateFingerprint"),
            _common_name(authority) if authority else None,
        )


@dataclass(frozen=True)
class Invited:
    """The person whom a message is for, with the password in it."""

    name: str
    email: str
    password: str = field(repr=False)


def write_invitation(address: ChatAddress, person: Invited, *, reset: bool = False) -> str:
    """The message, in the language of the chat if there is a text in it, else in English.

    Args:
        address: of the chat.
        person: whom it is for.
        reset: whether the password replaces another one.
    """
    return render_text(
        catalog.texts("invitation")[catalog.language_of_texts(address.language)]["message"],
        name=person.name,
        email=person.email,
        password=person.password,
        url=address.url,
        certificate=address.certificate,
        fingerprint=address.fingerprint,
        authority=address.authority,
        reset=reset,
    )


def _common_name(certificate: str) -> str:
    subject = x509.load_pem_x509_certificate(certificate.encode()).subject
    return str(subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)

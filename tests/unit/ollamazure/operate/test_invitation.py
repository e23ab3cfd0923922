"""The messages for people: every language, and what the browser will do in each mode."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography import x509

from ollamazure import catalog
from ollamazure.operate.invitation import ChatAddress, Invited, write_invitation
from tests.unit.ollamazure.operate.authority import AUTHORITY

LANGUAGES = list(catalog.texts("invitation"))
FINGERPRINT = ":".join(["AB"] * 32)
OUTPUTS: dict[str, Any] = {
    "url": "https://chat.example.com",
    "certificateMode": "selfSigned",
    "certificateFingerprint": FINGERPRINT,
    "caCertificate": AUTHORITY,
}
ALICE = Invited("Alice", "alice@example.com", "abcde-fghij-klmno-pqrst-uvwxy")


def message(*, reset: bool = False, **changes: Any) -> str:
    address = ChatAddress.from_outputs({**OUTPUTS, **changes})
    return write_invitation(address, ALICE, reset=reset)


def test_the_authority_of_the_test_is_one() -> None:
    x509.load_pem_x509_certificate(AUTHORITY.encode())


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_has_everything(language: str, reset: bool) -> None:
    for mode, shown in (
        ("selfSigned", ["ollamazure-dev authority", FINGERPRINT]),
        ("provided", [FINGERPRINT]),
        ("letsEncrypt", []),
    ):
        text = message(language=language, certificateMode=mode, reset=reset)
        for part in (ALICE.name, ALICE.email, ALICE.password, OUTPUTS["url"], *shown):
            assert text.count(part) == 1, (mode, part)
        assert (FINGERPRINT in text) == (FINGERPRINT in shown)
        assert "{" not in text
        assert max(map(len, text.splitlines())) <= 95, "it has to fit in a mail"


def test_the_kinds_differ() -> None:
    kinds = {
        message(language=language, certificateMode=mode, reset=reset)
        for language in LANGUAGES
        for mode in ("selfSigned", "provided", "letsEncrypt")
        for reset in (False, True)
    }
    assert len(kinds) == 6 * len(LANGUAGES)


@pytest.mark.parametrize(
    ("language", "begins"),
    [
        ("fr", "Objet : Votre compte"),
        ("fr-CA", "Objet : Votre compte"),
        ("de-DE", "Betreff: Ihr Konto"),
        ("es-ES", "Asunto: Su cuenta"),
        ("tlh", "Subject: Your account"),
        (None, "Subject: Your account"),
    ],
)
def test_the_language_is_the_nearest(language: str | None, begins: str) -> None:
    assert message(language=language).startswith(begins)


def test_an_earlier_stack_without_a_language_has_english_messages() -> None:
    assert write_invitation(ChatAddress.from_outputs(OUTPUTS), ALICE).startswith("Subject:")


def test_the_password_is_not_in_the_representation() -> None:
    assert ALICE.password not in repr(ALICE)

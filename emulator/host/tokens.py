"""Tokens of the emulated directory: signed by a key of the instance, and verified with it."""

from __future__ import annotations

import base64
import binascii
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from emulator.azure.identities import TENANT
from emulator.host.places import replace_text

Claims = dict[str, Any]
ISSUER = f"https://sts.windows.net/{TENANT}/"
LIFETIME = 24 * 3600
"""Seconds; tokens of managed identities are valid for a day."""

_HASH, _PADDING = hashes.SHA256(), padding.PKCS1v15()


class InvalidTokenError(Exception):
    """Not a token of this directory, or not one that is valid now."""


@dataclass(frozen=True)
class Identity:
    """A managed identity: its ARM id, and its ids in the directory."""

    resource_id: str
    principal_id: str
    client_id: str


class Directory:
    """Issues and verifies tokens. The key is made when it is first needed."""

    def __init__(self, key_file: Path) -> None:
        if not key_file.exists():
            key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            pem = key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            replace_text(key_file, pem.decode())
        loaded = serialization.load_pem_private_key(key_file.read_bytes(), None)
        self._key = cast(rsa.RSAPrivateKey, loaded)

    def issue(self, identity: Identity, audience: str) -> tuple[str, Claims]:
        """A token for an identity, and its claims, in the form of Microsoft Entra's version 1.0."""
        now = int(time.time())
        claims = {
            "aud": audience,
            "iss": ISSUER,
            "iat": now,
            "nbf": now,
            "exp": now + LIFETIME,
            "appid": identity.client_id,
            "oid": identity.principal_id,
            "sub": identity.principal_id,
            "tid": TENANT,
            "ver": "1.0",
            "xms_mirid": identity.resource_id,
        }
        signed = f"{_encode({'typ': 'JWT', 'alg': 'RS256'})}.{_encode(claims)}"
        signature = self._key.sign(signed.encode(), _PADDING, _HASH)
        return f"{signed}.{_base64(signature)}", claims

    def verify(self, token: str) -> Claims:
        """The claims of a token that this directory issued and that is valid now.

        Raises InvalidTokenError.
        """
        signed, _, signature = token.rpartition(".")
        try:
            self._key.public_key().verify(_bytes(signature), signed.encode(), _PADDING, _HASH)
            claims: Claims = json.loads(_bytes(signed.partition(".")[2]))
        except (InvalidSignature, ValueError, binascii.Error) as error:
            raise InvalidTokenError("it is not signed by this directory") from error
        if not claims["nbf"] <= time.time() < claims["exp"]:
            raise InvalidTokenError("it is not valid now")
        return claims


def _encode(value: Any) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode())


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

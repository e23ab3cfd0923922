"""Encrypts with a new secret key what Open WebUI encrypted with the former one.

Standard input: two lines, the former key and the new one. It can run again: what the new key
decrypts stays, and so does what neither key decrypts.

The uses of the key are those of Open WebUI 0.12.4: utils/mfa.py (second factors), utils/oauth.py
(clients of tool servers), utils/apps.py (keys of apps). Sessions at a provider
(models/oauth_sessions.py) end with those of the users. Valves are not encrypted here.
"""

from __future__ import annotations

import base64
import json
import sqlite3
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

DATABASE = Path("/app/backend/data/webui.db")
Cipher = Callable[[str], Fernet]


class Cryptor:
    """Both keys for one use of the secret key."""

    def __init__(self, cipher: Cipher, former: str, new: str) -> None:
        self._former, self._new = cipher(former), cipher(new)

    def encrypt_again(self, text: str) -> str:
        """The text encrypted with the new key; the same text if neither key decrypts it."""
        for fernet in (self._new, self._former):
            try:
                plain = fernet.decrypt(text.encode())
            except InvalidToken:
                continue
            return text if fernet is self._new else self._new.encrypt(plain).decode()
        return text


def derived(use: bytes) -> Cipher:
    """The cipher of a use that derives its key from the secret key."""

    def cipher(key: str) -> Fernet:
        derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=use).derive(key.encode())
        return Fernet(base64.urlsafe_b64encode(derived))

    return cipher


def direct(key: str) -> Fernet:
    """The cipher of a use that takes the secret key itself, which has the form of a Fernet key."""
    return Fernet(
        key if len(key) == 44 else base64.urlsafe_b64encode(sha256(key.encode()).digest())
    )


def change_second_factors(database: sqlite3.Connection, cryptor: Cryptor) -> None:
    for user, text in rows(database, "auth", "id", "mfa"):
        factor = json.loads(text)
        if not factor:
            continue
        # Sign-ins that have begun end with the sessions.
        factor |= dict.fromkeys(("login_challenge", "manage_challenge"))
        if factor.get("secret"):
            factor["secret"] = cryptor.encrypt_again(factor["secret"])
        database.execute("update auth set mfa = ? where id = ?", [json.dumps(factor), user])


def change_apps(database: sqlite3.Connection, cryptor: Cryptor) -> None:
    for app, text in rows(database, "app", "id", "api_key"):
        key = cryptor.encrypt_again(text)
        database.execute("update app set api_key = ? where id = ?", [key, app])


def change_clients(database: sqlite3.Connection, cryptor: Cryptor) -> None:
    for key, text in rows(database, "config", "key", "value"):
        # SQLite returns a number for the JSON of a number.
        if not isinstance(text, str) or "oauth_client_info" not in text:
            continue
        value = encrypt_clients_again(json.loads(text), cryptor)
        database.execute("update config set value = ? where key = ?", [json.dumps(value), key])


def encrypt_clients_again(value: Any, cryptor: Cryptor) -> Any:
    """A setting in which each client of a tool server is encrypted with the new key."""
    if isinstance(value, list):
        return [encrypt_clients_again(item, cryptor) for item in value]
    if not isinstance(value, dict):
        return value
    changed = {name: encrypt_clients_again(item, cryptor) for name, item in value.items()}
    client = changed.get("oauth_client_info")
    if isinstance(client, str) and client:
        changed["oauth_client_info"] = cryptor.encrypt_again(client)
    return changed


def end_sessions_at_providers(database: sqlite3.Connection) -> None:
    if columns(database, "oauth_session"):
        database.execute("delete from oauth_session")


def rows(database: sqlite3.Connection, table: str, *names: str) -> list[tuple[str, str]]:
    """The two columns of a table where the second has a value; none in versions without them."""
    if not {*names} <= columns(database, table):
        return []
    key, value = names
    statement = f'select "{key}", "{value}" from "{table}" where "{value}" is not null'  # noqa: S608
    return database.execute(statement).fetchall()


def columns(database: sqlite3.Connection, table: str) -> set[str]:
    return {row[1] for row in database.execute(f'pragma table_info("{table}")')}


def main() -> None:
    former, new = sys.stdin.read().split()
    if not DATABASE.exists():
        return
    database = sqlite3.connect(DATABASE, timeout=30)
    with database:
        change_second_factors(
            database, Cryptor(derived(b"open-webui/mfa-encryption/v1"), former, new)
        )
        change_apps(database, Cryptor(derived(b"open-webui-app-keys-v1"), former, new))
        change_clients(database, Cryptor(direct, former, new))
        end_sessions_at_providers(database)


if __name__ == "__main__":
    main()

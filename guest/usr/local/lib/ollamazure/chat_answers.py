#!/usr/bin/python3
"""Asks each model one question, the way a user's browser does, and says which hop fails.

    chat_answers.py    with JSON on standard input:
        {"url": "https://…", "fingerprint": "AB:CD:…", "email": "…", "password": "…",
         "models": ["…"], "connect": "ADDRESS or null"}

The certificate is known by its SHA-256 fingerprint, so a self-signed one is as good as any other.
`connect` names another address to reach `url` at: on the machine itself, its own.
Nothing but Python's standard library, so that the same file runs anywhere.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import ssl
import sys
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

QUESTION = "What is the capital of France? Answer in one word."
# A model is read from the disk at its first question, and a processor thinks slowly.
ANSWER_WITHIN = 900  # seconds
CONNECT_WITHIN = 15  # seconds
READY_WITHIN = 180  # seconds
SIGN_IN_TRIES = 10
SIGN_IN_PAUSE = 20  # seconds; Open WebUI forgets sign-ins after three minutes


class HopError(Exception):
    """A hop that does not work: which one, what happened, what to do."""

    def __init__(self, hop: str, what: str, fix: str) -> None:
        super().__init__(f"{hop}: {what}\n{fix}")


@dataclass(frozen=True)
class Chat:
    """The chat at `url`, as a client sees it."""

    host: str
    port: int
    fingerprint: str
    connect: str | None = None

    @classmethod
    def at(cls, url: str, fingerprint: str, connect: str | None) -> Chat:
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname:
            raise HopError("url", f"{url} is not an https address.", "Check the stack's settings.")
        plain = fingerprint.replace(":", "").lower()
        return cls(parts.hostname, parts.port or 443, plain, connect)

    def request(
        self, method: str, path: str, body: Any = None, token: str | None = None
    ) -> tuple[int, Any]:
        """Status and JSON answer (its text, where it is not JSON)."""
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        connection = http.client.HTTPSConnection(self.host, self.port)
        connection.sock = self._open()
        try:
            connection.request(method, path, json.dumps(body) if body else None, headers)
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            raise HopError(
                "Nginx",
                f"{method} {path} broke off: {error!r}.",
                "See `sudo journalctl --unit nginx` on the machine.",
            ) from error
        finally:
            connection.close()
        return answer.status, _parsed(text)

    def _open(self) -> ssl.SSLSocket:
        plain = self._tcp(self._address())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # the fingerprint below is stricter
        try:
            secure = context.wrap_socket(plain, server_hostname=self.host)
        except (OSError, ssl.SSLError) as error:
            plain.close()
            raise HopError(
                "TLS",
                f"{self.host}:{self.port} does not speak TLS: {error}.",
                "See `sudo journalctl --unit nginx` on the machine.",
            ) from error
        shown = hashlib.sha256(secure.getpeercert(binary_form=True) or b"").hexdigest()
        if shown != self.fingerprint:
            secure.close()
            raise HopError(
                "TLS",
                f"{self.host}:{self.port} shows a certificate with the fingerprint {shown}, "
                f"not {self.fingerprint}.",
                "Something else answers at this address, or Nginx has not taken up the new "
                "certificate: `sudo systemctl reload nginx` on the machine.",
            )
        secure.settimeout(ANSWER_WITHIN)
        return secure

    def _address(self) -> str:
        name = self.connect or self.host
        try:
            found = socket.getaddrinfo(name, self.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise HopError(
                "DNS",
                f"{name} has no address: {error}.",
                "Point its DNS record at the machine's public address, or wait until it is known.",
            ) from error
        return str(found[0][4][0])

    def _tcp(self, address: str) -> socket.socket:
        try:
            return socket.create_connection((address, self.port), timeout=CONNECT_WITHIN)
        except OSError as error:
            raise HopError(
                "TCP",
                f"{address} port {self.port} cannot be reached: {error}.",
                "Check that this network lets HTTPS out; where it does not, set "
                "`pulumi config set probeFrom machine`.",
            ) from error


def main() -> int:
    asked = json.load(sys.stdin)
    try:
        chat = Chat.at(asked["url"], asked["fingerprint"], asked.get("connect"))
        wait_until_ready(chat)
        token = sign_in(chat, asked["email"], asked["password"])
        check_models(chat, token, asked["models"])
        for model in asked["models"]:
            ask(chat, token, model)
    except HopError as failure:
        print(f"The chat does not answer. {failure}", file=sys.stderr)
        return 1
    if asked.get("connect"):
        print("Asked from the machine itself: the way from the public network was not tested.")
    return 0


def wait_until_ready(chat: Chat) -> None:
    """Nginx answers for itself (503) while Open WebUI starts."""
    begun = time.monotonic()
    while True:
        status, _ = chat.request("GET", "/ready")
        if status == 200:
            return
        if time.monotonic() - begun > READY_WITHIN:
            raise HopError(
                "Open WebUI",
                f"not ready after {READY_WITHIN} s (status {status}).",
                "See `sudo journalctl --unit open-webui` on the machine.",
            )
        time.sleep(1)


def sign_in(chat: Chat, email: str, password: str) -> str:
    body = {"email": email, "password": password}
    for _ in range(SIGN_IN_TRIES):
        status, answer = chat.request("POST", "/api/v1/auths/signin", body)
        if status != 429:
            break
        time.sleep(SIGN_IN_PAUSE)
    if status != 200 or not isinstance(answer, dict) or "token" not in answer:
        raise HopError(
            "sign-in",
            f"{email} cannot sign in: {status} {_detail(answer)}.",
            "The password was changed elsewhere? `pulumi up --replace '**::open-webui-admin'` "
            "sets the declared one again.",
        )
    return str(answer["token"])


def check_models(chat: Chat, token: str, models: list[str]) -> None:
    status, answer = chat.request("GET", "/api/models", token=token)
    if status != 200 or not isinstance(answer, dict):
        raise HopError(
            "Open WebUI",
            f"its list of models: {status} {_detail(answer)}.",
            "See `sudo journalctl --unit open-webui` on the machine.",
        )
    listed = {model["id"] for model in answer.get("data", [])}
    missing = [model for model in models if model not in listed]
    if missing and not listed:
        raise HopError(
            "Ollama",
            "Open WebUI lists no model at all, so it does not reach Ollama.",
            "See `sudo systemctl status ollama ollamazure-firewall` on the machine.",
        )
    if missing:
        raise HopError(
            "model",
            f"{', '.join(missing)} is not listed; there are {', '.join(sorted(listed))}.",
            "See `ollama list` on the machine.",
        )


def ask(chat: Chat, token: str, model: str) -> None:
    begun = time.monotonic()
    body = {
        "model": model,
        "messages": [{"role": "user", "content": QUESTION}],
        "stream": False,
        "temperature": 0,
        "max_tokens": 64,
    }
    status, answer = chat.request("POST", "/api/chat/completions", body, token)
    if status != 200:
        raise HopError(
            f"model {model}",
            f"{status} {_detail(answer)}.",
            "See `sudo journalctl --unit ollama` on the machine; out of memory is the usual cause.",
        )
    text = _text(answer)
    if not text:
        raise HopError(
            f"model {model}",
            f"an empty answer: {json.dumps(answer)[:300]}",
            "See `sudo journalctl --unit ollama` on the machine.",
        )
    print(f"{model} answers after {time.monotonic() - begun:.1f} s: {' '.join(text.split())[:80]}")


def _text(answer: Any) -> str:
    """What a completion says; models that think aloud may say it there."""
    try:
        message = answer["choices"][0]["message"]
    except (KeyError, IndexError, TypeError):
        return ""
    return str(message.get("content") or message.get("reasoning_content") or "").strip()


def _detail(answer: Any) -> str:
    found = answer.get("detail", answer) if isinstance(answer, dict) else answer
    return " ".join(str(found).split())[:300]


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


if __name__ == "__main__":
    sys.exit(main())

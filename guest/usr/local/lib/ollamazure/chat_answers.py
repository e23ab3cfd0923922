#!/usr/bin/python3
"""Asks each model one question, as a user's browser does, and reports the hop that fails.

    chat_answers.py    with JSON on standard input:
        {"url": "https://…", "fingerprint": "AB:CD:…", "email": "…", "password": "…",
         "models": ["…"], "connect": "ADDRESS or null"}

The certificate is checked by its SHA-256 fingerprint, so it may be self-signed. `connect` is
another address for the connection to `url`: on the machine itself, its own.
The program uses only Python's standard library, so that it runs anywhere.
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
# Ollama loads a model from the disk at its first question, and processors are slow.
ANSWER_WITHIN = 900  # seconds
CONNECT_WITHIN = 15  # seconds
READY_WITHIN = 180  # seconds
SIGN_IN_TRIES = 10
SIGN_IN_PAUSE = 20  # seconds; Open WebUI counts sign-ins over three minutes


class HopError(Exception):
    """A hop that fails, with the problem and the fix."""

    def __init__(self, hop: str, what: str, fix: str) -> None:
        super().__init__(f"{hop}: {what}\n{fix}")


@dataclass(frozen=True)
class AnswerProbe:
    """A client of the chat."""

    host: str
    port: int
    fingerprint: str
    connect: str | None = None

    @classmethod
    def at(cls, url: str, fingerprint: str, connect: str | None) -> AnswerProbe:
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname:
            raise HopError("url", f"{url} is not an https address.", "Check the stack's settings.")
        plain = fingerprint.replace(":", "").lower()
        return cls(parts.hostname, parts.port or 443, plain, connect)

    def request(
        self, method: str, path: str, body: Any = None, token: str | None = None
    ) -> tuple[int, Any]:
        """The status and the answer: decoded JSON, or the text."""
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
                f"{method} {path} failed: {error!r}.",
                "Run `sudo journalctl --unit nginx` on the machine.",
            ) from error
        finally:
            connection.close()
        return answer.status, _parse(text)

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
                f"{self.host}:{self.port} does not answer with TLS: {error}.",
                "Run `sudo journalctl --unit nginx` on the machine.",
            ) from error
        shown = hashlib.sha256(secure.getpeercert(binary_form=True) or b"").hexdigest()
        if shown != self.fingerprint:
            secure.close()
            raise HopError(
                "TLS",
                f"{self.host}:{self.port} has a certificate with the fingerprint {shown}, "
                f"not {self.fingerprint}.",
                "Another server answers at this address, or Nginx has not loaded the new "
                "certificate: run `sudo systemctl reload nginx` on the machine.",
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
                "Set its DNS record to the machine's public address, or wait until DNS has it.",
            ) from error
        return str(found[0][4][0])

    def _tcp(self, address: str) -> socket.socket:
        try:
            return socket.create_connection((address, self.port), timeout=CONNECT_WITHIN)
        except OSError as error:
            raise HopError(
                "TCP",
                f"{address} port {self.port} cannot be reached: {error}.",
                "Check that this network allows HTTPS; if it does not, run "
                "`pulumi config set ollamazure:probeFrom machine`.",
            ) from error


def main() -> int:
    task = json.load(sys.stdin)
    try:
        chat = AnswerProbe.at(task["url"], task["fingerprint"], task.get("connect"))
        wait_until_ready(chat)
        token = sign_in(chat, task["email"], task["password"])
        check_models(chat, token, task["models"])
        for model in task["models"]:
            ask(chat, token, model)
    except HopError as failure:
        print(f"The chat does not answer. {failure}", file=sys.stderr)
        return 1
    if task.get("connect"):
        print("The machine itself asked the questions: access over the internet was not tested.")
    return 0


def wait_until_ready(chat: AnswerProbe) -> None:
    """Waits: while Open WebUI starts, Nginx answers with 503."""
    start = time.monotonic()
    while True:
        status, _ = chat.request("GET", "/ready")
        if status == 200:
            return
        if time.monotonic() - start > READY_WITHIN:
            raise HopError(
                "Open WebUI",
                f"not ready after {READY_WITHIN} s (status {status}).",
                "Run `sudo journalctl --unit open-webui` on the machine.",
            )
        time.sleep(1)


def sign_in(chat: AnswerProbe, email: str, password: str) -> str:
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
            "If the password was changed elsewhere, `pulumi up --replace "
            "'**::open-webui-admin'` sets the declared one again.",
        )
    return str(answer["token"])


def check_models(chat: AnswerProbe, token: str, models: list[str]) -> None:
    status, answer = chat.request("GET", "/api/models", token=token)
    if status != 200 or not isinstance(answer, dict):
        raise HopError(
            "Open WebUI",
            f"it does not list its models: {status} {_detail(answer)}.",
            "Run `sudo journalctl --unit open-webui` on the machine.",
        )
    listed = {model["id"] for model in answer.get("data", [])}
    missing = [model for model in models if model not in listed]
    if missing and not listed:
        raise HopError(
            "Ollama",
            "Open WebUI lists no model, so it does not reach Ollama.",
            "Run `sudo systemctl status ollama ollamazure-firewall` on the machine.",
        )
    if missing:
        raise HopError(
            "model",
            f"{', '.join(missing)} is not in the list: {', '.join(sorted(listed))}.",
            "Run `ollama list` on the machine.",
        )


def ask(chat: AnswerProbe, token: str, model: str) -> None:
    start = time.monotonic()
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
            "Run `sudo journalctl --unit ollama` on the machine; usually it has too little memory.",
        )
    text = _text(answer)
    if not text:
        raise HopError(
            f"model {model}",
            f"an empty answer: {json.dumps(answer)[:300]}",
            "Run `sudo journalctl --unit ollama` on the machine.",
        )
    print(f"{model} answers after {time.monotonic() - start:.1f} s: {' '.join(text.split())[:80]}")


def _text(answer: Any) -> str:
    """The text of a completion; models that reason may have it in another field."""
    try:
        message = answer["choices"][0]["message"]
    except (KeyError, IndexError, TypeError):
        return ""
    return str(message.get("content") or message.get("reasoning_content") or "").strip()


def _detail(answer: Any) -> str:
    found = answer.get("detail", answer) if isinstance(answer, dict) else answer
    return " ".join(str(found).split())[:300]


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


if __name__ == "__main__":
    sys.exit(main())

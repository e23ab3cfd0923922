#!/usr/bin/python3
"""Asks each model and preset one question through `url`, and reports the hop that fails.

    chat_answers.py    with JSON on standard input:
        {"url": "https://…", "trust": {"system": false, "authorities": "PEM"},
         "fingerprint": "AB:CD:…", "models": ["…"], "presets": ["…"],
         "answer_within": SECONDS,
         "machine": {"address": "…", …}, "connect": "ADDRESS", "address": "ADDRESS"}

The certificate must be for the name in `url` and lead to an authority of `trust`: one of its own,
or, with `system`, of this computer. If its SHA-256 fingerprint is known, it must have it. If the
machine requests the certificate (`system`), it may also be the one that the machine keeps until
then.

The questions need no user's password: the machine's tools make a session, which lasts for ten
minutes, and another one when the questions take longer. From an operator's computer, it comes over
the SSH connection to `machine` (the fields of MachineConnection in
ollamazure/operate/connection.py). On the machine, `machine` is missing, and `connect` is another
address for the connection to `url`: its own. `address` is the public one, if the name in `url` need
not lead to it yet. `answer_within` is enough to load a model from the disk.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

QUESTION = "What is the capital of France? Answer in one word."
CONNECT_WITHIN = 15  # seconds
READY_WITHIN = 180  # seconds
ENOUGH = 16  # tokens of an answer; without a GPU, a large model writes few in a second
SESSION_LASTS = 540  # seconds; Open WebUI accepts it for 600, at the start of a question
# What the machine itself is asked: by SSH from an operator's computer.
SESSION = ["/usr/local/lib/ollamazure/webui-cli", "session"]
SIZES_OF_DATA = ["/usr/local/lib/ollamazure/webui-cli", "sizes"]
KEPT_CERTIFICATE = ["/usr/local/lib/ollamazure/acme_client.py", "kept"]
OVER_SSH = [sys.executable, "-m", "ollamazure.operate.query"]
NOT_THE_CHATS = (
    "Another server answers at this address, or Nginx has not loaded the new certificate: run "
    "`sudo systemctl reload nginx` on the machine."
)
# Of OpenSSL, for a certificate.
VERIFY_ERRORS = {9: "is not valid yet", 10: "has expired"}
RENEW = (
    "Check the clock of the computer that asks. If it is right, `bin/ollamazure status` shows who "
    "renews the certificate, and how."
)
FIXES = {
    "model": "Run `sudo journalctl --unit ollama` on the machine; usually it has too little"
    " memory.",
    "preset": "Change its `params` or `system` in the settings; `sudo journalctl --unit open-webui"
    " --unit ollama` on the machine has details.",
}


class HopError(Exception):
    """A hop that fails, with the problem and the fix."""

    def __init__(self, hop: str, what: str, fix: str) -> None:
        super().__init__(f"{hop}: {what}\n{fix}")


@dataclass(frozen=True)
class AnswerProbe:
    """A client of the chat."""

    host: str
    port: int
    tls: ssl.SSLContext
    fingerprint: str | None
    connect: str | None
    address: str | None
    answer_within: float

    @classmethod
    def of(cls, task: dict[str, Any]) -> AnswerProbe:
        parts = urlsplit(task["url"])
        if parts.scheme != "https" or not parts.hostname:
            what = f"{task['url']} is not an https address."
            raise HopError("url", what, "Check the stack's settings.")
        fingerprint = task.get("fingerprint")
        plain = fingerprint.replace(":", "").lower() if fingerprint else None
        trust = task["trust"]
        kept = kept_certificate(task) if trust["system"] else ""
        tls = trusting({**trust, "authorities": trust["authorities"] + kept})
        others = task.get("connect"), task.get("address"), task["answer_within"]
        return cls(parts.hostname, parts.port or 443, tls, plain, *others)

    def get(self, path: str, token: str | None = None) -> tuple[int, Any]:
        """The status and the answer: decoded JSON, or the text."""
        with self.request("GET", path, token=token) as answer:
            return answer.status, _parse(answer.read().decode(errors="replace"))

    @contextmanager
    def request(
        self, method: str, path: str, body: Any = None, token: str | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        """An answer that is read while it arrives."""
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        connection = http.client.HTTPSConnection(self.host, self.port)
        connection.sock = self._open()
        try:
            connection.request(method, path, json.dumps(body) if body else None, headers)
            yield connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise HopError(
                "Nginx",
                f"{method} {path} failed: {error!r}.",
                "Run `sudo journalctl --unit nginx` on the machine.",
            ) from error
        finally:
            connection.close()

    def _open(self) -> ssl.SSLSocket:
        plain = self._tcp(self._address())
        try:
            secure = self.tls.wrap_socket(plain, server_hostname=self.host)
        except ssl.SSLCertVerificationError as error:
            plain.close()
            if error.verify_code in VERIFY_ERRORS:
                what = f"the certificate of {self.host}:{self.port} "
                raise HopError(
                    "TLS", f"{what}{VERIFY_ERRORS[error.verify_code]}.", RENEW
                ) from error
            raise HopError(
                "TLS",
                f"{self.host}:{self.port} has another certificate than the chat: "
                f"{error.verify_message}.",
                NOT_THE_CHATS,
            ) from error
        except (OSError, ssl.SSLError) as error:
            plain.close()
            raise HopError(
                "TLS",
                f"{self.host}:{self.port} does not answer with TLS: {error}.",
                "Run `sudo journalctl --unit nginx` on the machine.",
            ) from error
        shown = hashlib.sha256(secure.getpeercert(binary_form=True) or b"").hexdigest()
        if self.fingerprint and shown != self.fingerprint:
            secure.close()
            raise HopError(
                "TLS",
                f"{self.host}:{self.port} has a certificate with the fingerprint {shown}, "
                f"not {self.fingerprint}.",
                NOT_THE_CHATS,
            )
        secure.settimeout(self.answer_within)
        return secure

    def _address(self) -> str:
        name = self.connect or self.host
        try:
            found = addresses_of(name)
        except OSError as error:
            if self.address and not self.connect:
                return self.address
            raise HopError(
                "DNS",
                f"{name} has no address: {error}.",
                "Set its DNS record to the machine's public address, or wait until DNS has it.",
            ) from error
        if self.address and not self.connect and self.address not in found:
            return self.address
        return found[0]

    def warning(self) -> str | None:
        """That the questions do not go where the name leads; None if they do."""
        if self.connect or not self.address:
            return None
        try:
            found = addresses_of(self.host)
        except OSError:
            found = []
        if self.address in found:
            return None
        leads = f"leads to {', '.join(found)}, not to" if found else "does not yet lead to"
        return (
            f"Warning: {self.host} {leads} the machine, so users do not reach the chat, and its "
            f"certificate cannot be issued. Set the DNS record to {self.address}. The questions "
            "went to that address."
        )

    def _tcp(self, address: str) -> socket.socket:
        try:
            return socket.create_connection((address, self.port), timeout=CONNECT_WITHIN)
        except OSError as error:
            raise HopError(
                "TCP",
                f"{address} port {self.port} cannot be reached: {error}.",
                "Is your address in ollamazure:allowedClients, and does your network allow HTTPS? "
                "If not, let the machine ask: `pulumi config set ollamazure:probeFrom machine`.",
            ) from error


def addresses_of(name: str) -> list[str]:
    """The addresses of a name. Raises OSError if it has none."""
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return [str(address[4][0]) for address in found]


def trusting(trust: dict[str, Any]) -> ssl.SSLContext:
    """TLS that accepts the certificates of the authorities in `trust`, and no others."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if trust["system"]:
        context.load_default_certs()
    if trust["authorities"]:
        context.load_verify_locations(cadata=trust["authorities"])
        # So that an authority need not be signed by itself.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def main() -> int:
    task = json.load(sys.stdin)
    try:
        chat = AnswerProbe.of(task)
        wait_until_ready(chat)
        check_sign_in_page(chat)
        with ThreadPoolExecutor() as beside:
            sizes = beside.submit(sizes_of_data, task)
            session = Session(task)
            check_models(chat, session.token(), task["models"])
            for kind in ("model", "preset"):
                for name in task[f"{kind}s"]:
                    ask(chat, session.token(), kind, name)
    except HopError as failure:
        print(f"The chat does not answer. {failure}", file=sys.stderr)
        return 1
    if warning := chat.warning():
        print(warning)
    print(sizes.result())
    if task.get("connect"):
        print("The machine itself asked the questions: access over the internet was not tested.")
    return 0


def wait_until_ready(chat: AnswerProbe) -> None:
    """Waits: while Open WebUI starts, Nginx answers with 503."""
    start = time.monotonic()
    while True:
        status, _ = chat.get("/ready")
        if status == http.client.OK:
            return
        if time.monotonic() - start > READY_WITHIN:
            raise HopError(
                "Open WebUI",
                f"not ready after {READY_WITHIN} s (status {status}).",
                "Run `sudo journalctl --unit open-webui` on the machine.",
            )
        time.sleep(1)


def check_sign_in_page(chat: AnswerProbe) -> None:
    status, page = chat.get("/auth")
    if status != http.client.OK or "<html" not in str(page).lower():
        raise HopError(
            "sign-in page",
            f"/auth is no page: {status} {_detail(page)}.",
            "Run `sudo journalctl --unit nginx --unit open-webui` on the machine.",
        )


class Session:
    """A session of the machine's tools. Each costs a connection to the machine."""

    def __init__(self, task: dict[str, Any]) -> None:
        self._task = task
        self._token = ""
        self._until = 0.0

    def token(self) -> str:
        """A token that is valid now, which must not be printed. Raises HopError."""
        now = time.monotonic()
        if now >= self._until:
            try:
                self._token = str(ask_machine(self._task, SESSION))
            except ValueError as error:
                raise HopError(
                    "session",
                    f"the machine's tools make no session: {error}",
                    "Run `sudo /usr/local/lib/ollamazure/webui-cli drift` on the machine.",
                ) from error
            self._until = now + SESSION_LASTS
        return self._token


def kept_certificate(task: dict[str, Any]) -> str:
    """The former certificate, which the chat has until the ACME authority issues one; or ""."""
    try:
        return str(ask_machine(task, KEPT_CERTIFICATE))
    except ValueError as error:
        raise HopError(
            "certificate",
            f"the machine does not report its certificate: {error}",
            f"Run `sudo {' '.join(KEPT_CERTIFICATE)}` on the machine.",
        ) from error


def sizes_of_data(task: dict[str, Any]) -> str:
    """A line with what an upgrade has to copy, for the next preview, which asks no machine."""
    try:
        return f"Bytes of the data: {json.dumps(ask_machine(task, SIZES_OF_DATA))}"
    except ValueError as error:
        return f"The sizes of the data are not known: {error}"


def ask_machine(task: dict[str, Any], command: list[str]) -> Any:
    """What a program of the machine prints as JSON. Raises ValueError: the reason."""
    machine = task.get("machine")
    done = subprocess.run(
        [*OVER_SSH, " ".join(["sudo", *command])] if machine else command,
        input=json.dumps(machine),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines() or ["no reason given"]
        raise ValueError(reason[-1])
    return json.loads(done.stdout)


def check_models(chat: AnswerProbe, token: str, models: list[str]) -> None:
    status, answer = chat.get("/api/models", token)
    if status != http.client.OK or not isinstance(answer, dict):
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


def ask(chat: AnswerProbe, token: str, kind: str, name: str) -> None:
    """Checks that the answer of a model or preset (`kind`) arrives as a stream.

    A preset gets no parameters with the question: they would replace its own, which are tested.
    """
    start = time.monotonic()
    body = {
        "model": name,
        "messages": [{"role": "user", "content": QUESTION}],
        "stream": True,
        **({"temperature": 0, "max_tokens": ENOUGH} if kind == "model" else {}),
    }
    with chat.request("POST", "/api/chat/completions", body, token) as answer:
        if answer.status == http.client.OK:
            text, problem = read_stream(answer)
        else:
            refused = _parse(answer.read().decode(errors="replace"))
            text, problem = "", f"{answer.status} {_detail(refused)}."
    if problem or not text:
        raise HopError(f"{kind} {name}", problem or "an empty answer.", FIXES[kind])
    print(f"{name} answers after {time.monotonic() - start:.1f} s: {' '.join(text.split())[:80]}")


def read_stream(answer: Iterable[bytes]) -> tuple[str, str]:
    """The text of a streamed answer, and the problem that it reports or has."""
    words: list[str] = []
    for line in answer:
        event = line.decode(errors="replace").strip().removeprefix("data:").strip()
        if event == "[DONE]" or len(words) > ENOUGH:
            return "".join(words).strip(), ""
        found = _parse(event)
        if isinstance(found, dict) and (found.get("error") or found.get("detail")):
            return "", f"{_detail(found.get('error') or found)}."
        words += [word] if (word := _text(found)) else []
    return "", "the answer is no complete stream."


def _text(event: Any) -> str:
    """The words of one event; models that reason may have them in another field."""
    try:
        delta = event["choices"][0]["delta"]
    except (KeyError, IndexError, TypeError):
        return ""
    return str(delta.get("content") or delta.get("reasoning_content") or "")


def _detail(answer: Any) -> str:
    found = answer
    while isinstance(found, dict) and ("detail" in found or "message" in found):
        found = found.get("detail", found.get("message"))
    return " ".join(str(found).split())[:300]


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


if __name__ == "__main__":
    sys.exit(main())

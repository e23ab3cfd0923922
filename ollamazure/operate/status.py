"""The state of a stack's chat and its machine, on one screen. Only reads, by HTTPS and SSH."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from ollamazure.operate.connection import MachineConnection
from ollamazure.operate.pulumi import OperateError, read_outputs

PROGRAM = "sudo /usr/local/lib/ollamazure/status.py"
NEEDED = ("url", "certificateTrust", "models", "vmSize")
URL_TIMEOUT_SECONDS = 10
LEAST_FREE = 0.05  # of the data disk: room for the next chats
NAMES = {"ollama": "Ollama", "open-webui": "Open WebUI", "nginx": "Nginx"}
STATES = {"active": "runs", "activating": "is starting", "inactive": "is stopped"}


def run(stack: str, pulumi: str) -> int:
    """Print the screen; returns 0 when all is well, 1 when something is not.

    Raises:
        OperateError: the machine cannot be queried.
    """
    outputs = read_outputs(stack, pulumi, *NEEDED)
    url_problem = check_url(
        outputs["url"], outputs["certificateTrust"], outputs.get("certificateFingerprint")
    )
    try:
        facts = asyncio.run(MachineConnection.from_outputs(outputs).query(PROGRAM))
    except OperateError as error:
        chat = f"The chat at {outputs['url']} {url_problem or 'answers'}."
        raise OperateError(f"{error} {chat}") from error
    status = ChatStatus(stack, outputs, facts, url_problem, datetime.now(UTC))
    print(status.render())
    return 1 if status.problems() else 0


def check_url(url: str, trust: Mapping[str, Any], fingerprint: str | None) -> str | None:
    """What is wrong with the chat at `url`; None when it answers with a certificate of its own.

    Args:
        url: the chat's, https.
        trust: the stack's output certificateTrust.
        fingerprint: SHA-256 of the certificate with colons; None if it is not known.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 443
    try:
        with (
            socket.create_connection((host, port), URL_TIMEOUT_SECONDS) as raw,
            _trusting(trust).wrap_socket(raw, server_hostname=host) as channel,
        ):
            shown = hashlib.sha256(channel.getpeercert(binary_form=True) or b"").digest()
            if fingerprint and shown.hex(":").upper() != fingerprint.upper():
                return "shows another certificate than the one that `pulumi up` installed"
            connection = http.client.HTTPConnection(host)
            connection.sock = channel
            connection.request("GET", "/health")
            status = connection.getresponse().status
    except ssl.SSLCertVerificationError as error:
        return f"shows another certificate than its own: {error.verify_message}"
    except (OSError, http.client.HTTPException) as error:
        return f"does not answer: {error}"
    return None if status == http.client.OK else f"answers with the HTTP status {status}"


def _trusting(trust: Mapping[str, Any]) -> ssl.SSLContext:
    """TLS as the answer check has it (guest/usr/local/lib/ollamazure/chat_answers.py)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if trust["system"]:
        context.load_default_certs()
    if trust["authorities"]:
        context.load_verify_locations(cadata=trust["authorities"])
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


@dataclass(frozen=True)
class ChatStatus:
    """What is known of a chat at a moment.

    Attributes:
        stack: its name.
        outputs: the stack's.
        facts: what the machine's own program reports.
        url_problem: as `check_url` returns it.
        now: the moment.
    """

    stack: str
    outputs: Mapping[str, Any]
    facts: Mapping[str, Any]
    url_problem: str | None
    now: datetime

    def problems(self) -> list[str]:
        """What is not well, each with the command that shows more or fixes it."""
        chat = [f"The chat {self.url_problem}."] if self.url_problem else []
        return [
            *chat,
            *self._service_problems(),
            *self._disk_problems(),
            *self._model_problems(),
            *self._certificate_problems(),
        ]

    def _service_problems(self) -> Iterator[str]:
        for service in self.facts["services"]:
            if service["state"] != "active":
                name = service["name"]
                logs = f"bin/ollamazure logs --stack {self.stack} --unit {name}"
                yield f"{NAMES[name]} {_service(service)}: `{logs}` shows why."
        if not self.facts.get("container_dns", True):  # a machine of an earlier version has no word
            yield (
                "The DNS of the containers (aardvark-dns) does not answer, so Nginx does not find"
                " Open WebUI. The machine starts it again within a minute."
            )

    def _disk_problems(self) -> Iterator[str]:
        disk = self.facts["data_disk"]
        if disk is None:
            yield "The data disk is not mounted."
        elif disk["free"] < LEAST_FREE * disk["total"]:
            fix = "ollamazure:dataDiskGiB enlarges it"
            yield f"The data disk is nearly full: {_space(disk)}. {fix}."

    def _model_problems(self) -> Iterator[str]:
        if self.facts["models"] is None:
            return
        installed = {name.lower() for name in self.facts["models"]}
        for name in self.outputs["models"]:
            if name.lower() not in installed:
                drift = f"bin/ollamazure drift --stack {self.stack}"
                yield f"The model {name} is missing: `{drift}` shows how to restore it."

    def _certificate_problems(self) -> Iterator[str]:
        ends = _certificate_end(self.facts)
        if ends is None:
            yield "The certificate cannot be read."
        elif ends < self.now:
            own = "caCertificate" in self.outputs
            fix = "`pulumi up` creates a new one" if own else "replace it in the settings"
            yield f"The certificate expired on {ends:%Y-%m-%d}: {fix}."
        if acme := self.facts.get("acme"):  # a machine of an earlier version has none
            yield f"{acme['problem']} {acme['fix']}"

    def render(self) -> str:
        """The screen."""
        facts, outputs = self.facts, self.outputs
        booted = datetime.fromtimestamp(facts["booted"], UTC)
        up = f"up {span(self.now - booted)}, since {booted:%Y-%m-%d %H:%M} UTC"
        disk = facts["data_disk"]
        rows = [
            ("Chat", f"{outputs['url']} {self.url_problem or 'answers'}"),
            ("Machine", f"{outputs['vmSize']}, {up}"),
            ("Load", f"{facts['load']:.2f} of {facts['processors']} processors, over five minutes"),
            ("Memory", _space(facts["memory"])),
            ("Data disk", _space(disk) if disk else "not mounted"),
            *((NAMES[service["name"]], _service(service)) for service in facts["services"]),
            ("Models", _models(facts)),
            ("Certificate", _certificate(facts, self.now)),
            ("Restart", _restart(self.stack, pending=facts["reboot_pending"])),
        ]
        problems = self.problems()
        verdict = "not healthy" if problems else "healthy"
        lines = [f"{name:<13}{value}" for name, value in rows]
        end = ["", *problems] if problems else []
        return "\n".join([f"{self.stack}: {verdict}", "", *lines, *end])


def _service(service: Mapping[str, Any]) -> str:
    word = STATES.get(service["state"], f"is {service['state']}")
    return f"{word}, {service['version']}" if service["version"] else word


def _models(facts: Mapping[str, Any]) -> str:
    if facts["models"] is None:
        return "unknown, Ollama does not answer"
    loaded = set(facts["loaded"])
    listed = [f"{name} (in memory)" if name in loaded else name for name in facts["models"]]
    return ", ".join(listed) or "none"


def _certificate(facts: Mapping[str, Any], now: datetime) -> str:
    ends = _certificate_end(facts)
    if ends is None:
        return "cannot be read"
    return f"until {ends:%Y-%m-%d}" + (f", {span(ends - now)} from now" if ends > now else "")


def _certificate_end(facts: Mapping[str, Any]) -> datetime | None:
    ends = facts["certificate_ends"]
    return datetime.fromisoformat(ends) if ends else None


def _restart(stack: str, *, pending: bool) -> str:
    if not pending:
        return "not needed"
    return f"needed for a new kernel: `bin/ollamazure ssh --stack {stack} sudo reboot`"


def _space(space: Mapping[str, int]) -> str:
    return f"{space['free'] / 2**30:.1f} of {space['total'] / 2**30:.1f} GiB free"


def span(duration: timedelta) -> str:
    """The duration in the largest unit that it contains at least twice."""
    minutes = int(duration.total_seconds()) // 60
    if minutes >= 2 * 24 * 60:
        return f"{minutes // (24 * 60)} days"
    if minutes >= 2 * 60:
        return f"{minutes // 60} hours"
    return f"{minutes} min"

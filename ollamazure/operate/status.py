"""How a stack's chat and its machine are, on one screen.

Looks by HTTPS and by SSH and changes nothing. Exit code: 0 when all is well, 1 when something is
not, 2 when it cannot be told.
"""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import socket
import ssl
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from ollamazure.operate.connection import Machine, TroubleError, outputs_of, parser

ASK = "sudo /usr/local/lib/ollamazure/status.py"
NEEDED = ("url", "certificateFingerprint", "models", "vmSize")
URL_PATIENCE_SECONDS = 10
LEAST_FREE = 0.05  # of the data disk, for chats that are still to come
NAMES = {"ollama": "Ollama", "open-webui": "Open WebUI", "nginx": "Nginx"}
STATES = {"active": "runs", "activating": "is starting", "inactive": "is stopped"}


def answer_of(url: str, fingerprint: str) -> str | None:
    """What is wrong with the chat at `url`; None when it answers with the pinned certificate."""
    host = urlsplit(url).hostname or ""
    # Self-signed: instead of an authority, the fingerprint says who it is, before anything is sent.
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host, 443), URL_PATIENCE_SECONDS) as raw,
            context.wrap_socket(raw, server_hostname=host) as channel,
        ):
            shown = hashlib.sha256(channel.getpeercert(binary_form=True) or b"").digest()
            if shown.hex(":").upper() != fingerprint.upper():
                return "shows another certificate than `pulumi up` has made"
            connection = http.client.HTTPConnection(host)
            connection.sock = channel
            connection.request("GET", "/health")
            status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"does not answer: {error}"
    return None if status == http.client.OK else f"answers with the HTTP status {status}"


def problems(
    outputs: Mapping[str, Any], url_problem: str | None, said: Mapping[str, Any], now: datetime
) -> Iterator[str]:
    """What is not well, each with what tells more or fixes it.

    Args:
        outputs: of the stack.
        url_problem: as `answer_of` returns it.
        said: what the machine's own tool says.
        now: the moment it is asked for.
    """
    if url_problem:
        yield f"The chat {url_problem}."
    for service in said["services"]:
        if service["state"] != "active":
            name = service["name"]
            yield f"{NAMES[name]} {state(service)}: `make logs UNIT={name}` tells why."
    disk = said["data_disk"]
    if disk is None:
        yield "The data disk is not mounted."
    elif disk["free"] < LEAST_FREE * disk["total"]:
        yield f"The data disk is nearly full: {size(disk)}. ollamazure:dataDiskGiB makes it larger."
    if said["models"] is not None:
        there = {name.lower() for name in said["models"]}
        for name in outputs["models"]:
            if name.lower() not in there:
                yield f"The model {name} is gone: `make drift` says how to get it back."
    ends = certificate_end(said)
    if ends is None:
        yield "The certificate cannot be read."
    elif ends < now:
        yield f"The certificate has ended on {ends:%Y-%m-%d}: `pulumi up` makes a new one."


def screen(
    stack: str,
    outputs: Mapping[str, Any],
    url_problem: str | None,
    said: Mapping[str, Any],
    now: datetime,
) -> str:
    """All of it for a person; the arguments are those of `problems`."""
    booted = datetime.fromtimestamp(said["booted"], UTC)
    wrong = list(problems(outputs, url_problem, said, now))
    rows = [
        ("Chat", f"{outputs['url']} {url_problem or 'answers'}"),
        (
            "Machine",
            f"{outputs['vmSize']}, up {span(now - booted)}, since {booted:%Y-%m-%d %H:%M} UTC",
        ),
        ("Load", f"{said['load']:.2f} of {said['processors']} processors, over five minutes"),
        ("Memory", size(said["memory"])),
        ("Data disk", size(said["data_disk"]) if said["data_disk"] else "not mounted"),
        *((NAMES[service["name"]], state(service)) for service in said["services"]),
        ("Models", models(said)),
        ("Certificate", certificate(said, now)),
        ("Restart", restart(stack, pending=said["reboot_pending"])),
    ]
    verdict = "not healthy" if wrong else "healthy"
    lines = [f"{name:<13}{value}" for name, value in rows]
    return "\n".join([f"{stack}: {verdict}", "", *lines, *(["", *wrong] if wrong else [])])


def state(service: Mapping[str, Any]) -> str:
    word = STATES.get(service["state"], f"is {service['state']}")
    return f"{word}, {service['version']}" if service["version"] else word


def models(said: Mapping[str, Any]) -> str:
    if said["models"] is None:
        return "Ollama does not tell"
    loaded = set(said["loaded"])
    listed = [f"{name} (in memory)" if name in loaded else name for name in said["models"]]
    return ", ".join(listed) or "none"


def certificate(said: Mapping[str, Any], now: datetime) -> str:
    ends = certificate_end(said)
    if ends is None:
        return "cannot be read"
    return f"until {ends:%Y-%m-%d}" + (f", {span(ends - now)} from now" if ends > now else "")


def certificate_end(said: Mapping[str, Any]) -> datetime | None:
    ends = said["certificate_ends"]
    return datetime.fromisoformat(ends) if ends else None


def restart(stack: str, *, pending: bool) -> str:
    if not pending:
        return "none pending"
    return f'a new kernel waits for one: `make ssh STACK={stack} COMMAND="sudo reboot"`'


def size(space: Mapping[str, int]) -> str:
    """In GiB, as Azure sells it."""
    return f"{space['free'] / 2**30:.1f} of {space['total'] / 2**30:.1f} GiB free"


def span(duration: timedelta) -> str:
    """In the largest unit of which there are two."""
    minutes = int(duration.total_seconds()) // 60
    if minutes >= 2 * 24 * 60:
        return f"{minutes // (24 * 60)} days"
    if minutes >= 2 * 60:
        return f"{minutes // 60} hours"
    return f"{minutes} min"


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser("How the chat and its machine are. Only reads.").parse_args(arguments)
    try:
        outputs = outputs_of(options.stack, options.pulumi, *NEEDED)
        url_problem = answer_of(outputs["url"], outputs["certificateFingerprint"])
        try:
            said = asyncio.run(Machine.of(outputs).ask(ASK))
        except TroubleError as trouble:
            chat = f"The chat at {outputs['url']} {url_problem or 'answers'}."
            raise TroubleError(f"{trouble} {chat}") from trouble
    except TroubleError as trouble:
        print(f"status: {trouble}", file=sys.stderr)
        return 2
    now = datetime.now(UTC)
    print(screen(options.stack, outputs, url_problem, said, now))
    return 1 if any(problems(outputs, url_problem, said, now)) else 0


if __name__ == "__main__":
    sys.exit(main())

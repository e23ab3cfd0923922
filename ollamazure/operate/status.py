"""The state of a stack's chat and its machine, on one screen or as JSON. Only reads.

The machine's own program judges it (guest/usr/local/lib/ollamazure/findings.py). What only another
computer sees is judged here: whether the chat answers, and the machine's clock.
"""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from ollamazure.operate.connection import MachineConnection
from ollamazure.operate.pulumi import OperateError, read_outputs
from ollamazure.operate.schedule import STOPPED_BY_SCHEDULE, hours_of, stopped_by_schedule
from ollamazure.settings.working_hours import days_between_backups

PROGRAM = "sudo /usr/local/lib/ollamazure/status.py"
NEEDED = ("url", "certificateTrust", "vmSize")
# What the machine's program is given of the outputs.
GIVEN = ("caCertificate", "dataDiskGiB")
URL_TIMEOUT_SECONDS = 10
# Between the clocks of the machine and of this computer. A code of a second factor lasts as long.
LARGEST_DIFFERENCE = timedelta(minutes=1)
# Of OpenSSL, for a certificate.
VERIFY_ERRORS = {9: "is not valid yet", 10: "has expired"}
NAMES = {"ollama": "Ollama", "open-webui": "Open WebUI", "nginx": "Nginx"}
STATES = {"active": "runs", "activating": "is starting", "inactive": "is stopped"}


def run(stack: str, pulumi: str, *, as_json: bool = False) -> int:
    """Print the state; returns 0 when all is well, 1 when something needs attention.

    Of a machine that is off outside its working hours, it prints when it starts; returns 3.

    Raises:
        OperateError: the machine cannot be queried.
    """
    outputs = read_outputs(stack, pulumi, *NEEDED)
    url, trust = outputs["url"], outputs["certificateTrust"]
    fingerprint = outputs.get("certificateFingerprint")
    now = datetime.now(UTC)
    if off := stopped_by_schedule(stack, pulumi, outputs, now):
        report = json.dumps(_off_as_json(stack, outputs, now), indent=2)
        print(report if as_json else f"{stack}: {off}")
        return STOPPED_BY_SCHEDULE
    # Before it was an output, there was only one mode.
    mode = outputs.get("certificateMode", "selfSigned")
    given = {name: outputs[name] for name in GIVEN if name in outputs}
    given |= {"stack": stack, "certificateMode": mode}
    given |= {"daysBetweenBackups": days_between_backups(hours_of(outputs))}
    try:
        machine = MachineConnection.from_outputs(outputs)
        facts = asyncio.run(machine.query(PROGRAM, json.dumps(given)))
    except OperateError as error:
        problem = check_url(url, trust, fingerprint)
        raise OperateError(f"{error} The chat at {url} {problem or 'answers'}.") from error
    now = datetime.now(UTC)
    # An earlier version of the machine's program does not report the last one.
    authorities = trust["authorities"] + facts.get("kept_certificate", "")
    url_problem = check_url(url, {**trust, "authorities": authorities}, fingerprint)
    status = ChatStatus(stack, {**outputs, "certificateMode": mode}, facts, url_problem, now)
    print(json.dumps(status.to_json(), indent=2) if as_json else status.render())
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
        if error.verify_code in VERIFY_ERRORS:
            return f"shows a certificate that {VERIFY_ERRORS[error.verify_code]}"
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

    def problems(self) -> list[dict[str, str]]:
        """What needs attention: `id`, `problem`, and the `fix`, which may be empty.

        An id stays the same as long as its problem does: docs/reference/status.md.
        """
        return [*self._own_problems(), *map(_problem, self.facts.get("findings", []))]

    def _own_problems(self) -> Iterator[dict[str, str]]:
        if self.url_problem:
            yield {"id": "chat", "problem": f"The chat {self.url_problem}.", "fix": ""}
        if "findings" not in self.facts:
            yield {
                "id": "programs",
                "problem": "The machine has programs of an earlier version, so what else needs "
                "attention is not known.",
                "fix": f"`pulumi up --stack {self.stack}` updates them.",
            }
        machine = self.facts.get("now")  # a machine of an earlier version does not report it
        if machine is None or abs(self._ago(machine)) <= LARGEST_DIFFERENCE:
            return
        # Sessions, codes of a second factor and certificates depend on the clock.
        relation = "behind" if self._ago(machine) > timedelta() else "ahead of"
        ssh = f"bin/ollamazure ssh --stack {self.stack}"
        difference = span(abs(self._ago(machine)))
        yield {
            "id": "clock",
            "problem": f"The machine's clock is {difference} {relation} this computer's.",
            "fix": f"If the machine's is wrong, `{ssh} sudo systemctl restart chrony` sets it, and"
            f" `{ssh} chronyc tracking` shows what it follows.",
        }

    def _ago(self, seconds: float) -> timedelta:
        return self.now - datetime.fromtimestamp(seconds, UTC)

    def _backup(self) -> str:
        backup = self.facts["backup"]
        if not backup:
            return "none, ollamazure:backup.target is off"
        if not backup["saved"]:
            hours = hours_of(self.outputs)
            when = f"before {hours.end}" if hours else "at night"
            return f"none yet; the first one is made {when}"
        checked = f", checked {_ago(self._ago(backup['checked']))}" if backup["checked"] else ""
        size = f"{backup['size'] / 2**30:.1f} GiB"
        return f"{_ago(self._ago(backup['saved']))}, {size}{checked}"

    def _webhook(self) -> str:
        accepted = self.facts["webhook"]["accepted"]
        return f"last report {_ago(self._ago(accepted))}" if accepted else "no report yet"

    def _restart(self) -> str:
        if not self.facts["reboot_pending"]:
            return "not needed"
        packages = ", ".join(self.facts.get("reboot_packages", []))
        reboot = f"`bin/ollamazure ssh --stack {self.stack} sudo reboot`"
        if hours_of(self.outputs):
            reboot = f"the next start of the working hours, or now {reboot}"
        return f"needed for {packages or 'updates'}: {reboot}"

    def render(self) -> str:
        """The screen. A machine of an earlier version does not report all of it."""
        facts, outputs = self.facts, self.outputs
        booted = datetime.fromtimestamp(facts["booted"], UTC)
        up = f"up {span(self.now - booted)}, since {booted:%Y-%m-%d %H:%M} UTC"
        disk, authority = facts["data_disk"], _date(facts.get("authority_ends"))
        rows = [
            ("Chat", f"{outputs['url']} {self.url_problem or 'answers'}"),
            ("Machine", f"{outputs['vmSize']}, {up}"),
            *([("System", _system(facts))] if "debian" in facts else []),
            *([("Hours", str(hours))] if (hours := hours_of(outputs)) else []),
            ("Load", f"{facts['load']:.2f} of {facts['processors']} processors, over five minutes"),
            ("Memory", _space(facts["memory"])),
            ("Data disk", _space(disk) if disk else "not mounted"),
            *([("System disk", _space(facts["system_disk"]))] if "system_disk" in facts else []),
            *((NAMES[service["name"]], _service(service)) for service in facts["services"]),
            *([("Failed units", _failed(facts))] if "failed_units" in facts else []),
            ("Models", _models(facts)),
            ("Certificate", _validity(_date(facts["certificate_ends"]), self.now)),
            *([("Authority", _validity(authority, self.now))] if authority else []),
            *([("Backup", self._backup())] if "backup" in facts else []),
            *([("Webhook", self._webhook())] if facts.get("webhook") else []),
            ("Restart", self._restart()),
        ]
        problems = [f"{each['problem']} {each['fix']}".strip() for each in self.problems()]
        verdict = "not healthy" if problems else "healthy"
        lines = [f"{name:<13}{value}" for name, value in rows]
        end = ["", *problems] if problems else []
        return "\n".join([f"{self.stack}: {verdict}", "", *lines, *end])

    def to_json(self) -> dict[str, Any]:
        """The same for programs: docs/reference/status.md has each name.

        Raises:
            OperateError: the machine has programs of an earlier version.
        """
        facts = self.facts
        if "findings" not in facts:
            [programs] = [each for each in self.problems() if each["id"] == "programs"]
            raise OperateError(f"{programs['problem']} {programs['fix']}")
        starts, ends = (_date(facts[f"certificate_{which}"]) for which in ("starts", "ends"))
        return {
            "stack": self.stack,
            "time": _iso(self.now),
            "workingHours": self.outputs.get("workingHours"),
            "healthy": not self.problems(),
            "problems": self.problems(),
            "chat": {"url": self.outputs["url"], "answers": self.url_problem is None},
            "machine": {
                "size": self.outputs["vmSize"],
                "booted": _iso(datetime.fromtimestamp(facts["booted"], UTC)),
                "debian": facts["debian"],
                "kernel": facts["kernel"],
                "load": facts["load"],
                "processors": facts["processors"],
                "memory": _bytes(facts["memory"]),
            },
            "disks": {name: _bytes(facts[f"{name}_disk"]) for name in ("data", "system")},
            "services": facts["services"],
            "failedUnits": facts["failed_units"],
            "models": {
                "declared": facts["declared_models"],
                "installed": facts["models"],
                "loaded": facts["loaded"],
            },
            "certificate": {
                "mode": self.outputs["certificateMode"],
                "starts": _iso(starts),
                "ends": _iso(ends),
                "days": (ends - self.now).days if ends else None,
                "authorityEnds": _iso(_date(facts["authority_ends"])),
            },
            "backup": facts["backup"]
            and {
                "saved": _time(facts["backup"]["saved"]),
                "bytes": facts["backup"]["size"],
                "checked": _time(facts["backup"]["checked"]),
            },
            "webhook": facts["webhook"] and {"accepted": _time(facts["webhook"]["accepted"])},
            "restart": {"needed": facts["reboot_pending"], "packages": facts["reboot_packages"]},
        }


def _off_as_json(stack: str, outputs: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The state of a machine that is off outside its working hours."""
    hours = hours_of(outputs)
    assert hours is not None  # noqa: S101  the caller has checked it
    return {
        "stack": stack,
        "time": _iso(now),
        "workingHours": outputs["workingHours"],
        "healthy": None,
        "starts": _iso(hours.next_start(now).astimezone(UTC)),
    }


def _problem(finding: Mapping[str, Any]) -> dict[str, str]:
    problem = finding["detail"] or finding["problem"]
    return {"id": finding["id"], "problem": problem, "fix": finding["fix"]}


def _system(facts: Mapping[str, Any]) -> str:
    return f"Debian {facts['debian']}, Linux {facts['kernel']}"


def _failed(facts: Mapping[str, Any]) -> str:
    return ", ".join(facts["failed_units"]) or "none"


def _service(service: Mapping[str, Any]) -> str:
    word = STATES.get(service["state"], f"is {service['state']}")
    return f"{word}, {service['version']}" if service["version"] else word


def _models(facts: Mapping[str, Any]) -> str:
    if facts["models"] is None:
        return "unknown, Ollama does not answer"
    loaded = set(facts["loaded"])
    listed = [f"{name} (in memory)" if name in loaded else name for name in facts["models"]]
    return ", ".join(listed) or "none"


def _validity(ends: datetime | None, now: datetime) -> str:
    if ends is None:
        return "cannot be read"
    return f"until {ends:%Y-%m-%d}" + (f", {span(ends - now)} from now" if ends > now else "")


def _date(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _ago(duration: timedelta) -> str:
    return f"{span(duration)} ago" if duration >= -LARGEST_DIFFERENCE else "in the future"


def _bytes(space: Mapping[str, int] | None) -> dict[str, int] | None:
    return None if space is None else {"totalBytes": space["total"], "freeBytes": space["free"]}


def _time(seconds: float) -> str | None:
    """A time in seconds since 1970; 0 is never."""
    return _iso(datetime.fromtimestamp(seconds, UTC)) if seconds else None


def _iso(moment: datetime | None) -> str | None:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}" if moment else None


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

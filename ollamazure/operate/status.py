"""The state of a stack's chat and its machine, on one screen. Only reads, by HTTPS and SSH."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import math
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509

from ollamazure.operate.connection import MachineConnection
from ollamazure.operate.pulumi import OperateError, read_outputs
from ollamazure.operate.schedule import STOPPED_BY_SCHEDULE, hours_of, stopped_by_schedule

PROGRAM = "sudo /usr/local/lib/ollamazure/status.py"
REQUEST_CERTIFICATE = "sudo /usr/local/lib/ollamazure/acme_client.py now"
NEEDED = ("url", "certificateTrust", "models", "vmSize")
URL_TIMEOUT_SECONDS = 10
# Of a certificate's validity: whatever renews it should have done so before.
LEAST_VALIDITY = 0.1
# Time for every device to trust another authority. A certificate cannot be trusted for longer.
LEAST_AUTHORITY = timedelta(days=365)
REPLACE_AUTHORITY = "docs/how-to/trust-the-authority.md#replace-the-authority"
# What is in the folders that can fill a disk.
CONTENTS = {
    "/srv/data/ollama": "models",
    "/srv/data/containers/volumes": "chats and files",
    "/srv/data/containers/overlay": "images of the containers",
    "/srv/data/backup": "backups",
    "/srv/data/open-webui": "the copy before an upgrade",
    "/opt/ollama": "Ollama",
    "/var/log": "logs",
}
CLEAN_UP = "sudo systemctl start ollamazure-cleanup"
# The random delay of a backup, and the time that it takes.
LATE_BACKUP = timedelta(hours=2)
OLDEST_CHECK = timedelta(days=8)  # weekly, and a failure may repeat it with the next backup
# Between the clocks of the machine and of this computer. A code of a second factor lasts as long.
LARGEST_DIFFERENCE = timedelta(minutes=1)
# Of OpenSSL, for a certificate.
VERIFY_ERRORS = {9: "is not valid yet", 10: "has expired"}
MORE_MEMORY = (
    "If it happens again, choose a smaller model, a smaller ollamazure:contextLength or a "
    "larger size: docs/how-to/choose-a-size.md."
)
NAMES = {"ollama": "Ollama", "open-webui": "Open WebUI", "nginx": "Nginx"}
STATES = {"active": "runs", "activating": "is starting", "inactive": "is stopped"}


def run(stack: str, pulumi: str) -> int:
    """Print the screen; returns 0 when all is well, 1 when something is not.

    Of a machine that is off outside its working hours, it prints when it starts; returns 3.

    Raises:
        OperateError: the machine cannot be queried.
    """
    outputs = read_outputs(stack, pulumi, *NEEDED)
    url, trust = outputs["url"], outputs["certificateTrust"]
    fingerprint = outputs.get("certificateFingerprint")
    if off := stopped_by_schedule(stack, pulumi, outputs, datetime.now(UTC)):
        print(f"{stack}: {off}")
        return STOPPED_BY_SCHEDULE
    try:
        facts = asyncio.run(MachineConnection.from_outputs(outputs).query(PROGRAM))
    except OperateError as error:
        problem = check_url(url, trust, fingerprint)
        raise OperateError(f"{error} The chat at {url} {problem or 'answers'}.") from error
    now = datetime.now(UTC)
    # An earlier version of the machine's program does not report the last one.
    authorities = trust["authorities"] + facts.get("kept_certificate", "")
    url_problem = check_url(url, {**trust, "authorities": authorities}, fingerprint)
    status = ChatStatus(stack, outputs, facts, url_problem, now)
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

    def problems(self) -> list[str]:
        """What is not well, each with the command that shows more or fixes it."""
        chat = [f"The chat {self.url_problem}."] if self.url_problem else []
        return [
            *chat,
            *self._service_problems(),
            *self._disk_problems(),
            *self._model_problems(),
            *self._clock_problems(),
            *self._certificate_problems(),
            *self._backup_problems(),
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
        clean_up = f"`bin/ollamazure ssh --stack {self.stack} {CLEAN_UP}` removes what is not used"
        disk = self.facts["data_disk"]
        if disk is None:
            mount = f"bin/ollamazure ssh --stack {self.stack} sudo ollamazure-data-disk"
            yield (
                "The data disk is not mounted, so the chat does not run. If it was detached in "
                f"Azure: `pulumi up --refresh --stack {self.stack}` attaches it, and the chat "
                f"starts by itself. If it is attached: `{mount}` mounts it, or states why not."
            )
        else:
            models = "models that leave ollamazure:models are removed"
            fix = f"{clean_up}; {models}. {self._larger_disk(disk['total'])}"
            yield from _full("data", disk, fix)
        yield from _full("system", self.facts.get("system_disk") or {}, f"{clean_up}.")

    def _larger_disk(self, size: int) -> str:
        """How to enlarge the data disk."""
        if self.outputs.get("dataDiskGiB", 0) is None:
            return "It belongs to no stack: enlarge it in Azure, then run `pulumi up`."
        # The file system of a disk of 64 GiB has a little less.
        larger = min(2 * 2 ** math.ceil(math.log2(size / 2**30)), 4095)
        setting = f"pulumi config set ollamazure:dataDiskGiB {larger} --stack {self.stack}"
        return f"To enlarge it: `{setting} && pulumi up`."

    def _model_problems(self) -> Iterator[str]:
        if self.facts["models"] is None:
            return
        installed = {name.lower() for name in self.facts["models"]}
        for name in self.outputs["models"]:
            if name.lower() not in installed:
                drift = f"bin/ollamazure drift --stack {self.stack}"
                yield f"The model {name} is missing: `{drift}` shows how to restore it."

        ended = self.facts.get("ended_models") or {}  # not of a machine of an earlier version
        if ended.get("count"):
            last = f"{datetime.fromtimestamp(ended['last'], UTC):%Y-%m-%d %H:%M} UTC"
            logs = f"bin/ollamazure logs --stack {self.stack} --unit ollama --since 24h"
            yield (
                f"A model was killed at {last}, usually because memory ran out: answers broke off. "
                f"{MORE_MEMORY}"
                if ended["memory"]
                else f"A model broke off an answer at {last}: `{logs}` shows why."
            )

    def _clock_problems(self) -> Iterator[str]:
        """Sessions, codes of a second factor and certificates depend on the clock."""
        machine = self.facts.get("now")  # a machine of an earlier version does not report it
        if machine is None or abs(self._ago(machine)) <= LARGEST_DIFFERENCE:
            return
        relation = "behind" if self._ago(machine) > timedelta() else "ahead of"
        ssh = f"bin/ollamazure ssh --stack {self.stack}"
        yield (
            f"The machine's clock is {span(abs(self._ago(machine)))} {relation} this computer's. If"
            f" the machine's is wrong, `{ssh} sudo systemctl restart chrony` sets it, and"
            f" `{ssh} chronyc tracking` shows what it follows."
        )

    def _certificate_problems(self) -> Iterator[str]:
        ends = _date(self.facts["certificate_ends"])
        # A machine of an earlier version does not report the start.
        starts = _date(self.facts.get("certificate_starts"))
        if ends is None:
            yield "The certificate cannot be read."
        elif starts and starts > self.now:
            yield (
                f"The certificate is not valid before {starts:%Y-%m-%d %H:%M} UTC. If the clocks of"
                f" this computer and of the machine are right: {self._new_certificate()}."
            )
        elif ends < self.now:
            yield f"The certificate expired on {ends:%Y-%m-%d}: {self._new_certificate()}."
        elif starts and ends - self.now < LEAST_VALIDITY * (ends - starts):
            yield f"The certificate expires on {ends:%Y-%m-%d}: {self._new_certificate()}."
        authority = self._authority_end()
        if authority and authority - self.now < LEAST_AUTHORITY:
            yield (
                f"The stack's authority is valid until {authority:%Y-%m-%d}, and no certificate "
                "that it signs is trusted for longer. Replace it, and let every device trust the "
                f"new one: {REPLACE_AUTHORITY}."
            )
        if acme := self.facts.get("acme"):  # a machine of an earlier version has none
            yield f"{acme['problem']} {acme['fix']}"

    def _backup_problems(self) -> Iterator[str]:
        backup = self.facts.get("backup")  # a machine of an earlier version has none
        if not backup:
            return
        again = f"`bin/ollamazure backup --stack {self.stack}` makes one now"
        last = self._ago(backup["saved"] or backup["since"])
        if backup["problem"]:
            yield f"The last backup failed: {backup['problem']} {again}."
        elif last < -LARGEST_DIFFERENCE:
            yield f"The last backup has a time in the future, of a clock that was wrong: {again}."
        elif last > self._pause + LATE_BACKUP:
            state = f"is {span(last)} old" if backup["saved"] else "was never made"
            yield f"The last backup {state}: {again} and shows what prevents it."
        if backup["check_problem"]:
            check = f"bin/ollamazure backup --check --stack {self.stack}"
            failed = f"The check of the backups failed: {backup['check_problem']}"
            yield f"{failed} `{check}` checks again."
        elif self._ago(backup["checked"] or backup["since"]) > OLDEST_CHECK + self._pause:
            yield "The backups were not checked for more than a week."

    @property
    def _pause(self) -> timedelta:
        """The longest time between two backups: a day, or over the days without working hours."""
        hours = hours_of(self.outputs)
        return hours.longest_pause if hours else timedelta(days=1)

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

    def _new_certificate(self) -> str:
        """Who makes a new certificate, and how."""
        if self._certificate_mode == "provided":
            return "replace it in the settings, and run `pulumi up`"
        if self._certificate_mode == "letsEncrypt":
            ssh = f"bin/ollamazure ssh --stack {self.stack}"
            return f"`{ssh} {REQUEST_CERTIFICATE}` requests a new one and shows what prevents it"
        return "`pulumi up` creates a new one"

    @property
    def _certificate_mode(self) -> str:
        """Before it was an output, there was only one."""
        return str(self.outputs.get("certificateMode", "selfSigned"))

    def _authority_end(self) -> datetime | None:
        """Until when devices can trust the stack's authority; None if another one signs."""
        pem = self.outputs.get("caCertificate")
        if not pem or self._certificate_mode != "selfSigned":
            return None
        return x509.load_pem_x509_certificate(pem.encode()).not_valid_after_utc

    def render(self) -> str:
        """The screen."""
        facts, outputs = self.facts, self.outputs
        booted = datetime.fromtimestamp(facts["booted"], UTC)
        up = f"up {span(self.now - booted)}, since {booted:%Y-%m-%d %H:%M} UTC"
        disk, authority = facts["data_disk"], self._authority_end()
        rows = [
            ("Chat", f"{outputs['url']} {self.url_problem or 'answers'}"),
            ("Machine", f"{outputs['vmSize']}, {up}"),
            *([("Hours", str(hours))] if (hours := hours_of(outputs)) else []),
            ("Load", f"{facts['load']:.2f} of {facts['processors']} processors, over five minutes"),
            ("Memory", _space(facts["memory"])),
            ("Data disk", _space(disk) if disk else "not mounted"),
            *([("System disk", _space(facts["system_disk"]))] if "system_disk" in facts else []),
            *((NAMES[service["name"]], _service(service)) for service in facts["services"]),
            ("Models", _models(facts)),
            ("Certificate", _validity(_date(facts["certificate_ends"]), self.now)),
            *([("Authority", _validity(authority, self.now))] if authority else []),
            *([("Backup", self._backup())] if "backup" in facts else []),
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


def _validity(ends: datetime | None, now: datetime) -> str:
    if ends is None:
        return "cannot be read"
    return f"until {ends:%Y-%m-%d}" + (f", {span(ends - now)} from now" if ends > now else "")


def _date(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _restart(stack: str, *, pending: bool) -> str:
    if not pending:
        return "not needed"
    return f"needed for a new kernel: `bin/ollamazure ssh --stack {stack} sudo reboot`"


def _full(name: str, disk: Mapping[str, Any], fix: str) -> Iterator[str]:
    """What a disk has too little of; a machine of an earlier version does not report all of it."""
    if disk.get("full"):
        fullness = _fullness(disk)
        yield f"The {name} disk is {fullness}: {_space(disk)}{_largest(disk)}. {fix}"
    files = disk.get("files") or {}
    if files.get("full"):
        left = f"{files['free']} of {files['total']} inodes free"
        yield f"The {name} disk has no room for many more files: {left}{_most(files)}. {fix}"


def _fullness(disk: Mapping[str, Any]) -> str:
    return "full" if disk["free"] < 0.01 * disk["total"] else "nearly full"


def _most(files: Mapping[str, Any]) -> str:
    """Its folders with most files: `; chats and files 400000, logs 12`."""
    named = [f"{CONTENTS.get(path, path)} {count}" for path, count in files["largest"]]
    return f"; {', '.join(named)}" if named else ""


def _ago(duration: timedelta) -> str:
    return f"{span(duration)} ago" if duration >= -LARGEST_DIFFERENCE else "in the future"


def _largest(disk: Mapping[str, Any]) -> str:
    """Its largest folders: `; models 40.1 GiB, logs 3.0 GiB`."""
    named = [f"{CONTENTS.get(path, path)} {size / 2**30:.1f} GiB" for path, size in disk["largest"]]
    return f"; {', '.join(named)}" if named else ""


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

"""What of this machine needs attention. It only judges: status.py collects the facts.

`bin/ollamazure status` shows the findings, and webhook.py reports them.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

REQUEST_CERTIFICATE = "sudo /usr/local/lib/ollamazure/acme_client.py now"
CLEAN_UP = "sudo systemctl start ollamazure-cleanup"
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
# The random delay of a backup, and the time that it takes.
LATE_BACKUP = timedelta(hours=2)
OLDEST_CHECK = timedelta(days=8)  # weekly, and a failure may repeat it with the next backup
FUTURE = timedelta(minutes=1)  # of the clock
MORE_MEMORY = (
    "If it happens again, choose a smaller model, a smaller ollamazure:contextLength or a "
    "larger size: docs/how-to/choose-a-size.md."
)
NAMES = {"ollama": "Ollama", "open-webui": "Open WebUI", "nginx": "Nginx"}
STATES = {"active": "runs", "activating": "is starting", "inactive": "is stopped"}


@dataclass(frozen=True)
class MachineFinding:
    """One thing that needs attention.

    Attributes:
        id: the same as long as the thing is the same.
        problem: sentences of our own: with no secret, and nothing about a person.
        fix: the command that shows more or fixes it, in a sentence.
        detail: in place of `problem`, for operators only: with what another program reported.
        severe: whether it has become worse than what the id may also stand for.
    """

    id: str
    problem: str
    fix: str = ""
    detail: str = ""
    severe: bool = False


@dataclass(frozen=True)
class Checks:
    """The facts about a machine at a moment, and what is known of its stack.

    Attributes:
        facts: as status.py collects them.
        stack: its `stack` (name), `certificateMode`, `dataDiskGiB` and `daysBetweenBackups`.
    """

    facts: Mapping[str, Any]
    stack: Mapping[str, Any]

    def findings(self) -> list[MachineFinding]:
        return [
            *self._services(),
            *self._units(),
            *self._disks(),
            *self._models(),
            *self._certificate(),
            *self._backup(),
            *self._webhook(),
        ]

    def _run(self, command: str, arguments: str = "") -> str:
        """A command of the operators, as a sentence has it."""
        return f"`bin/ollamazure {command} --stack {self.stack['stack']} {arguments}".strip() + "`"

    def _services(self) -> Iterator[MachineFinding]:
        for service in self.facts["services"]:
            name, state = service["name"], service["state"]
            if state != "active":
                problem = f"{NAMES[name]} {STATES.get(state, f'is {state}')}."
                logs = self._run("logs", f"--unit {name}")
                yield MachineFinding(f"service.{name}", problem, f"{logs} shows why.")
        if not self.facts["container_dns"]:
            yield MachineFinding(
                "containerDns",
                "The DNS of the containers (aardvark-dns) does not answer, so Nginx does not find"
                " Open WebUI.",
                "The machine starts it again within a minute.",
            )

    def _units(self) -> Iterator[MachineFinding]:
        for unit in self.facts["failed_units"]:
            quoted = shlex.quote(unit)
            shows = self._run("ssh", f"systemctl status {quoted}")
            clears = self._run("ssh", f"sudo systemctl reset-failed {quoted}")
            yield MachineFinding(
                f"unit.{unit}",
                f"The systemd unit {unit} has failed.",
                f"{shows} shows why, and {clears} clears it.",
            )

    def _disks(self) -> Iterator[MachineFinding]:
        clean_up = f"{self._run('ssh', CLEAN_UP)} removes what is not used"
        disk = self.facts["data_disk"]
        if disk is None:
            yield MachineFinding(
                "disk.data.missing",
                "The data disk is not mounted, so the chat does not run.",
                "If it was detached in Azure: `pulumi up --refresh --stack "
                f"{self.stack['stack']}` attaches it, and the chat starts by itself. If it is "
                f"attached: {self._run('ssh', 'sudo ollamazure-data-disk')} mounts it, or states "
                "why not.",
            )
        else:
            models = "models that leave ollamazure:models are removed"
            fix = f"{clean_up}; {models}. {self._larger_disk(disk['total'])}"
            yield from _full("data", disk, fix)
        yield from _full("system", self.facts["system_disk"], f"{clean_up}.")

    def _larger_disk(self, size: int) -> str:
        """How to enlarge the data disk."""
        if self.stack.get("dataDiskGiB", 0) is None:
            return "It belongs to no stack: enlarge it in Azure, then run `pulumi up`."
        # The file system of a disk of 64 GiB has a little less.
        larger = min(2 * 2 ** math.ceil(math.log2(size / 2**30)), 4095)
        setting = f"pulumi config set ollamazure:dataDiskGiB {larger}"
        return f"To enlarge it: `{setting} --stack {self.stack['stack']} && pulumi up`."

    def _models(self) -> Iterator[MachineFinding]:
        if self.facts["models"] is None:
            return
        installed = {name.lower() for name in self.facts["models"]}
        for name in self.facts["declared_models"]:
            if name.lower() not in installed:
                fix = f"{self._run('drift')} shows how to restore it."
                yield MachineFinding(f"model.{name}", f"The model {name} is missing.", fix)
        ended = self.facts["ended_models"]
        if ended["count"] and ended["memory"]:
            yield MachineFinding(
                "modelEnded",
                f"A model was killed at {moment(ended['last'])}, usually because memory ran out: "
                "answers broke off.",
                MORE_MEMORY,
            )
        elif ended["count"]:
            problem = f"A model broke off an answer at {moment(ended['last'])}."
            logs = self._run("logs", "--unit ollama --since 24h")
            yield MachineFinding("modelEnded", problem, f"{logs} shows why.")

    def _certificate(self) -> Iterator[MachineFinding]:
        now = datetime.fromtimestamp(self.facts["now"], UTC)
        starts, ends = (_date(self.facts[f"certificate_{which}"]) for which in ("starts", "ends"))
        new = self._new_certificate()
        if starts is None or ends is None:
            yield MachineFinding("certificate", "The certificate cannot be read.", new, severe=True)
        elif starts > now:
            problem = f"The certificate is not valid before {starts:%Y-%m-%d %H:%M} UTC."
            fix = f"If the clocks of this computer and of the machine are right: {new}"
            yield MachineFinding("certificate", problem, fix, severe=True)
        elif ends < now:
            problem = f"The certificate expired on {ends:%Y-%m-%d}."
            yield MachineFinding("certificate", problem, new, severe=True)
        elif ends - now < LEAST_VALIDITY * (ends - starts):
            yield MachineFinding("certificate", f"The certificate expires on {ends:%Y-%m-%d}.", new)
        authority = _date(self.facts["authority_ends"])
        if authority and authority - now < LEAST_AUTHORITY:
            yield MachineFinding(
                "authority",
                f"The stack's authority is valid until {authority:%Y-%m-%d}, and no certificate "
                "that it signs is trusted for longer.",
                f"Replace it, and let every device trust the new one: {REPLACE_AUTHORITY}.",
            )
        if acme := self.facts["acme"]:
            problem = "The authority issues no certificate. The chat keeps the one that it has."
            yield MachineFinding("acme", problem, acme["fix"], detail=acme["problem"])

    def _new_certificate(self) -> str:
        """Who makes a new certificate, and how."""
        if self.stack["certificateMode"] == "provided":
            return "Replace it in the settings, and run `pulumi up`."
        if self.stack["certificateMode"] == "letsEncrypt":
            request = self._run("ssh", REQUEST_CERTIFICATE)
            return f"{request} requests a new one and shows what prevents it."
        return "`pulumi up` creates a new one."

    def _backup(self) -> Iterator[MachineFinding]:
        backup = self.facts["backup"]
        if not backup or self.facts["data_disk"] is None:  # which has all that is known of it
            return
        again = f"{self._run('backup')} makes one now."
        last = self._ago(backup["saved"] or backup["since"])
        between = timedelta(days=self.stack.get("daysBetweenBackups", 1))
        if backup["problem"]:
            detail = f"The last backup failed: {backup['problem']}"
            yield MachineFinding("backup", "The last backup failed.", again, detail)
        elif last < -FUTURE:
            problem = "The last backup has a time in the future, of a clock that was wrong."
            yield MachineFinding("backupAge", problem, again)
        elif last > between + LATE_BACKUP:
            problem = f"The last backup is of {moment(backup['saved'])}."
            problem = problem if backup["saved"] else "The last backup was never made."
            fix = f"{again.removesuffix('.')} and shows what prevents it."
            yield MachineFinding("backupAge", problem, fix)
        check = f"{self._run('backup', '--check')} checks again."
        if backup["check_problem"]:
            detail = f"The check of the backups failed: {backup['check_problem']}"
            yield MachineFinding("backupCheck", "The check of the backups failed.", check, detail)
        elif self._ago(backup["checked"] or backup["since"]) > OLDEST_CHECK + between:
            problem = "The backups were not checked for more than a week."
            yield MachineFinding("backupCheckAge", problem, check)

    def _webhook(self) -> Iterator[MachineFinding]:
        webhook = self.facts["webhook"]
        if webhook and webhook["reason"]:
            yield MachineFinding(
                "webhook",
                f"The machine cannot report to the webhook since {moment(webhook['failing'])}: "
                f"{webhook['reason']}.",
                "It tries again every five minutes. docs/how-to/get-reports.md has the fix for "
                "each cause.",
            )

    def _ago(self, seconds: float) -> timedelta:
        return timedelta(seconds=self.facts["now"] - seconds)


def _full(name: str, disk: Mapping[str, Any], fix: str) -> Iterator[MachineFinding]:
    """What a disk has too little of."""
    if disk["full"]:
        is_full = disk["free"] < 0.01 * disk["total"]
        left = f"{disk['free'] / 2**30:.1f} of {disk['total'] / 2**30:.1f} GiB free"
        most = _listed(disk, lambda size: f"{size / 2**30:.1f} GiB")
        problem = f"The {name} disk is {'full' if is_full else 'nearly full'}: {left}{most}."
        yield MachineFinding(f"disk.{name}", problem, fix, severe=is_full)
    files = disk["files"]
    if files["full"]:
        left = f"{files['free']} of {files['total']} inodes free"
        problem = f"The {name} disk has no room for many more files: {left}{_listed(files, str)}."
        yield MachineFinding(f"disk.{name}.files", problem, fix)


def _listed(usage: Mapping[str, Any], show: Any) -> str:
    """The folders that take most: `; models 40.1 GiB, logs 3.0 GiB`."""
    named = [f"{CONTENTS.get(path, path)} {show(amount)}" for path, amount in usage["largest"]]
    return f"; {', '.join(named)}" if named else ""


def _date(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def moment(seconds: float) -> str:
    """A time in seconds since 1970 in words."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"

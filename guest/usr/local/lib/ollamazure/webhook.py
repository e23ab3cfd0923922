#!/usr/bin/python3 -B
"""Reports to the webhook of the settings what turned bad on this machine, or good again.

    webhook.py up     starts the timer, and reports once that reports arrive from now on
    webhook.py off    stops the timer, and forgets the webhook

The timer starts `status.py report`. A finding is reported when two runs in a row found it, and
again when two runs in a row did not; in between it is not repeated, unless it becomes severe. What
the webhook did not accept is reported with the next run. A message has no secret, nothing about a
person, and no text of another program. The address of the webhook is a secret: it is in a file of
root's, and in no message, error or log.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import proxy
from durable import write
from findings import MachineFinding, moment

SETTINGS = Path("/etc/ollamazure/webhook.json")
ADDRESS = Path("/etc/ollamazure/webhook-address")
# The second one is in memory. It counts while the first one's disk is full.
STATES = (
    Path("/var/lib/ollamazure/webhook/state.json"),
    Path("/run/ollamazure-webhook/state.json"),
)
SERVICE, TIMER = "ollamazure-webhook.service", "ollamazure-webhook.timer"
START = (
    ["systemctl", "daemon-reload"],
    ["systemctl", "enable", "--quiet", "--now", TIMER],
    ["systemctl", "start", SERVICE],
)
RUNS = 2
ANSWERS_WITHIN = 30  # seconds
# A machine that was off, each night perhaps, makes late backups and checks after it has started.
# The shortest working hours are longer than this, so what stays late is reported on the same day.
LATE, LATE_WITHIN = ("backupAge", "backupCheckAge"), 2 * 3600  # seconds
MOST = 20  # in one message; Teams accepts 28 KB

Collect = Callable[[Mapping[str, Any]], tuple[list[MachineFinding], float]]


@dataclass
class Known:
    """A finding of the last runs. Times are in seconds since 1970.

    Attributes:
        seen: in how many runs it was found; after a run without it, it starts again, unless it
            has been found often enough to be reported.
        missed: in how many runs in a row it was not found.
        until: when it was first not found; 0 while it is found.
        sent: whether the webhook has accepted what it is now.
    """

    since: float
    problem: str = ""
    fix: str = ""
    severe: bool = False
    seen: int = 0
    missed: int = 0
    until: float = 0
    sent: bool = False

    @property
    def is_over(self) -> bool:
        return self.missed >= RUNS

    @property
    def is_unsent(self) -> bool:
        return self.seen >= RUNS and not self.sent

    def find(self, finding: MachineFinding) -> None:
        """Note that a run has found it."""
        if self.is_over or (finding.severe and not self.severe):
            self.sent = False
        self.problem, self.fix = finding.problem, finding.fix
        self.severe = self.severe or finding.severe
        self.seen, self.missed, self.until = self.seen + 1, 0, 0

    def miss(self, now: float) -> None:
        """Note that a run has not found it."""
        self.missed, self.until = self.missed + 1, self.until or now
        if self.missed == RUNS:
            self.sent = False


@dataclass
class WebhookState:
    """What the webhook knows, and what the next run has to tell it.

    Attributes:
        webhook: a digest of the address and the form that it last accepted a message in.
        known: the findings by their ids.
        accepted: when it last accepted a message, in seconds since 1970; 0 is never.
        failing: since when it has not accepted one.
        reason: why; empty if it has.
    """

    webhook: str = ""
    known: dict[str, Known] = field(default_factory=dict)
    accepted: float = 0
    failing: float = 0
    reason: str = ""

    @classmethod
    def read(cls) -> WebhookState:
        for place in reversed(STATES):
            try:
                read = json.loads(place.read_text())
                known = {id_: Known(**each) for id_, each in read.pop("known").items()}
                return cls(known=known, **read)
            except (OSError, ValueError, TypeError, KeyError, AttributeError):
                continue
        return cls()

    def write(self) -> None:
        text = json.dumps(asdict(self), indent=2)
        disk, memory = STATES
        try:
            write(disk, text)
        except OSError:
            write(memory, text)
        else:
            memory.unlink(missing_ok=True)

    def advance(self, findings: Iterable[MachineFinding], now: float) -> None:
        """Note what a run has found."""
        found = {finding.id: finding for finding in findings}
        for id_, finding in found.items():
            self.known.setdefault(id_, Known(now)).find(finding)
        for id_ in self.known.keys() - found.keys():
            self.known[id_].miss(now)
            if self.known[id_].seen < RUNS:
                del self.known[id_]

    def unsent(self) -> dict[str, Known]:
        return {id_: each for id_, each in self.known.items() if each.is_unsent}

    def accept(self, sent: Iterable[str], webhook: str, now: float) -> None:
        """Note that the webhook has accepted these."""
        for id_ in sent:
            if self.known[id_].is_over:
                del self.known[id_]
            else:
                self.known[id_].sent = True
        self.webhook, self.accepted, self.failing, self.reason = webhook, now, 0, ""


def main(arguments: list[str]) -> int:
    if arguments == ["off"]:
        subprocess.run(["systemctl", "disable", "--quiet", "--now", TIMER], check=False)
        for path in (ADDRESS, SETTINGS, *STATES):
            path.unlink(missing_ok=True)
        return 0
    for command in START:
        if subprocess.run(command, check=False).returncode:
            return 1
    state = WebhookState.read()
    if state.reason:
        print(
            f"Warning: the webhook got no report: {state.reason}. The machine tries again every "
            "five minutes; docs/how-to/get-reports.md has the fix for each cause."
        )
    return 0


def status() -> dict[str, Any] | None:
    """For status.py: what happened to the reports; None without a webhook."""
    if not SETTINGS.exists():
        return None
    state = WebhookState.read()
    return {"accepted": state.accepted, "failing": state.failing, "reason": state.reason}


def report(collect: Collect) -> None:
    """Report what has changed, if anything has."""
    os.environ.update(proxy.environment())
    settings = json.loads(SETTINGS.read_text())
    address = ADDRESS.read_text().strip()
    state, now = WebhookState.read(), time.time()
    findings, booted = collect(settings)
    state.advance(without_late(findings, state, now - booted), now)

    webhook = hashlib.sha256(f"{settings['format']} {address}".encode()).hexdigest()
    if webhook != state.webhook:  # another one learns what is bad now
        for each in state.known.values():
            each.sent = False
    unsent = dict(list(state.unsent().items())[:MOST])
    state.write()  # before a message, so that one is never repeated because this fails
    if not unsent and webhook == state.webhook:
        return
    reason = post(address, body_of(settings, unsent, now, is_first=webhook != state.webhook))
    if reason:
        state.failing, state.reason = state.failing or now, reason
        print(f"The webhook got no report: {reason}.", file=sys.stderr)
    else:
        state.accept(unsent, webhook, now)
    state.write()


def without_late(
    findings: Iterable[MachineFinding], state: WebhookState, uptime: float
) -> Iterable[MachineFinding]:
    """The findings without those that a machine that has just started fixes by itself."""
    return [
        finding
        for finding in findings
        if finding.id != "webhook"  # which cannot be reported to it
        and (finding.id not in LATE or uptime > LATE_WITHIN or finding.id in state.known)
    ]


def body_of(
    settings: Mapping[str, Any], unsent: Mapping[str, Known], now: float, *, is_first: bool
) -> dict[str, Any]:
    """The message in the form that the webhook wants.

    `text` is for Slack, Mattermost, Rocket.Chat and Google Chat; `teams` is an Adaptive Card as a
    workflow of Teams wants it; `json` is for programs.
    """
    bad = {id_: each for id_, each in unsent.items() if not each.is_over}
    good = {id_: each for id_, each in unsent.items() if each.is_over}
    if bad:
        what = "needs attention"
    else:
        what = "is well again" if good else "reports to this address from now on"
    title = f"The chat {settings['stack']} {what}: {settings['url']}"
    lines = [f"{each.problem} Since {moment(each.since)}. {each.fix}" for each in bad.values()]
    lines += [
        f"Over since {moment(each.until)}: {each.problem} It began at {moment(each.since)}."
        for each in good.values()
    ]
    if is_first and unsent:
        lines.append("The machine reports to this address from now on.")
    match settings["format"]:
        case "teams":
            return card(title, lines)
        case "text":
            return {"text": "\n".join([title, *(f"- {line}" for line in lines)])}
    return {
        "stack": settings["stack"],
        "url": settings["url"],
        "time": iso(now),
        "title": title,
        "problems": [
            {"id": id_, "problem": each.problem, "fix": each.fix, "since": iso(each.since)}
            for id_, each in bad.items()
        ],
        "over": [
            {"id": id_, "problem": each.problem, "since": iso(each.since), "until": iso(each.until)}
            for id_, each in good.items()
        ],
    }


def card(title: str, lines: Iterable[str]) -> dict[str, Any]:
    """An Adaptive Card in the envelope of Teams.

    https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
    """
    head = {"type": "TextBlock", "text": title, "weight": "Bolder", "wrap": True}
    return {
        "type": "message",
        "attachments": [
            {
                "contentType": "application/vnd.microsoft.card.adaptive",
                "contentUrl": None,
                "content": {
                    "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                    "type": "AdaptiveCard",
                    "version": "1.2",
                    "body": [
                        head,
                        *({"type": "TextBlock", "text": line, "wrap": True} for line in lines),
                    ],
                },
            }
        ],
    }


def iso(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would lose the message, or lead to another host."""

    def redirect_request(self, *_: Any) -> None:
        return None


def post(address: str, body: Mapping[str, Any]) -> str:
    """Why the webhook did not accept the message, without its address; empty if it did."""
    headers = {"Content-Type": "application/json", "User-Agent": "ollamazure"}
    context = ssl.create_default_context()
    # As curl does: since 3.13, Python refuses authorities of companies that others accept.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    opener = urllib.request.build_opener(_NoRedirect, urllib.request.HTTPSHandler(context=context))
    try:
        request = urllib.request.Request(address, json.dumps(body).encode(), headers)  # noqa: S310  the settings allow only https
        with opener.open(request, timeout=ANSWERS_WITHIN):
            return ""
    except urllib.error.HTTPError as error:
        return f"it answers with the HTTP status {error.code}"
    except urllib.error.URLError as error:
        return reason_of(error.reason)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return reason_of(error)


def reason_of(error: object) -> str:
    """Python's own words may have the host or the address."""
    match error:
        case socket.gaierror():
            return "its host has no address"
        case ssl.SSLError():
            return "its certificate is not accepted, or it does not speak TLS"
        case TimeoutError():
            return f"it does not answer within {ANSWERS_WITHIN} seconds"
        case OSError(strerror=str(words)):
            return f"it cannot be reached ({words})"
    return "its answer is not HTTP"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

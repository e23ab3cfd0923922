#!/usr/bin/python3 -B
"""The certificate from an ACME authority such as Let's Encrypt: requested, renewed, installed.

    acme_client.py install      give Nginx the best certificate that this machine has
    acme_client.py run          the timer: renew it if it is time
    acme_client.py up           `pulumi up`: request it at once if the settings changed
    acme_client.py now          request it, whatever happened before
    acme_client.py new-account  forget the account of the authority, then the same
    acme_client.py kept         print the former certificate that the chat still has, as JSON
    acme_client.py stop         stop the timer

The settings are in /etc/ollamazure/acme.json; without them it does nothing. Account, keys and state
are on the data disk, so a new machine requests nothing again. A request that fails is no error:
the chat keeps its certificate, the reason is recorded for `status`, and the pause before the next
request grows.
"""

from __future__ import annotations

import calendar
import hashlib
import json
import re
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import proxy
from durable import write

SETTINGS = Path("/etc/ollamazure/acme.json")
HOME = Path("/srv/data/acme")
WEBROOT = Path("/run/ollamazure/public")
CERTIFICATES = Path("/etc/nginx/cert")
SYSTEM_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
INSTALL = ["/usr/local/lib/ollamazure/configure-nginx", "cert/server.pem"]
STOP = ["systemctl", "disable", "--quiet", "--now", "ollamazure-acme.timer"]
RENEW_BELOW = 1 / 3  # of its validity is left
REQUEST_WITHIN = 540  # seconds, less than the timeout of ollamazure-acme.service
# Minutes to wait after the first, second, … failure. Let's Encrypt allows five an hour.
PAUSES = (15, 30, 60, 120, 240, 480, 1440)
AGAIN = "sudo /usr/local/lib/ollamazure/acme_client.py now"


@dataclass(frozen=True)
class AcmeSettings:
    """What /etc/ollamazure/acme.json has."""

    name: str
    address: str
    directory: str
    email: str | None
    authority: str | None

    @property
    def digest(self) -> str:
        """Changes with the settings, and with the authority's certificate."""
        authority = Path(self.authority).read_text() if self.authority else ""
        return hashlib.sha256(json.dumps([asdict(self), authority]).encode()).hexdigest()

    @property
    def home(self) -> Path:
        """certbot's folder: each directory has an account and certificates of its own."""
        return HOME / hashlib.sha256(self.directory.encode()).hexdigest()[:12]

    @property
    def issued(self) -> Path:
        return self.home / "live" / self.name


@dataclass(frozen=True)
class Failure:
    """Why there is no certificate, and what to do. `until` is when the authority allows more."""

    reason: str
    fix: str
    until: float = 0


@dataclass(frozen=True)
class State:
    """What happened last, and at which time, in seconds since 1970; on the data disk."""

    settings: str = ""
    failures: int = 0
    next: float = 0
    reason: str = ""
    fix: str = ""
    at: float = 0

    @classmethod
    def read(cls) -> State:
        try:
            return cls(**json.loads((HOME / "state.json").read_text()))
        except (OSError, ValueError, TypeError):
            return cls()

    def write(self) -> None:
        write(HOME / "state.json", json.dumps(asdict(self)))


def main(arguments: list[str]) -> int:
    [action] = arguments
    if action == "stop":
        return subprocess.run(STOP, check=False).returncode
    if action == "kept":
        print(json.dumps(kept_certificate()))
        return 0
    if not SETTINGS.exists():
        return 0
    settings = AcmeSettings(**json.loads(SETTINGS.read_text()))
    HOME.mkdir(mode=0o700, parents=True, exist_ok=True)
    if action == "new-account":
        shutil.rmtree(settings.home / "accounts", ignore_errors=True)
    if action != "install" and is_due(settings, action):
        look_after(settings)
    install(settings)
    if action != "install":
        report(settings)
    return 0


def is_due(settings: AcmeSettings, action: str) -> bool:
    """Whether to request a certificate: not with a good one, and not in a pause."""
    if action in ("now", "new-account"):
        return True
    if is_good(settings):
        return False
    state = State.read()
    if time.time() < state.at:  # the clock was wrong then, and so is the end of the pause
        return True
    return state.settings != settings.digest or time.time() >= state.next


def is_good(settings: AcmeSettings) -> bool:
    """Whether the authority's certificate is for the name and need not be renewed."""
    validity = validity_of(settings.issued / "fullchain.pem", settings.name)
    if validity is None:
        return False
    starts, ends = validity
    return ends - time.time() > RENEW_BELOW * (ends - starts)


def validity_of(file: Path, name: str) -> tuple[float, float] | None:
    """Start and end of a certificate for the name; None if it is another's or cannot be read."""
    if not file.exists():
        return None
    look = ["openssl", "x509", "-in", str(file), "-noout"]
    shown = output_of([*look, "-startdate", "-enddate", "-checkhost", name])
    dates = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    if "does match" not in shown or "notBefore" not in dates:
        return None
    starts, ends = (
        calendar.timegm(time.strptime(dates[key], "%b %d %H:%M:%S %Y GMT"))
        for key in ("notBefore", "notAfter")
    )
    return starts, ends


def look_after(settings: AcmeSettings) -> None:
    """Request a certificate, and record how it went."""
    former = State.read()
    failure = request(settings)
    if failure is None:
        State(settings.digest).write()
        print(f"{settings.directory} issued a certificate for {settings.name}.")
        return
    changed = former.settings != settings.digest
    failures = 1 if changed else former.failures + 1
    pause = 60 * PAUSES[min(failures, len(PAUSES)) - 1]
    now = time.time()
    again = max(now + pause, failure.until)
    State(settings.digest, failures, again, failure.reason, failure.fix, now).write()


def request(settings: AcmeSettings) -> Failure | None:
    """Have certbot request a certificate; returns why it failed."""
    settings.home.mkdir(mode=0o700, exist_ok=True)
    contact = (
        ["--email", settings.email, "--no-eff-email"]
        if settings.email
        else ["--register-unsafely-without-email"]
    )
    command = ["certbot", "certonly", "--non-interactive", "--agree-tos", *contact]
    command += [
        *("--webroot", "--webroot-path", str(WEBROOT), "--preferred-challenges", "http"),
        *("--server", settings.directory, "--cert-name", settings.name, "--domain", settings.name),
        # When to renew is decided above.
        *("--force-renewal", "--config-dir", str(settings.home)),
        *("--work-dir", str(HOME / "work"), "--logs-dir", str(HOME / "log")),
        *("--max-log-backups", "10"),
    ]
    log = HOME / "log" / "letsencrypt.log"
    log.unlink(missing_ok=True)
    try:
        done = subprocess.run(
            command,
            env={
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                "REQUESTS_CA_BUNDLE": trusted(settings),
                **proxy.environment(),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=REQUEST_WITHIN,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Failure(f"{settings.directory} did not answer in time", "It is tried again.")
    except OSError as error:
        return Failure(f"certbot cannot be started ({error.strerror})", "Run `pulumi up`.")
    if done.returncode == 0:
        return None
    details = log.read_text(errors="replace") if log.exists() else ""
    return failure_of(done.stdout + done.stderr, details, settings)


def trusted(settings: AcmeSettings) -> str:
    """The file with the authorities that the ACME directory's own certificate may be from."""
    if not settings.authority:
        return str(SYSTEM_AUTHORITIES)
    both = HOME / "trusted.pem"
    both.write_bytes(SYSTEM_AUTHORITIES.read_bytes() + Path(settings.authority).read_bytes())
    return str(both)


def failure_of(output: str, log: str, settings: AcmeSettings) -> Failure:
    """The reason why certbot failed, from its output and its log, and the fix."""
    challenge = re.search(r"^\s*Type:\s*(\w+)\s*\n\s*Detail:\s*(.+)$", output, re.MULTILINE)
    if challenge:
        return challenge_failure(challenge[1], " ".join(challenge[2].split()), settings)
    problems = re.findall(r"urn:ietf:params:acme:error:(\w+)(?: :: (.*))?", log)
    kind, detail = problems[-1] if problems else ("", "")
    detail = detail.strip() or last_line(output)
    known = {
        "rateLimited": (
            f"the authority issues no more for now ({detail})",
            "It is tried again by itself. Names of cloudapp.azure.com share one limit with all of "
            "Azure: use a domain of your own, with a CNAME record to that name.",
        ),
        "rejectedIdentifier": (
            f"the authority issues nothing for {settings.name} ({detail})",
            "Use another domain, or certificate.mode provided.",
        ),
        **dict.fromkeys(
            ("accountDoesNotExist", "unauthorized"),
            (
                f"the authority does not accept the machine's account any more ({detail})",
                "If it was revoked, register a new one on the machine: `"
                f"{AGAIN.removesuffix('now')}new-account`.",
            ),
        ),
    }
    if kind in known:
        return Failure(*known[kind], until=retry_after(detail) if kind == "rateLimited" else 0)
    if "ConnectionError" in log or "ConnectTimeout" in log or "SSLError" in log:
        return Failure(
            f"{settings.directory} cannot be reached ({last_line(output)})",
            "It is tried again by itself. If it lasts, check certificate.acmeDirectory, "
            "certificate.acmeAuthority and what the network of the machine lets out.",
        )
    return Failure(detail, f"The log is in {HOME}/log. To try again at once: `{AGAIN}`.")


def challenge_failure(kind: str, detail: str, settings: AcmeSettings) -> Failure:
    """Why the authority did not find the answer on port 80."""
    found = addresses_of(settings.name)
    again = f"Then, to try again at once: `{AGAIN}`."
    if kind == "caa":
        fix = f"Let a CAA record of {settings.name} allow the authority. {again}"
        return Failure(f"a CAA record forbids it ({detail})", fix)
    if settings.address in found and kind == "connection":
        fix = f"Open port 80 to the internet. {again}"
        return Failure(f"port 80 of {settings.name} cannot be reached ({detail})", fix)
    if settings.address in found:
        fix = f"Another server answers for {settings.name} on port 80: remove it. {again}"
        return Failure(f"the answer for the authority was not found ({detail})", fix)
    leads = f"leads to {', '.join(found)}" if found else "has no address"
    fix = f"Set the DNS record of {settings.name} to {settings.address}. {again}"
    return Failure(f"{settings.name} {leads}, not {settings.address} ({detail})", fix)


def addresses_of(name: str) -> list[str]:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return sorted({str(address[4][0]) for address in found})


def retry_after(detail: str) -> float:
    """When a limit ends, from the authority's words; in a day if they do not say it."""
    date = re.search(r"retry after (\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)", detail)
    if not date:
        return time.time() + 24 * 3600
    return calendar.timegm(time.strptime(f"{date[1]} {date[2]}", "%Y-%m-%d %H:%M:%S"))


def last_line(output: str) -> str:
    """The last line that says something: certbot ends with where its log is."""
    lines = [
        line.strip()
        for line in output.splitlines()
        if line.strip() and not line.startswith(("Ask for help", "See the logfile"))
    ]
    return lines[-1][:300] if lines else "certbot gave no reason"


def install(settings: AcmeSettings) -> None:
    """Give Nginx the authority's certificate; without one, keep what it has or the stack's own."""
    chain, key = (settings.issued / f"{part}.pem" for part in ("fullchain", "privkey"))
    own = CERTIFICATES / "self-signed.pem"
    wanted = own.read_bytes()
    if is_valid(chain, settings.name):
        wanted = chain.read_bytes() + key.read_bytes()
    elif keeps_present(own, settings):
        return
    present = CERTIFICATES / "server.pem"
    if present.exists() and present.read_bytes() == wanted:
        return
    following = CERTIFICATES / "server.pem.next"
    following.touch(mode=0o600)
    following.write_bytes(wanted)
    subprocess.run(INSTALL, check=True)


def keeps_present(own: Path, settings: AcmeSettings) -> bool:
    """Whether Nginx has a valid certificate for the name that is not the stack's own."""
    present = CERTIFICATES / "server.pem"
    return is_valid(present, settings.name) and issuer_of(present) != issuer_of(own)


def kept_certificate() -> str:
    """The former certificate (PEM) that Nginx has until the authority issues one; "" for none."""
    if not SETTINGS.exists():
        return ""
    settings = AcmeSettings(**json.loads(SETTINGS.read_text()))
    is_issued = is_valid(settings.issued / "fullchain.pem", settings.name)
    if is_issued or not keeps_present(CERTIFICATES / "self-signed.pem", settings):
        return ""
    return output_of(["openssl", "x509", "-in", str(CERTIFICATES / "server.pem")])


def is_valid(certificate: Path, name: str) -> bool:
    """Not by its start, which only a machine with a wrong clock finds in the future."""
    validity = validity_of(certificate, name)
    return validity is not None and time.time() < validity[1]


def issuer_of(certificate: Path) -> str:
    return output_of(["openssl", "x509", "-in", str(certificate), "-noout", "-issuer"])


def report(settings: AcmeSettings) -> None:
    """Print why the certificate is not, or no longer, the authority's."""
    failure = present_failure(settings)
    if failure:
        print(f"Warning: {failure['problem']} {failure['fix']}")


def present_failure(settings: AcmeSettings) -> dict[str, Any] | None:
    """The last failure in words, until a request succeeds."""
    state = State.read()
    if not state.reason:
        return None
    has = is_valid(settings.issued / "fullchain.pem", settings.name)
    what = "The certificate could not be renewed" if has else "There is no certificate yet"
    again = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(state.next))
    problem = f"{what}: {state.reason}. The chat keeps the one that it has; next try {again}."
    return {"problem": problem, "fix": state.fix}


def status() -> dict[str, Any] | None:
    """For status.py: the last failure; None if there is none or another mode is set."""
    if not SETTINGS.exists():
        return None
    return present_failure(AcmeSettings(**json.loads(SETTINGS.read_text())))


def output_of(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

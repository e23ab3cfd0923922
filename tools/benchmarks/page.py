"""The page in Chromium, cold and warm, with a delay, with Nginx and from Open WebUI directly."""

from __future__ import annotations

import base64
import hashlib
import secrets
import shlex
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import Browser, Page

from emulator.host.commands import run as run_here
from emulator.host.commands import succeeds
from emulator.host.places import Places
from emulator.instance import Instance
from tests.e2e.browser import CHROMIUM, launch
from tests.e2e.deployment import Deployment, wait_until
from tools.benchmarks.chromium import sign_in
from tools.benchmarks.machine import deployed, run_program
from tools.benchmarks.measurement import Goal, Plot, Spread
from tools.benchmarks.run import Benchmark, Run, turns

DELAYS = (20, 100)  # milliseconds, added to what a browser sends
ROUNDS = 5
NGINX = "10.89.0.10"  # guest/etc/containers/systemd/nginx.container.j2
REFERENCE = "10.89.0.12"
HASHED = "/_app/immutable/"
_ADMIN = "measured@example.org"
# The page's own clock: Playwright itself looks twice a second.
_WATCH = """(function look() {
    if (document.querySelector("#chat-input")?.offsetParent) window.readyAt = performance.now();
    else requestAnimationFrame(look);
})();"""
_SIGN_IN = """async ([email, password]) => {
    const answer = await fetch("/api/v1/auths/signin", {
        method: "POST",
        headers: {"Content-Type": "application/json"},
        body: JSON.stringify({email, password}),
    });
    return (await answer.json()).token;
}"""


@dataclass(frozen=True)
class Side:
    """One way to the page.

    Attributes:
        parts: of the machine, which work for a page that is opened this way.
    """

    url: str
    token: str
    parts: tuple[str, ...]


@dataclass
class Visit:
    """What one page took.

    Attributes:
        ready: seconds until a question can be typed.
        size: bytes that came over the network, with headers.
        requests: those that went to the network, by address.
        unanswered: the identifiers of requests without an answer yet.
        processor: seconds that the machine computed for it.
    """

    ready: float = 0.0
    size: float = 0.0
    requests: dict[str, str] = field(default_factory=dict)
    unanswered: set[str] = field(default_factory=set)
    processor: float = 0.0

    @property
    def hashed(self) -> int:
        """Requests for files whose names change with their content."""
        return sum(urlsplit(url).path.startswith(HASHED) for url in self.requests.values())


def measure(run: Run) -> None:
    run.say("deploying the stack")
    password = secrets.token_urlsafe(18)
    with deployed(run.folder) as azure, _reference(azure, password):
        namespace = _namespace_of(azure)
        ours = Side(azure.outputs["url"], azure.token, ("Nginx", "Open WebUI"))
        cold: dict[str, list[tuple[str | float, Spread]]] = {}
        warm: dict[str, list[tuple[str | float, Spread]]] = {}
        with _browser_on_the_machine(run, azure, namespace, trusting=True) as browser:
            sides = {"ours": ours, "reference": _sign_in_to_reference(browser, password)}
            for delay in DELAYS:
                run.say(f"{ROUNDS + 1} rounds with {delay} ms of delay")
                with _delayed(run, azure, namespace, delay) as emulate:
                    visits = _rounds(azure, browser, sides, delay if emulate else 0)
                _add_rows(run, delay, visits)
                for kind, points in (("cold", cold), ("warm", warm)):
                    for name, label in (("ours", "with Nginx"), ("reference", "Open WebUI alone")):
                        points.setdefault(label, []).append(
                            (f"{delay} ms", _ready(visits, name, kind))
                        )
        with _browser_on_the_machine(run, azure, namespace, trusting=False) as browser:
            run.say(f"{ROUNDS + 1} rounds with {delay} ms of delay, the certificate not trusted")
            with _delayed(run, azure, namespace, delay) as emulate:
                untrusted = _rounds(azure, browser, {"ours": ours}, delay if emulate else 0)
            run.row(
                f"second visit, {delay} ms, certificate not trusted: until a question can be typed",
                "s",
                _ready(untrusted, "ours", "warm"),
                _ready(visits, "reference", "warm"),
            )
    run.plots += [
        Plot("The first visit, until a question can be typed", "delay", "seconds", cold),
        Plot("The second visit", "delay", "seconds", warm),
    ]


def _rounds(
    azure: Deployment, browser: Browser, sides: Mapping[str, Side], emulated: int
) -> dict[tuple[str, str], list[Visit]]:
    """A first and a second visit by each way in turn, after a round that does not count."""
    found: dict[tuple[str, str], list[Visit]] = {
        (name, kind): [] for name in sides for kind in ("cold", "warm")
    }
    for name, counts in turns(sides, ROUNDS):
        side = sides[name]
        context = sign_in(browser, side.url, side.token)
        context.add_init_script(_WATCH)
        for kind in ("cold", "warm"):
            visit = _visit(azure, context.new_page(), side, emulated)
            if counts:
                found[name, kind].append(visit)
        context.close()
    return found


def _ready(visits: Mapping[tuple[str, str], list[Visit]], name: str, kind: str) -> Spread:
    return Spread.of(*(visit.ready for visit in visits[name, kind]))


def _visit(azure: Deployment, page: Page, side: Side, emulated: int) -> Visit:
    visit = Visit()
    client = page.context.new_cdp_session(page)
    client.on("Network.requestWillBeSent", lambda event: _note(visit, event))

    def cached(event: dict[str, Any]) -> None:
        visit.requests.pop(event["requestId"], None)

    def ended(event: dict[str, Any]) -> None:
        visit.unanswered.discard(event["requestId"])

    def answered(event: dict[str, Any]) -> None:
        ended(event)
        if event["response"].get("fromDiskCache"):
            cached(event)

    client.on("Network.requestServedFromCache", cached)
    client.on("Network.responseReceived", answered)

    def finished(event: dict[str, Any]) -> None:
        ended(event)
        visit.size += event["encodedDataLength"]

    client.on("Network.loadingFinished", finished)
    client.on("Network.loadingFailed", ended)
    client.send("Network.enable")
    if emulated:
        unlimited = {"downloadThroughput": -1, "uploadThroughput": -1, "offline": False}
        client.send("Network.emulateNetworkConditions", {"latency": emulated, **unlimited})
    before = _processor(azure, side)
    page.goto(side.url)
    page.wait_for_function("window.readyAt")
    visit.ready = page.evaluate("window.readyAt") / 1000
    _wait_until_quiet(page, visit)
    visit.processor = _processor(azure, side) - before
    page.close()
    return visit


def _note(visit: Visit, event: dict[str, Any]) -> None:
    url = event["request"]["url"]
    if url.startswith(("http:", "https:")):
        visit.requests[event["requestId"]] = url
        visit.unanswered.add(event["requestId"])


def _wait_until_quiet(page: Page, visit: Visit) -> None:
    """Wait until all requests are answered and no other has come for half a second.

    Playwright's "networkidle" never comes: the interface does not read the answer that its request
    for the time zone gets, and for Chromium such a request is not finished.
    """
    seen, quiet = -1, 0
    while quiet < 5:
        page.wait_for_timeout(100)
        quiet = 0 if visit.unanswered or len(visit.requests) != seen else quiet + 1
        seen = len(visit.requests)


def _processor(azure: Deployment, side: Side) -> float:
    parts = run_program(azure, "parts", None)
    return sum(float(parts[part]["seconds"]) for part in side.parts)


def _add_rows(run: Run, delay: int, visits: Mapping[tuple[str, str], list[Visit]]) -> None:
    def both(kind: str, of: str) -> tuple[Spread, Spread]:
        ours, reference = (
            Spread.of(*(_value(visit, of) for visit in visits[name, kind]))
            for name in ("ours", "reference")
        )
        return ours, reference

    first, second = f"first visit, {delay} ms", f"second visit, {delay} ms"
    no_more, half = Goal("ratio", 1.0), Goal("ratio", 0.5)
    run.row(f"{first}: until a question can be typed", "s", *both("cold", "ready"))
    run.row(f"{first}: from the network", "KiB", *both("cold", "KiB"), no_more)
    run.row(f"{first}: requests", "", *both("cold", "requests"), no_more)
    run.row(f"{first}: processor time of the machine", "s", *both("cold", "processor"), half)
    run.row(
        f"{second}: until a question can be typed", "s", *both("warm", "ready"), Goal("ratio", 0.3)
    )
    run.row(f"{second}: requests", "", *both("warm", "requests"))
    run.row(f"{second}: requests for hashed files", "", *both("warm", "hashed"), Goal("value", 0))
    run.row(f"{second}: from the network", "KiB", *both("warm", "KiB"))
    run.row(f"{second}: processor time of the machine", "s", *both("warm", "processor"))


def _value(visit: Visit, of: str) -> float:
    return {
        "ready": visit.ready,
        "KiB": visit.size / 1024,
        "requests": len(visit.requests),
        "processor": visit.processor,
        "hashed": visit.hashed,
    }[of]


@contextmanager
def _reference(azure: Deployment, password: str) -> Iterator[None]:
    """Open WebUI alone, of the same image, with an administrator and no models."""
    image = azure.ssh("sudo podman inspect --format '{{.ImageName}}' open-webui").output.strip()
    settings = {
        "WEBUI_ADMIN_EMAIL": _ADMIN,
        "WEBUI_ADMIN_NAME": "Measured",
        "WEBUI_ADMIN_PASSWORD": password,
        "ENABLE_OLLAMA_API": "false",
        "ENABLE_OPENAI_API": "false",
        "RAG_EMBEDDING_ENGINE": "ollama",
        "OFFLINE_MODE": "true",
        "HF_HUB_OFFLINE": "1",
    }
    lines = "".join(f"{name}={value}\n" for name, value in settings.items())
    remove = "sudo podman rm --force --ignore --time 2 --volumes reference"
    azure.ssh(remove)
    azure.ssh(
        f"sudo podman run --detach --name reference --network mynet --ip {REFERENCE}"
        f" --env-file /dev/stdin --volume /app/backend/data {shlex.quote(image)}",
        stdin=lines,
    )
    health = f"import urllib.request as r; r.urlopen('http://{REFERENCE}:8080/health', timeout=5)"
    ready = f"sudo python3 -c {shlex.quote(health)}"
    try:
        wait_until(lambda: azure.ssh(ready, check=False).code == 0, "the reference", patience=300)
        yield
    finally:
        azure.ssh(remove)


@contextmanager
def _browser_on_the_machine(
    run: Run, azure: Deployment, namespace: str, *, trusting: bool
) -> Iterator[Browser]:
    """Chromium in the machine's network, from where it reaches both ways alike.

    It keeps no file of a page whose certificate it does not trust.
    """
    program = run.folder / "chromium"
    program.write_text(f'#!/bin/sh\nexec ip netns exec {namespace} {CHROMIUM} "$@"\n')
    program.chmod(0o755)
    host = urlsplit(azure.outputs["url"]).hostname
    trusted = [f"--ignore-certificate-errors-spki-list={_key_hash(azure)}"] if trusting else []
    with launch(
        str(program),
        f"--host-resolver-rules=MAP {host} {NGINX}",
        # As with HTTPS: a page may otherwise do less.
        f"--unsafely-treat-insecure-origin-as-secure=http://{REFERENCE}:8080",
        *trusted,
    ) as browser:
        yield browser


def _key_hash(azure: Deployment) -> str:
    """The chat's public key, as Chromium's option takes it."""
    pem = ssl.get_server_certificate((azure.address, 443))
    key = x509.load_pem_x509_certificate(pem.encode()).public_key()
    encoded = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(encoded).digest()).decode()


def _sign_in_to_reference(browser: Browser, password: str) -> Side:
    url = f"http://{REFERENCE}:8080"
    page = browser.new_page()
    page.goto(f"{url}/health")
    token = page.evaluate(_SIGN_IN, [_ADMIN, password])
    page.close()
    return Side(url, str(token), ("reference",))


@contextmanager
def _delayed(run: Run, azure: Deployment, namespace: str, delay: int) -> Iterator[bool]:
    """Delay what the browser sends; yields whether Chromium has to emulate it instead."""
    name = "sudo podman network inspect --format '{{.NetworkInterface}}' mynet"
    bridge = azure.ssh(name).output.strip()
    # Only what the machine itself sends to its containers, not what those send each other.
    qdisc = ["tc", "-n", namespace, "qdisc"]
    if not succeeds([*qdisc, "replace", "dev", bridge, "root", "netem", "delay", f"{delay}ms"]):
        run.notes.append(
            f"{delay} ms: this kernel has no netem, so Chromium added the delay to each request."
        )
        yield True
        return
    try:
        yield False
    finally:
        run_here([*qdisc, "delete", "dev", bridge, "root"])


def _namespace_of(azure: Deployment) -> str:
    """The network namespace of the machine, as the host names it."""
    prefix = Places(Instance.open(azure.home)).interface_namespace(0).rpartition("-")[0]
    (found,) = [each.name for each in Path("/run/netns").glob(f"{prefix}-*")]
    return found


BENCHMARK = Benchmark(
    name="page",
    measures="the page of the chat in Chromium, at the first and at the second visit",
    constant=(
        "The same Chromium, machine, image and version of Open WebUI, and a session of an "
        "administrator without chats.",
        "The reference is Open WebUI alone, over HTTP and without models, in a container of its "
        "own. Chromium runs in the machine's network; what it sends is delayed on its way to the "
        "containers. It trusts the chat's certificate, except in the rows that say otherwise.",
        f"{ROUNDS} first and second visits of each with each delay, in turn, after one round that "
        "does not count. The processor time is that of the containers.",
    ),
    minutes=25,
    measure=measure,
)

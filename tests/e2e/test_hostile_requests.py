"""Hostile requests to a real machine: all are refused or harmless, and the chat goes on.

The table is hostile_table.py. `make test` sends the first request of each kind, `make test-long`
all of them. They go to the machine's address in 127.0.0.0/8 only.
"""

from __future__ import annotations

import json
import re
import secrets
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx
import pytest

from ollamazure import catalog
from tests.e2e.deployment import Deployment
from tests.e2e.hostile import Row, Target, status_of
from tests.e2e.hostile_table import KINDS
from tests.e2e.wire import Server

USER, TRUSTED, GROUP = "mallory@example.com", "trudy@example.com", "Everything"
PASSWORD = secrets.token_urlsafe(16)
# Counts where the container of Open WebUI connects to, in its own network.
WITNESS = """
table inet witness {
    set sent { type ipv4_addr . inet_service; flags dynamic; size 65535; }
    set sent6 { type ipv6_addr . inet_service; flags dynamic; size 65535; }
    chain output {
        type filter hook output priority 0;
        tcp flags & (syn | ack) == syn add @sent { ip daddr . tcp dport }
        tcp flags & (syn | ack) == syn add @sent6 { ip6 daddr . tcp dport }
        meta l4proto udp add @sent { ip daddr . udp dport }
        meta l4proto udp add @sent6 { ip6 daddr . udp dport }
    }
}
"""
# Nginx's way to Ollama, and what Open WebUI does not reach itself.
OLLAMA, RESOLVER = "10.89.0.10 . 11434", "10.89.0.1 . 53"
# Prints each interface of the application, with the names of all functions that it depends on.
INTERFACES = """
import json
from fastapi.routing import APIRoute
from open_webui.main import app

def guards(dependant):
    for one in dependant.dependencies:
        yield getattr(one.call, "__name__", "")
        yield from guards(one)

routes = [route for route in app.routes if isinstance(route, APIRoute)]
print("INTERFACES", json.dumps([
    [method, route.path, [*guards(route.dependant)]] for route in routes for method in route.methods
]))
"""


@dataclass
class Witness:
    """What Open WebUI's container sends."""

    deployment: Deployment

    def start(self) -> None:
        self._in_network("nft --file -", stdin=WITNESS)

    def stop(self) -> None:
        self._in_network("nft delete table inet witness")

    def destinations(self) -> set[str]:
        listed = self._in_network("nft list table inet witness")
        sent = ",".join(re.findall(r"elements = {([^}]*)}", listed))
        return {one.strip() for one in sent.split(",") if one.strip()} - {OLLAMA, RESOLVER}

    def reaches(self, url: str) -> None:
        """Send something, as Open WebUI would if it did what an attacker wants."""
        self._in_network(f"curl --silent --max-time 2 --output /dev/null {url} || true")

    def _in_network(self, command: str, stdin: str = "") -> str:
        process = "sudo podman inspect --format '{{.State.Pid}}' open-webui"
        entered = f"sudo nsenter --net=/proc/$({process})/ns/net {command}"
        return self.deployment.ssh(entered, stdin=stdin).output


@pytest.fixture(scope="module")
def target(deployment: Deployment) -> Iterator[Target]:
    """The chat, with an ordinary user, one who has every permission, and the owner's things."""
    since = deployment.ssh("date +@%s").output.strip()
    before = state(deployment)
    mark = f"owners-words-{secrets.token_hex(8)}"
    key = secret_key(deployment)
    witness = Witness(deployment)
    with ExitStack() as stack:
        witness.start()
        stack.callback(witness.stop)
        admin = stack.enter_context(deployment.client(deployment.token))
        ids = stack.enter_context(people(admin)) | stack.enter_context(things(admin, mark))
        sessions = {
            "owner": deployment.token,
            "user": sign_in(deployment, USER),
            "trusted": sign_in(deployment, TRUSTED),
        }

        @cache
        def client(session: str) -> httpx.Client:
            found = stack.enter_context(deployment.client(sessions.get(session)))
            # If Open WebUI answers before it has read a body, Nginx sends the answer and then ends
            # the connection. Unlike a browser, httpx sends no such request again.
            found.headers["Connection"] = "close"
            return found

        yield Target(
            server=Server(deployment.address),
            client=client,
            sessions=sessions,
            ids={
                **ids,
                "model": deployment.outputs["models"][0],
                "owner_email": deployment.outputs["adminEmail"],
                "owner_token": deployment.token,
                "user_email": USER,
            },
            marks=[
                mark,
                key,
                deployment.outputs["adminPassword"],
                "root:x:0:",
                "PRIVATE KEY-----",
            ],
            certificate=ssl.get_server_certificate((deployment.address, 443)).encode(),
            key=key.encode(),
            sent=witness,
            loaded=lambda: loaded(deployment),
            interfaces=cache(lambda: interfaces(deployment)),
            scratch={"before": before, "mark": mark, "since": since},
        )


@contextmanager
def people(admin: httpx.Client) -> Iterator[dict[str, str]]:
    """Two users who are removed afterwards; yields the ids of one, and of their group."""
    defaults = catalog.webui_permissions().defaults
    everything = {
        branch: {name: name != "temporary_enforced" for name in names}
        for branch, names in defaults.items()
    }
    account = {"password": PASSWORD, "role": "user"}
    ids = []
    for email in (USER, TRUSTED):
        form = {**account, "email": email, "name": email}
        ids.append(json_of(admin.post("/api/v1/auths/add", json=form))["id"])
    group = {"name": GROUP, "description": "", "permissions": everything}
    path = f"/api/v1/groups/id/{json_of(admin.post('/api/v1/groups/create', json=group))['id']}"
    json_of(admin.post(f"{path}/update", json=group))
    json_of(admin.post(f"{path}/users/add", json={"user_ids": ids[1:]}))
    try:
        yield {"trusted": ids[1], "group": path.rpartition("/")[2]}
    finally:
        for user in ids:
            admin.delete(f"/api/v1/users/{user}")
        admin.delete(f"{path}/delete")


@contextmanager
def things(admin: httpx.Client, mark: str) -> Iterator[dict[str, str]]:
    """A chat, a file and a note of the owner, each with `mark` in it; yields their ids."""
    owner = json_of(admin.get("/api/v1/auths/"))["id"]
    message: dict[str, Any] = {
        "id": "m",
        "role": "user",
        "content": mark,
        "parentId": None,
        "childrenIds": [],
    }
    chat = {"title": "x", "history": {"messages": {"m": message}, "currentId": "m"}}
    note = {"title": "x", "data": {"content": {"md": mark}}}
    file = {"file": ("mine.txt", mark.encode())}
    made = {
        "chat": admin.post("/api/v1/chats/new", json={"chat": chat}),
        "note": admin.post("/api/v1/notes/create", json=note),
        "file": admin.post("/api/v1/files/?process=false", files=file),
    }
    ids = {name: json_of(answer)["id"] for name, answer in made.items()}
    try:
        yield {"owner": owner, **ids}
    finally:
        admin.delete(f"/api/v1/chats/{ids['chat']}")
        admin.delete(f"/api/v1/notes/{ids['note']}/delete")
        admin.delete(f"/api/v1/files/{ids['file']}")


def state(deployment: Deployment) -> dict[str, Any]:
    """What no user may change."""
    found: dict[str, Any] = {}
    with deployment.client(deployment.token) as admin:
        found["configuration"] = json_of(admin.get("/api/v1/configs/export"))
        users = json_of(admin.get("/api/v1/users/"))["users"]
        found["roles"] = {
            user["email"]: user["role"] for user in users if user["email"] not in (USER, TRUSTED)
        }
        for what in ("functions/list", "tools/list", "models/base", "groups/", "prompts/"):
            items = json_of(admin.get(f"/api/v1/{what}"))
            found[what] = sorted(item["id"] for item in items if item.get("name") != GROUP)
    changed = deployment.ssh("sudo podman diff open-webui").output.splitlines()
    ours = ("__pycache__", " /tmp", " /root", " /run")
    found["files"] = sorted(line for line in changed if not any(part in line for part in ours))
    return found


def loaded(deployment: Deployment) -> str:
    """The process that has the model after a question of the owner, and its length of context."""
    question = [{"role": "user", "content": "Hello"}]
    form = {"model": deployment.outputs["models"][0], "messages": question, "max_tokens": 1}
    with deployment.client(deployment.token) as client:
        json_of(client.post("/api/chat/completions", json={**form, "stream": False}))
    return deployment.ssh(
        "pgrep --list-full llama-server; sudo curl --fail --silent http://127.0.0.1:11434/api/ps"
        " | grep --only-matching '\"context_length\":[0-9]*'"
    ).output


def owners_things(target: Target) -> list[str]:
    """The texts of the owner's chat, file and note."""
    admin = target.client("owner")
    paths = ("/api/v1/chats/{chat}", "/api/v1/files/{file}/content", "/api/v1/notes/{note}")
    return [admin.get(target.fill(path)).text for path in paths]


def interfaces(deployment: Deployment) -> list[tuple[str, str, list[str]]]:
    """Method, path and guards of each interface, from the application of the running container."""
    image = "$(sudo podman inspect --format '{{.Image}}' open-webui)"
    settings = "--env WEBUI_SECRET_KEY=x --env GLOBAL_LOG_LEVEL=ERROR"
    printed = deployment.ssh(
        f"sudo podman run --rm --interactive --network none {settings} {image} python3 -",
        stdin=INTERFACES,
    ).output
    (line,) = (line for line in printed.splitlines() if line.startswith("INTERFACES "))
    return [tuple(row) for row in json.loads(line.removeprefix("INTERFACES "))]


def secret_key(deployment: Deployment) -> str:
    """The key that signs sessions."""
    found = deployment.ssh("sudo cat /srv/data/open-webui/secrets.env").output
    (line,) = (line for line in found.splitlines() if line.startswith("WEBUI_SECRET_KEY="))
    return line.partition("=")[2]


def sign_in(deployment: Deployment, email: str) -> str:
    with deployment.client() as client:
        form = {"email": email, "password": PASSWORD}
        return str(json_of(client.post("/api/v1/auths/signin", json=form))["token"])


def json_of(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


def attack(target: Target, row: Row) -> None:
    """Send the request of the row, and check that it was refused or is harmless."""
    before = target.loaded() if row.kind == "loading" else ""
    answer = row.send(target)
    status = status_of(answer)
    assert status in row.allowed, f"{row}: {status} {answer.body[:500]!r}"
    target.harmless(answer)
    if row.kind == "fetch":
        assert target.sent.destinations() == set(), row
    if row.kind == "loading":
        assert target.loaded() == before, row


def test_the_table_is_large_and_has_each_name_once() -> None:
    names = [str(row) for kind in KINDS for row in kind]
    assert len(names) == len(set(names)) >= 150


def test_one_of_each_kind_is_refused_or_harmless(target: Target) -> None:
    for kind in KINDS:
        attack(target, kind[0])


def test_an_administrator_decides_how_a_model_is_loaded(target: Target) -> None:
    """Otherwise the rows about that would see nothing."""
    before = target.loaded()
    form = {"model": target.ids["model"], "prompt": "", "keep_alive": 0}
    assert target.client("owner").post("/ollama/api/generate", json=form).status_code == 200
    assert target.loaded() != before


@pytest.mark.long
@pytest.mark.parametrize("row", [row for kind in KINDS for row in kind], ids=str)
def test_a_hostile_request_is_refused_or_harmless(target: Target, row: Row) -> None:
    attack(target, row)


def test_afterwards_nothing_is_changed_and_the_chat_answers(
    deployment: Deployment, target: Target
) -> None:
    assert target.sent.destinations() == set()
    assert state(deployment) == target.scratch["before"]
    assert all(target.scratch["mark"] in text for text in owners_things(target))
    since = target.scratch["since"]
    from_webui = r"'^10\.89\.0\.11 .*/hostile'"
    log = f"sudo journalctl --unit nginx --output cat --grep {from_webui} --since {since}"
    assert deployment.ssh(log, check=False).output.strip() in ("", "-- No entries --")
    assert deployment.ask("What is the capital of France?")
    # What the fetches would have been noticed by.
    witness = target.sent
    assert isinstance(witness, Witness)
    for url in (
        "http://169.254.169.254/",
        "http://127.0.0.1:8080/",
        "http://10.89.0.1:11434/hostile",
        "http://10.89.0.10:11434/hostile",
    ):
        witness.reaches(url)
    seen = {"169.254.169.254 . 80", "127.0.0.1 . 8080", "10.89.0.1 . 11434"}
    assert witness.destinations() == seen
    assert "/hostile" in deployment.ssh(log).output

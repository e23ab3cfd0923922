"""Declared users on a real machine: what each is offered, what each is refused."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browser import ask, attach, choose, sign_in, stop
from tests.e2e.deployment import Deployment, wait_until
from tests.e2e.people import MODEL, TEAM

# What only an administrator may do, by method, path and body.
FORBIDDEN: list[tuple[str, str, dict[str, Any] | None]] = [
    ("POST", "/ollama/api/pull", {"model": "llama3.2:1b"}),
    ("POST", "/ollama/api/create", {"model": "mine", "from": MODEL}),
    ("DELETE", "/ollama/api/delete", {"model": MODEL}),
    ("POST", "/api/v1/models/create", {"id": "x", "name": "x", "meta": {}, "params": {}}),
    (
        "POST",
        "/api/v1/models/model/access/update",
        {"id": MODEL, "name": MODEL, "access_grants": []},
    ),
    ("GET", "/api/v1/users/", None),
    ("GET", "/api/v1/users/all", None),
    ("GET", "/api/v1/users/search", None),
    ("POST", "/api/v1/auths/add", {"email": "x@example.com", "name": "x", "password": "x" * 12}),
    ("GET", "/api/v1/configs/export", None),
    ("POST", "/api/v1/configs/import", {"config": {"ui.enable_signup": True}}),
    ("GET", "/api/v1/auths/admin/config", None),
    ("GET", "/api/v1/chats/all/db", None),
    ("POST", "/api/v1/groups/create", {"name": "x", "description": ""}),
    ("POST", "/api/v1/prompts/create", {"command": "x", "name": "x", "content": "x"}),
    ("POST", "/api/v1/knowledge/create", {"name": "x", "description": "x"}),
    ("POST", "/api/v1/tools/create", {"id": "x", "name": "x", "content": "x", "meta": {}}),
    ("POST", "/api/v1/functions/create", {"id": "x", "name": "x", "content": "x", "meta": {}}),
    ("GET", "/api/v1/notes/", None),
    ("POST", "/api/v1/files/", {}),
    ("POST", "/api/v1/retrieval/process/text", {"name": "x", "content": "x"}),
    ("POST", "/api/v1/retrieval/process/url", {"url": "http://127.0.0.1/"}),
    ("POST", "/api/v1/retrieval/process/web", {"url": "http://127.0.0.1/"}),
]
# Other ways of writing an address that the application, or Nginx, might take for the same.
SPELLINGS = ["", "/", "?process=false", "//", "/.", "/%2E", "/%3F", "/;x", "%2F"]


# Records the traffic of the containers' network, where requests to Ollama are not encrypted.
LISTEN = """
import socket, sys
network = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(0x0003))
network.bind((sys.argv[1], 0))
with open("/run/overheard", "wb", buffering=0) as overheard:
    while True:
        overheard.write(network.recv(1 << 17))
"""


# The request that Open WebUI sends to Ollama for a chat.
ASKED = re.compile(r"POST /api/chat .*?(\{.*?\"stream\":true\})")


@contextmanager
def overhearing(deployment: Deployment) -> Iterator[Callable[[], str]]:
    """Yield a function that returns the requests to Ollama since, in printable characters."""
    bridge = deployment.ssh("sudo podman network inspect mynet --format '{{.NetworkInterface}}'")
    program = shlex.join(["python3", "-c", LISTEN, bridge.output.strip()])
    deployment.ssh(f"sudo systemd-run --quiet --unit=overhear {program}")
    wait_until(
        lambda: deployment.ssh("sudo test -e /run/overheard", check=False).code == 0, "listening"
    )
    printable = "tr --complement --delete '[:print:]' </run/overheard"
    try:
        yield lambda: deployment.ssh(f"sudo sh -c {shlex.quote(printable)}").output
    finally:
        deployment.ssh("sudo systemctl stop overhear && sudo rm /run/overheard")


@pytest.fixture(scope="module")
def tokens(team: Deployment) -> dict[str, str]:
    """A session of each user, signed in with the initial password of the stack's outputs."""
    found = {}
    for email, password in team.outputs["initialPasswords"].items():
        with team.client() as client:
            answer = client.post(
                "/api/v1/auths/signin", json={"email": email, "password": password}
            )
        assert answer.status_code == 200, answer.text
        found[email.partition("@")[0]] = answer.json()["token"]
    return found


def test_each_sees_exactly_what_is_offered(team: Deployment, tokens: dict[str, str]) -> None:
    seen = {}
    for name, token in tokens.items():
        with team.client(token) as client:
            models = client.get("/api/models").json()["data"]
            prompts = client.get("/api/v1/prompts/").json()
        seen[name] = (
            sorted(model["id"] for model in models),
            sorted(prompt["command"] for prompt in prompts),
        )
    assert seen == {
        "alice": (["coach", "helper", MODEL], ["cite", "sum"]),
        "bob": (["helper", MODEL], ["sum"]),
        "carol": ([], ["sum"]),
    }


def test_each_chats_with_what_is_offered_alone(team: Deployment, tokens: dict[str, str]) -> None:
    answered: dict[str, list[str]] = {}
    for name, token in tokens.items():
        with team.client(token) as client:
            for model in (MODEL, "helper", "coach"):
                question = {
                    "model": model,
                    "messages": [{"role": "user", "content": "Hello"}],
                    "stream": False,
                    "max_tokens": 4,
                }
                answer = client.post("/api/chat/completions", json=question)
                if answer.status_code == 200:
                    answered.setdefault(name, []).append(model)
    assert answered == {"alice": [MODEL, "helper", "coach"], "bob": [MODEL, "helper"]}


@pytest.mark.parametrize(("method", "path", "body"), FORBIDDEN, ids=lambda part: str(part)[:40])
def test_an_ordinary_user_is_refused(
    team: Deployment, tokens: dict[str, str], method: str, path: str, body: dict[str, Any] | None
) -> None:
    with team.client(tokens["bob"]) as client:
        answer = client.request(method, path, json=body)
    # Each interface has its own way of saying it.
    assert answer.status_code in (400, 401, 403), answer.text
    assert re.search("permission|401 Unauthorized", answer.json()["detail"])


@pytest.mark.parametrize("files", ["files", "%66iles", "/files"])
def test_no_file_gets_in_by_another_address(
    team: Deployment, tokens: dict[str, str], files: str
) -> None:
    with team.client(tokens["bob"]) as client:
        for end in SPELLINGS:
            address, note = f"/api/v1/{files}{end}", {"file": ("note.txt", b"A note.")}
            answer = client.post(address, files=note, follow_redirects=True)
            assert answer.status_code in (403, 404, 405), (address, answer.text)
        assert client.get("/api/v1/files/").json()["items"] == []


def test_no_page_of_the_web_is_fetched_for_a_chat(team: Deployment, tokens: dict[str, str]) -> None:
    """Nginx does not read what is asked; Open WebUI would look the name up at once."""
    question = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "Hello"}],
        "files": [{"type": "url", "url": "https://page.invalid/", "name": "page"}],
        "stream": False,
        "max_tokens": 4,
    }
    with team.client(tokens["bob"]) as client:
        assert client.post("/api/chat/completions", json=question).status_code == 200
    log = team.ssh("sudo journalctl --unit open-webui --output cat --grep page.invalid").output
    assert "Blocked by filter list: page.invalid" in log


def test_a_restricted_user_in_the_browser(team: Deployment, page: Page) -> None:
    """Sees the models offered, no administration and no workspace, and chats with a preset."""
    sign_in(page, team, "bob@example.com", team.outputs["initialPasswords"]["bob@example.com"])
    # The rest of a first sign-in is in test_first_sign_in.py.
    for shown in (TEAM["welcome"], TEAM["suggestions"][0]["title"], "your initial password"):
        expect(page.get_by_text(shown)).to_be_visible()
    page.locator("#model-selector-model-button").click()
    options = page.get_by_role("option")
    expect(options).to_have_count(2)
    assert sorted(text.split()[0] for text in options.all_inner_texts()) == ["Helper", MODEL]
    page.keyboard.press("Escape")

    attach(page, "note.txt", b"A note.")
    expect(page.get_by_text("You do not have permission to upload files.")).to_be_visible()

    choose(page, "Helper")
    with overhearing(team) as heard:
        ask(page, "Who are you?")
        wait_until(lambda: bool(ASKED.search(heard())), "Ollama is asked")
        (question,) = ASKED.findall(heard())
    expect(page.locator(".chat-assistant")).to_contain_text(re.compile(r"\w+"))
    stop(page)
    asked = json.loads(question)
    assert asked["messages"][0] == {
        "role": "system",
        "content": "You are the helper of this house.",
    }
    assert asked["options"] == {"temperature": 0.25, "seed": 4711}

    for forbidden in ("/admin/users", "/workspace/models"):
        page.goto(team.outputs["url"] + forbidden)
        page.wait_for_url(f"{team.outputs['url']}/")
    page.locator("#sidebar").get_by_role("button").last.click()
    expect(page.get_by_role("menuitem", name="Settings")).to_be_visible()
    expect(page.get_by_text("Admin Panel")).to_have_count(0)


def test_who_may_upload_asks_about_a_file(team: Deployment, page: Page) -> None:
    sign_in(page, team, "alice@example.com", team.outputs["initialPasswords"]["alice@example.com"])
    choose(page, MODEL)  # a page that is still loading loses a file that is attached to it
    word = "The word of the day is heron."
    with page.expect_event("requestfinished", lambda asked: "/process/status" in asked.url):
        # More than once, as a packet may end within one.
        attach(page, "note.txt", f"{word}\n".encode() * 9)
    expect(page.get_by_text("note.txt")).to_be_visible()
    with overhearing(team) as heard:
        ask(page, "What is the word of the day?")
        wait_until(lambda: word in heard(), "Ollama reads the file")
    stop(page)


def test_a_group_allows_what_it_says(team: Deployment, tokens: dict[str, str]) -> None:
    with team.client(tokens["alice"]) as client:
        note = client.post("/api/v1/files/", files={"file": ("note.txt", b"A note.")})
        assert note.status_code == 200, note.text
        mine = f"/api/v1/files/{note.json()['id']}"
        assert client.get(f"{mine}/content").text == "A note."
    with team.client(tokens["bob"]) as client:
        assert client.get(mine).status_code in (401, 403, 404)
    with team.client(tokens["alice"]) as client:
        assert client.delete(mine).status_code == 200

    prompt = {"command": "mine", "name": "Mine", "content": "Mine:"}
    with team.client(tokens["alice"]) as client:
        answer = client.post("/api/v1/prompts/create", json=prompt)
        assert answer.status_code == 200, answer.text
        # It is not declared, and outlives `pulumi up`: see the last test.


def test_only_its_owner_reads_a_chat(team: Deployment, tokens: dict[str, str]) -> None:
    with team.client(tokens["alice"]) as client:
        chat = client.post("/api/v1/chats/new", json={"chat": {"title": "Private"}}).json()["id"]
        assert client.get(f"/api/v1/chats/{chat}").status_code == 200
    with team.client(tokens["bob"]) as client:
        assert client.get(f"/api/v1/chats/{chat}").status_code in (401, 403, 404)


@pytest.mark.long
def test_a_second_up_changes_nothing(team: Deployment) -> None:
    team.pulumi("preview", "--expect-no-changes")


def test_no_password_is_on_the_machine(team: Deployment) -> None:
    password = team.outputs["initialPasswords"]["alice@example.com"]
    found = team.ssh(
        "sudo grep --recursive --files-with-matches --fixed-strings --file - "
        "/etc /run/ollamazure /var/log /dev/shm /home || true",
        stdin=password,
    )
    assert found.output.strip() == ""


def test_a_user_no_longer_declared_is_suspended_and_the_rest_stays(
    team: Deployment, tokens: dict[str, str]
) -> None:
    """Bob's chats are kept; Alice, her own prompt and everybody's model are as before."""
    with team.client(tokens["bob"]) as client:
        chat = client.post("/api/v1/chats/new", json={"chat": {"title": "Kept"}}).json()["id"]
    users = [user for user in TEAM["users"] if user["name"] != "Bob"]
    presets = [preset for preset in TEAM["presets"] if preset["id"] != "helper"]
    team.up(users=json.dumps(users), presets=json.dumps(presets), modelAccess="{}")

    with team.client(tokens["bob"]) as client:
        assert client.get("/api/models").status_code == 401
    with team.client(team.token) as client:
        (bob,) = client.get("/api/v1/users/?query=bob@example.com").json()["users"]
        assert bob["role"] == "pending"
        chats = client.get(f"/api/v1/chats/list/user/{bob['id']}").json()
        assert chat in json.dumps(chats)
        prompts = {it["command"]: it["id"] for it in client.get("/api/v1/prompts/").json()}
        assert {"sum", "cite", "mine"} <= prompts.keys()
        client.delete(f"/api/v1/prompts/id/{prompts['mine']}/delete")
    with team.client(tokens["carol"]) as client:
        assert [model["id"] for model in client.get("/api/models").json()["data"]] == [MODEL]

"""Every request of the machine's webui package to the real Open WebUI of the pinned version.

A new version that changes a shape fails here. Each test removes what it made.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shlex
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from ollamazure import catalog
from tests.e2e.deployment import Deployment
from tests.e2e.test_drift import by_resource, drift
from tests.e2e.test_multi_factor import in_database
from tests.e2e.test_operations import run

TOOL = "sudo /usr/local/lib/ollamazure/webui-cli"
DECLARED = "/etc/ollamazure/declared"
SETTINGS = "/etc/ollamazure/open-webui.json"
EVERYONE = {"everyone": True}
Item = dict[str, Any]


@dataclass
class Webui:
    """The tool on the machine, with what was declared through it in this test."""

    deployment: Deployment
    declared: dict[tuple[str, str], str] = field(default_factory=dict)

    def declare(self, kind: str, slug: str, item: Item, contents: tuple[str, ...] = ()) -> None:
        path = f"{DECLARED}/{kind}/{slug}"
        lines = [f"sudo mkdir -p {path}" if contents else f"sudo mkdir -p {DECLARED}/{kind}"]
        files = {f"{path}.json": json.dumps(item, indent=2)}
        files |= {f"{path}/{sha256(text)}": text for text in contents}
        for name, text in files.items():
            lines.append(f"printf %s {shlex.quote(text)} | sudo tee {shlex.quote(name)} >/dev/null")
        self.deployment.ssh("set -e\n" + "\n".join(lines))
        key = {"user": "email", "prompt": "command", "preset": "id", "access": "model"}
        self.declared[kind, slug] = item[key.get(kind, "name")]

    def apply(self, kind: str, slug: str, *, password: str = "", fails: bool = False) -> str:
        ran = self.deployment.ssh(
            f"{TOOL} apply {kind} {DECLARED}/{kind}/{slug}.json", check=False, stdin=password
        )
        assert (ran.code != 0) == fails, ran.output
        assert "eyJ" not in ran.output, "a session is shown"
        return ran.output

    def remove(self, kind: str, slug: str) -> str:
        key = shlex.quote(self.declared.pop((kind, slug)))
        return self.deployment.ssh(f"{TOOL} remove {kind} {key}").output

    def drift(self, *more: str) -> list[tuple[str, str]]:
        """The findings about the items of this test and about the resources `more`."""
        found = json.loads(self.deployment.ssh(f"{TOOL} drift").output)
        ours = {*more, *(f"{kind}-{slug}" for kind, slug in self.declared)}
        return [(one["resource"], one["what"]) for one in found if one["resource"] in ours]

    def remove_everything(self) -> None:
        for kind, slug in reversed(list(self.declared)):
            if kind == "user":
                gone = user(self.declared[kind, slug], state="deleted")
                self.declare(kind, slug, gone)
                self.apply(kind, slug)
            self.remove(kind, slug)


@pytest.fixture
def webui(deployment: Deployment) -> Iterator[Webui]:
    tool = Webui(deployment)
    yield tool
    tool.remove_everything()


@pytest.fixture
def admin(deployment: Deployment) -> Iterator[httpx.Client]:
    """An administrator who changes things by hand, as in the browser."""
    with deployment.client(deployment.token) as client:
        yield client


def user(email: str, **changes: Any) -> Item:
    item = {"email": email, "name": "Alice", "role": "user", "groups": [], "state": "active"}
    return item | changes


def group(name: str, **changes: Any) -> Item:
    return {"name": name, "description": "Those who sell", "permissions": {}} | changes


def preset(deployment: Deployment, **changes: Any) -> Item:
    item = {
        "id": "brief",
        "name": "Brief",
        "base_model": deployment.outputs["models"][0],
        "description": "Answers briefly",
        "system": "Answer in one word.",
        "params": {"temperature": 0, "num_predict": 16},
        "suggestions": ["What is the capital of France?"],
        "knowledge": [],
        "access": EVERYONE,
    }
    return item | changes


def prompt(**changes: Any) -> Item:
    item = {"command": "sum-up", "title": "Sum up", "content": "Sum up: {{CLIPBOARD}}"}
    return item | {"access": EVERYONE} | changes


def knowledge(*documents: tuple[str, str], **changes: Any) -> Item:
    files = [{"name": name, "sha256": sha256(text)} for name, text in documents]
    item = {"name": "Handbook", "description": "How we work", "files": files, "access": EVERYONE}
    return item | changes


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def answer(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    return response.json()


def sign_in(deployment: Deployment, email: str, password: str) -> str:
    credentials = {"email": email, "password": password}
    with deployment.client() as client:
        return str(answer(client.post("/api/v1/auths/signin", json=credentials))["token"])


def account(admin: httpx.Client, email: str) -> Item | None:
    users = answer(admin.get("/api/v1/users/", params={"query": email}))["users"]
    return next((one for one in users if one["email"] == email), None)


def models_of(deployment: Deployment, token: str) -> set[str]:
    with deployment.client(token) as client:
        return {model["id"] for model in answer(client.get("/api/models"))["data"]}


def test_users_and_groups(webui: Webui, admin: httpx.Client, deployment: Deployment) -> None:
    email, password = "alice@example.org", secrets.token_urlsafe()
    by_hand = answer(
        admin.post("/api/v1/groups/create", json={"name": "By hand", "description": ""})
    )
    webui.declare("group", "sales", group("Sales"))
    webui.declare("group", "support", group("Support"))
    webui.declare("user", email, user(email, groups=["Sales"]))

    assert "group-sales: it is missing. Now as declared." in webui.apply("group", "sales")
    webui.apply("group", "support")
    assert f"user-{email}: it is missing" in webui.apply("user", email, password=password)
    assert "group-sales is as declared." in webui.apply("group", "sales")
    assert f"user-{email} is as declared." in webui.apply("user", email, password=password)
    assert webui.drift() == []
    chosen = secrets.token_urlsafe()
    with deployment.client(sign_in(deployment, email, password)) as client:
        passwords = {"password": password, "new_password": chosen}
        answer(client.post("/api/v1/auths/update/password", json=passwords))

    # A group that is not declared belongs to the administrator.
    made = account(admin, email) or {}
    add = f"/api/v1/groups/id/{by_hand['id']}/users/add"
    answer(admin.post(add, json={"user_ids": [made["id"]]}))
    webui.declare("user", email, user(email, name="Alice B.", role="admin", groups=["Support"]))
    webui.apply("user", email, password="another")
    changed = account(admin, email) or {}
    assert (changed["name"], changed["role"]) == ("Alice B.", "admin")
    groups = {one["id"]: one["name"] for one in answer(admin.get("/api/v1/groups/"))}
    assert {groups[id] for id in changed["group_ids"]} == {"Support", "By hand"}
    assert sign_in(deployment, email, chosen), "an owner's password stays"

    answer(admin.delete(f"/api/v1/groups/id/{by_hand['id']}/delete"))


def test_a_group_grants_exactly_what_is_declared(webui: Webui, admin: httpx.Client) -> None:
    wanted = {"chat": {"file_upload": True, "delete": False}}
    webui.declare("group", "sales", group("Sales", permissions=wanted))
    webui.apply("group", "sales")
    found = next(one for one in answer(admin.get("/api/v1/groups/")) if one["name"] == "Sales")

    form = {"name": "Sales", "description": "x", "permissions": {"workspace": {"models": True}}}
    answer(admin.post(f"/api/v1/groups/id/{found['id']}/update", json=form))
    assert webui.drift() == [
        ("group-sales", "description is x, declared Those who sell"),
        ("group-sales", "permissions.chat.file_upload is nothing, declared true"),
        ("group-sales", "permissions.workspace.models is true, declared nothing"),
    ]
    webui.apply("group", "sales")
    assert answer(admin.get(f"/api/v1/groups/id/{found['id']}"))["permissions"] == wanted


def test_a_removed_user_is_suspended_and_keeps_the_chats(
    webui: Webui, admin: httpx.Client, deployment: Deployment
) -> None:
    email, password = "bob@example.org", secrets.token_urlsafe()
    webui.declare("user", email, user(email))
    webui.apply("user", email, password=password)
    token = sign_in(deployment, email, password)
    with deployment.client(token) as client:
        new = {"chat": {"title": "Kept", "history": {"messages": {}, "currentId": None}}}
        chat = answer(client.post("/api/v1/chats/new", json=new))["id"]

    webui.remove("user", email)
    with deployment.client(token) as client:
        assert client.get("/api/v1/chats/").status_code == 401
    assert (account(admin, email) or {})["role"] == "pending"
    assert "is removed" in deployment.ssh(f"{TOOL} remove user {email}").output
    assert chats(deployment, chat) == 1

    webui.declare("user", email, user(email, state="suspended"))
    assert "is as declared" in webui.apply("user", email)
    webui.declare("user", email, user(email))
    assert "state is suspended, declared active" in webui.apply("user", email)
    with deployment.client(token) as client:
        assert client.get("/api/v1/chats/").status_code == 401, "a session from before is back"
    with deployment.client(sign_in(deployment, email, password)) as client:
        assert answer(client.get(f"/api/v1/chats/{chat}"))["title"] == "Kept"

    webui.declare("user", email, user(email, state="deleted"))
    assert "it exists, declared deleted" in webui.apply("user", email)
    assert "is as declared" in webui.apply("user", email)
    assert account(admin, email) is None
    assert chats(deployment, chat) == 0


def chats(deployment: Deployment, chat: str) -> int:
    program = (
        "import sqlite3, sys; print(sqlite3.connect('/app/backend/data/webui.db')"
        ".execute('select count(*) from chat where id = ?', sys.argv[1:]).fetchone()[0])"
    )
    command = f"sudo podman exec open-webui python3 -c {shlex.quote(program)} {chat}"
    return int(deployment.ssh(command).output)


def test_the_administrators_role_moves_to_a_declared_user(
    webui: Webui, admin: httpx.Client, deployment: Deployment
) -> None:
    """Pulumi first sets up the administrator, and last removes the entry of `users`."""
    former, email = deployment.outputs["adminEmail"], "moved@example.org"
    webui.declare("user", "moved", user(email, role="admin"))
    webui.apply("user", "moved", password="a password of hers")
    account_of = {"name": "Administrator", "password": deployment.outputs["adminPassword"]}
    try:
        reported = deployment.ssh(
            f"{TOOL} admin", stdin=json.dumps({**account_of, "email": email})
        ).output
        assert f"{former} was the administrator before." in reported
        assert "with the same password as the new one" in reported
        assert account_of["password"] not in reported

        removed = deployment.ssh(f"{TOOL} remove user {email}").output
        assert f"{email} is the administrator now, so the account stays active." in removed
        assert sign_in(deployment, email, account_of["password"])
        for one in (email, former):
            found = account(admin, one)
            assert found is not None and found["role"] == "admin", one
        assert webui.drift() == []
    finally:
        deployment.ssh(f"{TOOL} admin", stdin=json.dumps({**account_of, "email": former}))


def test_presets_and_prompts(webui: Webui, admin: httpx.Client, deployment: Deployment) -> None:
    webui.declare("preset", "brief", preset(deployment))
    webui.declare("prompt", "sum-up", prompt())
    for kind, slug in webui.declared:
        assert f"{kind}-{slug}: it is missing. Now as declared." in webui.apply(kind, slug)
        assert f"{kind}-{slug} is as declared." in webui.apply(kind, slug)
    assert webui.drift() == []

    # By hand: one field of each that is declared, and one that is not.
    model = answer(admin.get("/api/v1/models/model", params={"id": "brief"}))
    model["params"] |= {"temperature": 1, "top_k": 5}
    model["meta"] |= {"capabilities": {"vision": False}, "description": "Talks"}
    model["is_active"] = False
    answer(admin.post("/api/v1/models/model/update", json=model))
    found = answer(admin.get("/api/v1/prompts/list", params={"query": "sum-up"}))["items"][0]
    path = f"/api/v1/prompts/id/{found['id']}"
    tagged = {"command": "sum-up", "name": "Sum up", "content": "No", "tags": ["kept"]}
    answer(admin.post(f"{path}/update", json=tagged))
    answer(admin.post(f"{path}/toggle"))
    answer(admin.post(f"{path}/access/update", json={"access_grants": []}))
    assert webui.drift() == [
        ("preset-brief", "description is Talks, declared Answers briefly"),
        ("preset-brief", "params.temperature is 1, declared 0"),
        ("preset-brief", "params.top_k is 5, declared nothing"),
        ("preset-brief", "active is false, declared true"),
        ("prompt-sum-up", "content is No, declared Sum up: {{CLIPBOARD}}"),
        ("prompt-sum-up", "access is nothing, declared everyone"),
        ("prompt-sum-up", "active is false, declared true"),
    ]

    for kind, slug in webui.declared:
        webui.apply(kind, slug)
    assert webui.drift() == []
    model = answer(admin.get("/api/v1/models/model", params={"id": "brief"}))
    assert model["meta"]["capabilities"] == {"vision": False}
    assert model["params"] == {"temperature": 0, "num_predict": 16, "system": "Answer in one word."}
    assert answer(admin.get(path))["tags"] == ["kept"]

    webui.declare("preset", "brief", preset(deployment, name="Short", system="", suggestions=[]))
    webui.apply("preset", "brief")
    model = answer(admin.get("/api/v1/models/model?id=brief"))
    assert "system" not in model["params"]
    assert model["meta"].get("suggestion_prompts") is None, "it has those of all chats"
    for kind, slug in list(webui.declared):
        webui.remove(kind, slug)
    assert admin.get("/api/v1/models/model?id=brief").status_code == 404
    assert admin.get(path).status_code == 404


def test_a_preset_that_breaks_every_answer_fails_the_last_check(
    webui: Webui, deployment: Deployment
) -> None:
    webui.declare("preset", "good", preset(deployment, id="good", params={"temperature": 0}))
    webui.declare("preset", "broken", preset(deployment, id="broken", params={"stop": [10]}))
    webui.apply("preset", "good")
    webui.apply("preset", "broken")

    ran = deployment.last_check(models=[], presets=["good", "broken"])
    assert ran.code == 1, ran.output
    assert "good answers after" in ran.output
    assert "The chat does not answer. preset broken: " in ran.output


def test_what_is_not_declared_is_left_alone(
    webui: Webui, admin: httpx.Client, deployment: Deployment
) -> None:
    """A user, a preset and a prompt made by hand, between declared ones that come and go."""
    email = "carol@example.org"
    hand = {"name": "Carol", "email": email, "password": "by hand, long", "role": "user"}
    carol = answer(admin.post("/api/v1/auths/add", json=hand))["id"]
    form = {"id": "hers", "name": "Hers", "base_model_id": deployment.outputs["models"][0]}
    answer(admin.post("/api/v1/models/create", json=form | {"meta": {}, "params": {"seed": 1}}))
    text = {"command": "hers", "name": "Hers", "content": "Hers"}
    hers = answer(admin.post("/api/v1/prompts/create", json=text))["id"]

    webui.declare("user", "dave@example.org", user("dave@example.org"))
    webui.declare("preset", "brief", preset(deployment))
    webui.declare("prompt", "sum-up", prompt())
    for kind, slug in webui.declared:
        webui.apply(kind, slug, password=secrets.token_urlsafe())
    assert webui.drift() == []
    webui.remove_everything()

    assert (account(admin, email) or {})["role"] == "user"
    assert answer(admin.get("/api/v1/models/model?id=hers"))["params"] == {"seed": 1}
    assert answer(admin.get(f"/api/v1/prompts/id/{hers}"))["content"] == "Hers"
    answer(admin.delete(f"/api/v1/users/{carol}"))
    answer(admin.post("/api/v1/models/model/delete", json={"id": "hers"}))
    answer(admin.delete(f"/api/v1/prompts/id/{hers}/delete"))


def test_an_item_made_by_hand_is_adopted(
    webui: Webui, admin: httpx.Client, deployment: Deployment
) -> None:
    email = "erin@example.org"
    hand = {"name": "Erin", "email": email, "password": "by hand, long", "role": "pending"}
    erin = answer(admin.post("/api/v1/auths/add", json=hand))["id"]
    webui.declare("user", email, user(email, name="Erin"))
    assert "state is suspended, declared active" in webui.apply("user", email, password="other")
    assert (account(admin, email) or {})["id"] == erin
    assert sign_in(deployment, email, "by hand, long")


def test_a_group_sees_exactly_its_models(
    webui: Webui, admin: httpx.Client, deployment: Deployment
) -> None:
    model = deployment.outputs["models"][0]
    tokens = {}
    webui.declare("group", "sales", group("Sales"))
    webui.apply("group", "sales")
    for name in ("in@example.org", "out@example.org"):
        password = secrets.token_urlsafe()
        groups = ["Sales"] if name.startswith("in") else []
        webui.declare("user", name, user(name, groups=groups))
        webui.apply("user", name, password=password)
        tokens[name] = sign_in(deployment, name, password)
    only_sales = {"groups": ["Sales"], "users": []}
    webui.declare("preset", "brief", preset(deployment, access=only_sales))
    webui.apply("preset", "brief")
    assert models_of(deployment, tokens["in@example.org"]) == {model, "brief"}
    assert models_of(deployment, tokens["out@example.org"]) == {model}

    try:
        webui.declare("access", "a-model", {"model": model, **only_sales})
        assert "access is everyone, declared group Sales" in webui.apply("access", "a-model")
        assert "is as declared" in webui.apply("access", "a-model")
        assert models_of(deployment, tokens["in@example.org"]) == {model, "brief"}
        assert models_of(deployment, tokens["out@example.org"]) == set()

        everyone = [{"principal_type": "user", "principal_id": "*", "permission": "read"}]
        body = {"id": model, "name": model, "access_grants": everyone}
        answer(admin.post("/api/v1/models/model/access/update", json=body))
        assert webui.drift() == [("access-a-model", "access is everyone, declared group Sales")]
        webui.apply("access", "a-model")
        one = {"groups": [], "users": ["out@example.org"]}
        webui.declare("access", "a-model", {"model": model, **one})
        webui.apply("access", "a-model")
        assert models_of(deployment, tokens["out@example.org"]) == {model}
    finally:
        deployment.ssh(f"{TOOL} show {model}")
        webui.remove("access", "a-model")
    assert models_of(deployment, tokens["out@example.org"]) == {model}


def test_documents_of_a_knowledge_base(
    webui: Webui, admin: httpx.Client, deployment: Deployment
) -> None:
    old, new, other = "We open at nine.", "We open at ten.", "We close at six."
    first = knowledge(("hours/opening.md", old), ("closing.md", other), ("copy.md", other))
    webui.declare("knowledge", "handbook", first, (old, other))
    assert "it is missing" in webui.apply("knowledge", "handbook")
    assert "is as declared" in webui.apply("knowledge", "handbook")
    webui.declare("preset", "brief", preset(deployment, knowledge=["Handbook"]))
    webui.apply("preset", "brief")
    assert webui.drift() == []
    bases = answer(admin.get("/api/v1/knowledge/"))["items"]
    base = next(one["id"] for one in bases if one["name"] == "Handbook")
    assert texts(admin, base) == {"opening.md": old, "closing.md": other}
    model = answer(admin.get("/api/v1/models/model?id=brief"))
    assert [(one["id"], one["type"]) for one in model["meta"]["knowledge"]] == [
        (base, "collection")
    ]

    upload = {"file": ("extra.md", "Added by hand.")}
    data = {"metadata": json.dumps({"knowledge_id": base})}
    path = "/api/v1/files/?process_in_background=false"
    answer(admin.post(path, files=upload, data=data))
    webui.declare("knowledge", "handbook", knowledge(("hours/opening.md", new)), (new,))
    assert len(webui.drift()) == 2
    webui.apply("knowledge", "handbook")
    assert texts(admin, base) == {"opening.md": new, "extra.md": "Added by hand."}
    kept = deployment.ssh(f"sudo ls {DECLARED}/knowledge/handbook").output.split()
    assert kept == [sha256(new), f"{sha256(new)}.read"]

    file = next(one for one in files(admin, base) if one["filename"] == "opening.md")
    by_hand = f"/api/v1/files/{file['id']}/data/content/update"
    answer(admin.post(by_hand, json={"content": "We never open."}))
    assert webui.drift() == [
        (
            "knowledge-handbook",
            f"files.hours/opening.md is changed, declared {sha256(new)[:12]}",
        )
    ]
    webui.apply("knowledge", "handbook")
    assert texts(admin, base) == {"opening.md": new, "extra.md": "Added by hand."}

    file = next(one for one in files(admin, base) if one["filename"] == "opening.md")
    remove = f"/api/v1/knowledge/{base}/file/remove"
    answer(admin.post(remove, json={"file_id": file["id"]}))
    answer(admin.post(f"/api/v1/knowledge/{base}/access/update", json={"access_grants": []}))
    assert webui.drift() == [
        ("knowledge-handbook", "access is nothing, declared everyone"),
        (
            "knowledge-handbook",
            f"files.hours/opening.md is nothing, declared {sha256(new)[:12]}",
        ),
    ]
    webui.apply("knowledge", "handbook")
    assert webui.drift() == []
    webui.remove("knowledge", "handbook")
    assert admin.get(f"/api/v1/knowledge/{base}").status_code == 404
    # Open WebUI takes it out of the preset as well, which the settings still declare.
    assert webui.drift() == [("preset-brief", "knowledge is nothing, declared Handbook")]
    failed = webui.apply("preset", "brief", fails=True)
    assert "preset-brief: there is no knowledge base Handbook; declare it" in failed


HOURS = (
    "hours.md",
    "The archive in Nantes opens at 10:40. Its caretaker is called Odilon Marchetti.",
)


def who_asks_about(
    webui: Webui, deployment: Deployment, email: str, *documents: tuple[str, str]
) -> str:
    """The session of a user for whom there is a preset with the documents, each name and text."""
    webui.declare("user", email, user(email))
    password = secrets.token_urlsafe()
    webui.apply("user", email, password=password)
    token = sign_in(deployment, email, password)
    texts_of = tuple(text for _, text in documents)
    webui.declare("knowledge", "handbook", knowledge(*documents), texts_of)
    webui.apply("knowledge", "handbook")
    asked = preset(deployment, system="", knowledge=["Handbook"], params={"temperature": 0})
    webui.declare("preset", "brief", asked)
    webui.apply("preset", "brief")
    return token


def deleted_users_files_are_gone(webui: Webui, deployment: Deployment) -> None:
    """An account is deleted with its uploads, their texts, and the numbers that embed them."""
    email, password = "gus@example.org", secrets.token_urlsafe()
    allowed = {"chat": {"file_upload": True}, "workspace": {"knowledge": True}}
    webui.declare("group", "uploaders", group("uploaders", permissions=allowed))
    webui.apply("group", "uploaders")
    webui.declare("user", email, user(email, groups=["uploaders"]))
    webui.apply("user", email, password=password)
    before = files_on_disk(deployment)
    with deployment.client(sign_in(deployment, email, password)) as client:
        new = {"name": "Own", "description": "By hand", "access_grants": []}
        base = answer(client.post("/api/v1/knowledge/create", json=new))["id"]
        for name, data in {"own.md": {"knowledge_id": base}, "attached.md": {}}.items():
            upload = {"file": (name, f"The text of {name}.")}
            path = "/api/v1/files/?process_in_background=false"
            answer(client.post(path, files=upload, data={"metadata": json.dumps(data)}))
    # Each file alone, one of them in its base as well, and the base's own description.
    assert difference(files_on_disk(deployment), before) == (2, 2, 4)
    webui.declare("user", email, user(email, state="deleted"))
    webui.apply("user", email)
    assert difference(files_on_disk(deployment), before) == (0, 0, 0)


def test_a_person_is_exported_and_erased(
    webui: Webui, deployment: Deployment, tmp_path: Path
) -> None:
    """An account with a chat, a file and a folder."""
    email, password = "ida@example.org", secrets.token_urlsafe()
    allowed = {"chat": {"file_upload": True}, "features": {"folders": True}}
    webui.declare("group", "keepers", group("keepers", permissions=allowed))
    webui.apply("group", "keepers")
    webui.declare("user", email, user(email, groups=["keepers"]))
    webui.apply("user", email, password=password)
    before = files_on_disk(deployment)
    with deployment.client(sign_in(deployment, email, password)) as client:
        upload = {"file": ("letter.txt", "A letter of Ida.")}
        path = "/api/v1/files/?process_in_background=false"
        answer(client.post(path, files=upload, data={"metadata": "{}"}))
        message = {"id": "m", "role": "user", "content": "What Ida asked", "timestamp": 1800000000}
        history = {"messages": {"m": message}, "currentId": "m"}
        chat = {"title": "Ida's chat", "models": [], "history": history, "tags": ["private"]}
        answer(client.post("/api/v1/chats/new", json={"chat": chat}))
        answer(client.post("/api/v1/folders/", json={"name": "Ida's folder"}))
    refused = run(deployment, "people", "erase", email, "--yes")
    assert refused.code == 2 and "the settings declare ida@example.org" in refused.output

    exported = run(deployment, "people", "export", email, "--to", str(tmp_path))
    assert exported.code == 0, exported.output
    file = tmp_path / f"{email}.zip"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with zipfile.ZipFile(file) as archive:
        found = {name: archive.read(name).decode() for name in archive.namelist()}
    [text] = [text for name, text in found.items() if name.startswith("chats/")]
    assert "What Ida asked" in text
    assert "A letter of Ida." in [found[name] for name in found if name.startswith("files/")]
    assert [row["name"] for row in json.loads(found["data/folder.json"])] == ["Ida's folder"]
    assert "ida@example.org" in found["audit-log.txt"]
    assert password not in "".join(found.values())
    again = run(deployment, "people", "export", email, "--to", str(tmp_path))
    assert again.code == 2 and "these files exist" in again.output

    webui.remove("user", email)
    erased = run(deployment, "people", "erase", email, "--yes")
    assert erased.code == 0, erased.output
    assert "  1 chats\n" in erased.output and "  1 uploaded files\n" in erased.output
    assert difference(files_on_disk(deployment), before) == (0, 0, 0)
    left = "sudo grep --recursive --files-with-matches 'ida@example.org' /srv/data/open-webui /etc"
    assert deployment.ssh(left, check=False).output.strip() == ""
    search = (
        "import sqlite3\n"
        "database = sqlite3.connect('/app/backend/data/webui.db')\n"
        "text = '\\n'.join(database.iterdump())\n"
        "print([word for word in ('ida@example.org', 'What Ida asked') if word in text])"
    )
    ran = deployment.ssh("sudo podman exec --interactive open-webui python3 -", stdin=search)
    assert ran.output.strip() == "[]"
    missing = run(deployment, "people", "erase", email, "--yes")
    assert missing.code == 2 and "no account has the e-mail" in missing.output


@pytest.mark.long
def test_old_chats_are_deleted_and_new_ones_stay(webui: Webui, deployment: Deployment) -> None:
    """As the nightly timer does it, with the setting chatDays."""
    email, password = "jan@example.org", secrets.token_urlsafe()
    webui.declare("user", email, user(email))
    webui.apply("user", email, password=password)
    with deployment.client(sign_in(deployment, email, password)) as client:
        ids = [
            answer(client.post("/api/v1/chats/new", json={"chat": {"title": title}}))["id"]
            for title in ("old", "new")
        ]
        answer(client.post(f"/api/v1/chats/{ids[0]}/pin"))
    in_database(
        deployment, "update chat set updated_at = updated_at - 31 * 86400 where id = ?", ids[0]
    )
    assert "expire-chats" not in deployment.ssh("systemctl list-timers --all").output
    deployment.pulumi("config", "set", "ollamazure:chatDays", "30")
    try:
        assert "chatDays was unset and is 30" in deployment.pulumi("preview").output
        deployment.pulumi("up", "--yes", "--skip-preview")
        assert "expire-chats" in deployment.ssh("systemctl list-timers").output
        with deployment.client(sign_in(deployment, email, password)) as client:
            assert client.get(f"/api/v1/chats/{ids[0]}").is_success, "not before the night"
            deployment.ssh("sudo systemctl start ollamazure-expire-chats.service")
            assert not client.get(f"/api/v1/chats/{ids[0]}").is_success
            assert client.get(f"/api/v1/chats/{ids[1]}").is_success
    finally:
        deployment.pulumi("config", "rm", "ollamazure:chatDays")
        deployment.pulumi("up", "--yes", "--skip-preview")
    assert "expire-chats" not in deployment.ssh("systemctl list-timers --all").output


def difference(after: tuple[int, int, int], before: tuple[int, int, int]) -> tuple[int, ...]:
    return tuple(new - old for new, old in zip(after, before, strict=True))


def files_on_disk(deployment: Deployment) -> tuple[int, int, int]:
    """How many files, uploads and embedded passages Open WebUI keeps."""
    program = (
        "import os, sqlite3\n"
        "data = '/app/backend/data/'\n"
        "count = lambda file, table: sqlite3.connect(data + file)"
        ".execute(f'select count(*) from {table}').fetchone()[0]\n"
        "print(count('webui.db', 'file'), len(os.listdir(data + 'uploads')),"
        " count('vector_db/chroma.sqlite3', 'embeddings'))"
    )
    ran = deployment.ssh("sudo podman exec --interactive open-webui python3 -", stdin=program)
    rows, uploads, numbers = map(int, ran.output.split())
    return rows, uploads, numbers


CARETAKER = "What is the caretaker in Nantes called?"


@contextmanager
def searched_by_a_model(deployment: Deployment) -> Iterator[None]:
    """The stack with a model that embeds."""
    up = ("up", "--yes", "--skip-preview")  # the administrator's session stays as it is
    deployment.pulumi("config", "set", "--path", "ollamazure:models[1]", "all-minilm:22m")
    try:
        deployment.pulumi(*up)
        yield
    finally:
        deployment.pulumi("config", "rm", "--path", "ollamazure:models[1]")
        deployment.pulumi(*up)


def test_a_question_is_answered_from_a_document(webui: Webui, deployment: Deployment) -> None:
    """It is read as a whole where nothing embeds."""
    token = who_asks_about(webui, deployment, "fay@example.org", HOURS)
    # No user has listed the models yet.
    content, found = ask_brief(deployment, token, CARETAKER)
    assert "Odilon Marchetti" in content
    assert "embedding_config" not in found


@pytest.mark.long
def test_documents_are_searched_where_a_model_embeds_them(
    webui: Webui, deployment: Deployment
) -> None:
    travel = ("travel.md", "A day trip is paid up to 67 euros.")
    token = who_asks_about(webui, deployment, "fay@example.org", HOURS, travel)
    seen = models_of(deployment, token)
    with searched_by_a_model(deployment):
        declared = deployment.ssh(f"sudo cat {SETTINGS}").output
        assert '"rag.embedding_model": "all-minilm:22m"' in declared
        assert models_of(deployment, token) == seen, "no user chats with a model that embeds"
        content, found = ask_brief(deployment, token, CARETAKER)
        assert "Odilon Marchetti" in content
        assert "all-minilm:22m" in found["embedding_config"]


@pytest.mark.long
def test_documents_change_where_a_model_embeds_them(webui: Webui, deployment: Deployment) -> None:
    token = who_asks_about(webui, deployment, "fay@example.org", HOURS)
    with searched_by_a_model(deployment):
        new = "The archive in Nantes opens at 11:20. Its caretaker is called Bruna Sabatini."
        webui.declare("knowledge", "handbook", knowledge(("hours.md", new)), (new,))
        webui.apply("knowledge", "handbook")
        content, _ = ask_brief(deployment, token, CARETAKER)
        assert "Bruna Sabatini" in content
        deleted_users_files_are_gone(webui, deployment)
        embed_again = (
            f"sudo rm /srv/data/open-webui/embedded-with; {TOOL} apply-settings {SETTINGS}"
        )
        deployment.ssh("sudo systemctl stop ollama")
        failed = deployment.ssh(embed_again, check=False)
        deployment.ssh("sudo systemctl start ollama")
        assert failed.code != 0
        assert "all-minilm:22m cannot embed hours.md (Handbook): " in failed.output
        until_it_answers = (
            "until sudo curl --fail --silent http://127.0.0.1:11434; do sleep 0.2; done"
        )
        deployment.ssh(f"{until_it_answers}; {TOOL} apply-settings {SETTINGS}")
        assert webui.drift() == []
    _, found = ask_brief(deployment, token, CARETAKER)
    assert "embedding_config" not in found


@pytest.mark.long
def test_the_search_by_the_images_own_model_is_refused_where_it_has_none(
    webui: Webui, deployment: Deployment, admin: httpx.Client
) -> None:
    """The image that is built here has none; the official one has, and there it searches."""
    models = (
        "/app/backend/data/cache/embedding/models/models--sentence-transformers--all-MiniLM-L6-v2"
    )
    there = deployment.ssh(f"sudo podman exec open-webui test -e {models}", check=False).code == 0
    token = who_asks_about(webui, deployment, "gus@example.org", HOURS)
    before = answer(admin.get("/api/v1/configs/export"))
    deployment.pulumi("config", "set", "ollamazure:documentSearch", "image")
    try:
        ran = deployment.pulumi("up", "--yes", "--skip-preview", check=False)
        assert (ran.code == 0) == there, ran.output
        if not there:
            assert "sentence-transformers/all-MiniLM-L6-v2 is missing" in ran.output
            assert answer(admin.get("/api/v1/configs/export")) == before
        _, found = ask_brief(deployment, token, CARETAKER)
        assert ("sentence-transformers" in found.get("embedding_config", "")) == there
    finally:
        deployment.pulumi("config", "rm", "ollamazure:documentSearch")
        deployment.up()
        # To Pulumi an update that failed is none, so nothing has run again.
        if not there:
            unfinished = by_resource(drift(deployment).output)["open-webui-settings"]
            assert any(what.endswith("did not finish") for what in unfinished)
        deployment.up(reapply=secrets.token_hex(4))
    assert "open-webui-settings" not in by_resource(drift(deployment).output)
    _, found = ask_brief(deployment, token, CARETAKER)
    assert "embedding_config" not in found


def ask_brief(deployment: Deployment, token: str, question: str) -> tuple[str, Item]:
    """The preset's answer, and the metadata of the first document that it was given."""
    body = {"model": "brief", "messages": [{"role": "user", "content": question}]}
    with deployment.client(token) as client:
        sent = body | {"stream": False, "max_tokens": 48}
        answered = answer(client.post("/api/chat/completions", json=sent))
    return answered["choices"][0]["message"]["content"], answered["sources"][0]["metadata"][0]


def files(admin: httpx.Client, base: str) -> list[Item]:
    found: list[Item] = answer(admin.get(f"/api/v1/knowledge/{base}/files"))["items"]
    return found


def texts(admin: httpx.Client, base: str) -> dict[str, str]:
    """What Open WebUI read in each document."""
    return {
        one["filename"]: answer(admin.get(f"/api/v1/files/{one['id']}/data/content"))["content"]
        for one in files(admin, base)
    }


def test_no_document_is_changed_if_one_cannot_be_read(webui: Webui, admin: httpx.Client) -> None:
    """All faults are named at once, and an upload of a run that was killed is removed."""
    webui.declare("knowledge", "handbook", knowledge(("hours.md", "We open.")), ("We open.",))
    webui.apply("knowledge", "handbook")
    bases = answer(admin.get("/api/v1/knowledge/"))["items"]
    base = next(one["id"] for one in bases if one["name"] == "Handbook")
    killed = json.dumps({"declared": "hours.md", "declared_for": base})
    path = "/api/v1/files/?process_in_background=false"
    answer(admin.post(path, files={"file": ("late.md", "Late")}, data={"metadata": killed}))
    by_hand = json.dumps({"knowledge_id": base})
    answer(admin.post(path, files={"file": ("hand.md", "By hand")}, data={"metadata": by_hand}))

    new = {"broken.pdf": "not a PDF", "again.md": "By hand", "good.md": "G"}
    new |= {"style.html": "<style></style>", "crlf.md": "1\r\n2", "lf.md": "1\n2"}
    webui.declare("knowledge", "handbook", knowledge(*new.items()), tuple(new.values()))
    failed = webui.apply("knowledge", "handbook", fails=True)
    assert "knowledge-handbook: no document was changed: " in failed
    assert "the document broken.pdf cannot be read: " in failed
    assert "the document style.html has no text; a scan needs OCR first" in failed
    assert "the document again.md has the same text as hand.md" in failed
    assert "the document lf.md has the same text as crlf.md" in failed
    assert texts(admin, base) == {"hours.md": "We open.", "hand.md": "By hand"}
    for name in (*new, "late.md"):
        found = admin.get("/api/v1/files/search", params={"filename": name})
        assert found.status_code == 404, f"{name} was sent and is still there"

    webui.declare("knowledge", "handbook", knowledge(("good.md", "G")), ("G",))
    webui.apply("knowledge", "handbook")
    assert texts(admin, base) == {"good.md": "G", "hand.md": "By hand"}
    assert webui.drift() == []


def test_settings_changed_by_hand_are_reported(webui: Webui, admin: httpx.Client) -> None:
    settings = "open-webui-settings"
    changed = {"config": {"openai.enable": True, "task.title.enable": True}}
    answer(admin.post("/api/v1/configs/import", json=changed))
    try:
        assert webui.drift(settings) == [
            (settings, "openai.enable is true, declared false"),
            (settings, "task.title.enable is true, declared false"),
        ]
    finally:
        webui.deployment.ssh(f"{TOOL} apply-settings {SETTINGS}")
    assert webui.drift(settings) == []


def test_a_setting_that_is_no_longer_declared_goes_back_to_its_default(
    webui: Webui, admin: httpx.Client
) -> None:
    """As on a new instance; the administrator's own changes stay."""
    read = partial(admin.get, "/api/v1/configs/export")
    before = answer(read())
    declared = json.loads(webui.deployment.ssh(f"cat {SETTINGS}").output)
    permissions = deepcopy(declared["defaults"]["user.permissions"])
    permissions["chat"]["share"] = permissions["chat"]["call"] = True
    more = {
        "ui.default_user_role": "user",
        "ui.watermark": "from the chat",
        "user.permissions": permissions,
    }
    apply = f"cat >/tmp/declared.json && {TOOL} apply-settings /tmp/declared.json"
    webui.deployment.ssh(
        apply, stdin=json.dumps({**declared, "config": {**declared["config"], **more}})
    )
    assert answer(read()) == {**before, **more}

    by_hand = {**more["user.permissions"], "chat": {**permissions["chat"], "call": False}}
    changed = {"ui.watermark": "by hand", "user.permissions": by_hand}
    answer(admin.post("/api/v1/configs/import", json={"config": changed}))
    reported = webui.deployment.ssh(apply, stdin=json.dumps(declared)).output
    try:
        assert "at its default again: ui.default_user_role, user.perm" in reported
        assert answer(read()) == {**before, "ui.watermark": "by hand"}
    finally:
        answer(admin.post("/api/v1/configs/import", json={"config": before}))


def test_the_catalog_has_exactly_open_webuis_permissions(admin: httpx.Client) -> None:
    """Their names are checked at preview, so they must be the application's."""

    def names(tree: Item) -> dict[str, set[str]]:
        return {branch: set(leaves) for branch, leaves in tree.items()}

    real = answer(admin.get("/api/v1/users/default/permissions/defaults"))
    assert names(catalog.webui_permissions().defaults) == names(real)


def test_only_users_with_their_initial_password_see_the_hint(
    webui: Webui, deployment: Deployment, admin: httpx.Client
) -> None:
    banners, email = "/api/v1/configs/banners", "ida@example.org"
    initial, chosen = secrets.token_urlsafe(), secrets.token_urlsafe()
    webui.declare("user", email, user(email))
    webui.apply("user", email, password=initial)
    with deployment.client(sign_in(deployment, email, initial)) as client:
        hint, *others = answer(client.get(banners))
        assert hint["id"] == "initial-password"
        assert hint["i18n"].keys() == catalog.texts("hint").keys()
        form = {"password": initial, "new_password": chosen}
        answer(client.post("/api/v1/auths/update/password", json=form))
    with deployment.client(sign_in(deployment, email, chosen)) as client:
        assert answer(client.get(banners)) == others
    assert answer(admin.get(banners)) == others


def test_the_catalog_has_exactly_open_webuis_locales(deployment: Deployment) -> None:
    """The page loads the texts of each from a file of its own."""
    find = r"grep -rhoE '\./locales/[A-Za-z-]+/translation\.json' /app/build --include=*.js"
    found = deployment.ssh(f"sudo podman exec open-webui {find}").output.split()
    assert {path.split("/")[2] for path in found} == {*catalog.locales()}


def test_an_error_has_the_items_name_and_open_webuis_message(
    webui: Webui, deployment: Deployment
) -> None:
    webui.declare("user", "ghost", user("ghost"))
    failed = webui.apply("user", "ghost", password="long enough", fails=True)
    assert "user-ghost: POST /api/v1/auths/add: 400 The email format" in failed
    failed = webui.apply("user", "ghost", fails=True)
    assert "user-ghost: a new account needs its initial password" in failed

    webui.declare("user", "ghost", user(deployment.outputs["adminEmail"], state="suspended"))
    failed = webui.apply("user", "ghost", fails=True)
    assert "403" in failed
    assert "The first account stays an active administrator: remove it from `users`." in failed

    webui.declare("user", "ghost", user("ghost@example.org", groups=["Missing"]))
    failed = webui.apply("user", "ghost", password="long enough", fails=True)
    assert "there is no group Missing; declare it in `groups`." in failed


def test_all_commands_share_one_session_that_is_no_sign_in(
    webui: Webui, deployment: Deployment
) -> None:
    file = "/run/ollamazure/webui-session"
    deployment.ssh(f"sudo rm -f {file}")
    webui.declare("group", "sales", group("Sales"))
    webui.apply("group", "sales")
    shown = f"sudo stat --format '%a %U %i' {file}; findmnt --noheadings --output FSTYPE -T {file}"
    first = deployment.ssh(shown).output
    assert first.startswith("600 root ")
    assert first.endswith("tmpfs\n")
    webui.apply("group", "sales")
    webui.drift()
    assert deployment.ssh(shown).output == first

    # Ended before its time, as by a new password of that account.
    deployment.ssh(f"printf ended | sudo tee {file}")
    webui.apply("group", "sales")
    assert deployment.ssh(shown).output != first

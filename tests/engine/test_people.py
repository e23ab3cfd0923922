"""Users and what they may use, under the real engine: what a pull request shows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.stack import Stack, counted, names

pytestmark = pytest.mark.long  # test_upgrade.py has a team

BOB = {"email": "bob@example.com", "name": "Bob", "groups": ["research"]}
ALICE = {"email": "alice@example.com", "name": "Alice", "groups": ["research"]}
COACH = {"id": "coach", "name": "Coach", "baseModel": "smollm2:135m"}
SUM_UP = {"command": "sum", "title": "Sum up", "content": "Sum up in five sentences:"}
TEAM: dict[str, object] = {
    "groups": [{"name": "research"}],
    "users": [BOB],
    "presets": [COACH],
    "prompts": [SUM_UP],
}
ROOT = "ollamazure-local"


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    stack = Stack(tmp_path_factory.mktemp("people") / "emulator")
    declare(stack, **TEAM)
    stack.up()
    return stack


@pytest.fixture
def stack(deployed: Stack) -> Iterator[Stack]:
    """The deployed stack. What a test declares is removed afterwards."""
    (kept,) = (deployed.home / "settings").glob("local.yaml")
    before = kept.read_text()
    yield deployed
    kept.write_text(before)


def declare(stack: Stack, **lists: object) -> None:
    given = [f"ollamazure:{key}={json.dumps(value)}" for key, value in lists.items()]
    stack.run("config", "set-all", *(part for pair in given for part in ("--plaintext", pair)))


def test_a_second_preview_shows_nothing(stack: Stack) -> None:
    assert stack.preview() == []


def test_a_new_user_is_one_new_resource_with_address_and_groups(stack: Stack) -> None:
    declare(stack, users=[ALICE, BOB])
    steps = stack.preview()
    assert names(steps, "create") == {"user-alice@example.com"}
    assert names(steps, "update") <= {ROOT}

    shown = stack.run("preview", "--diff")
    created = shown.partition("user-alice@example.com")[2]
    assert 'email : "alice@example.com" groups: [ [0]: "research" ]' in " ".join(created.split())
    assert "stdin                 : [secret]" in created
    assert "bob@example.com" not in shown


def test_a_changed_prompt_is_one_update(stack: Stack) -> None:
    declare(stack, prompts=[{**SUM_UP, "content": "Sum up in two sentences:"}])
    steps = stack.preview()
    assert names(steps, "update") - {ROOT} == {"prompt-sum"}
    assert counted(steps)["create"] == counted(steps)["delete"] == 0


def test_a_changed_prompt_shows_the_line(stack: Stack) -> None:
    declare(stack, prompts=[{**SUM_UP, "content": "Sum up in two sentences:"}])
    printed = stack.run("preview", "--diff")
    assert '+   "content": "Sum up in two sentences:"' in printed
    assert "users no longer has" not in printed


def test_a_removed_user_is_one_delete(stack: Stack) -> None:
    declare(stack, users=[])
    steps = stack.preview()
    assert names(steps, "delete") == {"user-bob@example.com"}
    assert names(steps, "update") <= {ROOT}


def test_the_deletion_of_an_account_is_announced(stack: Stack) -> None:
    declare(stack, users=[{**BOB, "state": "deleted"}])
    assert "has bob@example.com with state: deleted" in stack.run("preview")


def test_a_whole_team_previews(stack: Stack) -> None:
    """Fifty users, ten groups, twenty presets, thirty prompts."""
    declare(
        stack,
        groups=[{"name": f"group{number}"} for number in range(10)],
        users=[
            {"email": f"user{n}@example.com", "name": f"User {n}", "groups": [f"group{n % 10}"]}
            for n in range(50)
        ],
        presets=[{**COACH, "id": f"preset{number}"} for number in range(20)],
        prompts=[{**SUM_UP, "command": f"prompt{number}"} for number in range(30)],
    )
    assert len(names(stack.preview(), "create")) == 110


def test_no_password_is_stored_in_plain(stack: Stack) -> None:
    outputs = json.loads(stack.run("stack", "output", "--json", "--show-secrets"))
    password = outputs["initialPasswords"]["bob@example.com"]
    assert len(password) == 29
    exported = stack.run("stack", "export")
    assert "user-bob@example.com" in exported
    assert password not in exported
    assert stack.outputs()["initialPasswords"] == "[secret]"
    commands = (stack.home / "recorder.jsonl").read_text()
    assert "user-bob@example.com" in commands and password not in commands


def test_the_example_previews(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "emulator", "dev")
    stack.set("teamFile", "docs/how-to/team.yaml")
    created = names(stack.preview(), "create")
    assert {"user-alice@example.com", "preset-house-rules", "knowledge-House-rules"} <= created


def test_users_who_leave_the_settings_are_named(stack: Stack) -> None:
    declare(stack, users=[ALICE])
    shown = stack.run("preview")
    assert "users no longer has bob@example.com: `pulumi up` suspends these accounts" in shown

"""Users, groups, presets, prompts and knowledge: what they register, and in which order."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pulumi
import pytest
from pulumi_command.remote import ConnectionArgs

from components import remote_command
from components.answer_check import AnswerCheck, AnswerCheckArgs
from components.outputs import render_operator_page
from components.workspace import (
    AT_ONCE,
    Workspace,
    WorkspaceArgs,
    initial_password,
    with_chat_only,
)
from ollamazure import catalog, manifest
from ollamazure.settings import team_file
from ollamazure.settings.base import slug
from ollamazure.settings.load import parse
from ollamazure.settings.workspace import UserGroup
from tests.unit.components.recorder import Recorded, Recorder, record

MODELS = ("llama3.2:1b",)
SEED = "the-seed-of-all-passwords"
BASE = {"sshClients": '["203.0.113.7"]'}
TEAM = {"teamFile": "docs/how-to/team.yaml"}


def deploy(**given: Any) -> Recorder:
    """The workspace on a machine whose model is installed, with the settings that are given."""
    texts = {key: v if isinstance(v, str) else json.dumps(v) for key, v in given.items()}
    settings = parse({**BASE, **texts}, secrets=frozenset({"signInSecret"}))

    def program() -> None:
        vm = pulumi.CustomResource("test:index:Vm", "vm")
        ready = pulumi.CustomResource("test:index:Ready", "webui-ready")
        connection = ConnectionArgs(
            host="192.0.2.1", user="admin", private_key="ssh", host_key="key"
        )
        target = remote_command.Target(connection, pulumi.Output.from_input("vm-1"), vm)
        models = {
            name: remote_command.run_on_machine(
                f"model-{name}", target, purpose="test", script="true"
            )
            for name in settings.models
        }
        workspace = Workspace("workspace", WorkspaceArgs(target, settings, models, after=[ready]))
        pulumi.export("initialPasswords", workspace.initial_passwords)
        AnswerCheck(
            "answer-check",
            AnswerCheckArgs(
                target,
                settings,
                catalog.vm_sizes()["Standard_B2ms"],
                "https://chat",
                {"system": True, "authorities": ""},
                "AB:CD",
                application=[],
                presets=workspace.presets,
            ),
        )

    return record(program, outputs={"initial-passwords": {"result": SEED}})


def items(recorder: Recorder) -> dict[str, Recorded]:
    commands = recorder.of("command:remote:Command")
    return {it.name: it for it in commands if not it.name.startswith("model-")}


def declared(command: Recorded) -> dict[str, Any]:
    """What the command declares."""
    stdin = command.inputs["stdin"]
    described = manifest.read(stdin)
    contents, _ = manifest.contents(described, stdin)
    text = next(content.decode() for path, content in contents.items() if path.endswith(".json"))
    assert described.input in (text.rstrip("\n") if described.secrets else None, None)
    found: dict[str, Any] = json.loads(text)
    return found


def test_the_last_check_asks_each_preset_and_runs_again_when_one_changes() -> None:
    preset = {"id": "brief", "name": "Brief", "baseModel": MODELS[0]}
    before = deploy(presets=[preset]).named("chat-answers")
    after = deploy(presets=[{**preset, "params": {"temperature": 0.5}}]).named("chat-answers")

    assert json.loads(before.inputs["stdin"])["presets"] == ["brief"]
    assert before.dependencies == {"preset-brief"}
    assert before.inputs["environment"] != after.inputs["environment"]


def test_one_resource_for_each_and_the_ready_made_group() -> None:
    assert items(deploy()).keys() == {"group-chat-only"}
    assert items(deploy(**TEAM)).keys() == {
        "group-chat-only",
        "group-editors",
        "user-alice@example.com",
        "user-bob@example.com",
        "user-carol@example.com",
        "user-dave@example.com",
        "knowledge-House-rules",
        "preset-house-rules",
        "preset-writing-coach",
        "prompt-summarise",
        "prompt-letter",
    }


def test_each_declaration_is_what_the_machines_tool_reads() -> None:
    found = {name: declared(command) for name, command in items(deploy(**TEAM)).items()}
    assert found["group-editors"] == {
        "name": "editors",
        "description": "Write texts, and may hand files to the model.",
        "permissions": {"chat": {"file_upload": True}},
    }
    assert found["user-dave@example.com"] == {
        "email": "dave@example.com",
        "name": "Dave",
        "role": "user",
        "groups": ["editors"],
        "state": "suspended",
    }
    coach = found["preset-writing-coach"]
    assert (coach["base_model"], coach["params"]) == ("llama3.2:1b", {"temperature": 0.3})
    assert coach["access"] == {"groups": ["editors"], "users": []}
    assert found["preset-house-rules"]["access"] == {"everyone": True}
    assert found["prompt-letter"]["access"] == {"groups": ["editors"], "users": ["bob@example.com"]}
    files = found["knowledge-House-rules"]["files"]
    text = (team_file.PROJECT / "docs/how-to/read-the-password.md").read_bytes()
    assert files[0] == {
        "name": "read-the-password.md",
        "sha256": hashlib.sha256(text).hexdigest(),
    }


def test_members_may_be_named_at_the_group() -> None:
    recorder = deploy(
        groups=[{"name": "research", "members": ["alice@example.com"]}, {"name": "sales"}],
        users=[{"email": "alice@example.com", "name": "Alice", "groups": ["sales"]}],
    )
    assert declared(items(recorder)["user-alice@example.com"])["groups"] == ["research", "sales"]


def test_a_group_that_a_provider_fills_is_declared_as_such() -> None:
    sign_in = {
        "clientId": "team-chat",
        "issuer": "https://login.example.com",
        "allowedDomains": ["example.com"],
        "groups": ["research"],
    }
    found = items(
        deploy(
            groups=[{"name": "research"}, {"name": "sales"}],
            signIn=sign_in,
            signInSecret="a-secret-of-the-provider",
        )
    )
    assert declared(found["group-research"])["filled_at_sign_in"] is True
    assert "filled_at_sign_in" not in declared(found["group-sales"])


def test_a_new_user_changes_nothing_about_the_others() -> None:
    bob = {"email": "bob@example.com", "name": "Bob"}
    before = items(deploy(users=[bob]))
    after = items(deploy(users=[{"email": "alice@example.com", "name": "Alice"}, bob]))
    assert after.keys() - before.keys() == {"user-alice@example.com"}
    assert {name: after[name].inputs for name in before} == {
        name: command.inputs for name, command in before.items()
    }


def test_a_removed_user_is_suspended_and_other_items_are_deleted() -> None:
    found = items(deploy(**TEAM))
    assert (
        "webui-cli remove user alice@example.com "
        in found["user-alice@example.com"].inputs["delete"]
    )
    removal = found["knowledge-House-rules"].inputs["delete"]
    assert "webui-cli remove knowledge 'House rules' " in removal


def test_the_password_is_only_in_inputs_that_the_engine_hides() -> None:
    recorder = deploy(users=[{"email": "alice@example.com", "name": "Alice"}])
    password = initial_password(SEED, "alice@example.com")
    alice = recorder.named("user-alice@example.com")
    assert "stdin" in alice.secrets
    assert password in alice.inputs["stdin"]
    assert (
        "secret password | /usr/local/lib/ollamazure/webui-cli apply user" in alice.inputs["stdin"]
    )
    for command in recorder.of("command:remote:Command"):
        shown = {key: value for key, value in command.inputs.items() if key not in command.secrets}
        assert password not in json.dumps(shown) and SEED not in json.dumps(shown)


def test_passwords_are_long_and_differ_and_stay_the_same() -> None:
    alice, bob = (initial_password(SEED, f"{name}@example.com") for name in ("alice", "bob"))
    assert alice != bob
    assert alice == initial_password(SEED, "alice@example.com")
    assert alice != initial_password("another seed", "alice@example.com")
    assert 12 <= len(alice.encode()) <= 72


def big_team() -> dict[str, Any]:
    groups = [f"group {number}" for number in range(10)]
    users = [f"user{number}@example.com" for number in range(50)]
    return {
        "groups": [{"name": name} for name in groups],
        "users": [
            {"email": email, "name": email, "groups": [groups[index % 10]]}
            for index, email in enumerate(users)
        ],
        "knowledge": [{"name": "Handbook", "files": ["README.md"]}],
        "presets": [
            {
                "id": f"preset{number}",
                "name": f"Preset {number}",
                "baseModel": "llama3.2:1b",
                "knowledge": ["Handbook"],
                "access": {"groups": [groups[number % 10]]},
            }
            for number in range(20)
        ],
        "prompts": [
            {"command": f"prompt{number}", "title": "A prompt", "content": "Say it shorter."}
            for number in range(30)
        ],
    }


def test_no_more_commands_run_at_once_than_there_are_connections() -> None:
    """When all run that can run, never more than six of 112 run at once."""
    found = items(deploy(**big_team()))
    assert len(found) == 112
    done, most = {"webui-ready", "model-llama3.2:1b", "initial-passwords"}, 0
    while waiting := found.keys() - done:
        under_way = {name for name in waiting if found[name].dependencies <= done}
        most = max(most, len(under_way))
        done |= under_way
    assert most == AT_ONCE


def test_what_an_item_refers_to_comes_first() -> None:
    found = items(deploy(**big_team()))

    def before(name: str) -> set[str]:
        return set(found[name].dependencies)

    assert "group-group-7" in before("user-user17@example.com")
    assert {"knowledge-Handbook", "group-group-3", "model-llama3.2:1b"} <= before("preset-preset3")
    assert "webui-ready" in before("group-chat-only")


def test_a_restricted_model_waits_for_its_groups_and_for_the_model() -> None:
    recorder = deploy(
        models=["mistral", "llama3.2:1b"],
        vmSize="auto",
        modelAccess={"mistral": {"groups": ["chat-only"]}},
    )
    access = recorder.named("access-mistral-latest")
    assert declared(access) == {"model": "mistral:latest", "groups": ["chat-only"], "users": []}
    assert {"model-mistral:latest", "group-chat-only"} <= access.dependencies


def test_the_ready_made_group_grants_what_chatting_needs_and_may_be_declared() -> None:
    (ready_made,) = with_chat_only([])
    assert ready_made.permissions["chat"]["edit"] is True
    assert "file_upload" not in ready_made.permissions["chat"]
    assert not {"workspace", "sharing", "access_grants"} & ready_made.permissions.keys()
    own = UserGroup(name="chat-only", description="ours")
    assert with_chat_only([own]) == [own]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("alice@example.com", "alice@example.com"),
        ("House rules", "House-rules"),
        ("llama3.2:1b", "llama3.2-1b"),
        ("Équipe", "quipe-"),
        ("研究", ""),
        ("../../etc", "..-..-etc-"),
    ],
)
def test_a_key_becomes_a_name_of_files_and_resources(key: str, expected: str) -> None:
    assert slug(key).startswith(expected)
    assert "/" not in slug(key) and slug(key)
    assert (slug(key) == expected) == (expected != "" and not expected.endswith("-"))


def test_documents_are_beside_the_declaration_by_their_digests() -> None:
    stdin = deploy(**TEAM).named("knowledge-House-rules").inputs["stdin"]
    contents, _ = manifest.contents(manifest.read(stdin), stdin)
    folder = "/etc/ollamazure/declared/knowledge/House-rules"
    listed = json.loads(contents[f"{folder}.json"])["files"]
    assert {f"{folder}/{file['sha256']}" for file in listed} == contents.keys() - {f"{folder}.json"}
    assert listed


def test_the_declaration_of_a_user_is_shown_beside_the_secret() -> None:
    alice = deploy(users=[{"email": "alice@example.com", "name": "Alice"}]).named(
        "user-alice@example.com"
    )
    shown = manifest.Manifest.parse(alice.inputs["environment"][manifest.VARIABLE])
    assert json.loads(shown.input or "") == declared(alice)


def test_the_operators_page_explains_how_users_sign_in() -> None:
    names = "stack url adminEmail models vmSize location monthlyCostEstimate keepData sshCommand"
    names += " backupTarget backupSshPublicKey"
    values = dict.fromkeys(
        [*names.split(), "certificateFingerprint", "hostKey", "certificateMode"], "x"
    )
    page = render_operator_page({**values, "hasUsers": True, "redirectUri": None})
    assert "bin/ollamazure people invite --all --to messages --stack x" in page
    alone = render_operator_page({**values, "hasUsers": False, "redirectUri": None})
    assert "Only the administrator can sign in." in alone and "people invite" not in alone
    assert "redirect URI" not in alone
    where = "https://chat.example.com/oauth/oidc/callback"
    page = render_operator_page({**values, "hasUsers": False, "redirectUri": where})
    assert f"    {where}\n" in page

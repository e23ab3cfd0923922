"""Loading: from Pulumi's configuration, in two passes, with all problems in one error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pulumi
import pytest
from pulumi.runtime import set_all_config

from ollamazure.settings.load import load, parse
from ollamazure.settings.problems import SettingsError

BASE = {"sshClients": '["203.0.113.7/32"]'}
ALICE = {"email": "alice@example.com", "name": "Alice"}


def keys_of_problems(secrets: frozenset[str] = frozenset(), **given: Any) -> list[str]:
    """The key of each problem, in order."""
    texts = {key: v if isinstance(v, str) else json.dumps(v) for key, v in given.items()}
    with pytest.raises(SettingsError) as error:
        parse({**BASE, **texts}, secrets)
    return [problem.where.removeprefix("ollamazure:") for problem in error.value.problems]


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(SettingsError) as error:
        parse(
            {
                "location": "francecentrl",
                "dataDiskGiB": "two",
                "certificate": '{"country": "fr", "validityDays": 1}',
                "mirrors": "{",
                "colour": "blue",
            }
        )
    assert str(error.value).startswith("7 settings to fix; nothing has been created or changed.\n")
    assert {problem.where.removeprefix("ollamazure:") for problem in error.value.problems} == {
        *("location", "dataDiskGiB", "certificate.country", "certificate.validityDays"),
        *("mirrors", "colour", "sshClients"),
    }


def test_an_invalid_list_hides_no_wrong_reference_in_another() -> None:
    assert keys_of_problems(
        groups=[{"name": "research"}, {"name": 7, "colour": "red"}],
        users=[{**ALICE, "groups": ["research"]}],
        knowledge=[{"name": "Handbook", "files": ["README.md"]}],
        presets=[
            {"id": "coach", "name": "C", "baseModel": "llama3.2:1b", "knowledge": ["Handbok"]}
        ],
    ) == ["groups[1].colour", "presets[0].knowledge[0]"]


def test_an_invalid_item_hides_nothing_of_the_other_items_and_of_its_own_parts() -> None:
    assert keys_of_problems(
        groups=[{"name": "a", "members": ["x@example.com"]}],
        users=[
            {"email": "x@example.com", "name": "", "role": "boss", "groups": ["c"]},
            {**ALICE, "groups": ["b"]},
            7,
            ALICE,
        ],
        knowledge=[
            {"name": "K", "files": ["nowhere"]},
            {"name": "L"},
            {"name": "M", "files": ["README.md"]},
            {"name": "M", "files": ["README.md"]},
        ],
    ) == [
        *("users[0].name", "users[0].role", "users[2]", "knowledge[1].files"),
        *("users[3].email", "knowledge[3].name", "users[0].groups[0]", "users[1].groups[0]"),
        "knowledge[0].files[0]",
    ]


def test_a_reference_into_an_invalid_part_waits() -> None:
    user = {**ALICE, "groups": ["research"]}
    assert keys_of_problems(groups=[{"name": ""}], users=[user]) == ["groups[0].name"]
    assert keys_of_problems(groups="[{", users=[user]) == ["groups"]
    # Only the name of a group matters for a reference.
    bad_description = [{"name": "sales", "description": "long " * 300}]
    assert keys_of_problems(groups=bad_description, users=[user]) == [
        "groups[0].description",
        "users[0].groups[0]",
    ]


def test_an_invalid_value_is_reported_once_and_causes_no_other_problem() -> None:
    assert keys_of_problems(
        frozenset({"signInSecret"}),
        signIn={"clientId": "chat", "tenant": "common", "allowedDomains": ["example.com"]},
        signInSecret="short",
        dnsLabel="Chat",
        models=["llama3.2:1b", "a b"],
        presets=[{"id": "coach", "name": "C", "baseModel": "a  b"}],
        certificate={"validityDays": "ten"},
    ) == [
        *("models[1]", "dnsLabel", "certificate.validityDays", "presets[0].baseModel"),
        *("signIn.tenant", "signInSecret"),
    ]


def test_that_a_setting_is_set_counts_even_if_its_value_is_invalid() -> None:
    assert keys_of_problems(
        frozenset({"adminPassword"}),
        adminPassword="short",
        adminPasswordRotation="2027-01",
        signIn={"clientId": "a chat"},
    ) == [
        *("adminPassword", "signIn.clientId", "signIn.allowedDomains", "adminPasswordRotation"),
        *("signIn.issuer", "signInSecret"),
    ]


def test_a_misspelt_model_is_one_problem_although_others_refer_to_it() -> None:
    few = {"groups": ["chat-only"]}
    preset = {"id": "coach", "name": "Coach", "baseModel": "llama3.2:1b", "access": few}
    assert keys_of_problems(
        models=["lama3.2:1b"],
        presets=[preset],
        modelAccess={"llama3.2:1b": few},
        defaultModel="llama3.2:1b",
    ) == ["models[0]"]


def test_problems_of_several_entries_are_reported_at_once() -> None:
    assert keys_of_problems(
        groups=[{"name": "a", "permissions": {"chat": {"x": True}}}, {"name": "b"}],
        users=[{**ALICE, "groups": ["c"]}, {**ALICE, "groups": ["d", "b"]}],
        presets=[{"id": "coach", "name": "C", "baseModel": "x", "knowledge": ["y"]}],
    ) == [
        *("users[1].email", "users[0].groups[0]", "users[1].groups[0]", "presets[0].knowledge[0]"),
        *("groups[0].permissions.chat.x", "presets[0].baseModel"),
    ]


def test_a_model_without_its_tag_keeps_the_users_spelling_in_the_path() -> None:
    access = {"mistral": {"groups": ["sales"]}}
    assert keys_of_problems(models=["mistral"], modelAccess=access) == [
        "modelAccess.mistral.groups[0]"
    ]


def test_only_declared_names_are_settings() -> None:
    assert keys_of_problems(vm_size="auto") == ["vm_size"]
    prompt = {"command": "sum", "title": "Sum", "content": "Sum:", "access": None}
    assert keys_of_problems(presets=[{"id": "a", "name": "A", "base_model": "llama3.2:1b"}]) == [
        "presets[0].baseModel",
        "presets[0].base_model",
    ]
    assert parse({**BASE, "prompts": json.dumps([prompt])}).prompts[0].access is None


def test_a_name_and_its_value_may_both_be_invalid() -> None:
    assert keys_of_problems(modelAccess={"x y": ["chat-only"]}, tags={"azure": {}}) == [
        *("tags.azure", "tags.azure", 'modelAccess["x y"]', 'modelAccess["x y"]'),
    ]


def test_a_finding_does_not_rest_on_an_example() -> None:
    """The examples would be the group research and the model llama3.2:1b."""
    sign_in: dict[str, Any] = {"clientId": "chat", "issuer": "https://a.example.com"}
    sign_in |= {"allowedDomains": ["example.com"], "groups": ["research"]}
    assert keys_of_problems(
        frozenset({"signInSecret"}),
        signIn=sign_in,
        signInSecret="a-secret-of-the-provider",
        users=[ALICE],
        groups=[{"name": "research"}, {"name": "", "members": ["alice@example.com"]}],
        models=["qwen3:0.6b", ""],
        modelAccess={"qwen3:0.6b": {"groups": [True]}},
        presets=[{"id": "coach", "name": "Coach", "baseModel": "qwen3:0.6b"}],
    ) == ["models[1]", "groups[1].name", 'modelAccess["qwen3:0.6b"].groups[0]']


@pytest.fixture
def configured() -> Iterator[None]:
    yield
    set_all_config({}, [])


@pytest.mark.usefixtures("configured")
def test_settings_come_from_pulumis_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    warnings: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", warnings.append)
    set_all_config(
        {
            "ollamazure:sshClients": '["0.0.0.0/0"]',
            "ollamazure:adminPassword": "correct horse battery",
            "azure-native:location": "nowhere",
        },
        ["ollamazure:adminPassword"],
    )
    settings = load(pulumi.Config("ollamazure"))
    assert settings.ssh_clients == ("0.0.0.0/0",)
    assert settings.admin_password is not None
    assert any("open to the whole internet" in warning for warning in warnings)


@pytest.mark.usefixtures("configured")
def test_the_stacks_name_is_one_of_the_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi, "get_stack", lambda: "prod.eu.")
    set_all_config(
        {"ollamazure:sshClients": '["203.0.113.7"]', "ollamazure:dataDiskGiB": "two"}, []
    )
    with pytest.raises(SettingsError) as error:
        load(pulumi.Config("ollamazure"))
    name, size = error.value.problems
    assert str(name).startswith('The stack\'s name = "prod.eu." is not allowed: it is not letters')
    assert name.fix == "pulumi stack rename prod-eu"
    assert size.where == "ollamazure:dataDiskGiB"


@pytest.mark.usefixtures("configured")
def test_a_password_in_plain_text_is_refused() -> None:
    set_all_config(
        {
            "ollamazure:sshClients": '["203.0.113.7"]',
            "ollamazure:adminPassword": "correct horse battery",
        },
        [],
    )
    with pytest.raises(SettingsError, match="is not encrypted in the stack file") as error:
        load(pulumi.Config("ollamazure"))
    assert "horse" not in str(error.value)

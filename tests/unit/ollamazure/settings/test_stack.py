"""Settings: what is right comes in its usual form, what is wrong is told all at once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from pulumi.runtime import set_all_config
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ollamazure import catalog
from ollamazure.settings.problems import SettingsError, section
from ollamazure.settings.stack import Settings
from ollamazure.settings.workspace import (
    Access,
    Banner,
    KnowledgeBase,
    Preset,
    Prompt,
    User,
    UserGroup,
)

BASE = {"sshClients": '["203.0.113.7/32"]'}
SIGN_IN: dict[str, Any] = {
    "clientId": "team-chat",
    "issuer": "https://login.example.com",
    "allowedDomains": ["example.com"],
}
SECRET = "a-secret-of-the-provider"
TABLE = Path(__file__).with_name("bad_settings.yaml")
BAD = yaml.safe_load(TABLE.read_text(encoding="utf-8"))


def parsed(**given: str) -> Settings:
    return Settings.parse({**BASE, **given}, frozenset({"adminPassword", "signInSecret"}))


@pytest.mark.parametrize("case", BAD, ids=lambda case: json.dumps(case["given"])[:60])
def test_a_bad_setting_is_told_with_its_way_out(case: dict[str, Any]) -> None:
    given = {key: text for key, text in {**BASE, **case["given"]}.items() if text is not None}
    with pytest.raises(SettingsError) as error:
        Settings.parse(given, frozenset(case.get("secrets", ())))
    head = "1 setting to fix; nothing has been created or changed.\n1. "
    assert str(error.value) == head + case["message"].rstrip("\n")


def test_the_table_is_long_enough_to_mean_something() -> None:
    assert len(BAD) >= 60
    keys = {key for case in BAD for key in case["given"]}
    assert {str(field.alias) for field in Settings.model_fields.values()} <= keys


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(SettingsError) as error:
        Settings.parse(
            {
                "location": "francecentrl",
                "dataDiskGiB": "two",
                "certificate": '{"country": "fr", "validityDays": 1}',
                "mirrors": "{",
                "colour": "blue",
            }
        )
    message = str(error.value)
    assert message.startswith("7 settings to fix; nothing has been created or changed.\n")
    for key in (
        "location",
        "dataDiskGiB",
        "certificate.country",
        "certificate.validityDays",
        "mirrors",
        "colour",
        "sshClients",
    ):
        assert f"ollamazure:{key} " in message


@pytest.mark.parametrize("key", ["adminPassword", "domain", "tags"])
def test_a_secret_is_never_shown(key: str) -> None:
    with pytest.raises(SettingsError) as error:
        Settings.parse({**BASE, key: "{hush hush"}, frozenset({key}))
    assert "hush" not in str(error.value)
    assert "[secret]" in str(error.value)


def test_a_password_shows_in_no_text_of_the_settings() -> None:
    settings = parsed(adminPassword="correct horse battery")
    assert "horse" not in f"{settings} {settings!r} {settings.model_dump_json()}"
    assert settings.admin_password is not None
    assert settings.admin_password.get_secret_value() == "correct horse battery"


@pytest.mark.parametrize(
    ("given", "attribute", "value"),
    [
        ({"location": "France Central"}, "location", "francecentral"),
        ({"vmSize": "standard_b2MS"}, "vm_size", "Standard_B2ms"),
        ({"vmSize": "Auto"}, "vm_size", "auto"),
        ({"imageVersion": "0.20260914.2601"}, "image_version", "0.20260914.2601"),
        ({"models": '["phi4-mini", "qwen3:4b"]'}, "models", ("phi4-mini:latest", "qwen3:4b")),
        ({"models": "llama3.2:1b, qwen3:4b"}, "models", ("llama3.2:1b", "qwen3:4b")),
        ({"sshClients": "203.0.113.7"}, "ssh_clients", ("203.0.113.7/32",)),
        ({"sshClients": '["203.0.113.7/24"]'}, "ssh_clients", ("203.0.113.0/24",)),
        ({"adminEmail": "Admin@Example.com"}, "admin_email", "admin@example.com"),
        ({"domain": "Chat.Example.com."}, "domain", "chat.example.com"),
        ({"dataDiskGiB": "128"}, "data_disk_gib", 128),
        ({"keepData": "true"}, "keep_data", True),
        ({"ollamaVersion": "v0.34.1"}, "ollama_version", "0.34.1"),
        ({"webuiVersion": "0.12.5"}, "webui_version", "v0.12.5"),
        ({"contextLength": "8192"}, "context_length", 8192),
        ({"contextLength": ""}, "context_length", None),
        ({"domain": ""}, "domain", None),
        ({"tags": '{"pilot": true, "floor": 3}'}, "tags", {"pilot": "true", "floor": "3"}),
    ],
)
def test_a_right_value_takes_its_usual_form(
    given: Mapping[str, str], attribute: str, value: object
) -> None:
    assert getattr(parsed(**given), attribute) == value


def test_nested_values_may_be_texts_as_the_command_line_stores_them() -> None:
    settings = parsed(
        certificate='{"validityDays": "100", "renewAfterDays": 80, "today": "2027-01-31"}',
        modelMemoryGiB='{"my-model:7b": "6.5"}',
        models='["my-model:7b"]',
        tuning='{"backgroundGeneration": "true", "parallelRequests": "2"}',
    )
    assert settings.certificate.validity_days == 100
    assert settings.certificate.today == date(2027, 1, 31)
    assert settings.certificate.country == "FR"  # what is not said keeps its default
    assert settings.model_memory_gib == {"my-model:7b": 6.5}
    assert settings.tuning.background_generation is True
    assert settings.tuning.parallel_requests == 2


def test_only_the_addresses_for_ssh_must_be_given() -> None:
    settings = parsed()
    assert settings.vm_size == "Standard_B2ms"
    assert settings.models == ("llama3.2:1b",)
    assert settings.admin_password is None
    required = [name for name, field in Settings.model_fields.items() if field.is_required()]
    assert required == ["ssh_clients"]


def test_versions_are_those_of_the_catalog_unless_set() -> None:
    pins = catalog.versions()
    settings = parsed()
    assert settings.ollama_version == pins.ollama.version
    assert settings.webui_image == "ghcr.io/open-webui/open-webui:" + pins.open_webui.tag
    assert settings.nginx_image == "docker.io/library/nginx:" + pins.nginx.tag
    assert settings.ollama_release.startswith("https://github.com/ollama/ollama/releases/download")
    mirrored = parsed(mirrors='{"ollama": "http://mirrors.internal:8480/ollama/"}')
    assert mirrored.ollama_release == f"http://mirrors.internal:8480/ollama/v{pins.ollama.version}"


def test_the_chat_is_reached_by_the_best_name_there_is() -> None:
    assert parsed().public_name is None
    label = parsed(dnsLabel="our-chat")
    assert label.public_name == "our-chat.francecentral.cloudapp.azure.com"
    both = parsed(dnsLabel="our-chat", domain="chat.example.com")
    assert both.public_name == "chat.example.com"


def test_embedding_models_are_not_asked_questions() -> None:
    settings = parsed(models='["nomic-embed-text", "llama3.2:1b"]')
    assert settings.chat_models == ("llama3.2:1b",)


def _fields(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[Any]:
    for field in model.model_fields.values():
        inner = section(field)
        if inner:
            yield from _fields(inner, (*path, str(field.alias)))
        else:
            full = (*path, str(field.alias))
            yield pytest.param(full, field, id=".".join(full))


@pytest.mark.parametrize(("path", "field"), list(_fields(Settings)))
def test_every_setting_explains_itself_with_a_right_example(
    path: tuple[str, ...], field: FieldInfo
) -> None:
    assert field.description and field.description.endswith(".")
    assert isinstance(field.json_schema_extra, dict) and field.json_schema_extra["allowed"]
    (example,) = field.examples or [None]
    value: Any = example
    for key in reversed(path[1:]):
        value = {key: value}
    beside: dict[str, str] = {}
    if path[0].startswith("signIn"):
        whole = {**SIGN_IN, **value} if path[0] == "signIn" else SIGN_IN
        if "tenant" in whole:
            del whole["issuer"]
        beside = {"signIn": json.dumps(whole), "signInSecret": SECRET, "domain": "chat.example.com"}
        beside |= {"groups": '[{"name": "research"}]'}
    text = value if isinstance(value, str) else json.dumps(value)
    parsed(**{path[0]: text, **beside})


@pytest.mark.parametrize("model", [User, UserGroup, Preset, Prompt, KnowledgeBase, Banner, Access])
def test_every_entry_explains_itself_with_right_examples(model: type[BaseModel]) -> None:
    entry = {}
    for field in model.model_fields.values():
        assert field.description and field.description.endswith(".")
        assert isinstance(field.json_schema_extra, dict) and field.json_schema_extra["allowed"]
        (entry[str(field.alias)],) = field.examples or [None]
    assert model.model_validate(entry).model_dump(by_alias=True, exclude_unset=True)


def test_an_entry_takes_its_usual_form() -> None:
    settings = parsed(
        users='[{"email": "Alice@Example.com", "name": "Alice"}]',
        models='["mistral", "llama3.2:1b"]',
        presets='[{"id": "coach", "name": "Coach", "baseModel": "mistral",'
        ' "params": {"temperature": "0.3", "seed": "7", "stop": ["1"]}}]',
        prompts='[{"command": "/sum", "title": "Sum up", "content": "Sum up:"}]',
        defaultModel="coach",
    )
    (user,), (preset,), (prompt,) = settings.users, settings.presets, settings.prompts
    assert (user.email, user.role, user.state) == ("alice@example.com", "user", "active")
    assert (preset.base_model, preset.access) == ("mistral:latest", None)
    assert preset.params == {"temperature": 0.3, "seed": 7, "stop": [1]}
    assert prompt.command == "sum"
    assert settings.new_chats_begin_with == "coach"
    assert parsed(models='["mistral"]', defaultModel="mistral").new_chats_begin_with == (
        "mistral:latest"
    )


def test_what_a_preset_is_made_of_is_open_to_all_who_may_use_it() -> None:
    """By group, by name, or because a user belongs to the group."""
    settings = parsed(
        groups='[{"name": "research", "members": ["alice@example.com"]}]',
        users='[{"email": "alice@example.com", "name": "Alice"}]',
        modelAccess='{"llama3.2:1b": {"groups": ["research"]}}',
        presets='[{"id": "a", "name": "A", "baseModel": "llama3.2:1b",'
        ' "access": {"groups": ["research"], "users": ["alice@example.com"]}}]',
    )
    assert len(settings.presets) == 1


def test_problems_of_several_entries_are_told_at_once() -> None:
    with pytest.raises(SettingsError) as error:
        parsed(
            groups='[{"name": "a", "permissions": {"chat": {"x": true}}}, {"name": "b"}]',
            users='[{"email": "alice@example.com", "name": "A", "groups": ["c"]},'
            ' {"email": "alice@example.com", "name": "B", "groups": ["d", "b"]}]',
            presets='[{"id": "coach", "name": "C", "baseModel": "x", "knowledge": ["y"]}]',
        )
    message = str(error.value)
    assert message.startswith("4 settings to fix")
    for key in ("groups[0].permissions.chat.x", "users[1].email", "presets[0].baseModel"):
        assert f"ollamazure:{key} " in message


def test_a_bad_entry_hides_nothing_of_the_others() -> None:
    with pytest.raises(SettingsError) as error:
        parsed(
            groups='[{"name": "a", "members": ["x@example.com"]}]',
            users='[{"email": "x@example.com", "name": "", "role": "boss"},'
            ' {"email": "alice@example.com", "name": "A", "groups": ["b"]}, 7,'
            ' {"email": "alice@example.com", "name": "B"}]',
            knowledge='[{"name": "K", "files": ["nowhere"]}, {"name": "L"},'
            ' {"name": "M", "files": ["README.md"]}, {"name": "M", "files": ["README.md"]}]',
        )
    told = re.findall(r"^\d+\. ollamazure:(\S+)", str(error.value), re.M)
    assert told == [
        "users[0].name",
        "users[0].role",
        "users[2]",
        "users[3].email",
        "users[1].groups[0]",
        "knowledge[0].files[0]",
        "knowledge[1].files",
        "knowledge[3].name",
    ]


def test_what_is_lost_for_good_is_seen_before() -> None:
    gone = '[{"email": "bob@example.com", "name": "Bob", "state": "deleted"}]'
    (warning,) = parsed(users=gone).warnings()
    assert "bob@example.com is deleted" in warning and "every chat of it" in warning
    assert parsed(users=gone.replace("deleted", "suspended")).warnings() == []


@pytest.mark.parametrize(
    ("granted", "needed"),
    [
        ({}, False),
        ({"chat": {"file_upload": True, "web_upload": False}}, False),
        ({"chat": {"web_upload": True}}, True),
        ({"features": {"web_search": True}}, True),
        ({"features": {"webhooks": True}}, True),
    ],
)
def test_the_web_is_needed_by_whom_it_is_granted_to(
    granted: dict[str, dict[str, bool]], needed: bool
) -> None:
    group = {"name": "editors", "permissions": granted}
    assert parsed(defaultPermissions=json.dumps(granted)).web_access is needed
    assert parsed(groups=json.dumps([{"name": "others"}, group])).web_access is needed


def test_permissions_of_another_version_are_not_checked_and_that_is_said() -> None:
    given = {"defaultPermissions": '{"chat": {"dream": true}}', "webuiVersion": "v0.13.0"}
    (warning,) = parsed(**given).warnings()
    assert "were not checked" in warning and "v0.13.0" in warning


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
    settings = Settings.load(pulumi.Config("ollamazure"))
    assert settings.ssh_clients == ("0.0.0.0/0",)
    assert settings.admin_password is not None
    (warning,) = warnings
    assert "open to the whole internet" in warning
    assert "pulumi config set --path 'ollamazure:sshClients[0]' 203.0.113.7/32" in warning


@pytest.mark.usefixtures("configured")
def test_a_password_in_plain_text_is_refused() -> None:
    set_all_config(
        {
            "ollamazure:sshClients": '["203.0.113.7"]',
            "ollamazure:adminPassword": "correct horse battery",
        },
        [],
    )
    with pytest.raises(SettingsError, match="lies unencrypted in the stack file") as error:
        Settings.load(pulumi.Config("ollamazure"))
    assert "horse" not in str(error.value)

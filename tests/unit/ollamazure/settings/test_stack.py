"""The settings of a stack: each value in its usual form, defaults, and what follows from them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ollamazure import catalog
from ollamazure.settings import engines
from ollamazure.settings.backup import EXAMPLE_HOST_KEY, EXAMPLES
from ollamazure.settings.base import key_of
from ollamazure.settings.cluster import ClusterSettings
from ollamazure.settings.groups import NetworkSettings
from ollamazure.settings.load import SECRETS, parse
from ollamazure.settings.schema import section_of
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
DIGEST = "sha256:" + "0123456789abcdef" * 4


def settings_of(**given: str) -> Settings:
    return parse({**BASE, **given}, frozenset(SECRETS))


def test_no_text_of_the_settings_shows_a_password() -> None:
    settings = settings_of(adminPassword="correct horse battery")
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
        ({"nginxVersion": f"v1.30.9@{DIGEST}"}, "nginx_version", f"1.30.9@{DIGEST}"),
        ({"contextLength": "8192"}, "context_length", 8192),
        ({"contextLength": ""}, "context_length", None),
        ({"domain": ""}, "domain", None),
        ({"tags": '{"pilot": true, "floor": 3}'}, "tags", {"pilot": "true", "floor": "3"}),
    ],
)
def test_a_valid_value_takes_its_usual_form(
    given: Mapping[str, str], attribute: str, value: object
) -> None:
    assert getattr(settings_of(**given), attribute) == value


def test_nested_values_may_be_texts_as_the_command_line_stores_them() -> None:
    settings = settings_of(
        certificate='{"validityDays": "100", "renewAfterDays": 80}',
        modelMemoryGiB='{"my-model:7b": "6.5"}',
        models='["my-model:7b"]',
        tuning='{"backgroundGeneration": "true", "parallelRequests": "2"}',
    )
    assert settings.certificate.validity_days == 100
    assert settings.certificate.country == "FR"  # unset, so the default
    assert settings.model_memory_gib == {"my-model:7b": 6.5}
    assert settings.tuning.background_generation is True
    assert settings.tuning.parallel_requests == 2


def test_only_the_addresses_for_ssh_are_required() -> None:
    settings = settings_of()
    assert settings.vm_size == "Standard_B2ms"
    assert settings.models == ("llama3.2:1b",)
    assert settings.admin_password is None
    required = [name for name, field in Settings.model_fields.items() if field.is_required()]
    assert required == ["ssh_clients"]


def test_versions_are_those_of_the_catalog_unless_set() -> None:
    pins = catalog.versions()
    settings = settings_of()
    assert settings.ollama_version == pins.ollama.version
    assert settings.webui_image == pins.open_webui.reference(pins.open_webui.tag)
    assert settings.nginx_image == pins.nginx.reference(pins.nginx.tag)
    mirrored = settings_of(mirrors='{"ollama": "http://mirrors.internal:8480/ollama/"}')
    assert mirrored.mirrors.ollama == "http://mirrors.internal:8480/ollama"


def test_a_version_may_have_the_digest_of_its_image() -> None:
    settings = settings_of(webuiVersion=f"v0.12.5@{DIGEST}", nginxVersion=f"1.30.3@{DIGEST}")
    assert settings.webui_image == f"ghcr.io/open-webui/open-webui:v0.12.5@{DIGEST}"
    assert settings.webui_release == "v0.12.5"
    assert settings.nginx_image == f"docker.io/library/nginx:1.30.3@{DIGEST}"


def test_the_chats_address_has_the_best_name_that_is_set() -> None:
    assert settings_of().public_name is None
    label = settings_of(dnsLabel="our-chat")
    assert label.public_name == "our-chat.francecentral.cloudapp.azure.com"
    both = settings_of(dnsLabel="our-chat", domain="chat.example.com")
    assert both.public_name == "chat.example.com"


def test_embedding_models_are_not_chat_models() -> None:
    settings = settings_of(models='["nomic-embed-text", "llama3.2:1b"]')
    assert settings.chat_models == ("llama3.2:1b",)


def test_a_model_of_a_declared_kind_only_serves_the_search() -> None:
    name = "qwen3-embedding:0.6b"
    settings = settings_of(
        models=f'["{name}", "llama3.2:1b"]',
        modelMemoryGiB=f'{{"{name}": 1.5}}',
        modelKinds=f'{{"{name}": "embedding"}}',
    )
    assert settings.chat_models == ("llama3.2:1b",)
    assert settings.new_chats_start_with == "llama3.2:1b"
    assert settings.embedding_model == name


def _fields(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[Any]:
    for field in model.model_fields.values():
        inner = section_of(field)
        if inner:
            yield from _fields(inner, (*path, str(field.alias)))
        else:
            full = (*path, str(field.alias))
            yield pytest.param(full, field, id=".".join(full))


@pytest.mark.parametrize(("path", "field"), list(_fields(Settings)))
def test_every_setting_explains_itself_with_a_valid_example(
    path: tuple[str, ...], field: FieldInfo, monkeypatch: pytest.MonkeyPatch
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
    needed_by = {"repository": "sftp", "hostKey": "sftp", "accessKeyId": "s3"}
    target = "s3" if path == ("backupSecretKey",) else needed_by.get(path[-1])
    if target:
        whole = {"target": target, "repository": EXAMPLES[target]}
        whole |= {"hostKey": EXAMPLE_HOST_KEY} if target == "sftp" else {"accessKeyId": "an-id"}
        beside = {"backup": json.dumps(whole)} if path[0] == "backupSecretKey" else {}
        beside |= {"backupSecretKey": "a-secret-key"} if target == "s3" and not beside else {}
        value = {**whole, **value} if path[0] == "backup" else value
    if path[-1] in ("redundancy", "containerId"):
        value["target"] = "azure"
    if path == ("webhookFormat",):
        beside = {"webhook": "https://hooks.example.com/token"}
    if path[0] == "proxy":
        value["url"] = "http://proxy.example.com:3128"
    if path == ("network", "outbound"):
        value["subnetId"] = (NetworkSettings.model_fields["subnet_id"].examples or [None])[0]
        beside = {"publicAddress": "false"}
    if path[0] == "workingHours":
        value = {"start": "07:00", "end": "19:00", "timeZone": "Europe/Paris", **value}
    if path[0] in ("scale", "cluster"):
        monkeypatch.setattr(engines, "CAN_DEPLOY", ("kubernetes",))
        beside = {"engine": "kubernetes"}
    if path[-1] in ("kubeconfig", *map(key_of, engines.OWN_CLUSTER)):
        subnet = ClusterSettings.model_fields["database_subnet_id"].examples
        others = {
            "endpointSubnetId": subnet and subnet[0],
            "databaseSubnetId": subnet and subnet[0],
        }
        value = {"kubeconfig": "x", "oidcIssuer": "https://example.com", **others, **value}
    text = value if isinstance(value, str) else json.dumps(value)
    settings_of(**{path[0]: text, **beside})


@pytest.mark.parametrize("model", [User, UserGroup, Preset, Prompt, KnowledgeBase, Banner, Access])
def test_every_entry_explains_itself_with_valid_examples(model: type[BaseModel]) -> None:
    entry = {}
    for field in model.model_fields.values():
        assert field.description and field.description.endswith(".")
        assert isinstance(field.json_schema_extra, dict) and field.json_schema_extra["allowed"]
        (entry[str(field.alias)],) = field.examples or [None]
    assert model.model_validate(entry).model_dump(by_alias=True, exclude_unset=True)


def test_an_entry_takes_its_usual_form() -> None:
    settings = settings_of(
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
    assert preset.params == {"temperature": 0.3, "seed": 7, "stop": ["1"]}
    assert prompt.command == "sum"
    assert settings.new_chats_start_with == "coach"
    assert settings_of(models='["mistral"]', defaultModel="mistral").new_chats_start_with == (
        "mistral:latest"
    )


def test_model_access_has_the_names_that_ollama_lists() -> None:
    access = '{"mistral": {"groups": ["chat-only"]}}'
    settings = settings_of(models='["mistral"]', vmSize="auto", modelAccess=access)
    assert settings.model_access.keys() == {"mistral:latest"} == {*settings.models}


def test_users_of_a_preset_may_use_its_model() -> None:
    """By group, by name, or because a user belongs to the group."""
    settings = settings_of(
        groups='[{"name": "research", "members": ["alice@example.com"]}]',
        users='[{"email": "alice@example.com", "name": "Alice"}]',
        modelAccess='{"llama3.2:1b": {"groups": ["research"]}}',
        presets='[{"id": "a", "name": "A", "baseModel": "llama3.2:1b",'
        ' "access": {"groups": ["research"], "users": ["alice@example.com"]}}]',
    )
    assert len(settings.presets) == 1


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
def test_a_permission_for_the_web_requires_the_web(
    granted: dict[str, dict[str, bool]], needed: bool
) -> None:
    group = {"name": "editors", "permissions": granted}
    assert settings_of(defaultPermissions=json.dumps(granted)).web_access is needed
    assert settings_of(groups=json.dumps([{"name": "others"}, group])).web_access is needed


@pytest.mark.parametrize(
    ("clients", "open_"),
    [
        (("0.0.0.0/0",), True),
        (("203.0.113.7/32", "128.0.0.0/1"), True),
        (("203.0.113.0/24", "10.0.0.0/8"), False),
    ],
)
def test_whether_anyone_on_the_internet_reaches_the_chat(
    clients: tuple[str, ...], open_: bool
) -> None:
    settings = Settings(ssh_clients=("203.0.113.7/32",), allowed_clients=clients)
    assert settings.open_to_the_internet is open_


@pytest.mark.parametrize(
    ("webhook", "given", "form"),
    [
        ("https://prod-7.westeurope.logic.azure.com:443/workflows/a/triggers?sig=b", None, "teams"),
        ("https://1a.2b.environment.api.powerplatform.com/powerautomate/a?sig=b", None, "teams"),
        ("https://example.webhook.office.com/webhookb2/a", None, "teams"),
        ("https://hooks.slack.com/services/T0/B0/a", None, "text"),
        ("https://chat.googleapis.com/v1/spaces/a/messages?key=b&token=c", None, "text"),
        ("https://mattermost.example.com/hooks/a", None, "json"),
        ("https://mattermost.example.com/hooks/a", "text", "text"),
        ("https://prod-7.westeurope.logic.azure.com/workflows/a", "json", "json"),
        ("https://slack.com.example.org/a", None, "json"),
    ],
)
def test_the_form_of_reports_follows_from_the_address(
    webhook: str, given: str | None, form: str
) -> None:
    others = {"webhookFormat": given} if given else {}
    assert settings_of(webhook=webhook, **others).webhook_form == form

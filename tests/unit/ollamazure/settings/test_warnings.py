"""Warnings about settings that are valid and risky."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ollamazure import catalog
from ollamazure.settings.base import key_of
from ollamazure.settings.features import Features
from ollamazure.settings.groups import EXAMPLE_AUTHORITY, CertificateSettings
from ollamazure.settings.load import parse
from ollamazure.settings.sign_in import SignIn
from ollamazure.settings.stack import Settings
from ollamazure.settings.warnings import (
    deleted_chats_warning,
    moved_warning,
    refused_warning,
    removed_users_warning,
    warnings_of,
)
from ollamazure.settings.workspace import User

DIGEST = "sha256:" + "0123456789abcdef" * 4


def settings_of(**given: str) -> Settings:
    return parse({"sshClients": '["203.0.113.7"]', **given})


def warnings(**given: str) -> list[str]:
    """The warnings about settings that pin both images, unless they have other versions."""
    pins = catalog.versions()
    pinned = {
        "webuiVersion": f"{pins.open_webui.tag}@{DIGEST}",
        "nginxVersion": f"{pins.nginx.tag}@{DIGEST}",
    }
    return warnings_of(settings_of(**{**pinned, **given}))


@pytest.mark.parametrize("clients", ["0.0.0.0/0", "203.0.113.7,0.0.0.0/1", "128.0.0.0/1"])
def test_an_ssh_port_that_is_open_to_everyone(clients: str) -> None:
    (warning,) = warnings(sshClients=clients)
    index = clients.count(",")
    assert "open to the whole internet" in warning
    assert f"pulumi config set --path 'ollamazure:sshClients[{index}]' 203.0.113.7/32" in warning


def test_an_operator_who_cannot_reach_the_chat() -> None:
    (warning,) = warnings(allowedClients='["198.51.100.0/24"]')
    assert "pulumi config set ollamazure:probeFrom machine" in warning
    assert warnings(allowedClients='["203.0.113.0/24"]') == []
    assert warnings(allowedClients='["198.51.100.0/24"]', probeFrom="machine") == []


SUBNETS = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/network"
    "/providers/Microsoft.Network/virtualNetworks/company/subnets"
)


@pytest.mark.parametrize(
    ("former", "subnet", "moves"),
    [
        (None, None, False),
        (None, f"{SUBNETS}/chat", True),
        (f"{SUBNETS}/chat", None, True),
        (f"{SUBNETS}/chat".upper(), f"{SUBNETS}/other", False),
        (f"{SUBNETS.replace('company', 'lab')}/chat", f"{SUBNETS}/chat", True),
    ],
)
def test_a_machine_that_changes_its_network(
    former: str | None, subnet: str | None, moves: bool
) -> None:
    given = {"network": json.dumps({"subnetId": subnet})} if subnet else {}
    warning = moved_warning(former, settings_of(**given))
    assert bool(warning) is moves
    assert not warning or "data disk with all chats and models are kept" in warning


URL = "https://chat.example.com"


@pytest.mark.parametrize(
    ("former", "url", "given", "warned"),
    [
        ("letsEncrypt", URL, {"domain": "chat.example.com"}, True),
        ("provided", URL, {"domain": "chat.example.com"}, True),
        ("selfSigned", URL, {"domain": "chat.example.com"}, False),
        (None, URL, {"domain": "chat.example.com"}, False),
        ("letsEncrypt", URL, {"domain": "another.example.com"}, False),
        ("provided", "https://203.0.113.9", {}, False),
    ],
)
def test_browsers_that_have_met_a_trusted_certificate(
    former: str | None, url: str, given: dict[str, str], warned: bool
) -> None:
    warning = refused_warning(former, url, settings_of(**given))
    assert bool(warning) is warned
    back = f"pulumi config set --path ollamazure:certificate.mode {former}"
    assert not warning or (URL in warning and warning.endswith(back))
    own = {"certificate": '{"mode": "letsEncrypt"}', "allowedClients": '["0.0.0.0/0"]'}
    if given:
        assert refused_warning(former, url, settings_of(**given, **own)) is None


def test_chats_without_a_backup_elsewhere() -> None:
    [off] = warnings(backup='{"target": "off"}')
    assert "no backup is made" in off
    [beside] = warnings(keepData="true")
    assert "pulumi config set --path ollamazure:backup.target azure" in beside
    assert warnings() == []
    [deleted] = warnings(backup='{"target": "azure"}')
    assert "pulumi config set ollamazure:keepData true" in deleted
    assert warnings(backup='{"target": "azure"}', keepData="true") == []


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "certificate.mode is selfSigned"),
        ({"allowedClients": "203.0.113.0/24"}, "allowedClients does not admit all addresses"),
        (
            {"publicAddress": "false", "network": '{"outbound": "natGateway"}'},
            "publicAddress is false",
        ),
        (
            {
                "domain": "chat.example.com",
                "certificate": json.dumps(
                    {"mode": "letsEncrypt", "acmeAuthority": EXAMPLE_AUTHORITY}
                ),
            },
            "certificate.acmeAuthority is not public",
        ),
    ],
)
def test_alerts_without_a_test_of_the_address(given: dict[str, str], reason: str) -> None:
    (warning,) = warnings(alerts='{"email": ["alice@example.com"]}', **given)
    assert reason in warning
    assert "pulumi config set --path ollamazure:alerts.availabilityTest false" in warning
    chosen = json.dumps({"email": ["alice@example.com"], "availabilityTest": False})
    assert warnings(alerts=chosen, **given) == []


def test_alerts_with_a_test_of_the_address() -> None:
    trusted = {"domain": "chat.example.com", "certificate": '{"mode": "letsEncrypt"}'}
    receiver = '{"email": ["alice@example.com"]}'
    assert warnings(alerts=receiver, **trusted) == []
    assert settings_of(alerts=receiver, **trusted).availability_test
    off = '{"email": ["alice@example.com"], "availabilityTest": false}'
    assert not settings_of(alerts=off, **trusted).availability_test
    assert not settings_of(**trusted).availability_test, "no one would get its alerts"
    nameless = settings_of(alerts=receiver).model_copy(
        update={"certificate": CertificateSettings(mode="provided")}
    )
    assert nameless.untestable == (
        "domain",
        "neither domain nor dnsLabel is set, and a certificate is for a name",
    )


def test_chats_that_will_be_deleted() -> None:
    bob = '[{"email": "bob@example.com", "name": "Bob", "state": "deleted"}]'
    (warning,) = warnings(users=bob)
    assert "bob@example.com with state: deleted" in warning and "all of its chats" in warning
    assert warnings(users=bob.replace("deleted", "suspended")) == []


@pytest.mark.parametrize(
    ("former", "days", "announced"),
    [
        ({}, "30", False),  # a new stack has no chats
        ({"url": "x"}, "30", True),
        ({"url": "x", "chatDays": 90.0}, "30", True),
        ({"url": "x", "chatDays": 30.0}, "30", False),
        ({"url": "x", "chatDays": 7.0}, "30", False),
        ({"url": "x", "chatDays": 7.0}, None, False),
    ],
)
def test_chats_that_the_next_night_deletes(
    former: dict[str, Any], days: str | None, announced: bool
) -> None:
    settings = settings_of(**({"chatDays": days} if days else {}))
    warning = deleted_chats_warning(former, settings)
    assert (warning is not None) is announced
    if warning:
        was = f"{former['chatDays']:.0f}" if "chatDays" in former else "unset"
        assert warning.startswith(f"ollamazure:chatDays was {was} and is 30: after `pulumi up`")


def test_chats_of_an_adopted_disk_are_announced_too() -> None:
    disk = str(Settings.model_fields["data_disk_id"].examples[0])  # type: ignore[index]
    assert deleted_chats_warning({}, settings_of(chatDays="30", dataDiskId=disk)) is not None


def test_permissions_of_another_version_are_not_checked() -> None:
    (warning,) = warnings(
        defaultPermissions='{"chat": {"dream": true}}', webuiVersion=f"v0.13.0@{DIGEST}"
    )
    assert "were not checked" in warning and "webuiVersion is v0.13.0." in warning


def test_an_image_without_a_digest_is_reported_with_the_command_that_adds_it() -> None:
    (warning,) = warnings(nginxVersion="1.30.9")
    assert warning.startswith("docker.io/library/nginx:1.30.9 is pulled by its tag, ")
    assert "`.venv/bin/python -m tools.digests nginx=1.30.9`" in warning
    assert "pulumi config set ollamazure:nginxVersion '1.30.9@sha256:<digest>'" in warning


def test_permissions_for_features_that_are_off() -> None:
    features = {"code_interpreter": True, "notes": True, "channels": False}
    groups = [
        {"name": "sales", "permissions": {"chat": {"file_upload": True}}},
        {"name": "research", "permissions": {"features": features}},
    ]
    (found,) = warnings(groups=json.dumps(groups))
    assert found == (
        "ollamazure:groups[1].permissions grants features.code_interpreter, which has no effect, "
        "because features.codeExecution is false. To turn it on: "
        "pulumi config set --path ollamazure:features.codeExecution true"
    )
    (risk,) = warnings(groups=json.dumps(groups), features='{"codeExecution": true}')
    assert risk.startswith("ollamazure:features.codeExecution is on. Running Python of an answer")
    assert risk.endswith("pulumi config set --path ollamazure:features.codeExecution false")


def test_permissions_for_features_that_an_administrator_turns_on() -> None:
    granted = {"features": {"image_generation": True}}
    risk, switch = warnings(
        defaultPermissions=json.dumps(granted), features='{"externalServices": true}'
    )
    assert risk.startswith("ollamazure:features.externalServices is on.")
    assert "until an administrator turns image_generation.enable of Open WebUI on" in switch


def test_web_pages_are_a_risk() -> None:
    (risk,) = warnings(defaultPermissions='{"chat": {"web_upload": true}}')
    assert "a page can mislead the model" in risk


def test_features_of_the_catalog_exist() -> None:
    known = catalog.webui_permissions()
    assert {*known.features.values()} <= {key_of(name) for name in Features.model_fields}
    names = {f"{branch}.{leaf}" for branch in known.defaults for leaf in known.defaults[branch]}
    assert {*known.switches, *known.features} <= names


FEW = {"groups": ["research"]}
TEAM = {
    "models": "llama3.2:1b, qwen3:0.6b",
    "groups": '[{"name": "research"}]',
    "users": json.dumps(
        [
            {"email": "alice@example.com", "name": "Alice", "groups": ["research"]},
            {"email": "bob@example.com", "name": "Bob"},
            {"email": "carol@example.com", "name": "Carol", "role": "admin"},
            {"email": "dave@example.com", "name": "Dave", "state": "suspended"},
        ]
    ),
}


def test_new_chats_start_with_a_model_that_every_user_may_use() -> None:
    team = {**TEAM, "modelAccess": json.dumps({"llama3.2:1b": FEW})}
    assert settings_of(**team).new_chats_start_with == "qwen3:0.6b"
    assert warnings(**team) == []
    assert settings_of(models=TEAM["models"]).new_chats_start_with == "llama3.2:1b"


@pytest.mark.parametrize(
    "given",
    [
        {"defaultModel": "llama3.2:1b", "modelAccess": json.dumps({"llama3.2:1b": FEW})},
        {
            "defaultModel": "coach",
            "presets": json.dumps(
                [{"id": "coach", "name": "C", "baseModel": "llama3.2:1b", "access": FEW}]
            ),
        },
        {"modelAccess": json.dumps({"llama3.2:1b": FEW, "qwen3:0.6b": FEW})},
    ],
)
def test_a_default_model_that_some_users_may_not_use(given: dict[str, str]) -> None:
    (warning,) = warnings(**TEAM, **given)
    assert "leaves out some users: bob@example.com." in warning
    fix = "add a model without modelAccess to models"
    if "defaultModel" in given:
        first = "llama3.2:1b" if "presets" in given else "qwen3:0.6b"
        fix = f"pulumi config set ollamazure:defaultModel {first}"
    assert warning.endswith(f"To change that: {fix}.")


def test_a_default_model_for_all_declared_users() -> None:
    both = {"groups": ["research"], "users": ["bob@example.com"]}
    given = {"defaultModel": "llama3.2:1b", "modelAccess": json.dumps({"llama3.2:1b": both})}
    assert warnings(**TEAM, **given) == []
    (warning,) = warnings(
        **{**TEAM, **given, "users": "[]", "modelAccess": json.dumps({"llama3.2:1b": FEW})}
    )
    assert "users who are not declared" in warning


SIGN_IN = {"clientId": "c", "issuer": "https://a.example.com", "allowedDomains": ["example.com"]}


@pytest.mark.parametrize(
    ("sign_in", "stay"),
    [
        (None, "To let them stay, keep them in users."),
        (
            SIGN_IN,
            "keep them in users, and if your provider verifies e-mails: pulumi config set --path "
            "ollamazure:signIn.mergeByEmail true. Then each of them gets the same account",
        ),
        (
            {**SIGN_IN, "mergeByEmail": True},
            "keep them in users: with single sign-on each of them gets the same account",
        ),
    ],
)
def test_users_who_leave_the_settings(sign_in: dict[str, Any] | None, stay: str) -> None:
    settings = Settings(
        ssh_clients=("203.0.113.7",),
        admin_email="carol@example.com",
        users=(User(email="dave@example.com", name="Dave"),),
        sign_in=SignIn.model_validate(sign_in) if sign_in else None,
    )
    former = ["bob@example.com", "carol@example.com", "dave@example.com", "alice@example.com"]
    warning = str(removed_users_warning(former, settings))
    assert "users no longer has alice@example.com, bob@example.com: `pulumi up` suspends" in warning
    assert "Their chats are kept" in warning and stay in warning
    assert "carol" not in warning  # the administrator stays
    assert removed_users_warning(former[1:3], settings) is None
    many = str(removed_users_warning([f"{n}@example.com" for n in range(25)], settings))
    assert "and 5 more: " in many


def test_sites_that_show_the_chat_in_a_frame() -> None:
    (warning,) = warnings(frameOrigins='["https://portal.example.com"]')
    assert "https://portal.example.com show the chat in a frame" in warning
    assert "mislead a user" in warning


def test_speech_that_is_granted_while_the_microphone_is_off() -> None:
    for granted in (
        {"defaultPermissions": '{"chat": {"stt": true}}'},
        {"groups": '[{"name": "speakers", "permissions": {"chat": {"stt": true}}}]'},
    ):
        (warning,) = warnings(**granted)
        assert "pulumi config set ollamazure:microphone true" in warning
        assert warnings(**granted, microphone="true") == []

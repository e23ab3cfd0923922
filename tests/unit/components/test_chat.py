"""Ollama, Open WebUI, Nginx and the final question: what they register and in which order."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

import pulumi
import pytest
import yaml
from pulumi_command.remote import ConnectionArgs
from pydantic import SecretStr

from components import remote_command
from components.answer_check import AnswerCheck, AnswerCheckArgs
from components.nginx import Nginx, NginxArgs
from components.ollama import Ollama, OllamaArgs
from components.open_webui import OpenWebui, OpenWebuiArgs, declaration
from ollamazure import catalog
from ollamazure.catalog import VmSize
from ollamazure.operate.connection import MachineConnection
from ollamazure.settings.base import slug
from ollamazure.settings.groups import EXAMPLE_AUTHORITY
from ollamazure.settings.load import parse
from ollamazure.settings.proxy import ProxySettings
from ollamazure.settings.sign_in import SignIn, all_but
from ollamazure.settings.stack import Settings
from ollamazure.settings.types import model_id
from ollamazure.settings.workspace import Access, Banner, Suggestion
from ollamazure.sizing.plan import Sizing, make_plan
from tests.unit.components.recorder import Recorder, record

PASSWORD = "the-admin-password"
CLIENT_SECRET = "a-secret-of-the-provider"
TRUST = {"system": False, "authorities": "PEM of an authority"}
KEY = "-----BEGIN PRIVATE KEY-----"
MODELS = ("llama3.2:1b", "phi4-mini:latest")
URL = "https://chat.example.org"


def parsed(**given: Any) -> Settings:
    """Settings for the two models, with others that are given."""
    texts = {key: v if isinstance(v, str) else json.dumps(v) for key, v in given.items()}
    return parse({"sshClients": "203.0.113.7", "models": json.dumps(MODELS), **texts})


def changed_settings(**changes: Any) -> Settings:
    """The same settings with other values, which nothing checks."""
    unknown = dict.fromkeys({*changes.get("models", ())} - {*catalog.models()}, 1.0)
    return parsed().model_copy(update={"model_memory_gib": unknown, **changes})


PLAN = make_plan(parsed())


def deploy(
    *,
    identity: str = "vm-1",
    context_length: int = 4096,
    server_name: str = "chat",
    pem: str = "PEM",
    fingerprint: str = "AB:CD",
    plan: Sizing = PLAN,
    **changes: Any,
) -> Recorder:
    """The application on a machine, with `changes` to the settings."""
    settings = changed_settings(**changes)
    plan = dataclasses.replace(plan, context_length=context_length)

    def program() -> None:
        vm = pulumi.CustomResource("test:index:Vm", "vm")
        ready = pulumi.CustomResource("test:index:Ready", "machine-ready")
        connection = ConnectionArgs(
            host="192.0.2.1", user="admin", private_key="ssh", host_key="ssh-ed25519 AAAA"
        )
        vm_id = pulumi.Output.from_input(identity)
        target = remote_command.Target(connection, vm_id, vm, ready=[ready])
        ollama = Ollama("ollama", OllamaArgs(target, settings, plan))
        nginx = Nginx("proxy", NginxArgs(target, settings, server_name, "192.0.2.1", pem, KEY))
        webui = OpenWebui(
            "open-webui",
            OpenWebuiArgs(
                *(target, settings, plan, URL, PASSWORD, ollama.models),
                nginx_config=nginx.config,
                nginx=nginx.service,
            ),
        )
        AnswerCheck(
            "access",
            AnswerCheckArgs(
                *(target, settings, plan.vm_size, URL, TRUST, fingerprint),
                application=[ollama, webui, nginx],
            ),
        )

    return record(program)


def commands(recorder: Recorder) -> dict[str, str]:
    return {
        resource.name: json.dumps(
            [
                "" if "stdin" in resource.secrets else resource.inputs["stdin"],
                resource.inputs.get("environment"),
            ]
        )
        for resource in recorder.resources
        if resource.type.startswith("command:")
    }


def changed_commands(before: Recorder, after: Recorder) -> set[str]:
    old, new = commands(before), commands(after)
    return {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}


def test_one_resource_per_concern() -> None:
    assert commands(deploy()).keys() == {
        "ollama",
        "model-llama3.2-1b",
        "model-phi4-mini-latest",
        "open-webui",
        "open-webui-admin",
        "open-webui-settings",
        "nginx-config",
        "nginx-certificate",
        "nginx",
        "chat-answers",
    }


def test_what_is_independent_runs_side_by_side() -> None:
    recorder = deploy()

    def after(name: str) -> set[str]:
        return set(recorder.named(name).dependencies) - {"machine-ready"}

    assert after("ollama") == after("nginx-config") == set()
    assert after("model-llama3.2-1b") == after("model-phi4-mini-latest") == {"ollama"}
    # Nginx passes its requests on to Ollama. The settings may embed all documents again.
    assert after("open-webui") == {"nginx-config"}
    assert after("open-webui-admin") == {"open-webui"}
    assert after("open-webui-settings") == {"open-webui-admin", "nginx"}
    assert after("nginx") == {"nginx-config", "nginx-certificate"}
    assert after("chat-answers") == commands(recorder).keys() - {"chat-answers"}


def test_children_belong_to_their_component() -> None:
    recorder = deploy()
    assert recorder.named("model-phi4-mini-latest").parent == "ollama"
    assert recorder.named("nginx-config").parent == "proxy"
    assert {
        resource.type for resource in recorder.resources if resource.type.startswith("ollamazure:")
    } == {f"ollamazure:index:{name}" for name in ("Ollama", "OpenWebui", "Nginx", "AnswerCheck")}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"models": (*MODELS, "qwen3:0.6b")},
            {"model-qwen3-0.6b", "chat-answers"},
        ),
        ({"models": MODELS[:1]}, {"model-phi4-mini-latest", "chat-answers"}),
        ({"default_model": MODELS[1]}, {"open-webui-settings", "chat-answers"}),
        ({"banners": (Banner(content="Careful."),)}, {"open-webui-settings"}),
        ({"suggestions": (Suggestion(title="A", prompt="B"),)}, {"open-webui-settings"}),
        ({"ollama_version": "0.35.0"}, {"ollama", "chat-answers"}),
        ({"context_length": 8192}, {"ollama", "chat-answers"}),
        ({"server_name": "other"}, {"nginx-config", "chat-answers"}),
    ],
)
def test_a_change_touches_its_own_resource_and_the_question(
    changes: dict[str, Any], expected: set[str]
) -> None:
    assert changed_commands(deploy(), deploy(**changes)) == expected


def test_a_new_certificate_is_installed_and_checked() -> None:
    before = deploy()
    after = deploy(pem="OTHER PEM", fingerprint="EF:01")

    def differs(name: str) -> bool:
        return bool(before.named(name).inputs["stdin"] != after.named(name).inputs["stdin"])

    assert differs("nginx-certificate")
    assert differs("chat-answers")
    assert changed_commands(before, after) == set()


def test_the_question_needs_no_users_password() -> None:
    for probe_from in ("operator", "machine"):
        check = deploy(probe_from=probe_from).named("chat-answers")
        assert PASSWORD not in json.dumps(check.inputs)


def test_secrets_are_in_no_command() -> None:
    recorder = deploy()
    for resource in recorder.resources:
        shown = {key: value for key, value in resource.inputs.items() if key != "stdin"}
        assert PASSWORD not in json.dumps(shown), resource.name
        assert KEY not in json.dumps(shown), resource.name
    for name in ("open-webui-admin", "nginx-certificate", "chat-answers"):
        assert "stdin" in recorder.named(name).secrets, name


def signing_in(**changes: Any) -> Recorder:
    """The application with an OpenID provider, with `changes` to the provider's settings."""
    given: dict[str, Any] = {"client_id": "team-chat", **changes}
    given["allowed_domains"] = ("example.com", "example.org")
    if "tenant" not in given:
        given["issuer"] = "https://login.example.com"
    return deploy(sign_in=SignIn(**given), sign_in_secret=SecretStr(CLIENT_SECRET))


def file_of(recorder: Recorder, command: str, path: str) -> str:
    """A file as a command writes it on the machine."""
    script: str = recorder.named(command).inputs["stdin"]
    written = script.partition(f"put {path} 0644")[2].partition("\n")[2]
    return written.partition("END_OF_FILE")[0]


def test_the_former_declaration_stays_until_the_new_one_is_applied() -> None:
    """From it, the tool knows what is no longer declared, also after a run that was cut off."""
    declared = "/etc/ollamazure/open-webui.json"
    script = deploy().named("open-webui-settings").inputs["stdin"]
    assert f"put {declared} 0644 .next" in script
    assert script.endswith(
        f"webui-cli apply-settings {declared}.next\nmv -f {declared}.next {declared}\n"
    )


def environment(recorder: Recorder) -> dict[str, str]:
    """The container's variables about the provider."""
    lines = file_of(recorder, "open-webui", "/etc/ollamazure/sign-in.env").splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


def role_of_new_accounts(recorder: Recorder) -> str | None:
    text = file_of(recorder, "open-webui-settings", "/etc/ollamazure/open-webui.json")
    role: str | None = json.loads(text)["config"].get("ui.default_user_role")
    return role


def test_without_a_provider_no_file_mentions_one() -> None:
    recorder = deploy()
    unit = "/etc/containers/systemd/open-webui.container"
    assert "sign-in" not in file_of(recorder, "open-webui", unit)
    assert environment(recorder) == {}
    assert role_of_new_accounts(recorder) is None


def test_an_openid_providers_settings_reach_the_container_without_its_secret() -> None:
    recorder = signing_in(new_accounts="user")
    variables = environment(recorder)
    assert variables["OPENID_PROVIDER_URL"] == (
        "https://login.example.com/.well-known/openid-configuration"
    )
    assert variables["OPENID_REDIRECT_URI"] == "https://chat.example.org/oauth/oidc/callback"
    assert variables["OAUTH_ALLOWED_DOMAINS"] == "example.com,example.org"
    assert (variables["ENABLE_OAUTH_SIGNUP"], variables["OAUTH_MERGE_ACCOUNTS_BY_EMAIL"]) == (
        "true",
        "false",
    )
    assert variables["ENABLE_OAUTH_GROUP_MANAGEMENT"] == "false"
    assert role_of_new_accounts(recorder) == "user"
    assert CLIENT_SECRET not in recorder.named("open-webui").inputs["stdin"]


def test_entra_lets_in_accounts_of_its_tenant_only() -> None:
    tenant = "72f988bf-86f1-41af-91ab-2d7cd011db47"
    recorder = signing_in(tenant=tenant, merge_by_email=True, new_accounts="none")
    variables = environment(recorder)
    assert variables["OPENID_PROVIDER_URL"].startswith(
        f"https://login.microsoftonline.com/{tenant}/v2"
    )
    assert variables["OAUTH_PROVIDER_NAME"] == "Microsoft"
    assert (variables["ENABLE_OAUTH_SIGNUP"], variables["OAUTH_MERGE_ACCOUNTS_BY_EMAIL"]) == (
        "false",
        "true",
    )
    assert role_of_new_accounts(recorder) == "pending"


def test_the_clients_secret_has_a_command_of_its_own_that_runs_first() -> None:
    recorder = signing_in()
    secret = recorder.named("open-webui-sign-in-secret")
    assert "stdin" in secret.secrets
    assert CLIENT_SECRET in secret.inputs["stdin"]
    shown = {key: value for key, value in secret.inputs.items() if key != "stdin"}
    assert CLIENT_SECRET not in json.dumps(shown)
    assert "open-webui-sign-in-secret" in recorder.named("open-webui").dependencies


def test_a_provider_changes_no_other_groups() -> None:
    variables = environment(signing_in(groups=("research", "R&D (all)"), groups_claim="roles"))
    assert variables["OAUTH_GROUPS_CLAIM"] == "roles"
    (alone,) = json.loads(variables["OAUTH_BLOCKED_GROUPS"])
    assert alone == all_but(["research", "R&D (all)"])
    for other in ("chat-only", "researchers", "our research", "Research", "research\n", "R&D all"):
        assert re.search(alone, other), other
    for filled in ("research", "R&D (all)"):
        assert not re.search(alone, filled), filled


def test_models_come_from_a_mirror_when_there_is_one() -> None:
    recorder = deploy(
        mirrors=parsed(
            mirrors={
                "models": "http://mirrors.internal:8480",
                "ollama": "http://mirrors.internal/ollama/",
            }
        ).mirrors
    )
    assert (
        'model.py pull llama3.2:1b "$installed/model" http://mirrors.internal:8480\n'
        in recorder.named("model-llama3.2-1b").inputs["stdin"]
    )
    version = catalog.versions().ollama.version
    assert (
        f"install-ollama {version} http://mirrors.internal/ollama/v{version} cpu\n"
        in recorder.named("ollama").inputs["stdin"]
    )


def test_a_proxy_restarts_what_uses_it_and_nothing_else() -> None:
    def scripts(**proxy: Any) -> dict[str, str]:
        recorder = deploy(proxy=ProxySettings(**proxy))
        return {name: recorder.named(name).inputs["stdin"] for name in ("ollama", "open-webui")}

    without, first = scripts(), scripts(url="http://a.example.com:3128")
    assert all("proxy" not in text.partition("put /etc")[2] for text in without.values())
    assert "\nEnvironmentFile=/etc/ollamazure/proxy.env\n" in first["ollama"]
    assert "\nhttps_proxy=http://a.example.com:3128\n" in first["ollama"]
    assert first["open-webui"] == without["open-webui"], "it reaches nothing on the internet"
    recorder = deploy(
        proxy=ProxySettings(
            url="http://a.example.com:3128", certificate_authority=EXAMPLE_AUTHORITY
        ),
        default_permissions={"chat": {"web_upload": True}},
    )
    script = recorder.named("open-webui").inputs["stdin"]
    assert "\nEnvironmentFile=/etc/ollamazure/proxy.env\n" in script
    assert "\nEnvironment=SSL_CERT_FILE=" in script
    assert EXAMPLE_AUTHORITY in recorder.named("ollama").inputs["stdin"]
    assert '"web.search.trust_env": true' in recorder.named("open-webui-settings").inputs["stdin"]


def test_every_user_sees_an_installed_model() -> None:
    script = deploy().named("model-phi4-mini-latest").inputs["stdin"]
    pull, show = script.index("model.py pull phi4-mini"), script.index("webui-cli show phi4-mini")
    assert pull < show


def test_a_model_is_deleted_with_its_resource() -> None:
    assert (
        "model.py remove phi4-mini:latest"
        in (deploy().named("model-phi4-mini-latest").inputs["delete"])
    )


@pytest.mark.parametrize(
    ("name", "identity"),
    [
        ("llama3.2:1b", "llama3.2:1b"),
        ("phi4-mini", "phi4-mini:latest"),
        ("hf.co/some/model:Q4_0", "hf.co/some/model:Q4_0"),
        ("registry:5000/team/model", "registry:5000/team/model:latest"),
    ],
)
def test_names_of_models(name: str, identity: str) -> None:
    assert model_id(name) == identity


def test_models_of_nearly_one_name_are_two_resources() -> None:
    models = ("team/model-a", "team/model_a", "team-model-a")
    names = [name for name in commands(deploy(models=models)) if name.startswith("model-")]
    assert len(names) == len(models)


RISKY = (
    "code_execution.enable",
    "code_interpreter.enable",
    "direct.enable",
    "direct.integrations.enable",
    "ui.enable_community_sharing",
    "auth.enable_api_keys",
    "ui.enable_user_webhooks",
    "automations.enable",
    "subagents.enable",
    "channels.enable",
    "apps.enable",
    "web.search.enable",
    "image_generation.enable",
    "images.edit.enable",
    "audio.realtime.enabled",
    "google_drive.enable",
    "onedrive.enable",
)


def test_open_webui_is_private_by_declaration() -> None:
    config = declaration(parsed(), PLAN, URL)["config"]
    assert config["ui.default_models"] == "llama3.2:1b"
    assert config["ui.enable_signup"] is False
    assert config["openai.enable"] is False
    assert config["ollama.base_urls"] == ["http://host.containers.internal:11434"]
    assert not any(value for key, value in config.items() if key.startswith("task."))
    assert config["models.default_metadata"]["capabilities"]["builtin_tools"] is False


def test_risky_features_are_off_unless_one_is_set() -> None:
    off = declaration(parsed(), PLAN, URL)["config"]
    assert {key: off[key] for key in RISKY} == dict.fromkeys(RISKY, False)
    assert off["code_execution.engine"] == off["code_interpreter.engine"] == "pyodide"
    on = declaration(parsed(features={"channels": True, "codeExecution": True}), PLAN, URL)
    turned_on = {"channels.enable", "code_execution.enable", "code_interpreter.enable"}
    assert {key for key in RISKY if on["config"].get(key)} == turned_on
    assert "apps.enable" not in on["config"], "it is the administrator's"


def test_web_search_is_the_administrators_where_users_may_use_it() -> None:
    granted = parsed(defaultPermissions={"features": {"web_search": True}})
    assert "web.search.enable" not in declaration(granted, PLAN, URL)["config"]


def test_the_second_factor_is_the_administrators_until_it_is_declared() -> None:
    def switches(settings: Settings) -> dict[str, Any]:
        config = declaration(settings, PLAN, URL)["config"]
        return {key: value for key, value in config.items() if key.startswith("auth.mfa.")}

    assert switches(parsed()) == {}
    for off in ("off", "false"):  # as YAML reads it
        assert switches(parsed(multiFactor=off))["auth.mfa.enable"] is False
    for each in ("offered", "administrators", "everyone"):
        assert switches(parsed(multiFactor=each)) == {
            "auth.mfa.enable": True,
            "auth.mfa.allow_oauth_bypass": False,
        }
    provider = SignIn(
        client_id="x",
        issuer="https://login.example.com",
        allowed_domains=("example.com",),
        multi_factor_at_provider=True,
    )
    trusting = changed_settings(multi_factor="everyone", sign_in=provider)
    assert switches(trusting)["auth.mfa.allow_oauth_bypass"] is True


def test_sessions_last_as_long_as_the_settings_say() -> None:
    assert declaration(parsed(), PLAN, URL)["config"]["auth.jwt_expiry"] == "24h"
    shorter = declaration(parsed(sessionLength="8h"), PLAN, URL)["config"]
    assert shorter["auth.jwt_expiry"] == "8h"


def test_permissions_start_safe_and_belong_to_the_admin_until_they_are_declared() -> None:
    undeclared = declaration(parsed(), PLAN, URL)
    settings = parsed(defaultPermissions={"chat": {"file_upload": True}})
    declared = declaration(settings, PLAN, URL)
    initial = undeclared["defaults"]["user.permissions"]
    assert "user.permissions" not in undeclared["config"]
    assert initial["chat"]["edit"] is True
    for branch, name in (
        ("workspace", "models"),
        ("sharing", "public_chats"),
        ("chat", "file_upload"),
        ("chat", "params"),
        ("features", "direct_tool_servers"),
        ("features", "code_interpreter"),
    ):
        assert initial[branch][name] is False, name
    assert declared["config"]["user.permissions"] == {
        **initial,
        "chat": {**initial["chat"], "file_upload": True},
    }


def test_users_speak_only_where_the_settings_allow_the_microphone() -> None:
    for microphone in (False, True):
        settings = parsed(microphone=microphone)
        assert declaration(settings, PLAN, URL)["defaults"]["user.permissions"]["chat"]["stt"] is (
            microphone
        )
        declared = changed_settings(
            microphone=microphone, default_permissions={"chat": {"file_upload": True}}
        )
        assert declaration(declared, PLAN, URL)["config"]["user.permissions"]["chat"]["stt"] is (
            microphone
        )


def test_documents_are_searched_where_a_model_embeds() -> None:
    with_one = declaration(parsed(models=[*MODELS, "all-minilm"]), PLAN, URL)["config"]
    assert with_one["rag.embedding_engine"] == "ollama"
    assert with_one["rag.embedding_model"] == "all-minilm:latest"
    assert with_one["rag.bypass_embedding_and_retrieval"] is False
    without = declaration(parsed(), PLAN, URL)
    assert not any(key.startswith("rag.embedding") for key in without["config"])
    assert without["defaults"]["rag.bypass_embedding_and_retrieval"] is True


def test_documents_are_searched_by_the_images_own_model_or_never_on_request() -> None:
    by_itself = declaration(parsed(documentSearch="image"), PLAN, URL)["config"]
    assert by_itself["rag.embedding_engine"] == ""
    assert by_itself["rag.embedding_model"] == "sentence-transformers/all-MiniLM-L6-v2"
    assert by_itself["rag.bypass_embedding_and_retrieval"] is False
    whole = declaration(parsed(documentSearch="whole"), PLAN, URL)["config"]
    assert whole["rag.bypass_embedding_and_retrieval"] is True
    assert "rag.embedding_model" not in whole


def test_banners_belong_to_the_admin_until_they_are_declared() -> None:
    assert "ui.banners" not in declaration(parsed(), PLAN, URL)["config"]
    one, other = Banner(content="Careful."), Banner(content="Very careful.", type="warning")
    settings = changed_settings(banners=(one, other))
    first, second = declaration(settings, PLAN, URL)["config"]["ui.banners"]
    assert first["id"] != second["id"]
    assert (second["type"], second["content"], second["dismissible"]) == (
        "warning",
        "Very careful.",
        True,
    )


def test_the_welcome_is_the_first_banner() -> None:
    settings = changed_settings(welcome="Bienvenue !", banners=(Banner(content="Careful."),))
    first, second = declaration(settings, PLAN, URL)["config"]["ui.banners"]
    assert (first["content"], first["type"], first["dismissible"]) == ("Bienvenue !", "info", True)
    assert second["content"] == "Careful."
    alone = declaration(changed_settings(welcome="Bienvenue !"), PLAN, URL)["config"]["ui.banners"]
    assert alone == [first]


def test_suggestions_belong_to_the_admin_until_they_are_declared() -> None:
    assert "ui.prompt_suggestions" not in declaration(parsed(), PLAN, URL)["config"]
    one = Suggestion(title="Explain", subtitle="a text", prompt="Explain this text:")
    config = declaration(changed_settings(suggestions=(one,)), PLAN, URL)["config"]
    assert config["ui.prompt_suggestions"] == [
        {"title": ["Explain", "a text"], "content": "Explain this text:"}
    ]


def test_no_news_of_a_version_are_in_the_way() -> None:
    config = declaration(parsed(), PLAN, URL)["config"]
    assert config["ui.default_interface_settings"] == {"showChangelog": False}


def test_a_restricted_model_is_not_shown_to_everyone() -> None:
    script = deploy(model_access={"phi4-mini": Access(groups=("chat-only",))})
    assert "webui-cli show" not in script.named("model-phi4-mini-latest").inputs["stdin"]
    assert "webui-cli show llama3.2:1b" in script.named("model-llama3.2-1b").inputs["stdin"]


def test_ollama_is_queried_whether_a_model_that_users_see_answers() -> None:
    script = deploy(
        models=("llama3.2:1b", "x:1b", "y:1b"),
        model_kinds={"x:1b": "embedding"},
        model_access={"y:1b": Access(groups=("chat-only",))},
    )
    shown = str(script.named("model-llama3.2-1b").inputs["stdin"])
    assert shown.index("check-chat llama3.2:1b") < shown.index("webui-cli show llama3.2:1b")
    assert "check-chat y:1b" in script.named("model-y-1b").inputs["stdin"]
    embeds = script.named("model-x-1b").inputs["stdin"]
    assert "check-chat" not in embeds and "webui-cli show" not in embeds


def test_two_models_are_downloaded_at_once() -> None:
    recorder = deploy(models=("a", "b", "c", "d"))
    assert recorder.named("model-b").dependencies == {"ollama", "machine-ready"}
    assert "model-a" in recorder.named("model-c").dependencies
    assert "model-b" in recorder.named("model-d").dependencies


def test_the_question_is_asked_from_here_or_from_the_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(remote_command.GUEST.parent)
    monkeypatch.setattr("sys.executable", str(remote_command.GUEST.parent / ".venv/bin/python"))
    here = deploy().named("chat-answers")
    there = deploy(probe_from="machine").named("chat-answers")

    assert here.type == "command:local:Command"
    assert here.inputs["create"] == (
        ".venv/bin/python guest/usr/local/lib/ollamazure/chat_answers.py"
    )
    asked = json.loads(here.inputs["stdin"])
    assert asked["models"] == ["llama3.2:1b", "phi4-mini:latest"]
    assert "stdin" in here.secrets
    assert here.secret_outputs == {"stdout", "stderr"}
    # The session comes over SSH, as the commands do: to the same machine, with the same keys.
    connection = MachineConnection(**asked["machine"])
    assert (connection.user, connection.address) == ("admin", "192.0.2.1")
    assert (connection.private_key, connection.host_key) == ("ssh", "ssh-ed25519 AAAA")
    assert there.type == "command:remote:Command"
    assert there.inputs["logging"] == "stdoutAndStderr"  # it reports what was not tested
    (secrets,) = [line for line in there.inputs["stdin"].splitlines() if '"questions"' in line]
    asked = json.loads(json.loads(secrets)["questions"])
    assert asked["connect"] == "127.0.0.1"
    assert "machine" not in asked


def test_limits_of_time_follow_from_the_models_and_the_size() -> None:
    fast, slow = catalog.vm_sizes()["Standard_B2as_v2"], catalog.vm_sizes()["Standard_B2ms"]

    def seconds(size: VmSize, *models: str) -> dict[str, int]:
        recorder = deploy(plan=dataclasses.replace(PLAN, vm_size=size), models=models)
        names = ("ollama", *(f"model-{slug(name)}" for name in models), "chat-answers")
        return {
            name: int(recorder.named(name).timeouts["create"].removesuffix("s")) for name in names
        }

    small, large = seconds(fast, "smollm2:135m"), seconds(fast, "qwen3:32b")
    assert large["model-qwen3-32b"] > 10 * small["model-smollm2-135m"]
    assert large["ollama"] > small["ollama"]  # another version loads each model
    slower = seconds(slow, "smollm2:135m")
    assert all(slower[name] > small[name] for name in small)


def test_a_question_may_take_as_long_as_the_model_is_loaded() -> None:
    plan = dataclasses.replace(PLAN, vm_size=catalog.vm_sizes()["Standard_B2ms"])
    asked = json.loads(deploy(plan=plan).named("chat-answers").inputs["stdin"])
    assert asked["answer_within"] == 764 + 600


def test_every_command_follows_the_machine() -> None:
    before, after = deploy(), deploy(identity="vm-2")
    assert changed_commands(before, after) == commands(before).keys()


def test_names_can_be_read_as_yaml_and_shell() -> None:
    """Names of models reach a shell, which must not run any part of them."""
    recorder = deploy(models=("x; reboot:latest",))
    [model] = [name for name in commands(recorder) if name.startswith("model-")]
    assert re.fullmatch(r"[A-Za-z0-9-]+", model)
    script = recorder.named(model).inputs["stdin"]
    assert "pull 'x; reboot:latest'" in script
    assert yaml.safe_load(json.dumps(script)) == script


def test_a_failing_command_prints_little_more_than_its_own_message() -> None:
    """pulumi-command prints the whole of `create` when it fails."""
    for resource in deploy().of("command:remote:Command"):
        assert len(resource.inputs["create"]) < 400, resource.name
        assert len(resource.inputs.get("delete") or "") < 400, resource.name


def test_old_chats_are_deleted_only_where_the_settings_say_so() -> None:
    assert "expire-chats" not in commands(deploy())
    command = deploy(chat_days=90).named("expire-chats")
    assert "/usr/local/lib/ollamazure/webui-cli expire-chats 90\n" in command.inputs["stdin"]
    assert "OnCalendar=*-*-* 01:30:00 UTC\n" in command.inputs["stdin"]
    # With its former time, systemd would run the timer at once when it is enabled again.
    assert "systemctl clean --what=state ollamazure-expire-chats.timer" in command.inputs["delete"]

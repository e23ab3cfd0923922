"""Open WebUI on the machine: the container, and its settings, applied through its API."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from components.remote_command import (
    TOOLS,
    WEBUI_TOOLS,
    File,
    Part,
    PodTarget,
    RemoteCommand,
    Target,
    digest_of,
    proxy_values,
    proxy_variables,
    render_file,
    run_on_machine,
    secret_json,
)
from ollamazure import catalog
from ollamazure.settings.proxy import ProxySettings
from ollamazure.settings.stack import Settings
from ollamazure.settings.workspace import Banner, Permissions, Suggestion
from ollamazure.sizing.cluster import ClusterPlan
from ollamazure.sizing.plan import Sizing

OLLAMA_URL = "http://host.containers.internal:11434"
# Open WebUI's own limit for one upload. Nginx allows more, so that users see the application's
# message.
UPLOAD_LIMIT_MB = 50
FIX = "`journalctl --unit open-webui` on the machine has details; `pulumi up` tries again."
DECLARED = "/etc/ollamazure/open-webui.json"
ONLY_SHOWN = ("ui.banners", "ui.prompt_suggestions")
# The model that the official image contains (its Dockerfile, USE_EMBEDDING_MODEL).
IMAGES_EMBEDDING_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
START_FILES = (
    File(f"{TOOLS}/start-open-webui", "0755"),
    File("/etc/systemd/system/ollamazure-open-webui-recovery.service"),
    # The former one, too, stays in force until the image is there and the data are copied.
    File("/etc/ollamazure/open-webui/sitecustomize.py", suffix=".next"),
)
UNIT = "/etc/containers/systemd/open-webui.container"
# Read at each page load, also by a running container.
HINT = "/etc/ollamazure/open-webui/hint.json"
EXPIRE_CHATS = "/etc/systemd/system/ollamazure-expire-chats"
SIGN_IN = "/etc/ollamazure/sign-in.env"
SIGN_IN_SECRET = "/etc/ollamazure/sign-in-secret.env"  # noqa: S105  a path


@dataclass(frozen=True)
class OpenWebuiArgs:
    """What Open WebUI is made from.

    Attributes:
        target: the machine.
        settings: the stack's.
        plan: what follows from the machine's size.
        url: the address users open, `https://…`.
        admin_password: secret; at most 72 bytes.
        models: the commands that install the models, by name.
        nginx_config: the command after which Nginx, if it runs, passes requests on to Ollama.
        nginx: the command after which it runs.
    """

    target: Target
    settings: Settings
    plan: Sizing
    url: pulumi.Input[str]
    admin_password: pulumi.Input[str]
    models: Mapping[str, RemoteCommand]
    nginx_config: RemoteCommand
    nginx: RemoteCommand


class OpenWebui(Part):
    """Open WebUI.

    Attributes:
        service: the command that runs the container.
        admin: the command that creates the administrator's account.
        settings: the command that applies what is declared.
        digest: changes with any of these commands.
    """

    service: RemoteCommand
    admin: RemoteCommand
    settings: RemoteCommand

    def __init__(
        self, name: str, args: OpenWebuiArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ollamazure:index:OpenWebui", name, None, opts)
        self.service = self._service(args)
        self.admin = self._admin(args)
        self.settings = self._settings(args)
        if args.settings.chat_days:
            self._expire_chats(args, args.settings.chat_days)
        self.digest = digest_of([self.service, self.admin, self.settings])
        self.register_outputs({})

    def _service(self, args: OpenWebuiArgs) -> RemoteCommand:
        settings = args.settings
        proxy = settings.proxy if settings.webui_uses_proxy else ProxySettings()
        files = [
            *START_FILES,
            File(HINT, values={"banner": hint_banner()}),
            File(
                "/etc/tmpfiles.d/ollamazure-audit-log.conf",
                values={"days": settings.audit_log_days},
            ),
            File(
                UNIT,
                values={
                    **unit_values(settings),
                    "url": args.url,
                    "database_pool_size": args.plan.database_pool_size,
                    "memory_limit_mib": args.plan.webui_limit_mib,
                    **proxy_values(proxy),
                },
                suffix=".next",  # the former one stays in force until the image is there
            ),
        ]
        if proxy.url:
            files.append(proxy_variables(proxy))
        if settings.rotation.session_key:
            rotation = {"rotation": settings.rotation.session_key}
            files.append(File("/etc/ollamazure/session-key-rotation", values=rotation))
        if settings.sign_in:
            values = {"url": args.url, **settings.sign_in.values()}
            files.append(File(SIGN_IN, values=values, suffix=".next"))
        return run_on_machine(
            "open-webui",
            args.target,
            purpose="start Open WebUI",
            script=f"{TOOLS}/start-open-webui {shlex.quote(settings.webui_image)}",
            files=files,
            fix=FIX,
            # A large database takes long to change, and the machine itself finds one that hangs.
            limit=24 * 3600,
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=[args.nginx_config, *self._sign_in_secret(args)]
            ),
        )

    def _sign_in_secret(self, args: OpenWebuiArgs) -> list[RemoteCommand]:
        """The command for the provider's secret, if there is one.

        It is a command of its own, so that a preview shows what else changes about the container.
        """
        secret = args.settings.sign_in_secret
        if secret is None:
            return []
        line = pulumi.Output.secret(f"OAUTH_CLIENT_SECRET={secret.get_secret_value()}\n")
        command = run_on_machine(
            "open-webui-sign-in-secret",
            args.target,
            purpose="store the secret of the sign-in",
            script=f"{TOOLS}/start-open-webui",
            files=[
                *START_FILES,
                File(SIGN_IN_SECRET, "0600", key="line"),
            ],
            secrets={"line": line},
            delete=f"rm -f {SIGN_IN} {SIGN_IN_SECRET}",
            fix=FIX,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return [command]

    def _admin(self, args: OpenWebuiArgs) -> RemoteCommand:
        return set_up_admin(
            args.target,
            args.settings,
            args.admin_password,
            fix=FIX,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self.service]),
        )

    def _settings(self, args: OpenWebuiArgs) -> RemoteCommand:
        declared = pulumi.Output.from_input(args.url).apply(
            lambda url: declaration(args.settings, args.plan, url)
        )
        embedding = args.settings.embedding_model
        models = [args.models[embedding]] if embedding else []
        return apply_settings(
            args.target,
            declared,
            # Every command finds them. Here, a change of them applies the settings again.
            tools=WEBUI_TOOLS,
            fix=FIX,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self.admin, args.nginx, *models]),
        )

    def _expire_chats(self, args: OpenWebuiArgs, days: int) -> None:
        """The command for the timer that deletes old chats."""
        timer = f"{EXPIRE_CHATS.rpartition('/')[2]}.timer"
        run_on_machine(
            "expire-chats",
            args.target,
            purpose="delete old chats each night",
            script="systemctl daemon-reload\n"
            f"systemctl enable --quiet {timer}\n"
            f"systemctl restart {timer}",
            files=[
                File(f"{EXPIRE_CHATS}.service", values={"days": days}),
                File(
                    f"{EXPIRE_CHATS}.timer",
                    values={"calendar": args.settings.expire_chats_calendar},
                ),
            ],
            # With its last time, systemd would run it at once when it is enabled again one day.
            delete=f"sh -c 'systemctl disable --now {timer} &&"
            f" systemctl clean --what=state {timer}'",
            fix=FIX,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self.settings]),
        )


def set_up_admin(
    target: Target | PodTarget,
    settings: Settings,
    password: pulumi.Input[str],
    *,
    fix: str,
    opts: pulumi.ResourceOptions,
) -> RemoteCommand:
    """The command that creates the administrator's account."""
    account = {
        "email": settings.admin_email,
        "name": settings.admin_name,
        "password": password,
    }
    return run_on_machine(
        "open-webui-admin",
        target,
        purpose="set up the administrator of Open WebUI",
        script=f"secret admin | {TOOLS}/webui-cli admin",
        secrets={"admin": secret_json(account)},
        show_output=True,  # what happens to a former administrator; it never has the password
        fix=fix,
        opts=opts,
    )


def apply_settings(
    target: Target | PodTarget,
    declared: pulumi.Output[dict[str, Any]],
    *,
    tools: Sequence[File] = (),
    fix: str,
    opts: pulumi.ResourceOptions,
) -> RemoteCommand:
    """The command that applies what is declared, with the tools that it installs for that."""
    command = run_on_machine(
        "open-webui-settings",
        target,
        purpose="apply the settings of Open WebUI",
        script=f"{TOOLS}/webui-cli apply-settings {DECLARED}.next\n"
        f"mv -f {DECLARED}.next {DECLARED}",
        files=[
            *tools,
            # A version that did not record what it declared left the former file.
            File(DECLARED, values={"declared": declared}, suffix=".next"),
        ],
        fix=fix,
        # Another embedding model embeds all documents again; see EMBEDDED_WITHIN there.
        limit=2 * 3600,
        opts=opts,
    )
    command.digest = declared.apply(digest_of_settings)
    return command


def unit_values(settings: Settings) -> dict[str, Any]:
    """What the unit of the container follows from in the settings."""
    return {
        "image": settings.webui_image,
        "language": settings.language,
        "ollama_url": OLLAMA_URL,
        "sign_in": settings.sign_in is not None,
        "web_access": settings.web_access,
        "plugins": settings.features.plugins,
        "tool_servers": settings.features.tool_servers,
        "multi_factor": settings.multi_factor,
        "audit_log": settings.audit_log_days > 0,
    }


def digest_of_settings(declared: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of the settings, and of what applies them, without texts that pages only show.

    So a new banner does not make the answer check run again.
    """
    config = {key: value for key, value in declared["config"].items() if key not in ONLY_SHOWN}
    tools = [render_file(file.path) for file in WEBUI_TOOLS]
    known = json.dumps([{**declared, "config": config}, tools], sort_keys=True)
    return hashlib.sha256(known.encode()).hexdigest()


def declaration(
    settings: Settings, plan: Sizing | ClusterPlan, url: str, ollama_url: str = OLLAMA_URL
) -> dict[str, Any]:
    """The content of /etc/ollamazure/open-webui.json, which the machine's `webui` package applies.

    The keys of `config` are Open WebUI's own (`/api/v1/configs/export` lists them) and are set at
    each run. A value that leaves it goes back to its default, which is the one in `defaults` if
    there is one. Those are also set once, on a new instance; then the administrator decides.
    """
    generates = plan.background_generation
    sign_in = settings.sign_in
    return {
        "config": {
            "webui.url": url,
            "ui.enable_signup": False,
            "ui.default_models": settings.new_chats_start_with,
            "auth.jwt_expiry": settings.session_length,
            "ollama.enable": True,
            "ollama.base_urls": [ollama_url],
            # A private chat uses no service of others.
            "openai.enable": False,
            "evaluation.arena.enable": False,
            "task.title.enable": generates,
            "task.tags.enable": generates,
            "task.follow_up.enable": generates,
            "task.autocomplete.enable": generates,
            "task.query.search.enable": generates,
            "task.query.retrieval.enable": generates,
            # Small models use the tools of Open WebUI wrongly.
            "models.default_metadata": {"capabilities": {"builtin_tools": False}},
            "rag.file.max_size": UPLOAD_LIMIT_MB,
            **search(settings, ollama_url),
            **features(settings),
            # Else it fetches pages without the proxy.
            **({"web.search.trust_env": True} if settings.webui_uses_proxy else {}),
            **multi_factor(settings),
            **({"ui.default_user_role": sign_in.role_of_new_accounts} if sign_in else {}),
            # Its news of a new version, which it opens for each administrator.
            "ui.default_interface_settings": {"showChangelog": False},
            **banners(settings),
            **suggestions(settings),
            **(
                {"user.permissions": permissions(settings.default_permissions, settings.microphone)}
                if settings.default_permissions
                else {}
            ),
        },
        "defaults": {
            # Chat models do not embed: a file's text becomes part of the conversation as it is.
            "rag.bypass_embedding_and_retrieval": True,
            # The browser turns speech into text, rather than a second model on the machine.
            "audio.stt.engine": "web",
            "user.permissions": permissions({}, settings.microphone),
        },
    }


def search(settings: Settings, ollama_url: str) -> dict[str, Any]:
    """How documents are read. The administrator decides for `auto` without an embedding model."""
    if settings.document_search == "whole":
        return {"rag.bypass_embedding_and_retrieval": True}
    if settings.document_search == "image":
        return {
            "rag.bypass_embedding_and_retrieval": False,
            "rag.embedding_engine": "",
            "rag.embedding_model": IMAGES_EMBEDDING_MODEL,
        }
    if settings.embedding_model is None:
        return {}
    return {
        "rag.bypass_embedding_and_retrieval": False,
        "rag.embedding_engine": "ollama",
        "rag.embedding_model": settings.embedding_model,
        "rag.ollama.base_url": ollama_url,
    }


def features(settings: Settings) -> dict[str, Any]:
    """The switches of `features`. What also needs values of the administrator is only turned off.

    Open WebUI's environment has further ones: guest/etc/containers/systemd/open-webui.container.j2.
    """
    chosen = settings.features
    searches = chosen.external_services or settings.grants("features", "web_search")
    turned_off = {
        "direct.integrations.enable": chosen.tool_servers,
        "subagents.enable": chosen.automations,
        "apps.enable": chosen.channels,
        "web.search.enable": searches,
        "image_generation.enable": chosen.external_services,
        "images.edit.enable": chosen.external_services,
        "audio.realtime.enabled": chosen.external_services,
        "google_drive.enable": chosen.external_services,
        "onedrive.enable": chosen.external_services,
    }
    return {
        "code_execution.enable": chosen.code_execution,
        "code_interpreter.enable": chosen.code_execution,
        # In the browser. The other engine is a server that runs the code.
        "code_execution.engine": "pyodide",
        "code_interpreter.engine": "pyodide",
        "direct.enable": chosen.direct_connections,
        "ui.enable_community_sharing": chosen.community_sharing,
        "auth.enable_api_keys": chosen.api_keys,
        "ui.enable_user_webhooks": chosen.webhooks,
        "automations.enable": chosen.automations,
        "channels.enable": chosen.channels,
        **{key: False for key, allowed in turned_off.items() if not allowed},
        **({} if chosen.webhooks else {"webhook_url": ""}),
    }


def multi_factor(settings: Settings) -> dict[str, bool]:
    """Open WebUI's switches for the second factor.

    Its own means that all users must have one. sitecustomize.py excepts users for `offered` and
    `administrators`.
    """
    if settings.multi_factor is None:
        return {}
    return {
        "auth.mfa.enable": settings.multi_factor != "off",
        "auth.mfa.allow_oauth_bypass": bool(
            settings.sign_in and settings.sign_in.multi_factor_at_provider
        ),
    }


def banners(settings: Settings) -> dict[str, Any]:
    """The welcome and the banners; the administrator's without both."""
    welcome = [Banner(content=settings.welcome)] if settings.welcome else []
    declared = [*map(banner, [*welcome, *settings.banners])]
    return {"ui.banners": declared} if declared else {}


def suggestions(settings: Settings) -> dict[str, Any]:
    """The first questions of a new chat; the administrator's if none is declared."""
    declared = [*map(suggestion, settings.suggestions)]
    return {"ui.prompt_suggestions": declared} if declared else {}


def suggestion(declared: Suggestion) -> dict[str, Any]:
    """A suggestion in Open WebUI's shape."""
    return {"title": [declared.title, declared.subtitle], "content": declared.prompt}


def hint_banner() -> dict[str, Any]:
    """The banner for users who have their initial password, in Open WebUI's shape.

    It has no close button that lasts, and a text for each language of the interface.
    """
    by_language = {
        language: {"content": texts["initial_password"]}
        for language, texts in catalog.texts("hint").items()
    }
    return {
        "id": "initial-password",
        "type": "warning",
        "title": "",
        "content": by_language["en"]["content"],
        "dismissible": False,
        "timestamp": 0,
        "i18n": by_language,
    }


def banner(declared: Banner) -> dict[str, Any]:
    """A banner in Open WebUI's shape. A user who closed it sees it again when its text changes."""
    shape = declared.model_dump()
    text = json.dumps(shape, sort_keys=True)
    return {**shape, "id": hashlib.sha256(text.encode()).hexdigest()[:16], "timestamp": 0}


def permissions(declared: Permissions, microphone: bool) -> Permissions:
    """What every user may do: what is declared, and the catalog's defaults for the rest."""
    defaults = dict(catalog.webui_permissions().defaults)
    defaults["chat"] = {**defaults["chat"], "stt": microphone}
    branches = {**defaults, **declared}
    return {name: {**defaults.get(name, {}), **declared.get(name, {})} for name in branches}

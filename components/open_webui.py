"""Open WebUI on the machine: the container, and the settings it is told through its interface."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pulumi

from components.remote_command import (
    TOOLS,
    WEBUI_TOOLS,
    File,
    RemoteCommand,
    Target,
    digest_of,
    run_on_machine,
    secret_json,
)
from ollamazure import catalog
from ollamazure.settings.sign_in import SignIn
from ollamazure.settings.types import model_id
from ollamazure.settings.workspace import Banner, Permissions

OLLAMA_URL = "http://host.containers.internal:11434"
# Open WebUI's own limit of one upload; Nginx lets a little more through, so that users see the
# message of the application.
UPLOAD_LIMIT_MB = 50
FIX = "`journalctl --unit open-webui` on the machine tells more; `pulumi up` tries again."
DECLARED = "/etc/ollamazure/open-webui.json"
# What the official image brings along (its Dockerfile, USE_EMBEDDING_MODEL).
IMAGES_EMBEDDING_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
SIGN_IN = "/etc/ollamazure/sign-in.env"
SIGN_IN_SECRET = "/etc/ollamazure/sign-in-secret.env"  # noqa: S105  where it is


@dataclass(frozen=True)
class OpenWebuiArgs:
    """What Open WebUI needs to know.

    Attributes:
        target: the machine.
        image: full reference, for example `ghcr.io/open-webui/open-webui:v0.12.4`.
        url: the address users open, `https://…`.
        admin_email: address that the admin signs in with.
        admin_name: what users see of the admin.
        admin_password: secret; at most 72 bytes.
        default_model: id of a model or preset, chosen in a new chat.
        document_search: auto, image or whole; see Settings.
        embedding_model: of Ollama, for the search in documents, where that is auto.
        after: what must be there before documents are embedded: that model.
        banners: what stands on top of every page; none leaves that to the admin.
        permissions: what every user may do, by Open WebUI's names; none leaves it to the admin.
        web_access: it may fetch pages of the web, and send to addresses there.
        database_pool_size: connections to the database, each with a cache in memory.
        sign_in: with an account of one's organisation; none is by password only.
        sign_in_secret: of its client.
        background_generation: titles, tags and the like written by the model beside the chat.
        builtin_tools: offer the model Open WebUI's tools; small models stumble over them.
    """

    target: Target
    image: str
    url: pulumi.Input[str]
    admin_email: str
    admin_name: str
    admin_password: pulumi.Input[str]
    default_model: str
    document_search: Literal["auto", "image", "whole"] = "auto"
    embedding_model: str | None = None
    after: Sequence[pulumi.Resource] = ()
    banners: Sequence[Banner] = ()
    permissions: Permissions = field(default_factory=dict)
    web_access: bool = False
    database_pool_size: int = 8
    sign_in: SignIn | None = None
    sign_in_secret: pulumi.Input[str] | None = None
    background_generation: bool = False
    builtin_tools: bool = False


class OpenWebui(pulumi.ComponentResource):
    """Open WebUI; `service` runs it, `admin` signs in, `settings` is what is declared."""

    service: RemoteCommand
    admin: RemoteCommand
    settings: RemoteCommand
    digest: pulumi.Output[str]

    def __init__(
        self, name: str, args: OpenWebuiArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ollamazure:index:OpenWebui", name, None, opts)
        secret = self._sign_in_secret(args)
        self.service = run_on_machine(
            "open-webui",
            args.target,
            purpose="start Open WebUI",
            script=f"{TOOLS}/start-open-webui {shlex.quote(args.image)}",
            files=[
                File(f"{TOOLS}/start-open-webui", "0755"),
                File(
                    "/etc/containers/systemd/open-webui.container",
                    values={
                        "image": args.image,
                        "url": args.url,
                        "database_pool_size": args.database_pool_size,
                        "ollama_url": OLLAMA_URL,
                        "sign_in": args.sign_in is not None,
                        "web_access": args.web_access,
                    },
                ),
                *(
                    [File(SIGN_IN, values={"url": args.url, **args.sign_in.values()})]
                    if args.sign_in
                    else []
                ),
            ],
            fix=FIX,
            opts=pulumi.ResourceOptions(parent=self, depends_on=secret),
        )
        self.admin = run_on_machine(
            "open-webui-admin",
            args.target,
            purpose="set up the administrator of Open WebUI",
            script=f"secret admin | {TOOLS}/webui-cli admin",
            secrets={
                "admin": secret_json(
                    {
                        "email": args.admin_email.lower(),
                        "name": args.admin_name,
                        "password": args.admin_password,
                    }
                )
            },
            fix=FIX,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self.service]),
        )
        self.settings = run_on_machine(
            "open-webui-settings",
            args.target,
            purpose="apply the settings of Open WebUI",
            script=f"{TOOLS}/webui-cli apply-settings {DECLARED}",
            files=[
                # There already, and here so that a change of them applies the settings again.
                *WEBUI_TOOLS,
                File(
                    DECLARED,
                    values={
                        "declared": pulumi.Output.from_input(args.url).apply(
                            lambda url: declared(args, url)
                        )
                    },
                ),
            ],
            fix=FIX,
            # Another model for the search embeds all documents again; see EMBEDDED_WITHIN there.
            timeout="2h",
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self.admin, *args.after]),
        )
        self.digest = digest_of([self.service, self.admin, self.settings])
        self.register_outputs({})

    def _sign_in_secret(self, args: OpenWebuiArgs) -> list[RemoteCommand]:
        """The command for it: apart, so that a preview shows what else changes of the container."""
        if args.sign_in_secret is None:
            return []
        line = pulumi.Output.concat("OAUTH_CLIENT_SECRET=", args.sign_in_secret, "\n")
        step = run_on_machine(
            "open-webui-sign-in-secret",
            args.target,
            purpose="store the secret of the sign-in",
            script=f"{TOOLS}/start-open-webui",
            files=[
                File(f"{TOOLS}/start-open-webui", "0755"),
                File(SIGN_IN_SECRET, "0600", key="line"),
            ],
            secrets={"line": line},
            delete=f"rm -f {SIGN_IN} {SIGN_IN_SECRET}",
            fix=FIX,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return [step]


def declared(args: OpenWebuiArgs, url: str) -> dict[str, Any]:
    """The content of /etc/ollamazure/open-webui.json, which the machine's `webui` package applies.

    The keys of `config` are Open WebUI's own (`/api/v1/configs/export` lists them) and are set at
    each run; those of `defaults` are set once on a new instance and are the admin's from then on.
    """
    generates = args.background_generation
    return {
        "config": {
            "webui.url": url,
            "ui.enable_signup": False,
            "ui.enable_community_sharing": False,
            "ui.default_models": args.default_model,
            "auth.jwt_expiry": "24h",
            "ollama.enable": True,
            "ollama.base_urls": [OLLAMA_URL],
            # A private chat: nothing is asked of anybody else.
            "openai.enable": False,
            "direct.enable": False,
            "code_execution.enable": False,
            "code_interpreter.enable": False,
            "evaluation.arena.enable": False,
            "task.title.enable": generates,
            "task.tags.enable": generates,
            "task.follow_up.enable": generates,
            "task.autocomplete.enable": generates,
            "task.query.search.enable": generates,
            "task.query.retrieval.enable": generates,
            "models.default_metadata": {"capabilities": {"builtin_tools": args.builtin_tools}},
            "rag.file.max_size": UPLOAD_LIMIT_MB,
            **search(args),
            **({"ui.default_user_role": args.sign_in.role_of_new_accounts} if args.sign_in else {}),
            **({"ui.banners": [*map(banner, args.banners)]} if args.banners else {}),
            **({"user.permissions": permissions(args.permissions)} if args.permissions else {}),
        },
        "defaults": {
            # Chat models do not embed: a file's text goes into the conversation as it is.
            "rag.bypass_embedding_and_retrieval": True,
            # The browser listens, rather than a second model on the machine.
            "audio.stt.engine": "web",
            "user.permissions": permissions({}),
        },
    }


def search(args: OpenWebuiArgs) -> dict[str, Any]:
    """How documents are read; with auto and no model for it that is the admin's affair."""
    if args.document_search == "whole":
        return {"rag.bypass_embedding_and_retrieval": True}
    if args.document_search == "image":
        return {
            "rag.bypass_embedding_and_retrieval": False,
            "rag.embedding_engine": "",
            "rag.embedding_model": IMAGES_EMBEDDING_MODEL,
        }
    if args.embedding_model is None:
        return {}
    return {
        "rag.bypass_embedding_and_retrieval": False,
        "rag.embedding_engine": "ollama",
        "rag.embedding_model": model_id(args.embedding_model),
        "rag.ollama.base_url": OLLAMA_URL,
    }


def banner(declared: Banner) -> dict[str, Any]:
    """A banner in Open WebUI's shape; who has closed it once sees it again when it says more."""
    shape = declared.model_dump()
    text = json.dumps(shape, sort_keys=True)
    return {**shape, "id": hashlib.sha256(text.encode()).hexdigest()[:16], "timestamp": 0}


def permissions(declared: Permissions) -> Permissions:
    """What every user may do: what is declared, and the catalog's where it says nothing."""
    ours = catalog.webui_permissions().defaults
    branches = {**ours, **declared}
    return {name: {**ours.get(name, {}), **declared.get(name, {})} for name in branches}

"""Who may do what: each user, group, preset, prompt and knowledge base as a resource of its own.

Each command puts what is declared on the machine, as JSON that a preview shows line by line, and
has `webui-cli` tell Open WebUI; taking the resource away undoes it. What is not declared is never
touched.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_random as random

from components.remote_command import TOOLS, File, Lanes, RemoteCommand, Target, run_on_machine
from ollamazure import catalog
from ollamazure.settings.cross_checks import CHAT_ONLY
from ollamazure.settings.types import model_id
from ollamazure.settings.workspace import (
    Access,
    Document,
    KnowledgeBase,
    Preset,
    Prompt,
    User,
    UserGroup,
    documents,
    membership,
    slug,
)

DECLARED = "/etc/ollamazure/declared"
WEBUI = f"{TOOLS}/webui-cli"
# With two downloads of models, eight connections to the machine at once.
AT_ONCE = 6
FIX = (
    "The line above has Open WebUI's own words; `journalctl --unit open-webui` on the machine "
    "tells more. `pulumi up` tries again."
)


@dataclass(frozen=True)
class WorkspaceArgs:
    """What is declared of people, and of what is offered to them.

    Attributes:
        target: the machine.
        users: each e-mail once.
        groups: each name once; `chat-only` is added where it is not among them.
        knowledge: each name once.
        presets: each id once.
        prompts: each command once.
        model_access: who may use a model that is not for every user, by its name.
        models: the commands that install the models, by name.
        after: what must be there before Open WebUI is told.
        filled_at_sign_in: names of groups whose members a provider names, and not the users.
    """

    target: Target
    users: Sequence[User]
    groups: Sequence[UserGroup]
    knowledge: Sequence[KnowledgeBase]
    presets: Sequence[Preset]
    prompts: Sequence[Prompt]
    model_access: Mapping[str, Access]
    models: Mapping[str, RemoteCommand]
    after: Sequence[pulumi.Resource]
    filled_at_sign_in: Sequence[str] = ()


@dataclass(frozen=True)
class Item:
    """One thing that is declared.

    Attributes:
        kind: user, group, knowledge, access, preset or prompt.
        key: what Open WebUI knows it by.
        declared: what its file on the machine says.
        after: what it refers to.
        documents: files that belong to it.
        password: secret, for a new account.
    """

    kind: str
    key: str
    declared: Mapping[str, Any]
    after: Sequence[pulumi.Resource] = ()
    documents: Sequence[Document] = ()
    password: pulumi.Output[str] | None = None


class Workspace(pulumi.ComponentResource):
    """Everybody who is declared; `initial_passwords` (secret) has each one's by e-mail."""

    initial_passwords: pulumi.Output[dict[str, str]]

    def __init__(
        self, name: str, args: WorkspaceArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ollamazure:index:Workspace", name, None, opts)
        self._args = args
        self._lanes = Lanes(AT_ONCE, after=args.after)
        self._made: dict[tuple[str, str], RemoteCommand] = {}
        seed = random.RandomPassword(
            "initial-passwords",
            length=32,
            special=False,
            opts=pulumi.ResourceOptions(parent=self),
        ).result

        for group in with_chat_only(args.groups):
            filled = group.name in args.filled_at_sign_in
            self._make(Item("group", group.name, group_json(group, filled_at_sign_in=filled)))
        for user in args.users:
            self._make(self._user(user, seed))
        for base in args.knowledge:
            self._make(self._knowledge(base))
        for model, access in args.model_access.items():
            self._make(self._model_access(model_id(model), access))
        for preset in args.presets:
            self._make(self._preset(preset))
        for prompt in args.prompts:
            who = self._who(prompt.access)
            self._make(Item("prompt", prompt.command, prompt_json(prompt), who))

        emails = [user.email for user in args.users if user.state != "deleted"]
        self.initial_passwords = pulumi.Output.secret(
            seed.apply(lambda known: {email: initial_password(known, email) for email in emails})
        )
        self.register_outputs({})

    def _user(self, user: User, seed: pulumi.Output[str]) -> Item:
        groups = membership(self._args.users, self._args.groups)[user.email]
        return Item(
            "user",
            user.email,
            user_json(user, groups),
            after=self._of("group", groups),
            password=seed.apply(lambda known: initial_password(known, user.email)),
        )

    def _knowledge(self, base: KnowledgeBase) -> Item:
        found = list(documents(base.files))
        declared = knowledge_json(base, found)
        return Item("knowledge", base.name, declared, self._who(base.access), found)

    def _model_access(self, model: str, access: Access) -> Item:
        after = [self._args.models[model], *self._who(access)]
        return Item("access", model, {"model": model, **access_json(access)}, after)

    def _preset(self, preset: Preset) -> Item:
        after = [
            self._args.models[preset.base_model],
            *self._of("knowledge", preset.knowledge),
            *self._who(preset.access),
        ]
        return Item("preset", preset.id, preset_json(preset), after)

    def _make(self, item: Item) -> None:
        is_secret = item.password is not None
        indent = None if is_secret else 2  # a preview shows one line of it, or each that changes
        text = json.dumps(item.declared, indent=indent, sort_keys=True, ensure_ascii=False)
        self._made[item.kind, item.key] = self._lanes.add(
            lambda before: run_on_machine(
                f"{item.kind}-{slug(item.key)}",
                self._args.target,
                purpose=f"set up {item.kind} {item.key}",
                script=script(item),
                files=files(item, text),
                secrets={"password": item.password} if item.password is not None else None,
                shown_input=text if is_secret else "",
                show_output=True,  # the password is never in it
                delete=shlex.join([WEBUI, "remove", item.kind, item.key]),
                fix=FIX,
                opts=pulumi.ResourceOptions(parent=self, depends_on=[*before, *item.after]),
            )
        )

    def _of(self, kind: str, keys: Sequence[str]) -> list[pulumi.Resource]:
        return [self._made[kind, key] for key in keys]

    def _who(self, access: Access | None) -> list[pulumi.Resource]:
        if access is None:
            return []
        return [*self._of("group", access.groups), *self._of("user", access.users)]


def files(item: Item, declaration: str) -> list[File]:
    """The declaration of an item, with its documents beside it by their checksums."""
    place = _place(item)
    return [
        File(f"{place}.json", content=f"{declaration}\n".encode()),
        *(
            File(f"{place}/{document.sha256}", content=document.content)
            for document in item.documents
        ),
    ]


def script(item: Item) -> str:
    """What sets up an item as its file declares it."""
    apply = shlex.join([WEBUI, "apply", item.kind, f"{_place(item)}.json"])
    return apply if item.password is None else f"secret password | {apply}"


def _place(item: Item) -> str:
    return f"{DECLARED}/{item.kind}/{slug(item.key)}"


def initial_password(seed: str, email: str) -> str:
    """The password of a new account: 125 bits, in lower case and without what looks alike.

    It follows from one secret, so that a new user is one new resource.
    """
    digest = hmac.new(seed.encode(), email.encode(), hashlib.sha256).digest()
    text = base64.b32encode(digest).decode().lower()
    return "-".join(text[start : start + 5] for start in range(0, 25, 5))


def with_chat_only(groups: Sequence[UserGroup]) -> list[UserGroup]:
    """The groups with the ready-made one, which grants what every user of a new instance may."""
    if any(group.name == CHAT_ONLY for group in groups):
        return list(groups)
    granted = {
        branch: {name: True for name, allowed in leaves.items() if allowed}
        for branch, leaves in catalog.webui_permissions().defaults.items()
    }
    ready_made = UserGroup(
        name=CHAT_ONLY,
        description="May chat with the models offered, and nothing else.",
        permissions={branch: leaves for branch, leaves in granted.items() if leaves},
    )
    return [ready_made, *groups]


def access_json(access: Access | None) -> dict[str, Any]:
    """Who may use an item."""
    if access is None:
        return {"everyone": True}
    return {"groups": sorted({*access.groups}), "users": sorted({*access.users})}


def group_json(group: UserGroup, *, filled_at_sign_in: bool = False) -> dict[str, Any]:
    """A group's declaration; who belongs to it, the users' say, or their provider."""
    return {
        "name": group.name,
        "description": group.description,
        "permissions": group.permissions,
        **({"filled_at_sign_in": True} if filled_at_sign_in else {}),
    }


def user_json(user: User, groups: Sequence[str]) -> dict[str, Any]:
    """A user's declaration; the password is not in it."""
    return {
        "email": user.email,
        "name": user.name,
        "role": user.role,
        "groups": list(groups),
        "state": user.state,
    }


def knowledge_json(base: KnowledgeBase, files: Sequence[Document]) -> dict[str, Any]:
    """A knowledge base's declaration; the files' content lies beside it by its checksum."""
    return {
        "name": base.name,
        "description": base.description,
        "files": [{"name": file.name, "sha256": file.sha256} for file in files],
        "access": access_json(base.access),
    }


def preset_json(preset: Preset) -> dict[str, Any]:
    """A preset's declaration."""
    return {
        "id": preset.id,
        "name": preset.name,
        "base_model": preset.base_model,
        "description": preset.description,
        "system": preset.system,
        "params": preset.params,
        "suggestions": list(preset.suggestions),
        "knowledge": list(preset.knowledge),
        "access": access_json(preset.access),
    }


def prompt_json(prompt: Prompt) -> dict[str, Any]:
    """A prompt's declaration."""
    return {
        "command": prompt.command,
        "title": prompt.title,
        "content": prompt.content,
        "access": access_json(prompt.access),
    }

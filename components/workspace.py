"""Open WebUI's workspace: each user, group, preset, prompt and knowledge base is a resource.

Each command writes a declaration on the machine, as JSON that a preview shows line by line, and
`webui-cli` applies it to Open WebUI. Removing the resource undoes it. What the settings do not
declare is never changed.
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

from components.remote_command import (
    TOOLS,
    File,
    Lanes,
    PodTarget,
    RemoteCommand,
    Target,
    run_on_machine,
)
from ollamazure import catalog
from ollamazure.settings.base import slug
from ollamazure.settings.documents import Document, documents
from ollamazure.settings.stack import Settings
from ollamazure.settings.workspace import (
    CHAT_ONLY,
    Access,
    KnowledgeBase,
    Preset,
    Prompt,
    User,
    UserGroup,
    membership,
)

DECLARED = "/etc/ollamazure/declared"
WEBUI = f"{TOOLS}/webui-cli"
# Together with two downloads of models, eight connections to the machine at once.
AT_ONCE = 6
FIX = (
    "The line above is Open WebUI's own message; `journalctl --unit open-webui` on the machine has "
    "details. `pulumi up` tries again."
)


@dataclass(frozen=True)
class WorkspaceArgs:
    """What the workspace is made from.

    Attributes:
        target: the machine.
        settings: the stack's.
        models: the commands that install the models, by name.
        after: what must be complete before anything is declared to Open WebUI.
    """

    target: Target | PodTarget
    settings: Settings
    models: Mapping[str, RemoteCommand]
    after: Sequence[pulumi.Resource]


@dataclass(frozen=True)
class Item:
    """One part of the workspace.

    Attributes:
        kind: user, group, knowledge, access, preset or prompt.
        key: Open WebUI's name for it.
        declared: the content of its file on the machine.
        after: the commands of what it refers to.
        documents: its files.
        password: secret, until its owner chooses another one.
    """

    kind: str
    key: str
    declared: Mapping[str, Any]
    after: Sequence[pulumi.Resource] = ()
    documents: Sequence[Document] = ()
    password: pulumi.Output[str] | None = None


class Workspace(pulumi.ComponentResource):
    """Everything that the settings declare for users.

    Attributes:
        initial_passwords: secret; of each declared user, by e-mail.
        presets: the commands that set up the presets.
    """

    initial_passwords: pulumi.Output[dict[str, str]]
    presets: list[RemoteCommand]

    def __init__(
        self, name: str, args: WorkspaceArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ollamazure:index:Workspace", name, None, opts)
        self._args = args
        self._lanes = Lanes(AT_ONCE, after=args.after)
        self._made: dict[tuple[str, str], RemoteCommand] = {}
        rotation = args.settings.rotation.initial_passwords
        seed = random.RandomPassword(
            "initial-passwords",
            length=32,
            special=False,
            keepers={"rotation": rotation} if rotation else None,
            opts=pulumi.ResourceOptions(parent=self),
        ).result

        # What others refer to comes first.
        settings = args.settings
        for group in with_chat_only(settings.groups):
            self._make(self._group(group))
        for user in settings.users:
            self._make(self._user(user, seed))
        for base in settings.knowledge:
            self._make(self._knowledge(base))
        for model, access in settings.model_access.items():
            self._make(self._model_access(model, access))
        for preset in settings.presets:
            self._make(self._preset(preset))
        for prompt in settings.prompts:
            self._make(self._prompt(prompt))

        self.presets = [self._made["preset", preset.id] for preset in settings.presets]
        emails = [user.email for user in settings.users if user.state != "deleted"]
        self.initial_passwords = pulumi.Output.secret(
            seed.apply(lambda known: {email: initial_password(known, email) for email in emails})
        )
        self.register_outputs({})

    def _group(self, group: UserGroup) -> Item:
        """A group. Its members are in the users' declarations, or come from the provider."""
        declared = group.model_dump(exclude={"members"})
        sign_in = self._args.settings.sign_in
        if sign_in and group.name in sign_in.groups:
            declared["filled_at_sign_in"] = True
        return Item("group", group.name, declared)

    def _user(self, user: User, seed: pulumi.Output[str]) -> Item:
        settings = self._args.settings
        groups = membership(settings.users, settings.groups)[user.email]
        return Item(
            "user",
            user.email,
            {**user.model_dump(), "groups": groups},
            after=self._made_for("group", groups),
            password=seed.apply(lambda known: initial_password(known, user.email)),
        )

    def _knowledge(self, base: KnowledgeBase) -> Item:
        """A knowledge base; its declaration names each file by checksum, not by content."""
        files = list(documents(base.files))
        listed = [{"name": file.name, "sha256": file.sha256} for file in files]
        declared = {**base.model_dump(), "files": listed, "access": declared_access(base.access)}
        return Item("knowledge", base.name, declared, self._made_for_access(base.access), files)

    def _model_access(self, model: str, access: Access) -> Item:
        after = [self._args.models[model], *self._made_for_access(access)]
        return Item("access", model, {"model": model, **declared_access(access)}, after)

    def _preset(self, preset: Preset) -> Item:
        after = [
            self._args.models[preset.base_model],
            *self._made_for("knowledge", preset.knowledge),
            *self._made_for_access(preset.access),
        ]
        declared = {**preset.model_dump(), "access": declared_access(preset.access)}
        return Item("preset", preset.id, declared, after)

    def _prompt(self, prompt: Prompt) -> Item:
        declared = {**prompt.model_dump(), "access": declared_access(prompt.access)}
        return Item("prompt", prompt.command, declared, self._made_for_access(prompt.access))

    def _make(self, item: Item) -> None:
        is_secret = item.password is not None
        # A preview shows each line that changes; with a secret, it shows the first line only.
        indent = None if is_secret else 2
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
                show_output=True,  # it never contains the password
                delete=shlex.join([WEBUI, "remove", item.kind, item.key]),
                fix=FIX,
                opts=pulumi.ResourceOptions(parent=self, depends_on=[*before, *item.after]),
            )
        )

    def _made_for(self, kind: str, keys: Sequence[str]) -> list[pulumi.Resource]:
        return [self._made[kind, key] for key in keys]

    def _made_for_access(self, access: Access | None) -> list[pulumi.Resource]:
        """The commands of the groups and users that may use an item."""
        if access is None:
            return []
        groups, users = access.groups, access.users
        return [*self._made_for("group", groups), *self._made_for("user", users)]


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
    """The password of a new account: 125 bits, lower case, without characters that look alike.

    All passwords are derived from one secret, so that a new user is a single new resource.
    """
    digest = hmac.new(seed.encode(), email.encode(), hashlib.sha256).digest()
    text = base64.b32encode(digest).decode().lower()
    return "-".join(text[start : start + 5] for start in range(0, 25, 5))


def with_chat_only(groups: Sequence[UserGroup]) -> list[UserGroup]:
    """The groups and the ready-made one, which grants what the catalog grants every user."""
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


def declared_access(access: Access | None) -> dict[str, Any]:
    """Who may use an item, as the machine's tool reads it."""
    if access is None:
        return {"everyone": True}
    return {"groups": sorted({*access.groups}), "users": sorted({*access.users})}

"""Whether what a stack declares fits together: nobody named twice, nobody named who is not there.

Pure; each check yields all that it finds, with the right value where one is near. What is not
known, because it is bad itself or could not be read, is missed by nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ollamazure import catalog
from ollamazure.settings.problems import Wrong, command, did_you_mean
from ollamazure.settings.sign_in import SignIn
from ollamazure.settings.types import model_id, that_chat
from ollamazure.settings.workspace import (
    Access,
    Banner,
    KnowledgeBase,
    Permissions,
    Preset,
    Prompt,
    User,
    UserGroup,
    membership,
    slug,
)

CHAT_ONLY = "chat-only"
Path = tuple[str | int, ...]
Known = Mapping[str, Any]


def users(declared: Sequence[User], known: Known) -> Iterator[Wrong]:
    """E-mails that are there twice, groups that are not, and members who are not."""
    emails = [user.email for user in declared]
    admin = known.get("admin_email")
    yield from _twice("users", "email", emails)
    for index, user in enumerate(declared):
        if user.email == admin:
            reason = "it is the administrator's, see adminEmail"
            yield Wrong(("users", index, "email"), user.email, reason, superfluous=("users", index))
        yield from _groups(("users", index, "groups"), user.groups, known)
    for index, group in enumerate(known.get("groups", ())):
        yield from _unknown(("groups", index, "members"), group.members, emails, "user")


def groups(declared: Sequence[UserGroup], known: Known) -> Iterator[Wrong]:
    """Names that are there twice, and permissions that Open WebUI does not have."""
    yield from _twice("groups", "name", [group.name for group in declared])
    for index, group in enumerate(declared):
        yield from _permissions(("groups", index, "permissions"), group.permissions, known)


def knowledge(declared: Sequence[KnowledgeBase], known: Known) -> Iterator[Wrong]:
    """Names that are there twice."""
    yield from _twice("knowledge", "name", [base.name for base in declared])
    yield from _accesses("knowledge", declared, known)


def presets(declared: Sequence[Preset], known: Known) -> Iterator[Wrong]:
    """Ids that are there twice or belong to a model, and what they refer to in vain."""
    yield from _twice("presets", "id", [preset.id for preset in declared])
    bases = [base.name for base in known.get("knowledge", ())]
    models = known.get("models")
    for index, preset in enumerate(declared):
        path: Path = ("presets", index)
        if models is not None:
            if model_id(preset.id) in models:
                other = f"{preset.id}-preset"
                yield Wrong((*path, "id"), preset.id, "a model has this name", instead=other)
            yield from _model((*path, "baseModel"), preset.base_model, models)
        if "knowledge" in known:
            yield from _unknown((*path, "knowledge"), preset.knowledge, bases, "knowledge base")
        yield from _closed(path, preset, known)
    yield from _accesses("presets", declared, known)


def prompts(declared: Sequence[Prompt], known: Known) -> Iterator[Wrong]:
    """Commands that are there twice."""
    yield from _twice("prompts", "command", [prompt.command for prompt in declared])
    yield from _accesses("prompts", declared, known)


def banners(declared: Sequence[Banner], known: Known) -> Iterator[Wrong]:
    """Banners that say the same."""
    del known
    yield from _twice("banners", "content", [banner.content for banner in declared])


def default_model(declared: str | None, known: Known) -> Iterator[Wrong]:
    """A default that is neither a model nor a preset."""
    if declared is None or "models" not in known or "presets" not in known:
        return
    presets = [preset.id for preset in known["presets"]]
    offered = [*that_chat(known["models"]), *presets]
    if declared not in presets and model_id(declared) not in offered:
        near = did_you_mean(declared, offered)
        hint = f", did you mean {near}?" if near else ""
        reason = f"no such model that chats and no such preset is declared{hint}"
        yield Wrong(("defaultModel",), declared, reason, instead=near or offered[0])


def default_permissions(declared: Permissions, known: Known) -> Iterator[Wrong]:
    """Permissions that Open WebUI does not have."""
    yield from _permissions(("defaultPermissions",), declared, known)


def model_access(declared: Mapping[str, Access], known: Known) -> Iterator[Wrong]:
    """Models that are not installed, and whom they are for in vain."""
    names = [model_id(key) for key in declared]
    for index, (key, access) in enumerate(declared.items()):
        path: Path = ("modelAccess", key)
        if names[index] in names[:index]:
            yield Wrong(path, key, "the model is there more than once")
        elif "models" in known and names[index] not in known["models"]:
            near = did_you_mean(names[index], known["models"])
            hint = f", did you mean {near}?" if near else ""
            yield Wrong(path, key, f"it is not one of models{hint}")
        yield from _access(path, access, known)


def sign_in(declared: SignIn | None, known: Known) -> Iterator[Wrong]:
    """A provider that sends nobody back, and groups that somebody else fills, too."""
    if declared is None:
        return
    bare = all(known.get(name, "") is None for name in ("domain", "dns_label"))
    if declared.tenant and bare:
        reason = "Microsoft Entra ID sends nobody back to a bare address, set dnsLabel or domain"
        fix = command(("dnsLabel",), "our-team-chat")
        yield Wrong(("signIn", "tenant"), declared.tenant, reason, fix=fix)
    path: Path = ("signIn", "groups")
    yield from _groups(path, declared.groups, known)
    named = membership(known.get("users", ()), known.get("groups", ()))
    for index, name in enumerate(declared.groups):
        if any(name in of_user for of_user in named.values()):
            reason = "the settings name its members, and at each sign-in the provider would"
            yield Wrong((*path, index), name, reason)


CHECKS: Mapping[str, Callable[[Any, Known], Iterator[Wrong]]] = {
    check.__name__: check
    for check in (
        groups,
        users,
        knowledge,
        presets,
        prompts,
        banners,
        default_model,
        default_permissions,
        model_access,
        sign_in,
    )
}


def _twice(key: str, field: str, values: Sequence[str]) -> Iterator[Wrong]:
    """Values that repeat a former one, or differ from it only by what a file's name cannot hold."""
    slugs = [slug(value) for value in values]
    for index, value in enumerate(values):
        first = values[slugs.index(slugs[index])]
        if slugs.index(slugs[index]) != index:
            same = "it is there more than once" if first == value else f"it is too like {first}"
            yield Wrong((key, index, field), value, same, superfluous=(key, index))


def _unknown(path: Path, named: Sequence[str], known: Sequence[str], kind: str) -> Iterator[Wrong]:
    for index, name in enumerate(named):
        if name not in known:
            near = did_you_mean(name, known)
            hint = f", did you mean {near}?" if near else ""
            yield Wrong((*path, index), name, f"no such {kind} is declared{hint}", instead=near)


def _groups(path: Path, named: Sequence[str], known: Known) -> Iterator[Wrong]:
    if "groups" in known:
        names = [CHAT_ONLY, *(group.name for group in known["groups"])]
        yield from _unknown(path, named, names, "group")


def _access(path: Path, access: Access, known: Known) -> Iterator[Wrong]:
    yield from _groups((*path, "groups"), access.groups, known)
    if "users" in known:
        emails = [user.email for user in known["users"]]
        yield from _unknown((*path, "users"), access.users, emails, "user")


def _accesses(
    key: str, declared: Sequence[Preset | Prompt | KnowledgeBase], known: Known
) -> Iterator[Wrong]:
    for index, item in enumerate(declared):
        if item.access:
            yield from _access((key, index, "access"), item.access, known)


def _closed(path: Path, preset: Preset, known: Known) -> Iterator[Wrong]:
    """What a preset is made of and not all of its users may use: Open WebUI refuses them the answer
    or leaves the knowledge out without a word."""
    if not {"users", "groups"} <= known.keys():
        return
    open_to = {model_id(key): access for key, access in known.get("model_access", {}).items()}
    if not _within(preset.access, open_to.get(preset.base_model), known):
        reason = "not everybody who may use the preset may use this model, see modelAccess"
        yield Wrong((*path, "baseModel"), preset.base_model, reason, superfluous=path)
    bases = {base.name: base.access for base in known.get("knowledge", ())}
    for index, name in enumerate(preset.knowledge):
        if not _within(preset.access, bases.get(name), known):
            reason = "not everybody who may use the preset may read this"
            yield Wrong((*path, "knowledge", index), name, reason)


def _within(access: Access | None, other: Access | None, known: Known) -> bool:
    """Whether everybody of `access` is in `other`."""
    if other is None or access is None:
        return other is None
    groups_of = membership(known.get("users", ()), known.get("groups", ()))
    return {*access.groups} <= {*other.groups} and all(
        user in other.users or {*groups_of.get(user, ())} & {*other.groups} for user in access.users
    )


def _model(path: Path, model: str, models: Sequence[str]) -> Iterator[Wrong]:
    offered = that_chat(models)
    if model not in offered:
        near = did_you_mean(model, offered)
        hint = f", did you mean {near}?" if near else ""
        reason = "it embeds and does not chat" if model in models else "it is not one of models"
        yield Wrong(path, model, f"{reason}{hint}", instead=near or offered[0])


def _permissions(path: Path, permissions: Permissions, known: Known) -> Iterator[Wrong]:
    tree = catalog.webui_permissions()
    if known.get("webui_version") != tree.version:
        return  # another version may have others; settings.py warns
    for branch, leaves in permissions.items():
        if branch not in tree.defaults:
            yield _no_permission((*path, branch), branch, [*tree.defaults], tree.version)
            continue
        for leaf in leaves:
            if leaf not in tree.defaults[branch]:
                names = [*tree.defaults[branch]]
                yield _no_permission((*path, branch, leaf), leaf, names, tree.version)


def _no_permission(path: Path, given: str, names: Sequence[str], version: str) -> Wrong:
    near = did_you_mean(given, names)
    hint = f", did you mean {near}?" if near else f", only {', '.join(names)}"
    return Wrong(path, given, f"Open WebUI {version} has no such permission{hint}")

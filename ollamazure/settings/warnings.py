"""Risks that valid settings have: an open port, deleted chats, names without a check or effect."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ollamazure import catalog
from ollamazure.settings.base import key_of
from ollamazure.settings.features import Features
from ollamazure.settings.problems import NAMESPACE, command
from ollamazure.settings.stack import Settings
from ollamazure.settings.types import opens_to_everyone
from ollamazure.settings.workspace import Permissions, membership

MOST_NAMES = 20


def warnings_of(settings: Settings) -> list[str]:
    """The warnings about valid settings."""
    return [
        *_open_to_everyone(settings),
        *_by_https(settings),
        *_lost(settings),
        *_unchecked(settings),
        *_risky(settings),
        *_without_effect(settings),
        *_without_default_model(settings),
        *_framed(settings),
        *_silent(settings),
    ]


def removed_users_warning(former: Collection[str], settings: Settings) -> str | None:
    """The warning about users who leave the settings; None if no user does.

    Args:
        former: e-mails of the users that the settings had at the last `pulumi up`.
        settings: the present ones.
    """
    declared = {settings.admin_email, *(user.email for user in settings.users)}
    removed = sorted({*former} - declared)
    if not removed:
        return None
    names = ", ".join(removed[:MOST_NAMES])
    more = f" and {len(removed) - MOST_NAMES} more" if len(removed) > MOST_NAMES else ""
    stay = "To let them stay, keep them in users"
    if settings.sign_in and settings.sign_in.merge_by_email:
        stay += ": with single sign-on each of them gets the same account, with its chats."
    elif settings.sign_in:
        merge = command(("signIn", "mergeByEmail"), "true")
        stay += (
            f", and if your provider verifies e-mails: {merge}. Then each of them gets the same "
            "account with single sign-on, with its chats."
        )
    else:
        stay += "."
    return (
        f"{NAMESPACE}:users no longer has {names}{more}: `pulumi up` suspends these accounts, so "
        f"they cannot sign in, with single sign-on neither. Their chats are kept. {stay}"
    )


def _open_to_everyone(settings: Settings) -> Iterator[str]:
    for index, client in enumerate(settings.ssh_clients):
        if opens_to_everyone(client):
            fix = command(("sshClients", index), "203.0.113.7/32")
            yield (
                f"{NAMESPACE}:sshClients holds {client}: the SSH port is open to the whole "
                f"internet. To close it: {fix} with your address."
            )


def _by_https(settings: Settings) -> Iterator[str]:
    """Before, a mirror without a scheme was contacted by plain HTTP as well."""
    mirror = settings.mirrors.containers
    if mirror and "://" not in mirror:
        path = ("mirrors", "containers")
        yield (
            f"{NAMESPACE}:mirrors.containers is {mirror}, without http:// or https://: the machine "
            "uses HTTPS and checks the certificate. To accept that without this warning: "
            f"{command(path, f'https://{mirror}')}. For a mirror by plain HTTP: "
            f"{command(path, f'http://{mirror}')}."
        )


def _lost(settings: Settings) -> Iterator[str]:
    for user in settings.users:
        if user.state == "deleted":
            yield (
                f"{NAMESPACE}:users has {user.email} with state: deleted, so `pulumi up` removes "
                "the account and all of its chats for good. To keep them, set state: suspended."
            )


def _features(settings: Settings) -> Iterator[tuple[str, str]]:
    """The features that are on: the name in a stack file, and the risk."""
    for name, field in Features.model_fields.items():
        if getattr(settings.features, name):
            yield key_of(name), str(field.description)


def _risky(settings: Settings) -> Iterator[str]:
    for name, risk in _features(settings):
        off = command(("features", name), "false")
        yield f"{NAMESPACE}:features.{name} is on. {risk} To turn it off: {off}"
    if settings.grants("chat", "web_upload") or settings.grants("features", "web_search"):
        yield (
            "Some users have the permission chat.web_upload or features.web_search: the machine "
            "fetches the public pages that they name, and a page can mislead the model that reads "
            "it. Open WebUI refuses addresses that are not public."
        )


def _without_effect(settings: Settings) -> Iterator[str]:
    """Granted permissions for features that are off."""
    granted = {
        f"groups[{i}].permissions": each.permissions for i, each in enumerate(settings.groups)
    }
    known = catalog.webui_permissions()
    turned_on = {name for name, _ in _features(settings)}
    for key, branches in {"defaultPermissions": settings.default_permissions, **granted}.items():
        for name in _granted(branches):
            grants = f"{NAMESPACE}:{key} grants {name}, which has no effect"
            feature = known.features.get(name)
            if feature and feature not in turned_on:
                fix = command(("features", feature), "true")
                yield f"{grants}, because features.{feature} is false. To turn it on: {fix}"
            elif switch := known.switches.get(name):
                yield (
                    f"{grants} until an administrator turns {switch} of Open WebUI on, in the "
                    "chat's admin settings."
                )


def _without_default_model(settings: Settings) -> Iterator[str]:
    """A model or preset that new chats start with, and that some users may not use."""
    name = settings.new_chats_start_with
    presets = {preset.id: preset for preset in settings.presets}
    access = presets[name].access if name in presets else settings.model_access.get(name)
    if access is None:
        return
    groups_of = membership(settings.users, settings.groups)
    without = [
        user.email
        for user in settings.users
        if user.role == "user" and user.state == "active"
        if user.email not in access.users and not {*groups_of[user.email]} & {*access.groups}
    ]
    if settings.users and not without and not settings.sign_in:
        return
    who = ", ".join(without) or "users who are not declared"
    open_to_all = settings.models_for_everyone
    fix = (
        command(("defaultModel",), open_to_all[0])
        if open_to_all
        else "add a model without modelAccess to models"
    )
    yield (
        f"New chats start with {name}, and its access leaves out some users: {who}. Their chats "
        f"start without a model, or with another one. To change that: {fix}."
    )


def _granted(permissions: Permissions) -> Iterator[str]:
    for branch, leaves in permissions.items():
        yield from (f"{branch}.{leaf}" for leaf, granted in leaves.items() if granted)


def _unchecked(settings: Settings) -> Iterator[str]:
    version = catalog.webui_permissions().version
    named = settings.default_permissions or any(group.permissions for group in settings.groups)
    if named and settings.webui_version != version:
        yield (
            "The names of permissions were not checked: "
            f"ollamazure/catalog/open-webui-permissions.yaml has those of Open WebUI {version}, "
            f"and {NAMESPACE}:webuiVersion is {settings.webui_version}."
        )


def _framed(settings: Settings) -> Iterator[str]:
    if settings.frame_origins:
        yield (
            f"{NAMESPACE}:frameOrigins lets {', '.join(settings.frame_origins)} show the chat in a "
            "frame, and browsers then send the chat's cookies from every site. A page of these "
            "sites can lay something over the chat and mislead a user who clicks. List only sites "
            "that you trust; docs/how-to/show-the-chat-in-a-frame.md explains it."
        )


def _silent(settings: Settings) -> Iterator[str]:
    if settings.grants("chat", "stt") and not settings.microphone:
        yield (
            "The permission chat.stt has no effect, because the microphone is off. To allow it: "
            f"{command(('microphone',), 'true')}"
        )

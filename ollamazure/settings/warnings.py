"""Risks that valid settings have: an open port, deleted chats, names without a check or effect."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from ipaddress import IPv4Network
from typing import Any

from ollamazure import catalog
from ollamazure.settings.base import key_of
from ollamazure.settings.features import Features
from ollamazure.settings.groups import VALIDITY_LIMIT_DAYS
from ollamazure.settings.problems import NAMESPACE, command
from ollamazure.settings.provided_certificate import chain_text, ends_soon, parse_chain
from ollamazure.settings.stack import Settings
from ollamazure.settings.subnet import network_of
from ollamazure.settings.types import opens_to_everyone
from ollamazure.settings.workspace import Permissions, membership

MOST_NAMES = 20


def warnings_of(settings: Settings) -> list[str]:
    """The warnings about valid settings."""
    return [
        *_open_to_everyone(settings),
        *_out_of_reach(settings),
        *_shortened(settings),
        *_certificate_of_azure_name(settings),
        *_provided(settings),
        *_by_https(settings),
        *_lost(settings),
        *_without_backups(settings),
        *_without_test(settings),
        *_unchecked(settings),
        *_by_tag(settings),
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


def deleted_chats_warning(former: Mapping[str, Any], settings: Settings) -> str | None:
    """The warning about chats that the next night deletes; None if chats stay as long as before.

    Args:
        former: the outputs of the last `pulumi up`; empty before the first.
        settings: the present ones.
    """
    days, before = settings.chat_days, former.get("chatDays")
    may_have_chats = former or settings.data_disk_id
    if days is None or not may_have_chats or (before is not None and before <= days):
        return None
    was = "unset" if before is None else f"{before:.0f}"
    return (
        f"{NAMESPACE}:chatDays was {was} and is {days}: after `pulumi up`, the next night deletes "
        f"all chats that have not changed for {days} days, for good and of all users, with their "
        "files. Users can download theirs before; backups keep them until they are removed "
        "(docs/how-to/privacy.md)."
    )


def moved_warning(former: str | None, settings: Settings) -> str | None:
    """The warning about a machine that changes its virtual network; None if it stays.

    Args:
        former: network.subnetId at the last `pulumi up`.
        settings: the present ones.
    """
    subnet = settings.network.subnet_id
    if network_of(former or "") == network_of(subnet or ""):
        return None
    place = f"the virtual network of {subnet}" if subnet else "a virtual network of the stack's own"
    kept = "The public address and the" if settings.public_address else "The"
    return (
        f"The machine moves to {place}, and Azure moves no existing machine to another network: it "
        f"is deleted and created again, and the chat is unavailable for about ten minutes. {kept} "
        "data disk with all chats and models are kept, and the private address changes."
    )


def refused_warning(former_mode: str | None, former_url: str, settings: Settings) -> str | None:
    """The warning about browsers that will refuse the chat; None if they accept it as before.

    A browser that has met a trusted certificate lets no user skip its warning for two years
    (Strict-Transport-Security in nginx.conf). It ignores that of an address without a name.

    Args:
        former_mode: certificate.mode at the last `pulumi up`.
        former_url: the chat's URL then.
        settings: the present ones.
    """
    name = settings.public_name
    was_trusted = former_mode in ("letsEncrypt", "provided")
    is_own = settings.certificate.mode == "selfSigned"
    if not (was_trusted and is_own and former_url == f"https://{name}"):
        return None
    back = command(("certificate", "mode"), str(former_mode))
    return (
        f"{NAMESPACE}:certificate.mode was {former_mode} and is selfSigned: browsers that have "
        f"opened {former_url} refuse the certificate of the stack's own authority, for two years "
        "after the last visit, and users cannot skip that warning. Let every device trust the "
        "authority (docs/how-to/trust-the-authority.md), use another domain, or go back: "
        f"{back}"
    )


def _open_to_everyone(settings: Settings) -> Iterator[str]:
    for index, client in enumerate(settings.ssh_clients):
        if settings.public_address and opens_to_everyone(client):
            fix = command(("sshClients", index), "203.0.113.7/32")
            yield (
                f"{NAMESPACE}:sshClients holds {client}: the SSH port is open to the whole "
                f"internet. To close it: {fix} with your address."
            )


def _out_of_reach(settings: Settings) -> Iterator[str]:
    """A final check by an operator whose computer the chat refuses."""
    chat = [IPv4Network(client) for client in settings.allowed_clients]
    operators = map(IPv4Network, settings.ssh_clients)
    reached = any(operator.overlaps(client) for operator in operators for client in chat)
    if settings.probe_from == "operator" and not reached:
        yield (
            f"{NAMESPACE}:allowedClients has no address of sshClients, so your computer cannot "
            "reach the chat, and the final check of `pulumi up` fails. To let the machine check: "
            f"{command(('probeFrom',), 'machine')}."
        )


def _shortened(settings: Settings) -> Iterator[str]:
    """Before, certificates could be valid for longer than browsers accept."""
    days = settings.certificate.validity_days
    if days > VALIDITY_LIMIT_DAYS:
        path = ("certificate", "validityDays")
        limit = str(VALIDITY_LIMIT_DAYS)
        yield (
            f"{NAMESPACE}:certificate.validityDays is {days}, and browsers refuse certificates for "
            f"more than {limit} days: the certificate is valid for {limit}. To accept that without "
            f"this warning: {command(path, limit)}"
            + (
                f" && {command(('certificate', 'renewAfterDays'), '300')}"
                if settings.certificate.renew_after_days >= VALIDITY_LIMIT_DAYS
                else ""
            )
            + "."
        )


def _certificate_of_azure_name(settings: Settings) -> Iterator[str]:
    certificate = settings.certificate
    if certificate.mode == "letsEncrypt" and not settings.domain:
        yield (
            f"{NAMESPACE}:certificate.mode is letsEncrypt, and the chat's name is "
            f"{settings.azure_name}: Let's Encrypt counts all names of cloudapp.azure.com "
            "together, so it often refuses (letsencrypt/boulder 7447 and 7479, publicsuffix/list "
            "1944). Until it issues, the chat keeps the certificate of the stack's own authority. "
            f"Recommended: a domain of your own, with a CNAME record to {settings.azure_name}: "
            f"{command(('domain',), 'chat.example.com')}"
        )


def _provided(settings: Settings) -> Iterator[str]:
    """A certificate that ends soon, or that another mode does not use."""
    certificate = settings.certificate
    if certificate.mode != "provided":
        given = {
            "certificate.chain": certificate.chain,
            "certificate.chainFile": certificate.chain_file,
            "certificate.keyFile": certificate.key_file,
            "certificateKey": settings.certificate_key,
        }
        if names := [name for name, value in given.items() if value]:
            yield (
                f"{NAMESPACE}: {', '.join(names)} have no effect, because certificate.mode is "
                f"{certificate.mode}. To use them: {command(('certificate', 'mode'), 'provided')}"
            )
        return
    ends = ends_soon(parse_chain(chain_text(settings)))
    if ends:
        yield (
            f"{NAMESPACE}:certificate.mode is provided, and the certificate expires on "
            f"{ends:%Y-%m-%d}. Then browsers refuse it: set certificate.chain and certificateKey, "
            "or their files, to a new one before."
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


def _without_backups(settings: Settings) -> Iterator[str]:
    """Chats that one mistake loses, or a disk that is worth keeping and lost with its backups."""
    target, path = settings.backup.target, ("backup", "target")
    if target == "off":
        yield (
            f"{NAMESPACE}:backup.target is off: no backup is made, and a chat that is deleted or "
            f"damaged is lost. To make backups: {command(path, 'dataDisk')}."
        )
    elif target == "dataDisk" and settings.keep_data:
        yield (
            f"{NAMESPACE}:backup.target is dataDisk: the backups are lost with the disk that they "
            f"are on. To keep them elsewhere: {command(path, 'azure')}."
        )
    elif target == "azure" and not settings.keep_data and not settings.backup.container_id:
        yield (
            f"{NAMESPACE}:backup.target is azure, and {NAMESPACE}:keepData is false: `pulumi "
            "destroy` deletes the backups with the chats. To keep both: "
            f"{command(('keepData',), 'true')}."
        )


def _without_test(settings: Settings) -> Iterator[str]:
    """Alerts that do not include the chat's address, or a test of it that always fails."""
    off = command(("alerts", "availabilityTest"), "false")
    if settings.availability_test and settings.certificate.mode == "provided":
        leaf = parse_chain(chain_text(settings))[0]
        if leaf.issuer == leaf.subject:
            yield (
                "The certificate that is provided is signed by itself, so the availability test "
                f"fails all the time. To have none: {off}."
            )
    if settings.alerts_on and settings.alerts.availability_test is None and settings.untestable:
        yield (
            f"There is no availability test: {settings.untestable[1]}. The alerts about the "
            "machine do not notice when the chat itself stops. To accept that without this "
            f"warning: {off}."
        )


def _unchecked(settings: Settings) -> Iterator[str]:
    version = catalog.webui_permissions().version
    named = settings.default_permissions or any(group.permissions for group in settings.groups)
    if named and settings.webui_release != version:
        yield (
            "The names of permissions were not checked: "
            f"ollamazure/catalog/open-webui-permissions.yaml has those of Open WebUI {version}, "
            f"and {NAMESPACE}:webuiVersion is {settings.webui_release}."
        )


def _by_tag(settings: Settings) -> Iterator[str]:
    """Images that are pulled by a tag alone, for which a registry can serve other bytes any day."""
    images = (
        ("open-webui", "webuiVersion", settings.webui_image),
        ("nginx", "nginxVersion", settings.nginx_image),
    )
    for name, key, image in images:
        if "@" not in image:
            tag = image.rpartition(":")[2]
            yield (
                f"{image} is pulled by its tag, because ollamazure/catalog/digests.yaml has no "
                "digest for this version: another image with this tag would be run as well. To "
                f"add the digest: `.venv/bin/python -m tools.digests {name}={tag}`, or state it: "
                f"{command((key,), f'{tag}@sha256:<digest>')}."
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

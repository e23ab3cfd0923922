"""Whether the settings fit together: the second pass, over settings whose values are all valid.

Each check is a plain function of the settings that yields what it finds. If a value is invalid by
itself, load.py puts an example in its place and drops the findings that rest on the example. For
that, each finding names in `rests_on` the other values that it follows from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

from ollamazure import catalog
from ollamazure.names import TAGS
from ollamazure.settings import provided_certificate as provided
from ollamazure.settings.backup import EXAMPLES
from ollamazure.settings.base import key_of, slug
from ollamazure.settings.documents import faults_of_all, faults_of_path
from ollamazure.settings.engines import engine
from ollamazure.settings.groups import LETS_ENCRYPT
from ollamazure.settings.parameters import PARAMETERS, is_allowed
from ollamazure.settings.problems import Violation, command, did_you_mean, hint, remove
from ollamazure.settings.proxy import NEVER
from ollamazure.settings.schema import SettingPath
from ollamazure.settings.sign_in import SignIn
from ollamazure.settings.stack import TAG_LIMIT_OF_AZURE, Settings, azure_name
from ollamazure.settings.types import COMMON_NAME_LIMIT, model_id
from ollamazure.settings.working_hours import BACKUP, LONGEST, SHORTEST, WorkingHours
from ollamazure.settings.workspace import CHAT_ONLY, Access, Permissions, Preset, membership

# Names of all groups, users and so on: a reference to them rests on every one.
GROUPS, USERS = ("groups", None, "name"), ("users", None, "email")
KNOWLEDGE, PRESETS, MODELS = ("knowledge", None, "name"), ("presets", None, "id"), ("models", None)
# The groups of all users follow from these.
MEMBERSHIP = (GROUPS, USERS, ("groups", None, "members"), ("users", None, "groups"))
CATALOG = "ollamazure/catalog/models.yaml"
SCOPES = ("openid", "email")  # without them the provider does not send the user's e-mail


def cross_check(settings: Settings) -> list[Violation]:
    """Everything that does not fit together."""
    checks = (
        engine, models, context_length, network, certificate, lets_encrypt, provided_certificate,
        dns_label, tags, passwords, sign_in, sign_in_secret, backup, webhook, restart_window,
        alerts, proxy, working_hours, unique_names, references, accesses, permissions, presets,
        default_model, files,
    )  # fmt: skip
    return list(chain.from_iterable(check(settings) for check in checks))


def another_engine(former: Mapping[str, Any], settings: Settings) -> Iterator[Violation]:
    """Another engine: it would delete the machine, or the cluster, with every chat."""
    present = former.get("engine", "machine") if former else settings.engine
    if present != settings.engine:
        what = "machine" if present == "machine" else "cluster"
        reason = (
            f"the stack has a {what}, whose chats the other engine would not have; deploy it as a"
            " stack of its own"
        )
        yield Violation(("engine",), settings.engine, reason, present)


def early_rotations(settings: Settings) -> Iterator[Violation]:
    """Rotations that would be lost in the `pulumi up` that upgrades a stack of an earlier version.

    Pulumi ignores a trigger of replacement that its state does not have yet, and the machine has
    not recorded which passwords are still the initial ones.
    """
    for name in ("ssh_key", "host_key", "initial_passwords"):
        if value := getattr(settings.rotation, name):
            path = ("rotation", key_of(name))
            reason = "an earlier version deployed this stack; upgrade it before you replace this"
            fix = f"{remove(path)} && pulumi up && {command(path, value)}"
            yield Violation(path, value, reason, fix=fix)


def smaller_disk(former: int, settings: Settings) -> Iterator[Violation]:
    """A data disk that is smaller than the one of `former` GiB that the stack has."""
    if settings.data_disk_id is None and settings.data_disk_gib < former:
        path = (key_of("data_disk_gib"),)
        reason = f"the data disk has {former} GiB, and Azure never shrinks a disk"
        page = "docs/how-to/keep-and-adopt-the-data-disk.md#a-smaller-disk"
        fix = f"{command(path, str(former))}\nA smaller disk is a new one: {page}"
        yield Violation(path, settings.data_disk_gib, reason, fix=fix)


def repeated_models(values: Mapping[str, Any]) -> Iterator[Violation]:
    """Models that a mapping names twice, with and without the tag latest.

    It reads the values as they were written: the typed settings hold one of the two only.
    """
    for key in ("modelAccess", "modelMemoryGiB", "modelKinds"):
        names = values[key] if isinstance(values.get(key), dict) else {}
        for name in names:
            full = f"{name}:latest"
            if full in names:
                reason = f"it is the same model as {name}"
                yield Violation((key, full), full, reason, remove=(key, full))


def models(settings: Settings) -> Iterator[Violation]:
    """Models that are unknown or repeated, and a list without one that answers questions."""
    known = (*catalog.models(), *settings.model_memory_gib)
    located: list[tuple[SettingPath, str]] = [
        (("models", i), n) for i, n in enumerate(settings.models)
    ]
    for index, (path, name) in enumerate(located):
        yield from _repetitions(path, name, located[:index])
        if name not in known:
            near = _nearest_model(name, known)
            reason = _tags_to_choose_from(name) or f"{CATALOG} does not know it{hint(near)}"
            fix = command(path, near) if near else command(("modelMemoryGiB", name), "6")
            rests_on = (("modelMemoryGiB",),)
            yield Violation(path, name, reason, near, fix=fix, rests_on=rests_on)
    if not settings.chat_models:
        reason = "none of them answers questions; they only turn text into numbers for the search"
        rests_on = (("modelKinds",),)
        yield Violation(("models",), list(settings.models), reason, rests_on=rests_on)
    yield from _kinds(settings)


def _kinds(settings: Settings) -> Iterator[Violation]:
    """Kinds that are not those of the catalog."""
    for name, kind in settings.model_kinds.items():
        model, path = catalog.models().get(name), ("modelKinds", name)
        if model and model.kind != kind:
            reason = f"{CATALOG} has it as {model.kind}"
            yield Violation(path, kind, reason, remove=path)


def _nearest_model(name: str, known: Sequence[str]) -> str | None:
    """The model that an unknown name probably means: without a tag, the one that is `latest`."""
    tags = _tags(name)
    latest = next((model.name for model in tags if model.latest), None)
    return latest or (tags[0].name if tags else did_you_mean(name, known))


def _tags(name: str) -> tuple[catalog.Model, ...]:
    """The models of the catalog that a name without a tag may mean."""
    return catalog.tags_of(name) if name.endswith(":latest") else ()


def _tags_to_choose_from(name: str) -> str | None:
    """Why a model of several sizes needs a tag, with those of the catalog; None for any other."""
    tags = _tags(name)
    if not tags:
        return None
    latest = next((f", and latest is {model.name}" for model in tags if model.latest), "")
    return f"it names no size; {CATALOG} has {', '.join(each.name for each in tags)}{latest}"


def _installed(settings: Settings) -> tuple[str, ...]:
    """The models that references may name; of an unknown one also the name that is suggested."""
    known = (*catalog.models(), *settings.model_memory_gib)
    near = [_nearest_model(name, known) for name in settings.models if name not in known]
    return (*settings.models, *filter(None, near))


def context_length(settings: Settings) -> Iterator[Violation]:
    """A context that is longer than a model's limit."""
    for index, name in enumerate(settings.models):
        model = catalog.models().get(name)
        length = settings.context_length
        if model and model.kind == "chat" and length and length > model.context_limit:
            limit = str(model.context_limit)
            reason = f"{name} sees at most {limit} tokens"
            rests_on = (("models", index),)
            yield Violation(("contextLength",), length, reason, limit, rests_on=rests_on)


def proxy(settings: Settings) -> Iterator[Violation]:
    """Parts without a proxy, repeated exceptions, and a proxy that the machine cannot use."""
    given = settings.proxy
    if given.url is None:
        for name in ("exceptions", "certificate_authority"):
            if value := getattr(given, name):
                path = ("proxy", key_of(name))
                shown = list(value) if isinstance(value, tuple) else value
                reason = "proxy.url is not set"
                yield Violation(path, shown, reason, remove=path, rests_on=(("proxy", "url"),))
        return
    if given.host in NEVER or given.host.startswith("10.89.0."):
        reason = "it is the machine itself, its containers or a service of Azure"
        yield Violation(("proxy", "url"), given.url, reason)
    for index, each in enumerate(given.exceptions):
        if each in given.exceptions[:index]:
            repeated = ("proxy", "exceptions", index)
            yield Violation(repeated, each, "it is repeated", remove=repeated)


def network(settings: Settings) -> Iterator[Violation]:
    """A machine without a way to the internet or with two, and a label without an address."""
    path, outbound = ("network", "outbound"), settings.network.outbound
    rests_on = (("publicAddress",), ("network", "subnetId"))
    if settings.engine == "kubernetes":  # its nodes have a way of their own
        return
    if settings.public_address:
        if outbound:
            reason = "publicAddress is true, and the public address is the way to the internet"
            yield Violation(path, outbound, reason, remove=path, rests_on=rests_on[:1])
        return
    if settings.dns_label:
        reason = "publicAddress is false, and Azure gives a name to public addresses only"
        label = ("dnsLabel",)
        yield Violation(label, settings.dns_label, reason, remove=label, rests_on=rests_on[:1])
    own = settings.network.subnet_id is None
    possible = "natGateway" if own else "existing"
    if outbound is None:
        reason = "publicAddress is false, so the machine needs another way to the internet"
        yield Violation(path, None, reason, possible, rests_on=rests_on)
    elif outbound != possible:
        reason = (
            "a network of the stack's own has no other way to the internet"
            if own
            else "a NAT gateway belongs to a subnet, and network.subnetId is never changed"
        )
        yield Violation(path, outbound, reason, possible, rests_on=rests_on)


def certificate(settings: Settings) -> Iterator[Violation]:
    """A certificate that expires before its renewal."""
    days, validity = settings.certificate.renew_after_days, settings.certificate.validity_days
    if days >= validity:
        reason = f"the certificate expires after {validity} days, before its renewal"
        instead = str(max(1, validity * 4 // 5))
        rests_on = (("certificate", "validityDays"),)
        path = ("certificate", "renewAfterDays")
        yield Violation(path, days, reason, instead, rests_on=rests_on)


MODE = ("certificate", "mode")
NAMES: tuple[tuple[str | int | None, ...], ...] = (("domain",), ("dnsLabel",))


def lets_encrypt(settings: Settings) -> Iterator[Violation]:
    """Let's Encrypt without a name, or for a chat that it does not reach."""
    mode = settings.certificate.mode
    if mode != "letsEncrypt":
        return
    if not settings.public_name:
        reason = "it issues certificates for names, and neither domain nor dnsLabel is set"
        fix = command(("domain",), "chat.example.com")
        yield Violation(MODE, mode, reason, fix=fix, rests_on=NAMES)
    # Another authority may be in the same network.
    is_lets_encrypt = settings.certificate.acme_directory == LETS_ENCRYPT
    if is_lets_encrypt and not settings.open_to_the_internet:
        closes, why = (
            ("allowedClients", "allowedClients does not admit all addresses")
            if settings.public_address
            else ("publicAddress", "publicAddress is false")
        )
        reason = (
            f"Let's Encrypt has to reach port 80 from the internet, and {why}; mode provided needs "
            "nothing from outside: certificate.chain and certificateKey"
        )
        yield Violation(MODE, mode, reason, "provided", rests_on=((closes,),))


def provided_certificate(settings: Settings) -> Iterator[Violation]:
    """A certificate of the settings that is missing, or that a server for the name cannot use."""
    if settings.certificate.mode != "provided":
        return
    certificate = settings.certificate
    chain_at = ("certificate", "chainFile" if certificate.chain_file else "chain")
    key_at = ("certificate", "keyFile") if certificate.key_file else ("certificateKey",)
    rests_on = (MODE, ("certificate",), ("certificateKey",), *NAMES)
    chain = None
    if certificate.chain and certificate.chain_file:
        reason = "chain is set as well"
        yield Violation(chain_at, certificate.chain_file, reason, remove=chain_at)
    elif not certificate.chain and not certificate.chain_file:
        reason = "certificate.mode is provided, and chainFile is not set either"
        yield Violation(chain_at, None, reason)
    else:
        given = certificate.chain_file or certificate.chain
        try:
            chain = provided.parse_chain(provided.chain_text(settings))
            faults = [*provided.faults_of_chain(chain, settings.public_name, datetime.now(UTC))]
        except provided.UnusableError as error:
            faults = [str(error)]
        if faults:
            fix = "use another certificate, or fix its file" if certificate.chain_file else None
            yield Violation(chain_at, given, "; ".join(faults), fix=fix, rests_on=rests_on)
    yield from _provided_key(settings, key_at, chain, rests_on)


def _provided_key(
    settings: Settings,
    path: SettingPath,
    chain: Sequence[Any] | None,
    rests_on: tuple[tuple[str | int | None, ...], ...],
) -> Iterator[Violation]:
    file, fix = (
        settings.certificate.key_file,
        "pulumi config set --secret ollamazure:certificateKey < key.pem",
    )
    if settings.certificate_key and file:
        yield Violation(path, file, "certificateKey is set as well", remove=path)
    elif not settings.certificate_key and not file:
        reason = "certificate.mode is provided, and certificate.keyFile is not set either"
        yield Violation(path, None, reason, fix=fix)
    else:
        try:
            key = provided.parse_key(provided.key_text(settings))
            fault = provided.fault_of_key(key, chain[0]) if chain else None
        except provided.UnusableError as error:
            fault = str(error)
        if fault:
            given = file or settings.certificate_key
            fix = "use the key of the certificate, or fix its file" if file else fix
            yield Violation(path, given, fault, fix=fix, rests_on=rests_on)


def dns_label(settings: Settings) -> Iterator[Violation]:
    """A label whose full name is too long for the certificate."""
    label = settings.dns_label
    if not label or settings.domain:
        return
    name = azure_name(label, settings.location)
    excess = len(name) - COMMON_NAME_LIMIT
    if excess > 0:
        reason = (
            f"{name} has {len(name)} characters, and a certificate holds {COMMON_NAME_LIMIT}; "
            f"use a label of at most {len(label) - excess}"
        )
        yield Violation(("dnsLabel",), label, reason, rests_on=(("location",),))


def tags(settings: Settings) -> Iterator[Violation]:
    """Tags with the same name, which Azure compares without case, and too many of them."""
    located: list[tuple[SettingPath, str]] = [
        *((("tags", name), name) for name in settings.tags),
        *((("externalTags", index), name) for index, name in enumerate(settings.external_tags)),
    ]
    seen: dict[str, tuple[SettingPath, str]] = {}
    for path, name in located:
        if name.lower() in map(str.lower, TAGS):
            reason = "the program sets this tag itself"
            yield Violation(path, name, reason, remove=path)
            continue
        other, former = seen.setdefault(name.lower(), (path, name))
        if other == path:
            continue
        if path[0] != other[0]:
            reason = f"the setting tags has {former}, so it is not one that others set"
        elif name == former:
            reason = "it is repeated"
        else:
            reason = f"it is the same tag as {former}, because Azure ignores case"
        yield Violation(path, name, reason, remove=path, rests_on=(other,))
    excess = len(located) + len(TAGS) - TAG_LIMIT_OF_AZURE
    if excess > 0:
        reason = f"with tags and the program's own these are {excess} more than Azure allows"
        path = ("externalTags",)
        yield Violation(path, list(settings.external_tags), reason, remove=path)


def passwords(settings: Settings) -> Iterator[Violation]:
    """The rotation of a password that is not random, and two rotations of the same one."""
    rotations: list[tuple[SettingPath, str | None]] = [
        (("rotation", "adminPassword"), settings.rotation.admin_password),
        (("adminPasswordRotation",), settings.admin_password_rotation),
    ]
    declared = [(path, rotation) for path, rotation in rotations if rotation]
    if settings.admin_password:
        reason = "adminPassword is set, and only a random password can rotate; change adminPassword"
        for path, rotation in declared:
            yield Violation(path, rotation, reason, remove=path)
    elif len(declared) > 1:
        path, rotation = declared[1]
        reason = "rotation.adminPassword is set as well, and replaces this setting"
        yield Violation(path, rotation, reason, remove=path)


def sign_in(settings: Settings) -> Iterator[Violation]:
    """A provider that is ambiguous or cannot work, and groups that have members already."""
    declared = settings.sign_in
    if declared is None:
        return
    yield from _provider(declared)
    if declared.tenant and not settings.domain and not settings.dns_label:
        reason = "Microsoft Entra ID sends no user back to a bare address, set dnsLabel or domain"
        fix = command(("dnsLabel",), "our-team-chat")
        if not settings.public_address:
            fix = command(("domain",), "chat.example.com")
        yield Violation(("signIn", "tenant"), declared.tenant, reason, fix=fix)
    if declared.new_accounts == "none" and not declared.merge_by_email:
        path, reason = ("signIn", "newAccounts"), "without mergeByEmail no user could sign in"
        rests_on = (("signIn", "mergeByEmail"),)
        yield Violation(path, declared.new_accounts, reason, "pending", rests_on=rests_on)
    missing = next((scope for scope in SCOPES if scope not in declared.scopes), None)
    if missing:
        reason = f"without {missing} the provider does not send the user's e-mail"
        fix = command(("signIn", "scopes", len(declared.scopes)), missing)
        yield Violation(("signIn", "scopes"), list(declared.scopes), reason, fix=fix)
    yield from _filled_groups(settings, declared.groups)


def _provider(declared: SignIn) -> Iterator[Violation]:
    path = ("signIn", "issuer")
    if declared.tenant and declared.issuer:
        reason = "tenant is set as well, and there can be only one provider"
        yield Violation(path, declared.issuer, reason, remove=path)
    elif not declared.tenant and not declared.issuer:
        reason = "tenant is not set either, so there is no provider"
        yield Violation(path, None, reason)


def _filled_groups(settings: Settings, names: Sequence[str]) -> Iterator[Violation]:
    """Groups of the provider to which the settings add members as well."""
    members: list[tuple[str, tuple[SettingPath, ...]]] = [
        (group.name, (("groups", index, "name"), ("groups", index, "members")))
        for index, group in enumerate(settings.groups)
        if group.members
    ]
    for index, user in enumerate(settings.users):
        members += [(name, (("users", index, "groups", g),)) for g, name in enumerate(user.groups)]
    reason = "the settings name members of it, and at each sign-in the provider would change them"
    for index, name in enumerate(names):
        path: SettingPath = ("signIn", "groups", index)
        for group, rests_on in members:
            if group == name:
                yield Violation(path, name, reason, remove=path, rests_on=rests_on)


def sign_in_secret(settings: Settings) -> Iterator[Violation]:
    """A secret without a provider, and a provider without its secret."""
    path, secret = ("signInSecret",), settings.sign_in_secret
    if settings.sign_in and secret is None:
        yield Violation(path, None, "signIn is set, and its provider requires the secret")
    if secret and settings.sign_in is None:
        yield Violation(path, secret, "signIn is not set", remove=path)


BACKUP_TARGET = ("backup", "target")


def backup(settings: Settings) -> Iterator[Violation]:
    """What a target of backups needs and does not have, and what another target would need."""
    values, target = settings.backup, settings.backup.target
    repository, redundancy = ("backup", "repository"), ("backup", "redundancy")
    container = ("backup", "containerId")
    if values.repository and target in ("s3", "sftp") and not values.repository.startswith(target):
        reason = f"backup.target is {target}"
        instead = EXAMPLES[target]
        yield Violation(repository, values.repository, reason, instead, rests_on=(BACKUP_TARGET,))
    needed: list[tuple[SettingPath, Any, Sequence[str]]] = [
        (repository, values.repository, ("s3", "sftp")),
        (("backup", "accessKeyId"), values.access_key_id, ("s3",)),
        (("backupSecretKey",), settings.backup_secret_key, ("s3",)),
        (("backup", "hostKey"), values.host_key, ("sftp",)),
    ]
    for path, value, targets in needed:
        if target in targets and value is None:
            reason = f"backup.target is {target}, which needs it"
            example = EXAMPLES[target] if path == repository else None
            yield Violation(path, None, reason, example, rests_on=(BACKUP_TARGET,))
    other_redundancy = None if values.redundancy == "local" else values.redundancy
    possible = [
        (redundancy, other_redundancy, ("azure",)),
        (container, values.container_id, ("azure",)),
    ]
    for path, value, targets in [*needed, *possible]:
        if target not in targets and value is not None:
            reason = f"backup.target is {target}"
            yield Violation(path, value, reason, remove=path, rests_on=(BACKUP_TARGET,))
    if target == "azure" and values.container_id and other_redundancy:
        reason, both = (
            "backup.containerId is set, whose account has its own",
            (BACKUP_TARGET, container),
        )
        yield Violation(redundancy, other_redundancy, reason, remove=redundancy, rests_on=both)


def webhook(settings: Settings) -> Iterator[Violation]:
    """A form of reports that are sent nowhere."""
    if settings.webhook_format and not settings.webhook:
        path = ("webhookFormat",)
        reason = "webhook is not set, so the machine sends nothing"
        yield Violation(
            path, settings.webhook_format, reason, remove=path, rests_on=(("webhook",),)
        )


def restart_window(settings: Settings) -> Iterator[Violation]:
    """When a machine restarts that never restarts by itself, or that starts on each working day."""
    window, rests_on = settings.restart_window, (("restartWindow", "enabled"), ("workingHours",))
    if settings.restarts_in_window:
        return
    reason = "restartWindow.enabled is false"
    if window.enabled:
        reason = (
            "with workingHours each start of the machine is a restart for updates, so it has no "
            "window"
        )
    for name in sorted(window.model_fields_set - {"enabled"}):
        path = ("restartWindow", key_of(name))
        value = getattr(window, name)
        yield Violation(path, value, reason, remove=path, rests_on=rests_on)


def alerts(settings: Settings) -> Iterator[Violation]:
    """Receivers that are repeated, and a test whose failure no one gets, or that always fails."""
    for index, email in enumerate(settings.alerts.email):
        if email in settings.alerts.email[:index]:
            at: SettingPath = ("alerts", "email", index)
            earlier = ("alerts", "email", settings.alerts.email.index(email))
            yield Violation(at, email, "it is repeated", remove=at, rests_on=(earlier,))
    if not settings.alerts.availability_test:
        return
    path = ("alerts", "availabilityTest")
    if not settings.alerts_on:
        reason = "neither alerts.email nor alertsWebhook is set, so no one would get its alerts"
        fix = command(("alerts", "email", 0), "team@example.com")
        rests_on = (("alerts", "email"), ("alertsWebhook",))
        yield Violation(path, True, reason, fix=fix, rests_on=rests_on)
    elif settings.untestable:
        key, reason = settings.untestable
        yield Violation(path, True, reason, remove=path, rests_on=((key,), *NAMES))


def working_hours(settings: Settings) -> Iterator[Violation]:
    """Repeated days, hours that are too short or too long, and a backup outside them."""
    hours, top = settings.working_hours, "workingHours"
    if hours is None:
        return
    for index, day in enumerate(hours.days):
        if day in hours.days[:index]:
            path: SettingPath = (top, "days", index)
            others: SettingPath = (top, "days")
            yield Violation(path, day, "it is repeated", remove=path, rests_on=(others,))
    end: SettingPath = (top, "end")
    rests_on: tuple[tuple[str | int | None, ...], ...] = ((top, "start"),)
    if not SHORTEST <= hours.length <= LONGEST:
        instead = hours.after_start(SHORTEST) if hours.length < SHORTEST else None
        reason, fix = _fault_of_hours(hours), None if instead else remove((top,))
        yield Violation(end, hours.end, reason, instead, fix=fix, rests_on=rests_on)
        return
    backup_time, at = settings.backup.time, ("backup", "time")
    if settings.backup.target == "off" or not backup_time:
        return
    if not hours.has_time_for_backup(backup_time):
        reason = (
            f"with workingHours it is in their time zone, and they are {hours.start} to "
            f"{hours.end}: the backup would not end before the machine stops, or not start"
        )
        instead = hours.before_end(BACKUP)
        yield Violation(at, backup_time, reason, instead, rests_on=(*rests_on, end))


def _fault_of_hours(hours: WorkingHours) -> str:
    if hours.length <= timedelta():
        return (
            f"it is not after start, {hours.start}; hours past midnight are not supported, "
            "because reversed ones would keep the machine running at night by mistake"
        )
    if hours.length < SHORTEST:
        return (
            f"it is less than three hours after start, {hours.start}, and a backup and updates "
            "need them"
        )
    return (
        f"the machine would be off for less than an hour, from {hours.end} to {hours.start}, and "
        "stopping and starting it takes minutes; without workingHours it always runs"
    )


def unique_names(settings: Settings) -> Iterator[Violation]:
    """Items of one kind with the same name."""
    names: Mapping[tuple[str, str], Sequence[str]] = {
        ("users", "email"): [user.email for user in settings.users],
        ("groups", "name"): [group.name for group in settings.groups],
        ("knowledge", "name"): [base.name for base in settings.knowledge],
        ("presets", "id"): [preset.id for preset in settings.presets],
        ("prompts", "command"): [prompt.command for prompt in settings.prompts],
        ("banners", "content"): [banner.content for banner in settings.banners],
        ("suggestions", "title"): [suggestion.title for suggestion in settings.suggestions],
    }
    for (key, field), values in names.items():
        located: list[tuple[SettingPath, str]] = [
            ((key, i, field), v) for i, v in enumerate(values)
        ]
        for index, (path, value) in enumerate(located):
            yield from _repetitions(path, value, located[:index])
    for index, group in enumerate(settings.groups):
        if group.name != CHAT_ONLY and group.name.lower() == CHAT_ONLY:
            path, reason = ("groups", index, "name"), f"it is too similar to {CHAT_ONLY}"
            yield Violation(path, group.name, reason, CHAT_ONLY)
    for index, user in enumerate(settings.users):
        if user.email == settings.admin_email:
            path, reason = ("users", index, "email"), "it is the administrator's, see adminEmail"
            rests_on = (("adminEmail",),)
            yield Violation(path, user.email, reason, remove=path[:2], rests_on=rests_on)


def _repetitions(
    path: SettingPath, value: str, earlier: Sequence[tuple[SettingPath, str]]
) -> Iterator[Violation]:
    """The repetition of each earlier value with the same slug: resources are named by it.

    Open WebUI tells names apart by case, but the people who read or type them do not.
    """
    for other, former in earlier:
        if slug(former.lower()) == slug(value.lower()):
            reason = "it is repeated" if former == value else f"it is too similar to {former}"
            yield Violation(path, value, reason, remove=path[:2], rests_on=(other,))


def references(settings: Settings) -> Iterator[Violation]:
    """Groups, users and knowledge bases that are referred to and not declared."""
    for index, user in enumerate(settings.users):
        yield from _groups(("users", index, "groups"), user.groups, settings)
    for index, group in enumerate(settings.groups):
        yield from _users(("groups", index, "members"), group.members, settings)
    if settings.sign_in:
        yield from _groups(("signIn", "groups"), settings.sign_in.groups, settings)
    bases = [base.name for base in settings.knowledge]
    for index, preset in enumerate(settings.presets):
        path: SettingPath = ("presets", index, "knowledge")
        yield from _undeclared(path, preset.knowledge, bases, "knowledge base", KNOWLEDGE)
    installed = _installed(settings)
    for name in settings.model_access:
        if name not in installed:
            near = did_you_mean(name, installed)
            path = ("modelAccess", name)
            reason = f"it is not one of models{hint(near)}"
            yield Violation(path, name, reason, remove=path, rests_on=(MODELS,))


def accesses(settings: Settings) -> Iterator[Violation]:
    """Groups and users that may use something and are not declared."""
    held: list[tuple[SettingPath, Access | None]] = [
        *((("modelAccess", name), access) for name, access in settings.model_access.items()),
        *((("knowledge", i, "access"), base.access) for i, base in enumerate(settings.knowledge)),
        *((("presets", i, "access"), preset.access) for i, preset in enumerate(settings.presets)),
        *((("prompts", i, "access"), prompt.access) for i, prompt in enumerate(settings.prompts)),
    ]
    for path, access in held:
        if access:
            yield from _groups((*path, "groups"), access.groups, settings)
            yield from _users((*path, "users"), access.users, settings)


def _groups(path: SettingPath, names: Sequence[str], settings: Settings) -> Iterator[Violation]:
    declared = [CHAT_ONLY, *(group.name for group in settings.groups)]
    return _undeclared(path, names, declared, "group", GROUPS)


def _users(path: SettingPath, names: Sequence[str], settings: Settings) -> Iterator[Violation]:
    return _undeclared(path, names, [user.email for user in settings.users], "user", USERS)


def _undeclared(
    path: SettingPath,
    names: Sequence[str],
    declared: Sequence[str],
    kind: str,
    rests_on: tuple[str | None, ...],
) -> Iterator[Violation]:
    for index, name in enumerate(names):
        if name not in declared:
            near, item = did_you_mean(name, declared), (*path, index)
            reason = f"no such {kind} is declared{hint(near)}"
            yield Violation(item, name, reason, near, remove=item, rests_on=(rests_on,))


def permissions(settings: Settings) -> Iterator[Violation]:
    """Permissions that this version of Open WebUI does not have."""
    if settings.webui_release != catalog.webui_permissions().version:
        return  # their names may differ; warnings.py says that they were not checked
    yield from _permissions(("defaultPermissions",), settings.default_permissions)
    for index, group in enumerate(settings.groups):
        yield from _permissions(("groups", index, "permissions"), group.permissions)


def _permissions(path: SettingPath, granted: Permissions) -> Iterator[Violation]:
    known = catalog.webui_permissions().defaults
    for branch, leaves in granted.items():
        if branch in known:
            for leaf in leaves:
                yield from _permission((*path, branch, leaf), leaf, [*known[branch]])
        else:
            yield from _permission((*path, branch), branch, [*known])


def _permission(path: SettingPath, name: str, known: Sequence[str]) -> Iterator[Violation]:
    if name not in known:
        version, near = catalog.webui_permissions().version, did_you_mean(name, known)
        suggestion = hint(near) or f", only {', '.join(known)}"
        reason = f"Open WebUI {version} has no such permission{suggestion}"
        yield Violation(path, name, reason, remove=path, rests_on=(("webuiVersion",),))


def presets(settings: Settings) -> Iterator[Violation]:
    """Presets with a model's name, without a model that answers, or with parts closed to users."""
    installed = _installed(settings)
    offered = catalog.chat_models(installed, settings.model_kinds)
    for index, preset in enumerate(settings.presets):
        path: SettingPath = ("presets", index)
        if model_id(preset.id).lower() in map(str.lower, installed):
            other = f"{preset.id}-preset"
            reason = "it is the name of a model"
            yield Violation((*path, "id"), preset.id, reason, other, rests_on=(MODELS,))
        base = preset.base_model
        if base not in offered:
            near = did_you_mean(base, offered)
            embeds = base in installed
            reason = "it answers no questions" if embeds else "it is not one of models"
            instead = near or next(iter(offered), None)
            yield Violation(
                (*path, "baseModel"), base, f"{reason}{hint(near)}", instead, rests_on=(MODELS,)
            )
        yield from _parameters(path, preset)
        yield from _closed(path, preset, settings)


def _parameters(path: SettingPath, preset: Preset) -> Iterator[Violation]:
    """Values of parameters with which Ollama would answer nothing."""
    for name, value in preset.params.items():
        if not is_allowed(name, value):
            known, at = PARAMETERS[name], (*path, "params", name)
            reason, instead, fix = f"it is not {known.allowed}", known.example, None
            if known.is_list:
                fix = f"{remove(at)} && {command((*at, 0), instead)}"
                instead = f'["{instead}"]'
            yield Violation(at, value, reason, instead, fix=fix)
    model, thinking = catalog.models().get(preset.base_model), preset.params.get("think", False)
    if model and not model.thinks and thinking is not False:
        at = (*path, "params", "think")
        reason = f"{model.name} does not think, and Ollama would answer with an error"
        rests_on = ((*path, "baseModel"),)
        yield Violation(at, thinking, reason, remove=at, rests_on=rests_on)


def _closed(path: SettingPath, preset: Preset, settings: Settings) -> Iterator[Violation]:
    """Parts of a preset that not all of its users may use.

    Open WebUI refuses them the answer, or leaves the knowledge out without a message.
    """
    people = (*MEMBERSHIP, (*path, "access"))
    base = preset.base_model
    if not _within(preset.access, settings.model_access.get(base), settings):
        reason = "some users of the preset may not use this model, see modelAccess"
        names = (base, base.removesuffix(":latest"))
        rests_on = (*people, *(("modelAccess", name) for name in names))
        yield Violation((*path, "baseModel"), base, reason, remove=path, rests_on=rests_on)
    index_of = {each.name: index for index, each in enumerate(settings.knowledge)}
    for index, name in enumerate(preset.knowledge):
        at = index_of.get(name)
        if at is not None and not _within(preset.access, settings.knowledge[at].access, settings):
            reason = "some users of the preset may not read this knowledge base"
            item = (*path, "knowledge", index)
            knowledge = (("knowledge", at, "name"), ("knowledge", at, "access"))
            yield Violation(item, name, reason, remove=item, rests_on=(*people, *knowledge))


def _within(access: Access | None, other: Access | None, settings: Settings) -> bool:
    """Whether all users of `access` are users of `other`."""
    if other is None or access is None:
        return other is None
    groups_of = membership(settings.users, settings.groups)
    return {*access.groups} <= {*other.groups} and all(
        user in other.users or {*groups_of.get(user, ())} & {*other.groups} for user in access.users
    )


def default_model(settings: Settings) -> Iterator[Violation]:
    """A default that is neither a model that answers nor a preset."""
    name, ids = settings.default_model, [preset.id for preset in settings.presets]
    if name is None or name in ids:
        return
    offered = [*catalog.chat_models(_installed(settings), settings.model_kinds), *ids]
    if model_id(name) not in offered:
        near = did_you_mean(name, offered)
        reason = f"it is neither a model that answers questions nor a preset{hint(near)}"
        instead = near or next(iter(offered), None)
        rests_on = (MODELS, PRESETS)
        yield Violation(("defaultModel",), name, reason, instead, rests_on=rests_on)


def files(settings: Settings) -> Iterator[Violation]:
    """Files of knowledge bases that are missing or too large, or that Open WebUI cannot read."""
    for index, base in enumerate(settings.knowledge):
        path: SettingPath = ("knowledge", index, "files")
        usable = []
        for i, name in enumerate(base.files):
            faults = faults_of_path(name)
            if faults:
                other = f"move these files out of {name}, or list its other files one by one"
                fix = other if faults[0].startswith("its file") else None
                yield Violation((*path, i), name, "; ".join(faults), fix=fix)
            else:
                usable.append(name)
        for fault in faults_of_all(usable):
            yield Violation(path, list(base.files), fault)

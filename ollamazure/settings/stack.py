"""Every setting of a stack, typed and checked before anything is created.

`Settings.load(pulumi.Config())` is the only place that reads Pulumi's configuration. A bad stack
file ends the run with one error that holds every problem and the command that fixes each.
Pulumi.yaml's `config:` block and docs/reference/settings.md are made from this file
(`python -m tools.generate`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal, Self

import pulumi
from pulumi.runtime import config as raw_config
from pydantic import (
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
)
from pydantic.fields import FieldInfo

from ollamazure import catalog
from ollamazure.settings import cross_checks, team_file
from ollamazure.settings.base import Section, key_of, setting
from ollamazure.settings.problems import (
    NAMESPACE,
    Locate,
    Problem,
    SettingsError,
    allowed,
    command,
    did_you_mean,
    in_stack_file,
    kinds,
    problems_of,
    refusal,
    refuse,
    remove,
    report,
    section,
    shown,
)
from ollamazure.settings.sign_in import ClientSecret, SignIn
from ollamazure.settings.types import (
    COMMON_NAME_LIMIT,
    Client,
    CountryCode,
    DiskId,
    DnsLabel,
    DomainName,
    Duration,
    EmailAddress,
    Gibibytes,
    ImageVersion,
    Line,
    Location,
    LongLine,
    ModelName,
    NginxVersion,
    OllamaVersion,
    Password,
    Registry,
    TagName,
    TagValue,
    UserName,
    VmSizeName,
    WebAddress,
    WebuiVersion,
    model_id,
    opens_to_everyone,
    that_chat,
)
from ollamazure.settings.workspace import (
    Access,
    Banner,
    KnowledgeBase,
    Permissions,
    Preset,
    Prompt,
    User,
    UserGroup,
)

# Azure allows 50 tags on a resource; ten are kept for the program's own.
TAG_LIMIT = 40
# Refused where they lie in plain text.
SECRETS = ("adminPassword", "signInSecret")
# Permissions to use what Open WebUI fetches from the web, or sends there.
WEB_PERMISSIONS = (("chat", "web_upload"), ("features", "web_search"), ("features", "webhooks"))


class Certificate(Section):
    """The self-signed certificate: its subject and its life."""

    country: CountryCode = setting(
        "FR",
        description="Country in the certificate's subject.",
        allowed="a country's two-letter code (ISO 3166), in capitals",
        example="FR",
    )
    province: LongLine = setting(
        "France",
        description="State or province in the certificate's subject.",
        allowed="1 to 128 characters",
        example="France",
    )
    locality: LongLine = setting(
        "Paris",
        description="City in the certificate's subject.",
        allowed="1 to 128 characters",
        example="Paris",
    )
    organization: Line = setting(
        "Company",
        description="Organization in the certificate's subject.",
        allowed="1 to 64 characters",
        example="Company",
    )
    validity_days: Annotated[int, Field(ge=2, le=825)] = setting(
        365,
        description="Days a new certificate is good for.",
        allowed="2 to 825 days (browsers refuse longer ones)",
        example=365,
    )
    renew_after_days: Annotated[int, Field(ge=1)] = setting(
        300,
        description="Days after which the next `pulumi up` makes a new certificate.",
        allowed="at least 1 day and fewer than certificate.validityDays",
        example=300,
    )
    today: date | None = setting(
        None,
        description="The date to take for today's, to see a renewal before its time.",
        allowed="a date as year-month-day",
        example="2027-01-31",
    )

    @field_validator("renew_after_days")
    @classmethod
    def _renewed_in_time(cls, value: int, info: ValidationInfo) -> int:
        validity = info.data.get("validity_days")
        if validity is not None and value >= validity:
            raise refusal(
                f"the certificate ends after {validity} days, before it would be renewed",
                instead=str(max(1, validity * 4 // 5)),
            )
        return value


class Mirrors(Section):
    """Places inside a closed network that stand in for the public ones."""

    ollama: WebAddress | None = setting(
        None,
        description="Stands in for github.com/ollama/ollama/releases/download.",
        allowed="an http:// or https:// address with v0.34.0/ollama-linux-amd64.tar.zst below it",
        example="https://mirrors.example.com/ollama",
    )
    models: WebAddress | None = setting(
        None,
        description="Stands in for registry.ollama.ai.",
        allowed="the http:// or https:// address of a registry that holds library/llama3.2",
        example="https://mirrors.example.com",
    )
    containers: Registry | None = setting(
        None,
        description="Stands in for ghcr.io and docker.io.",
        allowed="a registry's host name, with its port where it is not 443",
        example="mirrors.example.com:8443",
    )


class Tuning(Section):
    """What normally follows from the VM's size, set by hand."""

    parallel_requests: Annotated[int, Field(ge=1, le=64)] | None = setting(
        None,
        description="Answers a model writes at once (OLLAMA_NUM_PARALLEL); each takes memory.",
        allowed="1 to 64",
        example=2,
    )
    loaded_models: Annotated[int, Field(ge=1, le=16)] | None = setting(
        None,
        description="Models kept in memory side by side (OLLAMA_MAX_LOADED_MODELS).",
        allowed="1 to 16",
        example=1,
    )
    keep_alive: Duration | None = setting(
        None,
        description="How long an unused model stays in memory (OLLAMA_KEEP_ALIVE).",
        allowed="a number with ms, s, m or h, or -1 for ever",
        example="30m",
    )
    prompt_cache_mib: Annotated[int, Field(ge=0, le=65536)] | None = setting(
        None,
        description="Memory for former conversations of each loaded model (LLAMA_ARG_CACHE_RAM).",
        allowed="0 (none) to 65536 MiB",
        example=512,
    )
    database_pool_size: Annotated[int, Field(ge=1, le=256)] | None = setting(
        None,
        description="Open WebUI's database connections (DATABASE_POOL_SIZE).",
        allowed="1 to 256",
        example=8,
    )
    background_generation: bool | None = setting(
        None,
        description="Whether the model also writes titles, tags, follow-ups and completions.",
        allowed="true or false",
        example=False,
    )


@dataclass(frozen=True)
class Given:
    """What somebody says the settings are, before it is judged.

    Attributes:
        values: by key, as a stack file has them.
        locate: where a value lies, for the messages.
        unread: keys whose value is not among the values; nothing is said of them.
        incomplete: keys whose list may go on elsewhere; nobody is told that something is not there.
        secrets: the keys that Pulumi keeps encrypted.
    """

    values: Mapping[str, Any]
    locate: Locate
    unread: Collection[str] = ()
    incomplete: Collection[str] = ()
    secrets: frozenset[str] = frozenset()


class Settings(Section):
    """Everything a stack may say, as the components read it."""

    location: Location = setting(
        "francecentral",
        description="Azure region that everything is created in.",
        allowed="a region of Azure's public cloud",
        example="francecentral",
    )
    vm_size: VmSizeName = setting(
        "Standard_B2ms",
        description="Size of the machine; auto takes the first of the catalog that fits.",
        allowed="a size of ollamazure/catalog/vm_sizes.yaml, or auto",
        example="Standard_B2ms",
    )
    image_version: ImageVersion = setting(
        "latest",
        description="Version of Debian 13's image for a new machine; another one replaces it.",
        allowed="latest, or a version of Debian:debian-13:13-gen2",
        example="0.20260914.2601",
    )
    model_memory_gib: dict[ModelName, Gibibytes] = setting(
        {},
        description="Memory of models that the catalog does not know, by name, in GiB.",
        allowed="a model's name and its need of memory, above 0 up to 1024 GiB",
        example={"my-model:7b": 6.5},
    )
    models: Annotated[tuple[ModelName, ...], Field(min_length=1)] = setting(
        ("llama3.2:1b",),
        description="Models to install, by their names in Ollama's library; the first is the "
        "one a new chat begins with.",
        allowed="names of ollamazure/catalog/models.yaml, each once; others need a modelMemoryGiB",
        example=["llama3.2:1b"],
    )
    context_length: Annotated[int, Field(ge=512, le=1048576)] | None = setting(
        None,
        description="Tokens of a conversation a model sees; the same everywhere. "
        "Unset: what suits the machine.",
        allowed="512 to the limit of every model in use",
        example=4096,
    )
    ssh_clients: Annotated[tuple[Client, ...], Field(min_length=1, max_length=1000)] = setting(
        description="Addresses that may reach the machine by SSH: yours, to deploy from.",
        allowed="a list of IPv4 addresses or ranges",
        example=["203.0.113.7/32"],
    )
    vm_admin_username: UserName = setting(
        "ollamazure",
        description="The machine's administrator, who signs in by SSH.",
        allowed="1 to 32 lower-case letters, digits, - and _, and none of Azure's forbidden names",
        example="ollamazure",
    )
    admin_email: EmailAddress = setting(
        "admin@chat.local",
        description="E-mail the chat's administrator signs in with; no mail is sent to it.",
        allowed="an e-mail address",
        example="admin@example.com",
    )
    admin_name: Line = setting(
        "Administrator",
        description="Name the chat shows for its administrator.",
        allowed="1 to 64 characters",
        example="Administrator",
    )
    admin_password: Password | None = setting(
        None,
        description="Password of the chat's administrator. Unset: a random one.",
        allowed="12 to 72 bytes, set with --secret",
        example="a long pass phrase",
    )
    admin_password_rotation: Line | None = setting(
        None,
        description="Any text; another one makes the next `pulumi up` draw a new random password.",
        allowed="1 to 64 characters, and only where adminPassword is unset",
        example="2027-01",
    )
    domain: DomainName | None = setting(
        None,
        description="Domain name of your own that leads to the machine.",
        allowed="a full domain name of at most 64 characters",
        example="chat.example.com",
    )
    dns_label: DnsLabel | None = setting(
        None,
        description="First part of a free name: our-team-chat.francecentral.cloudapp.azure.com.",
        allowed="3 to 63 lower-case letters, digits and -, free in its region",
        example="our-team-chat",
    )
    certificate: Certificate = setting(
        Certificate(),
        description="The self-signed certificate.",
        allowed="a group of settings",
        example={"organization": "Company"},
    )
    data_disk_gib: Annotated[int, Field(ge=4, le=4095)] = setting(
        64,
        description="Size of the data disk, which holds chats, models and images; it only grows.",
        allowed="4 to 4095 GiB",
        example=64,
    )
    data_disk_id: DiskId | None = setting(
        None,
        description="A kept data disk to take over, with its chats and models.",
        allowed="the ARM id of a managed disk in the same region",
        example="/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/chat-data"
        "/providers/Microsoft.Compute/disks/chat-data",
    )
    keep_data: bool = setting(
        False,
        description="Whether `pulumi destroy` leaves the data disk, and with it every chat.",
        allowed="true or false",
        example=True,
    )
    ollama_version: OllamaVersion = setting(
        catalog.versions().ollama.version,
        description="Version of Ollama.",
        allowed="a release of github.com/ollama/ollama, 0.30.0 or later",
        example="0.34.0",
    )
    webui_version: WebuiVersion = setting(
        catalog.versions().open_webui.tag,
        description="Version of Open WebUI; its database only goes forward.",
        allowed="a release of github.com/open-webui/open-webui",
        example="v0.12.4",
    )
    nginx_version: NginxVersion = setting(
        catalog.versions().nginx.tag,
        description="Version of Nginx.",
        allowed="a tag of the official nginx image that is a bare version",
        example="1.30.3",
    )
    mirrors: Mirrors = setting(
        Mirrors(),
        description="Mirrors for machines that reach no public registry.",
        allowed="a group of settings",
        example={"containers": "mirrors.example.com:8443"},
    )
    probe_from: Literal["operator", "machine"] = setting(
        "operator",
        description="Where the last check asks its questions from; machine leaves the public "
        "address untested.",
        allowed="operator or machine",
        example="operator",
    )
    reapply: Line | None = setting(
        None,
        description="Any text; another one makes the next `pulumi up` run every command on the "
        "machine again.",
        allowed="1 to 64 characters",
        example="2027-01-31",
    )
    tuning: Tuning = setting(
        Tuning(),
        description="What normally follows from the machine's size, set by hand.",
        allowed="a group of settings",
        example={"parallelRequests": 2},
    )
    tags: Annotated[dict[TagName, TagValue], Field(max_length=TAG_LIMIT)] = setting(
        {},
        description="Tags on every Azure resource, besides the program's own.",
        allowed=f"at most {TAG_LIMIT} names of up to 512 characters with values of up to 256",
        example={"team": "research"},
    )
    team_file: str | None = setting(
        None,
        description="A YAML file with more users, groups, presets, prompts, knowledge, banners and "
        "modelAccess: the same keys as here, put after what stands here.",
        allowed="a path within the project, from its folder on",
        example="docs/how-to/team.yaml",
    )
    groups: tuple[UserGroup, ...] = setting(
        (),
        description="Groups of users, besides the ready-made chat-only.",
        allowed="a list of groups, each name once",
        example=[{"name": "research", "permissions": {"chat": {"file_upload": True}}}],
    )
    users: tuple[User, ...] = setting(
        (),
        description="Who signs in, besides the administrator.",
        allowed="a list of users, each e-mail once",
        example=[{"email": "alice@example.com", "name": "Alice"}],
    )
    model_access: dict[str, Access] = setting(
        {},
        description="Who may use a model, by its name. A model that is not named is every user's.",
        allowed="one of models, with groups, users or both",
        example={"llama3.2:1b": {"groups": ["chat-only"]}},
    )
    knowledge: tuple[KnowledgeBase, ...] = setting(
        (),
        description="Documents that presets answer from.",
        allowed="a list of knowledge bases, each name once",
        example=[{"name": "Handbook", "files": ["README.md"]}],
    )
    document_search: Literal["auto", "image", "whole"] = setting(
        "auto",
        description="How models read documents. auto: a declared embedding model finds what fits "
        "the question, and without one the whole text is handed over; image: the small model of "
        "Open WebUI's own image finds it; whole: always the whole text.",
        allowed="auto, image or whole",
        example="auto",
    )
    presets: tuple[Preset, ...] = setting(
        (),
        description="Models with a task: a base model with a system prompt, parameters, knowledge.",
        allowed="a list of presets, each id once",
        example=[{"id": "writing-coach", "name": "Writing coach", "baseModel": "llama3.2:1b"}],
    )
    prompts: tuple[Prompt, ...] = setting(
        (),
        description="Texts that users call up with a slash and a word.",
        allowed="a list of prompts, each command once",
        example=[{"command": "shorten", "title": "Shorten", "content": "Say it in one sentence:"}],
    )
    banners: tuple[Banner, ...] = setting(
        (),
        description="Lines at the top of every page. Unset: the administrator's own.",
        allowed="a list of banners",
        example=[{"type": "info", "content": "Answers may be wrong."}],
    )
    default_model: str | None = setting(
        None,
        description="What a new chat begins with. Unset: the first of models that chats.",
        allowed="one of models, or the id of a preset",
        example="llama3.2:1b",
    )
    default_permissions: Permissions = setting(
        {},
        description="What every user may do. Unset: a new instance begins with "
        "ollamazure/catalog/open-webui-permissions.yaml, and the administrator may change it in "
        "the chat.",
        allowed="true or false by Open WebUI's names; what is not named is as in the catalog",
        example={"chat": {"file_upload": True}},
    )
    sign_in: SignIn | None = setting(
        None,
        description="Signing in with an account of one's organisation, besides passwords.",
        allowed="a group of settings",
        example={
            "clientId": "team-chat",
            "issuer": "https://login.example.com/realms/team",
            "allowedDomains": ["example.com"],
        },
    )
    sign_in_secret: ClientSecret | None = setting(
        None,
        description="The client secret that the provider of signIn has given.",
        allowed="16 to 512 characters without blanks, set with --secret, and only with signIn",
        example="a-long-one-that-the-provider-made",
    )

    @field_validator(*cross_checks.CHECKS, mode="wrap")
    @classmethod
    def _fits_the_rest(
        cls, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> Any:
        """The value itself, and then what it refers to; one bad entry hides nothing of the rest."""
        name = str(info.field_name)
        incomplete = info.context or frozenset()
        if key_of(name) in incomplete:
            return handler(value)
        check = cross_checks.CHECKS[name]
        known = {at: said for at, said in info.data.items() if key_of(at) not in incomplete}
        try:
            right = handler(value)
        except ValidationError as error:
            if isinstance(value, list):
                bad = {details["loc"][0] for details in error.errors()}
                good = [index for index in range(len(value)) if index not in bad]
                found = check(handler([value[index] for index in good]), known)
                refuse((wrong.at(good) for wrong in found if wrong.path[0] == name), beside=error)
            raise
        refuse(check(right, known))
        return right

    @field_validator("models")
    @classmethod
    def _models(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        repeated = next((name for name in names if names.count(name) > 1), None)
        if repeated:
            last = len(names) - 1 - names[::-1].index(repeated)
            raise refusal(f"{repeated} is there more than once", fix=remove(("models", last)))
        known = (*catalog.models(), *info.data.get("model_memory_gib", ()))
        unknown = [name for name in names if name not in known]
        if unknown:
            raise _unknown_models(names, unknown, known)
        if not that_chat(names):
            raise refusal("all of them turn text into numbers for search, none answers questions")
        return names

    @field_validator("context_length")
    @classmethod
    def _within_models_limits(cls, value: int | None, info: ValidationInfo) -> int | None:
        for name in info.data.get("models", ()) if value else ():
            model = catalog.models().get(name)
            if model and model.kind == "chat" and value and value > model.context_limit:
                raise refusal(
                    f"{name} sees {model.context_limit} tokens at most",
                    instead=str(model.context_limit),
                )
        return value

    @field_validator("admin_password_rotation")
    @classmethod
    def _password_is_random(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value and info.data.get("admin_password"):
            raise refusal(
                "adminPassword is set by hand, and only a random one can be drawn anew; "
                "to change the one set by hand, set another",
                fix=remove(("adminPasswordRotation",)),
            )
        return value

    @field_validator("sign_in_secret")
    @classmethod
    def _secret_of_a_provider(
        cls, value: SecretStr | None, info: ValidationInfo
    ) -> SecretStr | None:
        if "sign_in" in info.data and (value is None) is not (info.data["sign_in"] is None):
            if value is None:
                raise refusal("signIn is set, and its provider asks for the secret")
            raise refusal("signIn is not set", fix=remove(("signInSecret",)))
        return value

    @field_validator("dns_label")
    @classmethod
    def _name_fits_certificate(cls, value: str | None, info: ValidationInfo) -> str | None:
        location = info.data.get("location")
        if value and location and not info.data.get("domain"):
            name = azure_name(value, location)
            if len(name) > COMMON_NAME_LIMIT:
                raise refusal(
                    f"{name} has {len(name)} characters and a certificate holds "
                    f"{COMMON_NAME_LIMIT}; choose a label of at most "
                    f"{len(value) - len(name) + COMMON_NAME_LIMIT}"
                )
        return value

    @classmethod
    def load(cls, config: pulumi.Config) -> Self:
        """The stack's settings.

        Raises:
            SettingsError: naming every bad setting at once; nothing has been created yet.
        """
        prefix = f"{config.name}:"
        keys = {*raw_config.get_config_env(), *raw_config.CONFIG.get()}
        given = {
            key.removeprefix(prefix): str(raw_config.get_config(key))
            for key in keys
            if key.startswith(prefix)
        }
        secrets = frozenset(key for key in given if raw_config.is_config_secret(f"{prefix}{key}"))
        settings = cls.parse(given, secrets)
        for warning in settings.warnings():
            pulumi.log.warn(warning)
        return settings

    @classmethod
    def parse(cls, given: Mapping[str, str], secrets: frozenset[str] = frozenset()) -> Self:
        """Settings from texts by key, as Pulumi hands them over.

        Args:
            given: texts by key; lists and groups as JSON.
            secrets: the keys that Pulumi keeps encrypted.

        Raises:
            SettingsError: naming every bad setting at once.
        """
        said = {key: text for key, text in given.items() if not _unset(key, text)}
        problems = _in_plain_text(said, secrets)
        values: dict[str, Any] = {}
        unread = set()
        incomplete: Collection[str] = ()
        for key, text in said.items():
            try:
                values[key] = _decoded(key, text)
            except ValueError as error:
                unread.add(key)
                problems.append(_not_json(key, text, error, key in secrets))
        locate = in_stack_file
        if team_file.KEY in values:
            file, own = team_file.read(values[team_file.KEY], values)
            problems += own
            if file:
                values, locate = team_file.merged(values, file), file.locate
            else:
                incomplete = team_file.KEYS
        return cls.judged(Given(values, locate, unread, incomplete, secrets), problems)

    @classmethod
    def judged(cls, given: Given, problems: Sequence[Problem] = ()) -> Self:
        """Settings from values, when they are right and `problems`, found before, are none.

        Raises:
            SettingsError: naming every bad setting at once.
        """
        found = [*problems]
        try:
            context = frozenset((*given.unread, *given.incomplete))
            settings = cls.model_validate(given.values, context=context)
        except ValidationError as error:
            told = problems_of(error, cls, given.secrets, given.locate)
            found += [problem for key, problem in told if key not in given.unread]
        if found:
            raise report(found)
        return settings

    def warnings(self) -> list[str]:
        """What is allowed but should be seen: an open port, what is lost, what nobody checked."""
        return [*self._open_to_everybody(), *self._lost(), *self._unchecked()]

    def _open_to_everybody(self) -> Iterator[str]:
        for index, client in enumerate(self.ssh_clients):
            if opens_to_everyone(client):
                fix = command(("sshClients", index), "203.0.113.7/32")
                yield (
                    f"{NAMESPACE}:sshClients holds {client}: the SSH port is open to the whole "
                    f"internet. To close it: {fix} with your address."
                )

    def _lost(self) -> Iterator[str]:
        for user in self.users:
            if user.state == "deleted":
                yield (
                    f"{NAMESPACE}:users says that {user.email} is deleted: `pulumi up` takes the "
                    "account and every chat of it away for good. To keep the chats: state: "
                    "suspended."
                )

    def _unchecked(self) -> Iterator[str]:
        version = catalog.webui_permissions().version
        named = self.default_permissions or any(group.permissions for group in self.groups)
        if named and self.webui_version != version:
            yield (
                "The names of permissions were not checked: "
                f"ollamazure/catalog/open-webui-permissions.yaml has those of Open WebUI "
                f"{version}, and {NAMESPACE}:webuiVersion is {self.webui_version}."
            )

    @property
    def chat_models(self) -> tuple[str, ...]:
        """The models that answer questions; embedding models only serve the search."""
        return that_chat(self.models)

    @property
    def new_chats_begin_with(self) -> str:
        """The model, or the id of the preset, that a new chat begins with."""
        named = self.default_model
        if named is None:
            return self.chat_models[0]
        return named if any(preset.id == named for preset in self.presets) else model_id(named)

    @property
    def embedding_models(self) -> tuple[str, ...]:
        """The models that turn text into numbers, and answer nothing."""
        return tuple(name for name in self.models if name not in self.chat_models)

    @property
    def embedding_model(self) -> str | None:
        """The first of the models that turns text into numbers for the search, if it shall."""
        if self.document_search != "auto":
            return None
        return next(iter(self.embedding_models), None)

    @property
    def web_access(self) -> bool:
        """Somebody is declared to need what Open WebUI fetches from the web, or sends there."""
        granted = [self.default_permissions, *(group.permissions for group in self.groups)]
        return any(
            permissions.get(branch, {}).get(name)
            for permissions in granted
            for branch, name in WEB_PERMISSIONS
        )

    @property
    def public_name(self) -> str | None:
        """The name the chat is reached by; None when it is the bare address."""
        if self.domain:
            return self.domain
        return azure_name(self.dns_label, self.location) if self.dns_label else None

    @property
    def webui_image(self) -> str:
        """Open WebUI's image; where a mirror stands in, Podman's own settings say so."""
        return catalog.versions().open_webui.reference(tag=self.webui_version)

    @property
    def nginx_image(self) -> str:
        """Nginx's image; where a mirror stands in, Podman's own settings say so."""
        return catalog.versions().nginx.reference(tag=self.nginx_version)

    @property
    def ollama_release(self) -> str:
        """The address, of a mirror where one is set, below which the release's files lie."""
        base = self.mirrors.ollama or catalog.versions().ollama.download
        return f"{base}/v{self.ollama_version}"


def azure_name(label: str, location: str) -> str:
    """The name Azure gives to a public address with a DNS label."""
    return f"{label}.{location}.cloudapp.azure.com"


def structure(field: FieldInfo) -> Literal["array", "boolean", "integer", "object", "string"]:
    """A field's type in Pulumi's words, which know no others."""
    found = kinds(field)
    if tuple in found:
        return "array"
    if dict in found or section(field):
        return "object"
    if bool in found:
        return "boolean"
    return "integer" if int in found else "string"


def field_of(key: str) -> FieldInfo | None:
    """A top-level setting by its name in a stack file."""
    return next((field for field in Settings.model_fields.values() if field.alias == key), None)


def _unset(key: str, text: str) -> bool:
    """Pulumi.yaml declares a setting without a default as empty: the CLI demands some default."""
    field = field_of(key)
    if text == "" or field is None:
        return text == ""
    return (text == "[]" and field.is_required()) or (text == "{}" and field.default is None)


def _decoded(key: str, text: str) -> Any:
    field = field_of(key)
    kind = structure(field) if field else "string"
    if kind == "array" and text.lstrip()[:1] not in ("[", "{"):
        return [part for part in re.split(r"[,\s]+", text) if part]
    return json.loads(text) if kind in ("array", "object") else text


def _not_json(key: str, text: str, error: ValueError, secret: bool) -> Problem:
    field = field_of(key)
    assert field is not None  # noqa: S101 - only known keys are decoded
    return Problem(
        what=f"{NAMESPACE}:{key} = {shown(text, secret)} is not allowed: it is not JSON ({error}).",
        allowed=allowed(field),
        fix=f"pulumi config set {NAMESPACE}:{key} '{json.dumps((field.examples or [None])[0])}'",
    )


def _in_plain_text(given: Mapping[str, str], secrets: frozenset[str]) -> list[Problem]:
    """Secrets that lie unencrypted in the stack file."""
    return [
        Problem(
            what=f"{NAMESPACE}:{key} lies unencrypted in the stack file.",
            allowed="a secret, set with --secret",
            fix=f"pulumi config set --secret {NAMESPACE}:{key} (asks for the value), "
            "and choose a new one: the old one may have been seen",
        )
        for key in SECRETS
        if key in given and key not in secrets
    ]


def _unknown_models(
    names: Sequence[str], unknown: Sequence[str], known: Sequence[str]
) -> Exception:
    hints, commands = [], []
    for name in unknown:
        near = did_you_mean(name, known)
        hints.append(f"{name} (did you mean {near}?)" if near else name)
        outside = command(("modelMemoryGiB", name), "6")
        commands.append(command(("models", names.index(name)), near) if near else outside)
    return refusal(
        f"ollamazure/catalog/models.yaml does not know {', '.join(hints)}",
        fix="\n            ".join(commands),
    )


__all__ = ["Certificate", "Mirrors", "Settings", "SettingsError", "Tuning"]

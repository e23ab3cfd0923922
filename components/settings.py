"""Every setting of a stack, typed and checked before anything is created.

`Settings.load(pulumi.Config())` is the only place that reads Pulumi's configuration. A bad stack
file ends the run with one error that holds every problem and the command that mends each.
Pulumi.yaml's `config:` block and docs/reference/settings.md are made from this file
(`python -m scripts.reference`).
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Annotated, Any, Literal, Self

import pulumi
from pulumi.runtime import config as raw_config
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

from components import catalog
from components.problems import (
    NAMESPACE,
    Problem,
    SettingsError,
    allowed,
    command,
    did_you_mean,
    group,
    kinds,
    problems_of,
    refusal,
    report,
    shown,
)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Names that Azure refuses for a Linux administrator (REST reference of virtual machines,
# osProfile.adminUsername), and accounts the machine already has.
FORBIDDEN_BY_AZURE = _words(
    """
    administrator admin user user1 test user2 test1 user3 admin1 1 123 a actuser adm admin2
    aspnet backup console david guest john owner root server sql support support_388945a0 sys
    test2 test3 user4 user5
    """
)
ACCOUNTS_OF_THE_MACHINE = _words(
    """
    bin daemon games irc list lp mail man messagebus news nobody ollama open-webui proxy sshd
    sync systemd-network systemd-resolve systemd-timesync uucp uuidd www-data _apt
    """
)

# X.509's upper bound for a common name (RFC 5280, appendix A.1), in characters.
COMMON_NAME_LIMIT = 64
# bcrypt, which Open WebUI hashes passwords with, reads no further.
PASSWORD_LIMIT_BYTES = 72
# Azure allows 50 tags on a resource; ten are kept for the program's own.
TAG_LIMIT = 40


def setting(default: Any = ..., *, description: str, allowed: str, example: Any) -> Any:
    """A field with what the error messages and the reference say of it.

    Args:
        default: the value when unset; left out when the setting must be given.
        description: one line, what it is for.
        allowed: which values are right, in words.
        example: a right value, as it lies in a stack file.
    """
    return Field(
        default,
        description=description,
        examples=[example],
        json_schema_extra={"allowed": allowed},
    )


def matching(pattern: str, reason: str) -> AfterValidator:
    """A check that the whole text matches; the reason says what is wrong when it does not."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise refusal(reason)
        return value

    return AfterValidator(check)


def one_of(known: Callable[[], Sequence[str]], kind: str) -> AfterValidator:
    """A check against a list of the catalog, in any case, with the nearest name as a hint."""

    def check(value: str) -> str:
        by_lower_case = {name.lower(): name for name in known()}
        found = by_lower_case.get(value.lower())
        if found:
            return found
        near = did_you_mean(value.lower(), by_lower_case)
        if near:
            right = by_lower_case[near]
            raise refusal(f"no such {kind}, did you mean {right}?", instead=right)
        raise refusal(f"no such {kind}")

    return AfterValidator(check)


def _without_v(value: Any) -> Any:
    return value.removeprefix("v") if isinstance(value, str) else value


def _location(value: Any) -> Any:
    """ "France Central" is the region's other name, which Azure's tools take too."""
    return value.replace(" ", "").lower() if isinstance(value, str) else value


def _client(value: str) -> str:
    try:
        network = ipaddress.ip_network(value.strip(), strict=False)
    except ValueError:
        raise refusal("it is neither an IPv4 address nor a range such as 203.0.113.0/24") from None
    if network.version != 4:
        raise refusal("the machine has an IPv4 address only, so an IPv6 client never reaches it")
    return str(network)


def _model_name(value: str) -> str:
    """A model's name with its tag written out, as Ollama and Open WebUI list it."""
    part = r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}"
    if not re.fullmatch(rf"({part}(:\d+)?/)?({part}/)?{part}(:{part})?", value):
        raise refusal("it is not the name of a model in Ollama's library")
    return value if ":" in value.rsplit("/", 1)[-1] else f"{value}:latest"


def _domain(value: str) -> str:
    name = value.rstrip(".").lower()
    if "://" in name or "/" in name:
        raise refusal("it is an address of a page; give the bare name, without https:// and path")
    label = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    if not re.fullmatch(rf"({label}\.)+[a-z][a-z0-9-]{{0,61}}[a-z0-9]", name):
        raise refusal("it is not a full domain name")
    if name.endswith(".cloudapp.azure.com"):
        raise refusal("names below cloudapp.azure.com are Azure's; set dnsLabel instead")
    if len(name) > COMMON_NAME_LIMIT:
        raise refusal(f"a certificate holds {COMMON_NAME_LIMIT} characters, it has {len(name)}")
    return name


def _password(value: SecretStr) -> SecretStr:
    length = len(value.get_secret_value().encode())
    if length < 12:
        raise refusal(f"it has {length} bytes, fewer than 12")
    if length > PASSWORD_LIMIT_BYTES:
        raise refusal(f"it has {length} bytes, and Open WebUI reads {PASSWORD_LIMIT_BYTES} only")
    return value


def _text_of(value: Any) -> Any:
    """`--path` stores true, false and whole numbers as such, and a tag is text all the same."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


def _administrator(value: str) -> str:
    if value in FORBIDDEN_BY_AZURE:
        raise refusal("Azure refuses this name for an administrator")
    if value in ACCOUNTS_OF_THE_MACHINE:
        raise refusal("the machine has an account of this name already")
    return value


def _tag_name(value: str) -> str:
    if re.search(r"[<>%&\\?/]", value):
        raise refusal(r"Azure refuses < > % & \ ? / in the name of a tag")
    if value.lower().startswith(("microsoft", "azure", "windows")):
        raise refusal("Azure keeps tags that begin with microsoft, azure or windows for itself")
    return value


Location = Annotated[
    str, BeforeValidator(_location), one_of(catalog.locations, "region of Azure's public cloud")
]
VmSizeName = Annotated[
    str, one_of(lambda: ("auto", *catalog.vm_sizes()), "size in catalog/vm_sizes.yaml")
]
Client = Annotated[str, AfterValidator(_client)]
ModelName = Annotated[str, AfterValidator(_model_name)]
Gibibytes = Annotated[float, Field(gt=0, le=1024)]
Line = Annotated[str, StringConstraints(min_length=1, max_length=64, strip_whitespace=True)]
LongLine = Annotated[str, StringConstraints(min_length=1, max_length=128, strip_whitespace=True)]
TagName = Annotated[str, StringConstraints(min_length=1, max_length=512), AfterValidator(_tag_name)]
TagValue = Annotated[str, BeforeValidator(_text_of), StringConstraints(max_length=256)]
WebAddress = Annotated[
    str,
    AfterValidator(lambda value: value.rstrip("/")),
    matching(
        r"https?://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:\d{1,5})?(/[^\s?#]*)?",
        "it is not an http:// or https:// address",
    ),
]
Registry = Annotated[
    str,
    AfterValidator(lambda value: value.rstrip("/")),
    matching(
        r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:\d{1,5})?(/[a-z0-9._/-]+)?",
        "it is not a registry's host name, without http:// or https://",
    ),
]


def key_of(attribute: str) -> str:
    """The name in a stack file: dataDiskGiB for data_disk_gib."""
    return to_camel(attribute).replace("Gib", "GiB")


class Group(BaseModel):
    """Settings that belong together: camelCase in stack files, snake_case in the program."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=key_of,
        validate_by_name=True,
        coerce_numbers_to_str=True,
        validate_default=True,
        hide_input_in_errors=True,
    )


class Certificate(Group):
    """The self-signed certificate: its subject and its life."""

    country: Annotated[str, matching(r"[A-Z]{2}", "it is not two capital letters")] = setting(
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


class Mirrors(Group):
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


class Tuning(Group):
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
    keep_alive: Annotated[str, matching(r"-1|\d+(ms|s|m|h)", "it is not a duration")] | None = (
        setting(
            None,
            description="How long an unused model stays in memory (OLLAMA_KEEP_ALIVE).",
            allowed="a number with ms, s, m or h, or -1 for ever",
            example="30m",
        )
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


class Settings(Group):
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
        allowed="a size of catalog/vm_sizes.yaml, or auto",
        example="Standard_B2ms",
    )
    image_version: Annotated[
        str, matching(r"latest|\d+\.\d{8}\.\d+", "it is not a version of Debian's image")
    ] = setting(
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
        allowed="names of catalog/models.yaml, each once; others need a modelMemoryGiB",
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
    vm_admin_username: Annotated[
        str,
        matching(
            r"[a-z_][a-z0-9_-]{0,31}",
            "it is not a Linux user name in lower case that begins with a letter",
        ),
        AfterValidator(_administrator),
    ] = setting(
        "ollamazure",
        description="The machine's administrator, who signs in by SSH.",
        allowed="1 to 32 lower-case letters, digits, - and _, and none of Azure's forbidden names",
        example="ollamazure",
    )
    admin_email: Annotated[
        str,
        AfterValidator(str.lower),
        matching(r"[^@\s]{1,64}@[^@\s]+\.[^@\s.]{1,63}", "it is not an e-mail address"),
        Field(max_length=254),
    ] = setting(
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
    admin_password: Annotated[SecretStr, AfterValidator(_password)] | None = setting(
        None,
        description="Password of the chat's administrator. Unset: a random one.",
        allowed="12 to 72 bytes, set with --secret",
        example="a long pass phrase",
    )
    domain: Annotated[str, AfterValidator(_domain)] | None = setting(
        None,
        description="Domain name of your own that leads to the machine.",
        allowed="a full domain name of at most 64 characters",
        example="chat.example.com",
    )
    dns_label: (
        Annotated[
            str,
            matching(
                r"[a-z][a-z0-9-]{1,61}[a-z0-9]",
                "Azure wants 3 to 63 lower-case letters, digits and -, a letter first, no - last",
            ),
        ]
        | None
    ) = setting(
        None,
        description="First part of a free name of Azure's: our-team-chat.francecentral.cloudapp.azure.com.",
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
    data_disk_id: (
        Annotated[
            str,
            matching(
                r"(?i)/subscriptions/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
                r"/resourceGroups/[\w.()-]{1,90}/providers/Microsoft\.Compute/disks/[\w.-]{1,80}",
                "it is not the ARM id of a managed disk",
            ),
        ]
        | None
    ) = setting(
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
    ollama_version: Annotated[
        str,
        BeforeValidator(_without_v),
        matching(r"\d+\.\d+\.\d+(-rc\d+)?", "it is not a version of Ollama"),
    ] = setting(
        catalog.versions().ollama.version,
        description="Version of Ollama.",
        allowed="a release of github.com/ollama/ollama, 0.30.0 or later",
        example="0.34.0",
    )
    webui_version: Annotated[
        str,
        AfterValidator(lambda value: value if value.startswith("v") else f"v{value}"),
        matching(r"v\d+\.\d+\.\d+", "it is not a version of Open WebUI"),
    ] = setting(
        catalog.versions().open_webui.tag,
        description="Version of Open WebUI; its database only goes forward.",
        allowed="a release of github.com/open-webui/open-webui",
        example="v0.12.4",
    )
    nginx_version: Annotated[
        str,
        BeforeValidator(_without_v),
        matching(r"\d+\.\d+\.\d+", "it is not a version of Nginx"),
    ] = setting(
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

    @field_validator("models")
    @classmethod
    def _models(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise refusal(f"{', '.join(repeated)} is there more than once")
        known = (*catalog.models(), *info.data.get("model_memory_gib", ()))
        unknown = [name for name in names if name not in known]
        if unknown:
            raise _unknown_models(names, unknown, known)
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

    @field_validator("ollama_version")
    @classmethod
    def _recent_enough(cls, value: str) -> str:
        if tuple(int(part) for part in value.partition("-")[0].split(".")) < (0, 30, 0):
            raise refusal(
                "before 0.30 another engine ran the models and the memory estimate does not hold",
                instead=catalog.versions().ollama.version,
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
        problems = _in_plain_text(given, secrets)
        values: dict[str, Any] = {}
        for key, text in given.items():
            if _unset(key, text):
                continue
            try:
                values[key] = _decoded(key, text)
            except ValueError as error:
                problems.append(_not_json(key, text, error, key in secrets))
        broken = given.keys() - values.keys()
        try:
            settings = cls.model_validate(values)
        except ValidationError as error:
            problems += [
                problem for key, problem in problems_of(error, cls, secrets) if key not in broken
            ]
        if problems:
            raise report(problems)
        return settings

    def warnings(self) -> list[str]:
        """What is allowed but should be seen: settings that open the machine to everybody."""
        return [
            f"{NAMESPACE}:sshClients holds {client}: the SSH port is open to the whole internet. "
            f"To close it: {command(('sshClients', index), '203.0.113.7/32')} with your address."
            for index, client in enumerate(self.ssh_clients)
            if client.endswith("/0")
        ]

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
    if dict in found or group(field):
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
    return text == "" or (text == "[]" and field is not None and field.is_required())


def _decoded(key: str, text: str) -> Any:
    field = field_of(key)
    kind = structure(field) if field else "string"
    if kind == "array" and not text.lstrip().startswith("["):
        return [part for part in re.split(r"[,\s]+", text) if part]
    return json.loads(text) if kind in ("array", "object") else text


def _not_json(key: str, text: str, error: ValueError, secret: bool) -> Problem:
    field = field_of(key)
    assert field is not None  # noqa: S101 - only known keys are decoded
    return Problem(
        what=f"{NAMESPACE}:{key} = {shown(text, secret)} is not allowed: it is not JSON ({error}).",
        allowed=allowed(field),
        mend=f"pulumi config set {NAMESPACE}:{key} '{json.dumps((field.examples or [None])[0])}'",
    )


def _in_plain_text(given: Mapping[str, str], secrets: frozenset[str]) -> list[Problem]:
    """Secrets that lie unencrypted in the stack file."""
    return [
        Problem(
            what=f"{NAMESPACE}:{key} lies unencrypted in the stack file.",
            allowed="a secret, set with --secret",
            mend=f"pulumi config set --secret {NAMESPACE}:{key} (asks for the value), "
            "and choose a new one: the old one may have been seen",
        )
        for key in ("adminPassword",)
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
        f"catalog/models.yaml does not know {', '.join(hints)}",
        mend="\n            ".join(commands),
    )


__all__ = ["Certificate", "Mirrors", "Settings", "SettingsError", "Tuning"]

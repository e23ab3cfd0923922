"""The component `PrivateChat` for all Pulumi languages: it has inputs instead of a stack file."""

# Without `from __future__ import annotations`: Pulumi infers the schema from the types themselves.

from collections.abc import Mapping
from typing import Any, Final, TypedDict

import pulumi
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from components import chat
from components.outputs import outputs_of
from ollamazure.settings import schema
from ollamazure.settings.load import RawSettings, problems_of_stack, validate
from ollamazure.settings.problems import FileLocation, Locate, Problem, SettingsError
from ollamazure.settings.stack import Settings
from ollamazure.settings.types import Password
from ollamazure.settings.warnings import warnings_of
from ollamazure.sizing.cost import savings_note
from ollamazure.sizing.plan import make_plan
from provider.inputs import ChatInputs

PASSWORD: Final = "adminPassword"  # noqa: S105 - the name of the input


class CostInNumbers(TypedDict):
    """Estimate of what Azure charges in a month, for programs."""

    amount: float
    """The sum, rounded to two decimals."""
    currency: str
    """Code of the currency, for example USD."""
    region: str
    """The region whose prices these are: eastus, where the chat's own has none."""
    asOf: str
    """The day of the prices, for example 2026-11-23."""
    verified: bool
    """Whether the prices were read from Azure's own price list."""


class Trust(TypedDict):
    """What a client checks the chat's certificate with."""

    system: bool
    """Whether with the authorities that the client's system trusts."""
    authorities: str
    """Further authorities, in PEM; may be empty."""


class HoursOfMachine(TypedDict):
    """The hours in which the machine runs."""

    days: list[str]
    """The days of the week, in English."""
    start: str
    """When the machine starts, for example 07:00."""
    end: str
    """When it stops on the same day."""
    timeZone: str
    """The time zone of these times, by IANA's name."""


class PrivateChat(chat.Chat):
    """A private chat for a team: Ollama, Open WebUI and Nginx on one Azure machine, over HTTPS.

    It exists as soon as each model has answered a question. A stack can have one.
    """

    url: pulumi.Output[str]
    """The address for users, https://…"""
    adminEmail: pulumi.Output[str]
    """E-mail that the chat's administrator signs in with."""
    adminPassword: pulumi.Output[str]
    """Password of the chat's administrator; secret."""
    initialPasswords: pulumi.Output[dict[str, str]]
    """The first passwords of the declared users, by e-mail; secret."""
    sshCommand: pulumi.Output[str]
    """Command with which an operator signs in; the private key must be saved as chat.key."""
    sshPrivateKey: pulumi.Output[str]
    """The operator's private key, in OpenSSH's format; secret."""
    hostKey: pulumi.Output[str]
    """The machine's own public key."""
    certificateMode: pulumi.Output[str]
    """Where the certificate comes from: selfSigned, letsEncrypt or provided."""
    certificateFingerprint: pulumi.Output[str | None]
    """SHA-256 of the certificate; none with Let's Encrypt."""
    backupKey: pulumi.Output[str | None]
    """Secret; the key of the backups, without which they cannot be read; none without backups."""
    backupSshPublicKey: pulumi.Output[str | None]
    """The key that a server of backups by SFTP has to accept; none for another target."""
    caCertificate: pulumi.Output[str | None]
    """The certificate of the stack's authority, which devices can trust, in PEM; none if the
    settings provide the certificate."""
    certificateTrust: pulumi.Output[Trust]
    """What a client checks the chat's certificate with."""
    models: pulumi.Output[list[str]]
    """The models that are installed."""
    modelLicences: pulumi.Output[dict[str, str]]
    """The licence of each model, with the restrictions on its use."""
    vmSize: pulumi.Output[str]
    """Size of the machine."""
    monthlyCostEstimate: pulumi.Output[str]
    """Estimate of the monthly cost, in words."""
    monthlyCost: pulumi.Output[CostInNumbers]
    """The same estimate, in numbers."""
    language: pulumi.Output[str]
    """The locale of the chat, as Open WebUI names it; en-US if it is each browser's."""
    dataDiskGiB: pulumi.Output[int | None]
    """The size of the data disk; none of an adopted one."""
    workingHours: pulumi.Output[HoursOfMachine | None]
    """The hours in which the machine runs; none if it always does."""
    subnetId: pulumi.Output[str | None]
    """The existing subnet that the machine is in; none in a network of its own."""
    chatDays: pulumi.Output[int | None]
    """Days that a chat is kept after its last change; none if chats stay."""
    readme: pulumi.Output[str]
    """The operator's page, in Markdown; it holds no secret."""

    def __init__(
        self, name: str, args: ChatInputs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        settings = validate_inputs(name, args)
        plan = make_plan(settings)
        for warning in (*warnings_of(settings), *plan.warnings):
            pulumi.log.warn(warning)
        if note := savings_note(settings, plan.monthly_cost):
            pulumi.log.info(note)
        password = args.get(PASSWORD)
        if password is not None:
            password = _check_later(name, password)
        super().__init__(name, chat.ChatArgs.of_stack(settings, plan, password), opts)
        for output, value in outputs_of(self, settings, plan).items():
            setattr(self, output, value)


def validate_inputs(name: str, inputs: Mapping[str, Any]) -> Settings:
    """The settings that the inputs are, all but the password.

    Args:
        name: the component's, for messages.
        inputs: by a stack file's keys, with numbers as the engine sends them.

    Raises:
        SettingsError: naming all problems.
    """
    locate = _inputs_of(name)
    unread = {
        key
        for key, value in inputs.items()
        if (key == PASSWORD and value is not None) or _is_unknown(key, value)
    }
    problems = [
        *problems_of_stack(pulumi.get_project(), pulumi.get_stack()),
        *(_unknown_at_preview(locate, key) for key in sorted(unread - {PASSWORD})),
    ]
    values = {key: _with_whole_numbers(inputs[key]) for key in inputs.keys() - unread}
    return validate(RawSettings(values, locate, unread), problems)


def _inputs_of(name: str) -> Locate:
    return lambda path: FileLocation(f"the inputs of {name}", None, path)


def _is_unknown(key: str, value: Any) -> bool:
    return _holds_output(value, schema.field_named(key, Settings))


def _holds_output(value: Any, field: FieldInfo | None = None) -> bool:
    """Whether a value, or a part of it, is another resource's output or a secret."""
    if isinstance(value, pulumi.Output):
        return True
    if field and (group := schema.section_of(field)):
        return _is_output_of_group(value, group)
    parts = [*value.values()] if isinstance(value, Mapping) else value
    if not isinstance(parts, list):
        return False
    if field and (held := schema.item_of(field)):
        return any(_is_output_of_group(part, held) for part in parts)
    return any(map(_holds_output, parts))


def _is_output_of_group(value: Any, group: type[BaseModel]) -> bool:
    """The same for a group: Pulumi's SDK supplies it as empty if all of it is an output."""
    if not isinstance(value, Mapping):
        return isinstance(value, pulumi.Output)
    return not value or any(
        _holds_output(part, schema.field_named(key, group)) for key, part in value.items()
    )


def _with_whole_numbers(value: Any) -> Any:
    """The value with whole numbers as such: the engine sends all numbers with a fraction."""
    if isinstance(value, Mapping):
        return {key: _with_whole_numbers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [*map(_with_whole_numbers, value)]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _unknown_at_preview(locate: Locate, key: str) -> Problem:
    field = schema.field_named(key, Settings)
    return Problem(
        str(locate((key,))),
        "is empty, a secret, or not known at preview. Names, sizes and the price follow from it, "
        "so it cannot be the output of another resource.",
        schema.allowed(field) if field else "only settings",
        f"in the inputs, write {key} as a value",
    )


def _check_later(name: str, password: pulumi.Input[str]) -> pulumi.Output[str]:
    """The password as a secret; it is checked as soon as it is known."""

    def checked(text: str) -> str:
        try:
            return TypeAdapter(Password).validate_python(text).get_secret_value()
        except ValidationError as error:
            reason = error.errors(include_input=False, include_url=False)[0]["msg"]
        raise SettingsError(
            [
                Problem(
                    str(_inputs_of(name)((PASSWORD,))),
                    f"is not allowed: {reason}.",
                    schema.allowed(schema.field_at((PASSWORD,), Settings)),
                    "in the inputs, write another one, as a secret",
                )
            ]
        )

    return pulumi.Output.secret(password).apply(checked)

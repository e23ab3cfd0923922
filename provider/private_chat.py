"""`PrivateChat` as a program in any Pulumi language declares it: inputs instead of a stack file."""

# Without `from __future__ import annotations`: the schema is inferred from the types themselves.

from collections.abc import Mapping
from typing import Any, Final

import pulumi
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from components import chat
from components.outputs import outputs_of
from ollamazure.settings.problems import Locate, Place, Problem, allowed, item, report, section
from ollamazure.settings.stack import Given, Settings, field_of
from ollamazure.settings.types import Password
from ollamazure.sizing.plan import make_plan
from provider.inputs import Settings as Inputs

PASSWORD: Final = "adminPassword"  # noqa: S105 - its name


class PrivateChat(chat.Chat):
    """A private chat for a team: Ollama, Open WebUI and Nginx on one Azure machine, over HTTPS.

    It is there when each model has answered a question. One in each stack.
    """

    url: pulumi.Output[str]
    """Where users go, https://…"""
    adminEmail: pulumi.Output[str]
    """E-mail that the chat's administrator signs in with."""
    adminPassword: pulumi.Output[str]
    """Password of the chat's administrator; secret."""
    initialPasswords: pulumi.Output[dict[str, str]]
    """What declared users begin with, by e-mail; secret."""
    sshCommand: pulumi.Output[str]
    """How an operator signs in, with the private key saved as chat.key."""
    sshPrivateKey: pulumi.Output[str]
    """The operator's private key, in OpenSSH's form; secret."""
    hostKey: pulumi.Output[str]
    """The machine's own public key."""
    certificateFingerprint: pulumi.Output[str]
    """SHA-256 of the self-signed certificate."""
    models: pulumi.Output[list[str]]
    """The models that are installed."""
    vmSize: pulumi.Output[str]
    """Size of the machine."""
    monthlyCostEstimate: pulumi.Output[str]
    """What a month costs, in words."""
    readme: pulumi.Output[str]
    """The operator's page, in Markdown; holds no secret."""

    def __init__(self, name: str, args: Inputs, opts: pulumi.ResourceOptions | None = None) -> None:
        password = args.get(PASSWORD)
        given = {key: value for key, value in args.items() if key != PASSWORD}
        settings = checked(name, given, has_password=password is not None)
        plan = make_plan(settings)
        for warning in (*settings.warnings(), *plan.warnings):
            pulumi.log.warn(warning)
        right = password if password is None else _right_password(name, password)
        super().__init__(name, chat.ChatArgs.of_stack(settings, plan, right), opts)
        for output, value in outputs_of(self, settings, plan).items():
            setattr(self, output, value)


def checked(name: str, given: Mapping[str, Any], *, has_password: bool = False) -> Settings:
    """The settings that the inputs of the component `name` say.

    Args:
        name: of the component, for the message.
        given: by a stack file's names, numbers as the engine sends them.
        has_password: whether the administrator's password is set by hand.

    Raises:
        SettingsError: naming every bad input at once.
    """
    locate = _inputs_of(name)
    later = {key for key, value in given.items() if _is_not_there(value, field_of(key))}
    problems = [_known_later(locate, key) for key in sorted(later)]
    if has_password and given.get("adminPasswordRotation"):
        problems.append(_nothing_to_rotate(locate))
    values = {key: _whole(value) for key, value in given.items() if key not in later}
    return Settings.judged(Given(values, locate, unread=later), problems)


def _inputs_of(name: str) -> Locate:
    return lambda path: Place(f"the inputs of {name}", None, path)


def _is_not_there(value: Any, field: FieldInfo | None = None) -> bool:
    """Whether a value, or one within, is another resource's output or a secret."""
    if isinstance(value, pulumi.Output):
        return True
    group, held = (section(field), item(field)) if field else (None, None)
    if group:
        return _is_no_group(value, group)
    parts = value if isinstance(value, list) else ()
    if isinstance(value, Mapping):
        parts = [*value.values()]
    if held:
        return any(_is_no_group(part, held) for part in parts)
    return any(map(_is_not_there, parts))


def _is_no_group(value: Any, group: type[BaseModel]) -> bool:
    """The same of a group. Pulumi's SDK hands one over as empty when it is an output as a whole."""
    if not isinstance(value, Mapping):
        return isinstance(value, pulumi.Output)
    fields = {field.alias: field for field in group.model_fields.values()}
    return not value or any(_is_not_there(part, fields.get(key)) for key, part in value.items())


def _whole(value: Any) -> Any:
    """The engine sends each number as one with a fraction."""
    if isinstance(value, Mapping):
        return {key: _whole(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [*map(_whole, value)]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _known_later(locate: Locate, key: str) -> Problem:
    field = field_of(key)
    return Problem(
        what=f"{locate((key,))} is empty, a secret, or not known at preview: names, sizes and the "
        "price follow from it, so it cannot be the output of another resource.",
        allowed=allowed(field) if field else "only settings",
        fix=f"in the inputs, write {key} as a value",
    )


def _nothing_to_rotate(locate: Locate) -> Problem:
    return Problem(
        what=f"{locate(('adminPasswordRotation',))} is not allowed: adminPassword is set by hand, "
        "and only a random one can be drawn anew.",
        allowed="one of adminPassword and adminPasswordRotation",
        fix="in the inputs, take one of the two away",
    )


def _right_password(name: str, password: pulumi.Input[str]) -> pulumi.Output[str]:
    def right(text: str) -> str:
        try:
            return TypeAdapter(Password).validate_python(text).get_secret_value()
        except ValidationError as error:
            reason = error.errors(include_input=False, include_url=False)[0]["msg"]
            raise report(
                [
                    Problem(
                        what=f"{_inputs_of(name)((PASSWORD,))} is not allowed: {reason}.",
                        allowed=allowed(Settings.model_fields["admin_password"]),
                        fix="in the inputs, write another one, as a secret",
                    )
                ]
            ) from None

    return pulumi.Output.secret(password).apply(right)

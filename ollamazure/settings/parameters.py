"""The parameters of presets: which values Ollama accepts for each, and their usual form.

Open WebUI 0.12.4 passes them on (utils/payload.py: `apply_model_params_to_body_ollama`) and checks
none of them. A preset with a value that it cannot convert, or that Ollama refuses, never answers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

INT32 = 2**31 - 1
# The largest seed of Ollama's runner, which has 32 bits.
SEED = 2**32 - 1
# https://pkg.go.dev/time#ParseDuration, which reads Ollama's keep_alive.
_DURATION = r"-?([0-9]{1,6}(\.[0-9]{1,6})?(ms|s|m|h))+"
_LEVELS = ("low", "medium", "high", "max")


@dataclass(frozen=True)
class Parameter:
    """One parameter.

    Attributes:
        read: a declared value in its usual form; raises ValueError if it is not allowed.
        allowed: the values that are allowed, in words: "a number from 0 to 2".
        example: an allowed value, as `pulumi config set` takes it.
        is_list: whether the value is a list; `example` is then its first item.
    """

    read: Callable[[Any], Any]
    allowed: str
    example: str
    is_list: bool = False


def _number(low: float, high: float, example: str) -> Parameter:
    def read(value: Any) -> float:
        # `pulumi config set` stores fractions as text.
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value):
            value = float(value) if "." in value else int(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(value)
        if not low <= value <= high:  # neither is NaN
            raise ValueError(value)
        return value

    return Parameter(read, f"a number from {low:g} to {high:g}", example)


def _whole_number(low: int, high: int, example: str) -> Parameter:
    number = _number(low, high, example)

    def read(value: Any) -> int:
        found = number.read(value)
        if found != int(found):
            raise ValueError(value)
        return int(found)

    return Parameter(read, f"a whole number from {low} to {high}", example)


def _answer_length(value: Any) -> int:
    found = int(_whole_number(-2, INT32, "512").read(value))
    if found == 0:  # the answer would be empty
        raise ValueError(value)
    return found


def _texts(value: Any) -> list[str]:
    """The texts at which an answer stops.

    Open WebUI decodes the escapes in each, such as \\n, and reads any other letter as Latin-1. So
    letters outside ASCII become escapes here.
    """
    if not isinstance(value, list) or not value:
        raise ValueError(value)
    return [*map(_stop, value)]


def _stop(value: Any) -> str:
    # `pulumi config set --path` stores numbers, true and false as such.
    text = json.dumps(value) if isinstance(value, bool | int | float) else value
    if not isinstance(text, str) or not text:
        raise ValueError(value)
    escaped = re.sub(r"[^\x00-\x7f]", lambda c: c[0].encode("unicode_escape").decode(), text)
    escaped.encode().decode("unicode_escape")  # a UnicodeDecodeError is a ValueError
    return escaped


def _format(value: Any) -> Any:
    """`json`, or a JSON schema as a group of values or as its text."""
    schema = json.loads(value) if isinstance(value, str) and value != "json" else value
    if value != "json" and not (isinstance(schema, dict) and schema):
        raise ValueError(value)
    return value


def _keep_alive(value: Any) -> Any:
    if isinstance(value, str) and re.fullmatch(_DURATION, value):
        return value
    return _whole_number(-1, INT32, "-1").read(value)


def _think(value: Any) -> Any:
    found = {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value
    if not isinstance(found, bool) and found not in _LEVELS:
        raise ValueError(value)
    return found


# The parameters that Open WebUI passes on to Ollama. Types are those of Ollama's `api.Options`, and
# ranges those of https://docs.ollama.com/modelfile; where it has none, those of any use.
PARAMETERS: Mapping[str, Parameter] = {
    "format": Parameter(_format, "json, or a JSON schema", "json"),
    "frequency_penalty": _number(-2, 2, "0.5"),
    "keep_alive": Parameter(
        _keep_alive, "a number of seconds, a duration such as 10m, or -1 for ever", "10m"
    ),
    "max_tokens": Parameter(
        _answer_length, f"a whole number from 1 to {INT32}, or -1 for no limit", "512"
    ),
    "min_p": _number(0, 1, "0.05"),
    "mirostat": _whole_number(0, 2, "0"),
    "mirostat_eta": _number(0, 1, "0.1"),
    "mirostat_tau": _number(0, 10, "5"),
    "num_keep": _whole_number(-1, INT32, "4"),
    "presence_penalty": _number(-2, 2, "0.5"),
    "repeat_last_n": _whole_number(-1, INT32, "64"),
    "repeat_penalty": _number(0.1, 2, "1.1"),
    "seed": _whole_number(-1, SEED, "42"),
    "stop": Parameter(_texts, "a list of texts", "END", is_list=True),
    "temperature": _number(0, 2, "0.3"),
    "think": Parameter(_think, f"true, false or one of {', '.join(_LEVELS)}", "false"),
    "top_k": _whole_number(0, INT32, "40"),
    "top_p": _number(0, 1, "0.9"),
}


def usual_form(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters, each in its usual form; one that is not allowed stays as it is."""
    return {name: _read_or_keep(PARAMETERS[name], value) for name, value in params.items()}


def _read_or_keep(parameter: Parameter, value: Any) -> Any:
    try:
        return parameter.read(value)
    except ValueError:
        return value


def is_allowed(name: str, value: Any) -> bool:
    """Whether Ollama accepts the value for the parameter."""
    try:
        PARAMETERS[name].read(value)
    except ValueError:
        return False
    return True

"""A stand-in for pulumi-random 4.21.4: RandomPassword, RandomString, RandomId, RandomUuid,
RandomBytes. Every input replaces; until then a value stays."""

from __future__ import annotations

import base64
import secrets
import string
import uuid
from collections.abc import Mapping
from functools import partial
from typing import ClassVar

from emulator.offline.inputs import InputType, InvalidInputsError
from emulator.offline.resources import GeneratedResource, PluginResource, StandIn
from emulator.plugins.provider import FailedError, serve
from emulator.plugins.values import Properties, reveal

VERSION = "4.21.4"

_KEEPERS = {"keepers": InputType("map", replaces=True)}
_SPECIAL = "!@#$%&*()-_=+[]{}<>:?"


class RandomText(GeneratedResource):
    """Characters of chosen classes, with a minimum number of each."""

    _CLASSES: ClassVar[Mapping[str, str]] = {
        "lower": string.ascii_lowercase,
        "upper": string.ascii_uppercase,
        "numeric": string.digits,
        "special": _SPECIAL,
    }
    inputs: ClassVar[Mapping[str, InputType]] = {
        "length": InputType("integer", required=True, replaces=True),
        "overrideSpecial": InputType("string", replaces=True),
        "number": InputType("boolean", replaces=True),
        **{name: InputType("boolean", assumed=True, replaces=True) for name in _CLASSES},
        **{
            f"min{name.capitalize()}": InputType("integer", assumed=0, replaces=True)
            for name in _CLASSES
        },
        **_KEEPERS,
    }

    def check(self, given: Properties) -> Properties:
        inputs = super().check(given)
        known = reveal(inputs)
        length, least = known["length"], sum(_minimum_counts(known).values())
        if isinstance(length, int) and length < max(least, 1):
            raise InvalidInputsError(("length", f"{length} is less than {max(least, 1)}"))
        return inputs

    def complete(self, inputs: Properties) -> Properties:
        # `number` is the former name of `numeric`.
        digits = inputs.get("numeric", inputs.get("number", True))
        return super().complete(inputs) | {"number": digits, "numeric": digits}

    def draw(self, inputs: Properties) -> str:
        classes = dict(self._CLASSES)
        classes["special"] = inputs.get("overrideSpecial") or _SPECIAL
        pool = "".join(characters for name, characters in classes.items() if inputs[name])
        if not pool:
            raise FailedError(
                "no class of characters is left: set lower, upper, numeric or special"
            )
        drawn = [
            secrets.choice(classes[name])
            for name, count in _minimum_counts(inputs).items()
            for _ in range(count)
        ]
        drawn += [secrets.choice(pool) for _ in range(inputs["length"] - len(drawn))]
        secrets.SystemRandom().shuffle(drawn)
        return "".join(drawn)


def _minimum_counts(inputs: Properties) -> dict[str, int]:
    """The minimum number of characters of each class, as far as it is known."""
    names = ("lower", "upper", "numeric", "special")
    counts = {name: inputs.get(f"min{name.capitalize()}") for name in names}
    return {name: count for name, count in counts.items() if isinstance(count, int)}


class RandomString(RandomText):
    outputs: ClassVar[Mapping[str, bool]] = {"result": False}

    def generate(self, inputs: Properties) -> tuple[str, Properties]:
        text = self.draw(inputs)
        return text, {"result": text}


class RandomPassword(RandomText):
    outputs: ClassVar[Mapping[str, bool]] = {"result": True, "bcryptHash": True}
    schema_version = 3

    def generate(self, inputs: Properties) -> tuple[str, Properties]:
        import bcrypt  # noqa: PLC0415 -- needed once in the life of a password

        text = self.draw(inputs)
        # bcrypt uses at most 72 bytes, and the official plugin hashes those.
        digest = bcrypt.hashpw(text.encode()[:72], bcrypt.gensalt(10))
        return "none", {"result": text, "bcryptHash": digest.decode()}


class RandomId(GeneratedResource):
    inputs: ClassVar[Mapping[str, InputType]] = {
        "byteLength": InputType("integer", required=True, replaces=True),
        "prefix": InputType("string", replaces=True),
        **_KEEPERS,
    }
    outputs: ClassVar[Mapping[str, bool]] = dict.fromkeys(("b64Std", "b64Url", "dec", "hex"), False)

    def generate(self, inputs: Properties) -> tuple[str, Properties]:
        drawn = secrets.token_bytes(inputs["byteLength"])
        identity = base64.urlsafe_b64encode(drawn).decode().rstrip("=")
        prefix = inputs.get("prefix", "")
        return identity, {
            "b64Std": prefix + base64.b64encode(drawn).decode(),
            "b64Url": prefix + identity,
            "dec": prefix + str(int.from_bytes(drawn)),
            "hex": prefix + drawn.hex(),
        }


class RandomBytes(GeneratedResource):
    inputs: ClassVar[Mapping[str, InputType]] = {
        "length": InputType("integer", required=True, replaces=True),
        **_KEEPERS,
    }
    outputs: ClassVar[Mapping[str, bool]] = {"base64": True, "hex": True}

    def generate(self, inputs: Properties) -> tuple[str, Properties]:
        drawn = secrets.token_bytes(inputs["length"])
        return "none", {"base64": base64.b64encode(drawn).decode(), "hex": drawn.hex()}


class RandomUuid(GeneratedResource):
    inputs: ClassVar[Mapping[str, InputType]] = _KEEPERS
    outputs: ClassVar[Mapping[str, bool]] = {"result": False}

    def generate(self, inputs: Properties) -> tuple[str, Properties]:
        drawn = str(uuid.uuid4())
        return drawn, {"result": drawn}


RESOURCES: Mapping[str, PluginResource] = {
    "random:index/randomPassword:RandomPassword": RandomPassword(),
    "random:index/randomString:RandomString": RandomString(),
    "random:index/randomId:RandomId": RandomId(),
    "random:index/randomBytes:RandomBytes": RandomBytes(),
    "random:index/randomUuid:RandomUuid": RandomUuid(),
}

if __name__ == "__main__":
    serve(partial(StandIn, VERSION, RESOURCES))

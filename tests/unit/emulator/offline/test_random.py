"""Random values keep to their inputs."""

from __future__ import annotations

import base64
import string
import uuid
from typing import Any

import bcrypt
import pytest

from emulator.offline.inputs import InvalidInputsError
from emulator.offline.random import RESOURCES
from emulator.plugins.provider import FailedError
from emulator.plugins.values import UNKNOWN, Properties, Secret

pytestmark = pytest.mark.unit


def draw(kind: str, **inputs: Any) -> tuple[str, Properties]:
    name = f"random:index/{kind[0].lower()}{kind[1:]}:{kind}"
    generated = RESOURCES[name]
    checked = generated.complete(generated.check(inputs))
    return generated.generate(checked)  # type: ignore[attr-defined, no-any-return]


def test_a_password_has_the_characters_asked_for() -> None:
    for _ in range(5):
        identity, values = draw(
            "RandomPassword", length=12, minNumeric=4, minUpper=4, overrideSpecial="+", minSpecial=2
        )
        password = values["result"]
        assert identity == "none"
        assert len(password) == 12
        assert sum(character in string.digits for character in password) >= 4
        assert sum(character in string.ascii_uppercase for character in password) >= 4
        assert password.count("+") >= 2
        assert set(password) <= set(string.ascii_letters + string.digits + "+")


def test_classes_can_be_left_out() -> None:
    _, values = draw("RandomString", length=50, special=False, upper=False, number=False)
    assert set(values["result"]) <= set(string.ascii_lowercase)
    with pytest.raises(FailedError, match="no class of characters is left"):
        draw("RandomString", length=5, special=False, upper=False, lower=False, numeric=False)


def test_the_hash_is_of_the_password() -> None:
    _, values = draw("RandomPassword", length=80)
    assert bcrypt.checkpw(values["result"].encode()[:72], values["bcryptHash"].encode())


def test_a_length_that_cannot_hold_what_is_asked_for() -> None:
    with pytest.raises(InvalidInputsError, match="length: 3 is less than 4"):
        draw("RandomPassword", length=3, minLower=2, minUpper=2)
    with pytest.raises(InvalidInputsError, match="length: 0 is less than 1"):
        draw("RandomPassword", length=0)


def test_ids_agree_in_every_form() -> None:
    identity, values = draw("RandomId", byteLength=5, prefix="p-")
    drawn = bytes.fromhex(values["hex"].removeprefix("p-"))
    assert len(drawn) == 5
    assert base64.urlsafe_b64encode(drawn).decode().rstrip("=") == identity
    assert values["b64Url"] == f"p-{identity}"
    assert values["b64Std"] == f"p-{base64.b64encode(drawn).decode()}"
    assert values["dec"] == f"p-{int.from_bytes(drawn)}"


def test_bytes_and_uuids() -> None:
    _, values = draw("RandomBytes", length=7)
    assert base64.b64decode(values["base64"]) == bytes.fromhex(values["hex"])
    identity, values = draw("RandomUuid")
    assert uuid.UUID(values["result"]).version == 4
    assert identity == values["result"]


def test_a_preview_tells_what_is_secret_and_nothing_else() -> None:
    previewed = RESOURCES["random:index/randomPassword:RandomPassword"].preview({"length": 3})
    known = {name: value for name, value in previewed.items() if value != Secret(UNKNOWN)}
    classes = ("lower", "upper", "numeric", "number", "special")
    minima = ("minLower", "minUpper", "minNumeric", "minSpecial")
    assert known == {"length": 3} | dict.fromkeys(classes, True) | dict.fromkeys(minima, 0)
    assert previewed.keys() - known.keys() == {"result", "bcryptHash"}

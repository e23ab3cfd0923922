"""The package's inputs are the settings of a stack file, with the same checks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pulumi
import pytest
import yaml
from pydantic import BaseModel

from components import outputs
from ollamazure.settings import schema, team_file
from ollamazure.settings.load import parse
from ollamazure.settings.problems import NAMESPACE, SettingsError
from ollamazure.settings.stack import Settings
from ollamazure.sizing.plan import make_plan
from provider import inputs
from provider.private_chat import CostInNumbers, PrivateChat, validate_inputs
from tools.generate import INPUT_NAMES, NOT_IN_THE_PACKAGE

ROOT = Path(__file__).parents[3]
RIGHT = {"sshClients": ["203.0.113.7"]}


def sections(model: type[BaseModel]) -> list[type[BaseModel]]:
    """The settings and all sections within them that the package offers."""
    fields = model.model_fields.values()
    offered = [field for field in fields if field.alias not in NOT_IN_THE_PACKAGE]
    inner = [schema.section_of(field) or schema.item_of(field) for field in offered]
    return [model, *(each for found in inner if found for each in sections(found))]


@pytest.mark.parametrize(
    "model", dict.fromkeys(sections(Settings)), ids=lambda model: model.__name__
)
def test_inputs_are_the_settings(model: type[BaseModel]) -> None:
    declared = getattr(inputs, INPUT_NAMES.get(model, f"{model.__name__}Input"))
    fields = {str(field.alias): field for field in model.model_fields.values()}
    if model is Settings:
        for key in NOT_IN_THE_PACKAGE:
            del fields[key]
    assert declared.__required_keys__ == {key for key in fields if fields[key].is_required()}
    assert declared.__required_keys__ | declared.__optional_keys__ == fields.keys()


def sent(value: Any) -> Any:
    """The value as the engine sends it, which knows one kind of number."""
    if isinstance(value, dict):
        return {key: sent(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [sent(inner) for inner in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def stack_settings(file: Path) -> dict[str, Any]:
    config = yaml.safe_load(file.read_text(encoding="utf-8"))["config"]
    return {key.removeprefix(f"{NAMESPACE}:"): value for key, value in config.items()}


@pytest.mark.parametrize("file", sorted(ROOT.glob("Pulumi.*.yaml")), ids=lambda file: file.name)
def test_inputs_give_the_same_settings_as_the_stack_file(file: Path) -> None:
    given = {"sshClients": ["192.0.2.1/32"], **stack_settings(file)}
    named = given.pop(team_file.KEY, None)
    if named:
        given |= yaml.safe_load((ROOT / named).read_text(encoding="utf-8"))
    texts = {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in given.items()
    }
    assert validate_inputs("chat", sent(given)) == parse(texts)


def test_a_whole_number_is_shown_as_one() -> None:
    with pytest.raises(SettingsError, match=r"dataDiskGiB = 2 is not allowed"):
        validate_inputs("chat", {**RIGHT, "dataDiskGiB": 2.0})


@pytest.fixture
def loop() -> Iterator[None]:
    """The event loop that an output needs, whichever tests ran before in this process."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()


@pytest.mark.usefixtures("loop")
def test_references_to_an_unknown_value_are_not_checked() -> None:
    preset = {"id": "coach", "name": "Coach", "baseModel": "llama3.1:8b"}
    models = pulumi.Output.from_input(["llama3.1:8b"])
    given = {**RIGHT, "models": models, "presets": [preset], "modelAccess": {"llama3.1:8b": {}}}
    with pytest.raises(SettingsError) as error:
        validate_inputs("chat", given)
    message = str(error.value)
    assert "2 settings to fix" in message and "presets" not in message
    assert "chat: modelAccess is empty, a secret, or not known at preview" in message


def test_no_message_names_a_stack_file() -> None:
    wrong = {
        "locaton": "francecentral",
        "groups": 3.0,
        "vmSize": "Standard_A1",
        "users": [{"email": "alice"}],
    }
    with pytest.raises(SettingsError) as error:
        validate_inputs("chat", {**wrong, "adminPasswordRotation": "2", "adminPassword": "x"})
    message = str(error.value)
    assert "7 settings to fix" in message
    assert "the inputs of chat: locaton is not a setting. Did you mean location?" in message
    assert "write sshClients: " in message
    assert "pulumi config" not in message and f"{NAMESPACE}:" not in message


def test_every_output_is_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pulumi drops outputs that the component does not declare."""
    for name in ("ssh_command", "operator_page"):
        monkeypatch.setattr(outputs, name, lambda *_: "")
    settings = validate_inputs("chat", RIGHT)
    written = outputs.outputs_of(Mock(), settings, make_plan(settings))
    assert written.keys() == PrivateChat.__annotations__.keys()
    cost = written["monthlyCost"]
    assert isinstance(cost, dict) and cost.keys() == CostInNumbers.__annotations__.keys()

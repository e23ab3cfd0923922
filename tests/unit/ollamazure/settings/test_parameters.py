"""Parameters of presets: what Ollama accepts, and what Open WebUI makes of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ollamazure.settings.load import parse
from ollamazure.settings.parameters import PARAMETERS
from ollamazure.settings.problems import Problem, SettingsError

PRESET = {"id": "coach", "name": "Coach", "baseModel": "qwen3:0.6b"}


def parsed(name: str, value: Any, model: str = "qwen3:0.6b") -> Any:
    preset = {**PRESET, "baseModel": model, "params": {name: value}}
    texts = {"sshClients": "203.0.113.7", "models": model, "presets": json.dumps([preset])}
    return parse(texts).presets[0].params[name]


def problem(name: str, value: Any, model: str = "qwen3:0.6b") -> Problem:
    with pytest.raises(SettingsError) as error:
        parsed(name, value, model)
    (found,) = error.value.problems
    return found


@pytest.mark.parametrize(
    ("name", "value", "usual"),
    [
        ("temperature", "0.3", 0.3),
        ("temperature", 0, 0),
        ("top_k", "40", 40),
        ("top_k", 40.0, 40),
        ("max_tokens", -1, -1),
        ("repeat_last_n", "-1", -1),
        ("stop", ["10", 7, True, "END"], ["10", "7", "true", "END"]),
        ("stop", ["\\n\\n", "\n", "Frage:"], ["\\n\\n", "\n", "Frage:"]),
        ("stop", ["Über:", "。", "🙂"], ["\\xdcber:", "\\u3002", "\\U0001f642"]),
        ("keep_alive", "1h30m", "1h30m"),
        ("keep_alive", "0.5h", "0.5h"),
        ("keep_alive", "600", 600),
        ("keep_alive", -1, -1),
        ("think", "true", True),
        ("think", False, False),
        ("think", "high", "high"),
        ("format", "json", "json"),
        ("format", {"type": "object"}, {"type": "object"}),
        ("format", '{"type": "object"}', '{"type": "object"}'),
    ],
)
def test_an_allowed_value_takes_its_usual_form(name: str, value: Any, usual: Any) -> None:
    found = parsed(name, value)
    assert (found, type(found)) == (usual, type(usual))
    assert parsed(name, found) == found


def test_open_webui_decodes_each_stop_to_the_declared_text() -> None:
    declared = ["Über:", "。", "🙂", "END", "10"]
    # As in open_webui/utils/payload.py of 0.12.4.
    sent = [bytes(s, "utf-8").decode("unicode_escape") for s in parsed("stop", declared)]
    assert sent == declared


REFUSED: dict[str, tuple[Any, ...]] = {
    "temperature": (
        *(
            "0,3",
            "warm",
            "",
            True,
            [0.3],
            {"a": 1},
            None,
            -0.1,
            2.5,
            "1e-1",
            "0_3",
            "٣",
            " 1",
            "+1",
        ),
        *(float("nan"), float("inf"), "nan", "Infinity"),
    ),
    "top_k": ("many", 40.5, "40.5", -1, False, 10**400, ""),
    "top_p": (1.1, "90%", -1),
    "min_p": (5, "x"),
    "max_tokens": (0, -3, "all", 1.5),
    "num_keep": (-2, "some"),
    "repeat_last_n": (-2, "some"),
    "repeat_penalty": (0, -1, 3),
    "presence_penalty": (3, "x"),
    "frequency_penalty": (-3, "x"),
    "mirostat": (3, True, "on", 1.5),
    "mirostat_eta": (2, "x"),
    "mirostat_tau": (-1, "x"),
    "seed": ("random", 1.5, 2**32, True),
    "stop": ("END", "", [], [""], [["END"]], [None], 10, {"a": "END"}, ["\\"], ["\\x"]),
    "keep_alive": ("abc", "5 minutes", "1d", "", True, 0.5, [5], "-2"),
    "think": ("deep", 1, 0, "", ["high"], "High", None),
    "format": ("xml", "", [], {}, "[]", "{", 1, True, "null"),
}


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, values in REFUSED.items() for value in values],
    ids=lambda value: repr(value)[:30],
)
def test_a_value_that_breaks_every_answer_is_refused(name: str, value: Any) -> None:
    found = problem(name, value)
    assert found.where == f"ollamazure:presets[0].params.{name}"
    assert f"it is not {PARAMETERS[name].allowed}." in found.what


@pytest.mark.parametrize("name", PARAMETERS)
def test_each_fix_sets_an_allowed_value(name: str) -> None:
    parameter, path = PARAMETERS[name], f"ollamazure:presets[0].params.{name}"
    fix = problem(name, {"not": object.__name__} if name != "format" else 1).fix
    if parameter.is_list:
        remove = f"pulumi config rm --path '{path}' && "
        assert fix == f"{remove}pulumi config set --path '{path}[0]' {parameter.example}"
        parsed(name, [parameter.example])
    else:
        assert fix == f"pulumi config set --path '{path}' {parameter.example}"
        parsed(name, parameter.example)


@pytest.mark.parametrize("value", [True, "low"])
def test_a_model_that_cannot_think_is_not_asked_to(value: Any) -> None:
    found = problem("think", value, "llama3.2:1b")
    assert "llama3.2:1b does not think" in found.what
    assert found.fix == "pulumi config rm --path 'ollamazure:presets[0].params.think'"
    assert parsed("think", False, "llama3.2:1b") is False

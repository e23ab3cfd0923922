"""A command's outputs in the state, and what the user sees of it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from emulator.offline import command
from emulator.offline.command import LocalCommandResource, RemoteCommandResource
from emulator.offline.inputs import InvalidInputsError
from emulator.plugins.provider import FailedError
from emulator.plugins.values import UNKNOWN, Properties, Secret
from tests.unit.emulator.offline.fake_engine import Engine

pytestmark = pytest.mark.unit


def create(engine: Engine | None = None, **inputs: Any) -> Properties:
    checked = LocalCommandResource().check(inputs)
    return asyncio.run(LocalCommandResource().create((engine or Engine()).request(), checked))[1]


def update(old: Properties, **inputs: Any) -> Properties:
    checked = LocalCommandResource().check(inputs)
    return asyncio.run(LocalCommandResource().update(Engine().request(), old, checked))


def test_one_line_end_is_taken_off() -> None:
    outputs = create(create="printf 'a\\n\\n'; printf b >&2")
    assert (outputs["stdout"], outputs["stderr"]) == ("a\n", "b")


def test_an_update_runs_update_else_create_and_is_given_the_former_output() -> None:
    first = create(create="echo one")
    second = update(first, create="echo $PULUMI_COMMAND_STDOUT again")
    assert second["stdout"] == "one again"
    third = update(second, create="echo no", update="echo $PULUMI_COMMAND_STDOUT updated")
    assert third["stdout"] == "one again updated"
    alone = update(third, create="echo :$PULUMI_COMMAND_STDOUT:", addPreviousOutputInEnv=False)
    assert alone["stdout"] == "::"
    assert update(third, delete="echo later")["stdout"] == "one again updated"


def test_previews_tell_what_is_known() -> None:
    assert LocalCommandResource().preview({"create": "x"})["stdout"] is UNKNOWN
    old = {"create": "x", "stdin": "y", "stdout": "former", "stderr": ""}
    previewed = LocalCommandResource().preview_update(old, {"create": "z"})
    assert previewed == {"create": "z", "stdout": "former", "stderr": ""}


def test_without_a_command_nothing_is_run(tmp_path: Path) -> None:
    outputs = create(delete=f"touch {tmp_path / 'deleted'}")
    assert outputs["stdout"] == ""
    assert not list(tmp_path.iterdir())
    asyncio.run(LocalCommandResource().delete(Engine().request(), outputs))
    assert list(tmp_path.iterdir())


def test_lines_are_shown_as_they_end() -> None:
    engine = Engine()
    create(
        engine, create="printf 'on'; printf 'e\\ntwo\\nthree'; echo ' quiet' >&2", logging="stdout"
    )
    assert engine.messages == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"create": "echo a; exit 3"}, 'exit status 3: running "echo a; exit 3":\na\n'),
        ({"create": "kill -9 $$"}, 'signal: Killed: running "kill -9 $$":\n'),
        ({"create": "x", "interpreter": ["/nowhere/sh"]}, "cannot start /nowhere/sh in .: No such"),
        ({"create": "x", "dir": "/nowhere"}, "in /nowhere: No such file or directory"),
    ],
)
def test_how_a_command_fails(inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(FailedError) as failure:
        create(**inputs)
    assert message in str(failure.value)


def test_of_a_very_long_output_the_end_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_SHOWN", 1000)
    with pytest.raises(FailedError) as failure:
        create(create="head -c 20000 /dev/zero | tr '\\0' x; echo the end; exit 1")
    assert str(failure.value).endswith("the end\n")
    assert "[the first 19008 bytes are left out]" in str(failure.value)


def test_a_cancelled_command_is_killed() -> None:
    async def test() -> int:
        engine = Engine()
        running = asyncio.create_task(
            LocalCommandResource().create(engine.request(), {"create": "echo $$; exec sleep 600"})
        )
        while not engine.messages:
            await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        return int(engine.messages[0])

    with pytest.raises(ProcessLookupError):
        os.kill(asyncio.run(test()), 0)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"assetPaths": ["*"]}, "assetPaths: only the official plugin can do this"),
        ({"logging": "all"}, "logging: not one of"),
        ({"stdin": 3}, "stdin: a string is expected, not a number"),
        ({"interpreter": "sh"}, "interpreter: a list is expected, not a string"),
    ],
)
def test_what_is_refused(inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputsError, match=message):
        LocalCommandResource().check(inputs)


def test_a_connection_gets_its_defaults_and_is_secret() -> None:
    checked = RemoteCommandResource().check(
        {"connection": {"host": "h", "proxy": {"host": UNKNOWN}}}
    )
    defaults = {"port": 22, "user": "root", "dialErrorLimit": 10, "perDialTimeout": 15}
    assert checked["connection"] == Secret(
        {"host": "h", "proxy": {"host": UNKNOWN} | defaults} | defaults
    )
    unknown = RemoteCommandResource().check({"connection": UNKNOWN})
    assert unknown["connection"] == Secret(UNKNOWN)

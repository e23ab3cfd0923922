"""A command of a workflow stays signed in. With the real Pulumi: tests/engine/test_sign_in.py."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.github import GitHub
from tools import signed_in
from tools.signed_in import SignInError

READ_TOKEN = "import os; token = lambda: open(os.environ['AZURE_FEDERATED_TOKEN_FILE']).read()\n"
PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture
def github() -> Iterator[GitHub]:
    with GitHub() as server:
        yield server


@pytest.fixture
def environment(github: GitHub, tmp_path: Path) -> dict[str, str]:
    """The environment of a job that may sign in."""
    return {**os.environ, **github.environment, "RUNNER_TEMP": str(tmp_path)}


def python(script: str) -> list[str]:
    return [sys.executable, "-c", READ_TOKEN + script]


def test_a_command_is_signed_in_and_keeps_its_exit_code(
    github: GitHub, environment: dict[str, str], tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    script = (
        f"open({str(seen)!r}, 'w').write(token())\n"
        "mode = os.stat(os.environ['AZURE_FEDERATED_TOKEN_FILE']).st_mode\n"
        "raise SystemExit(mode & 0o077 or 7)"
    )
    assert signed_in.run(python(script), environment) == 7
    assert [seen.read_text()] == github.tokens
    assert [one.name for one in tmp_path.iterdir()] == ["seen"], "no token is left behind"


def test_a_long_command_always_finds_a_new_token(
    github: GitHub, environment: dict[str, str]
) -> None:
    """It ends only when it has read three different tokens."""
    script = (
        "import time\n"
        "seen, end = set(), time.monotonic() + 30\n"
        "while len(seen) < 3 and time.monotonic() < end: seen.add(token())\n"
        "raise SystemExit(len(seen) < 3)"
    )
    assert signed_in.run(python(script), environment, renew_seconds=0.01) == 0
    assert len(github.tokens) >= 3


def test_a_renewal_that_fails_is_tried_again_and_the_former_token_stays(
    github: GitHub, environment: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "token"
    token = signed_in.TokenFile(file, lambda: signed_in.github_token(environment))
    token.renew()
    github.outage = 3
    github.on_token = lambda number: token.stop() if number == 2 else None
    token.keep_fresh(0.01, 0.01)
    assert file.read_text() == github.tokens[1]
    assert capsys.readouterr().err.count("trying again") == 1


def test_an_outage_does_not_stop_the_first_sign_in(
    github: GitHub, environment: dict[str, str], tmp_path: Path
) -> None:
    """The step that closes SSH must not fail because GitHub does not answer once."""
    token = signed_in.TokenFile(tmp_path / "token", lambda: signed_in.github_token(environment))
    github.outage = signed_in.TRIES - 1
    token.renew_patiently(0.01)
    assert (tmp_path / "token").read_text() == github.tokens[0]

    github.outage = signed_in.TRIES
    with pytest.raises(SignInError, match="HTTP Error 503"):
        token.renew_patiently(0.01)
    environment["ACTIONS_ID_TOKEN_REQUEST_URL"] = "http://127.0.0.1:1/"
    with pytest.raises(SignInError, match="Connection refused"):
        token.renew_patiently(0.01)


def test_each_command_signs_in_by_itself(github: GitHub, environment: dict[str, str]) -> None:
    for _ in range(2):
        assert signed_in.run(["true"], environment) == 0
    assert len(set(github.tokens)) == 2


@pytest.mark.parametrize("missing", list(signed_in.NEEDED))
def test_nothing_starts_without_an_identity(
    missing: str, environment: dict[str, str], tmp_path: Path
) -> None:
    del environment[missing]
    with pytest.raises(SignInError, match=f"{missing} is not set: "):
        signed_in.run(["touch", str(tmp_path / "started")], environment)
    assert not (tmp_path / "started").exists()


def test_all_that_is_missing_is_named_at_once() -> None:
    with pytest.raises(SignInError) as raised:
        signed_in.run(["true"], {})
    assert str(raised.value).count(" is not set: ") == len(signed_in.NEEDED)


@pytest.mark.parametrize("answer", ["", "null", "[]", "{}", '{"value": ""}', '{"value": 1}', "<p>"])
def test_an_answer_without_a_token_starts_nothing(
    answer: str, github: GitHub, environment: dict[str, str], tmp_path: Path
) -> None:
    github.answer = answer
    with pytest.raises(SignInError, match="GitHub gives no token for Azure"):
        signed_in.run(["touch", str(tmp_path / "started")], environment)
    assert not (tmp_path / "started").exists()


def test_a_refusal_is_reported_without_the_request_token(
    github: GitHub, environment: dict[str, str]
) -> None:
    secret = environment["ACTIONS_ID_TOKEN_REQUEST_TOKEN"]
    environment["ACTIONS_ID_TOKEN_REQUEST_TOKEN"] = "of-another-job"
    done = subprocess.run(
        [sys.executable, "tools/signed_in.py", "true"],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "signed_in: GitHub gives no token for Azure: HTTPError: HTTP Error 401" in done.stderr
    assert "of-another-job" not in done.stdout + done.stderr
    assert secret not in done.stdout + done.stderr


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_cancelled_job_stops_the_command_and_waits_for_it(
    sent: signal.Signals, environment: dict[str, str]
) -> None:
    """Pulumi gets the time to write its state and to remove its lock."""
    script = (
        "import signal, sys\n"
        f"signal.signal({int(sent)}, lambda *_: sys.exit('cleaned up'))\n"
        "print('ready', flush=True)\n"
        "signal.pause()"
    )
    with subprocess.Popen(
        [sys.executable, "tools/signed_in.py", *python(script)],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(sent)
        _, errors = process.communicate()
    assert errors == "cleaned up\n"
    assert process.returncode == 1

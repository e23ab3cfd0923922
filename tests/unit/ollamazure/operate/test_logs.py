"""The journal that `ollamazure logs` reads, and that it prints no secret of the stack."""

from __future__ import annotations

import pytest

from ollamazure.operate import logs
from ollamazure.operate.logs import Unit, journal_command
from tests.unit.ollamazure.operate.fake_pulumi import OUTPUTS


@pytest.mark.parametrize(
    ("since", "option"),
    [("1h", "--since=-1h"), ("15 min", "'--since=-15 min'"), ("today", "--since=today")],
)
def test_a_span_ends_now(since: str, option: str) -> None:
    command = journal_command([Unit.NGINX], since, follow=False)
    assert command.startswith("sudo journalctl ")
    assert command.endswith(f"{option} --unit=nginx")


def test_following_starts_at_since_too() -> None:
    command = journal_command(list(Unit), "1h", follow=True)
    assert command.endswith(
        "--since=-1h --unit=ollama --unit=open-webui --unit=nginx --follow --no-tail"
    )


def test_an_argument_stays_one_word() -> None:
    assert "'--since=1; reboot'" in journal_command([Unit.NGINX], "1; reboot", follow=False)


def test_each_secret_is_masked_and_the_longer_one_first() -> None:
    secrets = logs.secrets_of(OUTPUTS)
    line = "a password of hers, a password, c2VjcmV0, admin@chat.local"
    masked = "[secret], [secret], [secret], admin@chat.local"
    assert logs.mask(line, secrets) == masked

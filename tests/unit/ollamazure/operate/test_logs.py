"""Which journal `make logs` asks for, and that no secret of the stack is printed."""

from __future__ import annotations

import pytest

from ollamazure.operate import logs
from tests.unit.ollamazure.operate.pulumi import OUTPUTS


@pytest.mark.parametrize(
    ("since", "told"),
    [("1h", "--since=-1h"), ("15 min", "'--since=-15 min'"), ("today", "--since=today")],
)
def test_a_span_ends_now(since: str, told: str) -> None:
    command = logs.journal(["nginx"], since, follow=False)
    assert command.startswith("sudo journalctl ")
    assert command.endswith(f"{told} --unit=nginx")


def test_following_begins_where_it_was_told() -> None:
    command = logs.journal(logs.UNITS, "1h", follow=True)
    assert command.endswith(
        "--since=-1h --unit=ollama --unit=open-webui --unit=nginx --follow --no-tail"
    )


def test_what_is_given_stays_one_word() -> None:
    assert "'--since=1; reboot'" in logs.journal(["nginx"], "1; reboot", follow=False)


def test_each_secret_is_masked_and_the_longer_one_first() -> None:
    secrets = logs.secrets_of(OUTPUTS)
    line = "a password of hers, a password, c2VjcmV0, admin@chat.local"
    masked = "[secret], [secret], [secret], admin@chat.local"
    assert logs.masked(line, secrets) == masked

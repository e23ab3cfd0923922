"""The options of a preview; tests/engine/test_compare.py runs whole checkouts."""

from __future__ import annotations

from pathlib import Path

import pytest

from ollamazure.review.checkout import Checkout

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("code", "options"),
    [
        (0, ()),
        (255, ("--config-path", "--config", "ollamazure:sshClients[0]=192.0.2.1")),
    ],
)
def test_only_a_stack_without_an_ssh_address_gets_one_for_documentation(
    code: int, options: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    pulumi = tmp_path / "bin" / "pulumi-local"
    pulumi.write_text(
        '#!/bin/sh\ncase "$*" in\n'
        f'*"config get --path ollamazure:sshClients[0] --stack dev") exit {code} ;;\nesac\nexit 1\n'
    )
    pulumi.chmod(0o755)
    assert Checkout(tmp_path).with_documentation_address("dev") == options

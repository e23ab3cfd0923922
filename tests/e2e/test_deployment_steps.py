"""The steps of deploy-stack.yml on a machine: its runner has another address than the operator."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.deployment import Deployment
from tests.engine.runner import Runner
from tests.github import GitHub

RUNNER, OPERATOR = "127.0.0.7", "127.0.0.1"


@pytest.mark.long
def test_ssh_is_open_for_the_runner_while_it_deploys(
    deployment: Deployment, tmp_path: Path
) -> None:
    assert not deployment.connects(22, source=RUNNER)
    with GitHub() as github:
        runner = Runner(tmp_path / "bin", deployment.home, deployment.stack, github, plan=False)
        runner.open_ssh()
        runner.deploy("Up")
        assert deployment.connects(22, source=RUNNER)

        runner.close_ssh()
    assert not deployment.connects(22, source=RUNNER)
    assert deployment.connects(22, source=OPERATOR)

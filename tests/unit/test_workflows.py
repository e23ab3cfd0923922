"""The rights, actions and commands of the workflows.

`make check` runs zizmor and actionlint on them too; these tests check what those do not.
"""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from emulator.artifacts import pins

PROJECT = Path(__file__).resolve().parents[2]
FOLDER = PROJECT / ".github"
FILES = sorted([*FOLDER.glob("workflows/*.yml"), *FOLDER.glob("actions/*/action.yml")])
READ_FILES = {"contents": "read"}
MAY_WRITE = {
    ("preview", "comment"): {"pull-requests": "write"},
    ("preview", "azure"): {"id-token": "write", "pull-requests": "write"},
    ("preview-azure", "preview"): {"id-token": "write"},
    ("preview-azure", "comment"): {"pull-requests": "write"},
    ("comment", "comment"): {"actions": "read", "pull-requests": "write"},
    ("deploy", "dev"): {"id-token": "write"},
    ("deploy", "prod"): {"id-token": "write"},
    ("deploy-stack", "up"): {"id-token": "write"},
    ("drift", "compare"): {"id-token": "write"},
    ("drift", "issue"): {"issues": "write"},
    ("audit", "issue"): {"issues": "write"},
    ("digests", "pull-request"): {"contents": "write", "pull-requests": "write"},
    ("recover", "recover"): {"id-token": "write"},
    ("release", "release"): {"contents": "write"},
}
FROM_HERE = "github.event.pull_request.head.repo.full_name == github.repository"


def workflows() -> dict[str, dict[Any, Any]]:
    """Every workflow by its file's name; YAML 1.1 takes the key `on` for true."""
    return {file.stem: yaml.safe_load(file.read_text()) for file in FOLDER.glob("workflows/*.yml")}


def jobs() -> list[Any]:
    return [
        pytest.param(workflow, name, job, id=f"{workflow}-{name}")
        for workflow, document in sorted(workflows().items())
        for name, job in document["jobs"].items()
    ]


def steps(document: dict[Any, Any]) -> Iterator[dict[str, Any]]:
    """The steps of a workflow or of an action."""
    for job in (document.get("jobs") or {"": document["runs"]}).values():
        yield from job.get("steps", ())


def commands(file: Path) -> list[str]:
    return [step["run"] for step in steps(yaml.safe_load(file.read_text())) if "run" in step]


@pytest.fixture(params=FILES, ids=lambda file: str(file.relative_to(FOLDER)))
def file(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_every_action_is_pinned_by_commit_with_its_version_beside(file: Path) -> None:
    for line in file.read_text().splitlines():
        if match := re.search(r"\buses:\s*(.+)", line):
            local = match[1].startswith("./")
            pinned = re.fullmatch(r"[\w.-]+(/[\w.-]+)+@[0-9a-f]{40} # v\d+\.\d+\.\d+", match[1])
            assert local or pinned, line
            assert not local or (PROJECT / match[1]).exists(), line


def test_an_action_has_one_version_everywhere() -> None:
    versions = defaultdict(set)
    for file in FILES:
        for action, version in re.findall(r"uses:\s*([\w./-]+)@(.+)", file.read_text()):
            versions[action].add(version)
    assert all(len(found) == 1 for found in versions.values()), dict(versions)


def test_containers_are_pinned_by_digest(file: Path) -> None:
    for image in re.findall(r"\bimage:\s*(\S+)", file.read_text()):
        assert re.fullmatch(r"\S+:\S+@sha256:[0-9a-f]{64}", image)


def test_a_workflow_has_no_rights_by_default() -> None:
    for name, document in workflows().items():
        assert document["permissions"] == {}, name


@pytest.mark.parametrize(("workflow", "name", "job"), jobs())
def test_a_job_has_the_rights_that_it_needs(workflow: str, name: str, job: dict[str, Any]) -> None:
    assert job["permissions"] == READ_FILES | MAY_WRITE.get((workflow, name), {})


def test_no_long_lived_secret_exists(file: Path) -> None:
    assert "secrets." not in file.read_text()
    assert "secrets:" not in file.read_text()


def test_no_text_of_a_pull_request_becomes_part_of_a_command(file: Path) -> None:
    for command in commands(file):
        assert "${{" not in command


def test_no_workflow_runs_for_a_pull_request_with_the_rights_of_main() -> None:
    triggers = {name: document[True] for name, document in workflows().items()}
    assert [name for name, on in triggers.items() if "pull_request_target" in on] == []
    assert [name for name, on in triggers.items() if "workflow_run" in on] == ["comment"]


def writers() -> list[Any]:
    """The jobs that may write to a pull request or an issue."""
    return [
        param
        for param in jobs()
        if {"pull-requests", "issues"} & set(param.values[2]["permissions"])
        and "steps" in param.values[2]
    ]


@pytest.mark.parametrize(("workflow", "name", "job"), writers())
def test_a_job_that_may_write_runs_only_code_of_the_base(
    workflow: str, name: str, job: dict[str, Any]
) -> None:
    """Neither its environment nor its code comes from a pull request."""
    for step in job["steps"]:
        if "run" in step:
            assert step["run"].startswith("python3 tools/post.py ")
        elif step["uses"].startswith("actions/checkout@"):
            base = "${{ github.event.pull_request.base.sha }}"
            wanted = base if workflow.startswith("preview") else None
            assert step["with"].get("ref") == wanted
        else:
            assert step["uses"].startswith("actions/download-artifact@")


def test_a_fork_gets_no_identity_and_no_token_that_writes() -> None:
    for name, job in workflows()["preview"]["jobs"].items():
        if set(job["permissions"].values()) != {"read"}:
            assert FROM_HERE in job["if"], name


@pytest.mark.parametrize(("workflow", "name", "job"), jobs())
def test_a_job_signs_in_to_azure_only_in_an_environment(
    workflow: str, name: str, job: dict[str, Any]
) -> None:
    """The rules of the environment (reviewers, branches) protect the identity."""
    if "id-token" in job["permissions"]:
        assert "environment" in job or job["uses"].startswith("./.github/workflows/")


SIGNS_IN = "python3 tools/signed_in.py "


@pytest.mark.parametrize(("workflow", "name", "job"), jobs())
def test_each_command_that_uses_azure_signs_in_itself(
    workflow: str, name: str, job: dict[str, Any]
) -> None:
    """So a step that runs for hours stays signed in, and so does each step after it."""
    if "id-token" in job["permissions"]:
        for step in job.get("steps", ()):
            assert "run" not in step or SIGNS_IN in step["run"], step["name"]
    else:
        assert SIGNS_IN not in str(job)
    assert "azure/login" not in str(job), "nothing renews its sign-in"


def test_the_action_signs_in_to_select_the_stack() -> None:
    *_, select = steps(yaml.safe_load((FOLDER / "actions/pulumi/action.yml").read_text()))
    assert select["run"].startswith(SIGNS_IN)


def test_a_deployment_that_is_out_of_time_still_closes_ssh() -> None:
    """Three models of an hour each fit; GitHub's own runners end a job after 360 minutes."""
    job = workflows()["deploy-stack"]["jobs"]["up"]
    (up,) = (step for step in job["steps"] if step.get("name") == "Up")
    assert up["run"].startswith("exec "), "GitHub sends the signal to the step's first process only"
    assert 3 * 60 < up["timeout-minutes"] <= job["timeout-minutes"] - 30
    assert job["timeout-minutes"] < 360


def test_recovery_is_started_by_hand_and_waits_for_the_stacks_deployment() -> None:
    recover = workflows()["recover"]
    assert list(recover[True]) == ["workflow_dispatch"]
    deployment = workflows()["deploy-stack"]["jobs"]["up"]
    assert recover["concurrency"] == deployment["concurrency"]
    assert recover["jobs"]["recover"]["environment"] == deployment["environment"]
    assert recover["jobs"]["recover"]["env"] == deployment["env"]
    stacks = recover[True]["workflow_dispatch"]["inputs"]["stack"]["options"]
    assert stacks == [name for name in workflows()["deploy"]["jobs"] if name != "stacks"]


def test_a_pull_request_runs_in_no_environment_that_deploys() -> None:
    environment = workflows()["preview-azure"]["jobs"]["preview"]["environment"]
    assert environment == "${{ inputs.stack }}-preview"


def test_two_runs_of_a_workflow_do_not_overlap() -> None:
    for name, document in workflows().items():
        called = list(document[True]) == ["workflow_call"]
        assert called or "concurrency" in document, name


def test_a_stack_has_one_deployment_at_a_time_and_none_is_cancelled() -> None:
    concurrency = workflows()["deploy-stack"]["jobs"]["up"]["concurrency"]
    assert concurrency == {"group": "stack-${{ inputs.stack }}", "cancel-in-progress": False}
    assert workflows()["deploy"]["concurrency"]["cancel-in-progress"] is False


def test_a_deployment_refreshes_first_and_closes_ssh_whatever_happened() -> None:
    run = [step for step in workflows()["deploy-stack"]["jobs"]["up"]["steps"] if "run" in step]
    assert [step["name"] for step in run] == [
        "Refresh",
        "Open SSH for this runner, in this checkout only",
        "Up",
        "Close SSH for all but the committed addresses",
    ]
    assert [step.get("if") for step in run] == [None, None, None, "always()"]


def test_a_checkout_leaves_no_token_behind(file: Path) -> None:
    for step in steps(yaml.safe_load(file.read_text())):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_the_commands_of_the_workflows_exist(file: Path) -> None:
    makefile = (PROJECT / "Makefile").read_text()
    for command in commands(file):
        for script in re.findall(r"(?:^|\s)((?:tools|bin|\.ci)/[\w.-]+)", command):
            assert (PROJECT / script).exists(), script
            assert script.endswith(".py") or (PROJECT / script).stat().st_mode & 0o100, script
        for module in re.findall(r"python -m ([\w.]+)", command):
            path = PROJECT / module.replace(".", "/")
            ours = path.with_suffix(".py").exists() or (path / "__main__.py").exists()
            assert ours or module == "pytest", module
        for target in re.findall(r"^make ([\w.-]+)", command, re.M):
            assert re.search(rf"^{re.escape(target)}:", makefile, re.M), target


def test_long_commands_are_scripts(file: Path) -> None:
    for command in commands(file):
        assert len(command.strip().splitlines()) <= 3, command


def test_the_pulumi_cli_is_the_pinned_one() -> None:
    (version,) = re.findall(
        r"pulumi-version: (\S+)", (FOLDER / "actions/pulumi/action.yml").read_text()
    )
    assert version == pins.PULUMI


def test_make_check_lints_the_workflows(tmp_path: Path) -> None:
    assert "\ttools/lint-workflows.sh\n" in (PROJECT / "Makefile").read_text()
    unpinned = tmp_path / "unpinned.yml"
    unpinned.write_text(
        "on: push\npermissions: {}\njobs: {a: {runs-on: ubuntu-24.04, steps: [{uses: a/b@v1}]}}\n"
    )
    zizmor = [str(PROJECT / ".venv/bin/zizmor"), "--quiet", "--offline", str(unpinned)]
    assert subprocess.run(zizmor, check=False, capture_output=True).returncode != 0

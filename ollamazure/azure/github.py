"""What GitHub has to know about a stack, and how GitHub names the repository."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator, Mapping

from ollamazure.azure.state_names import WorkflowIdentity


class GitHubError(Exception):
    """GitHub's name for the repository is unknown; the message gives the reason and the fix."""


def read_subject_prefix(repository: str) -> str:
    """How GitHub names a repository in the tokens of its jobs, as GitHub itself reports it.

    Repositories created, renamed or moved after July 2026 have the numbers of owner and repository
    in their name (repo:owner@1/name@2), so that the next owner of a name is not mistaken for them.
    Older ones are repo:owner/name unless they have changed over.

    Raises:
        GitHubError: `gh` failed, or the repository has a form of its own.
    """
    command = ["gh", "api", f"repos/{repository}/actions/oidc/customization/sub"]
    fix = (
        f"Look at `{shlex.join(command)}`, then give --subject-prefix, for example "
        f"repo:{repository} or repo:OWNER@1/NAME@2."
    )
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise GitHubError(f"the gh command is not installed to query GitHub. {fix}") from error
    if done.returncode:
        raise GitHubError(f"GitHub gives no answer: {done.stderr.strip()} {fix}")
    answer = json.loads(done.stdout)
    if not answer.get("use_default", True):
        raise GitHubError(f"{repository} has a form of its own for its name in tokens. {fix}")
    return str(answer.get("sub_claim_prefix") or f"repo:{repository}")


def environment_commands(
    repository: str, identity: WorkflowIdentity, variables: Mapping[str, str]
) -> Iterator[str]:
    """The commands that create the environments of an identity and set their variables."""
    for environment in identity.environments:
        yield from _create(f"repos/{repository}/environments/{environment}")
        about = f"--repo {repository} --env {environment}"
        for name, value in variables.items():
            yield f"gh variable set {name} {about} --body '{value}'"


def _create(path: str) -> Iterator[str]:
    """Only the environment of pull requests serves all branches."""
    put = f"gh api --method PUT {path}"
    if path.endswith("-preview"):
        yield put
        return
    policy = "deployment_branch_policy"
    rules = {"protected_branches": "false", "custom_branch_policies": "true"}
    yield " ".join([put, *(f"-F '{policy}[{rule}]={value}'" for rule, value in rules.items())])
    yield f"gh api --method POST {path}/deployment-branch-policies -f name=main"

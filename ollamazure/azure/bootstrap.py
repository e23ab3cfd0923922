"""What workflows need on Azure to deploy a stack: a place for its state, a key, two identities.

Each stack has its own, in the resource group `ollamazure-<stack>-state`: a storage account for
Pulumi's state, a vault with the key that encrypts the secrets in it, and two managed identities
that GitHub's jobs sign in as without a stored secret. One deploys; the other only reads, for
previews and for the nightly drift check. docs/how-to/bootstrap-azure.md lists their roles, and
docs/explanation/decisions/0016-permissions-of-the-workflows.md gives the reasons.

Everything is printed before it is created or changed. What exists is compared with what is wanted,
so a bootstrap may run again at any time. It must run twice: the two resource groups of a deployment
exist only after the first `pulumi up`, and Azure grants roles only on what exists.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ollamazure.azure.az import AzureCli, run_az
from ollamazure.azure.bootstrap_steps import plan_bootstrap, plan_teardown, run_step
from ollamazure.azure.github import environment_commands, read_subject_prefix
from ollamazure.azure.inventory import Inventory
from ollamazure.azure.stack_file import StackFile
from ollamazure.azure.state_names import StateNames


class BootstrapError(Exception):
    """The bootstrap or the teardown stops; the message gives the reason and the fix."""


def bootstrap(
    stack: str,
    folder: Path,
    repository: str,
    *,
    subject_prefix: str | None = None,
    yes: bool = False,
) -> None:
    """Create what is missing, set what differs, and print the next steps.

    Args:
        stack: its name.
        folder: where the stack's file is.
        repository: owner/name on GitHub.
        subject_prefix: how GitHub names the repository; by default GitHub is queried.
        yes: whether to go on without a question.

    Raises:
        AzError, BootstrapError, GitHubError, SettingsError: the message gives the reason.
    """
    if len(repository.split("/")) != 2:
        raise BootstrapError("--repository owner/name is the repository whose workflows deploy.")
    names = read_names(stack, folder)
    az = AzureCli(names.subscription)
    prefix = subject_prefix or read_subject_prefix(repository)
    account = run_az("account", "show", "--subscription", names.subscription)
    inventory = Inventory.query(az, names)
    steps = list(plan_bootstrap(names, inventory, prefix, _signed_in_person(account)))
    for step in steps:
        print(f"{step.state}  {step.what}")
    missing = [step for step in steps if not step.done]
    if missing:
        question = f"Create or change these {len(missing)} in {account['name']}? (yes)"
        if not (yes or confirm(question, "yes")):
            raise BootstrapError("nothing was changed.")
        for step in missing:
            doing = "changing" if step.exists else "creating"
            print(f"{doing} {step.what.strip()}", flush=True)
            run_step(az, names, step)
    print("\n".join(_next_steps(az, names, repository, account["tenantId"], inventory)))


def teardown(stack: str, folder: Path, *, yes: bool = False) -> None:
    """Delete what a bootstrap created; the arguments and errors are those of `bootstrap`."""
    names = read_names(stack, folder)
    az = AzureCli(names.subscription)
    inventory = Inventory.query(az, names)
    deployed, data = names.deployed_groups
    if deployed in inventory.groups:
        raise BootstrapError(
            f"{deployed} still exists, and without its state Pulumi could no longer remove it. "
            f"First: pulumi destroy --stack {names.stack}"
        )
    if names.group not in inventory.groups:
        raise BootstrapError(f"{names.group} does not exist; nothing to delete.")
    steps = list(plan_teardown(names, inventory))
    for step in steps:
        print(f"delete  {step.what}")
    if data in inventory.groups:
        print(f"stays   resource group {data} with the chats, which keepData kept")
    print(f"stays   GitHub's environments and their variables, and Pulumi.{names.stack}.yaml")
    if not (yes or confirm("To delete this, type the stack's name:", names.stack)):
        raise BootstrapError("nothing was deleted.")
    for step in steps:
        print(f"deleting {step.what}", flush=True)
        run_step(az, names, step)


def read_names(stack: str, folder: Path) -> StateNames:
    """The names of a stack's things; raises AzError, BootstrapError, SettingsError."""
    try:
        file = StackFile.read(stack, folder)
    except FileNotFoundError as error:
        raise BootstrapError(
            f"{error.filename} does not exist: create the stack's file first."
        ) from error
    account = run_az("account", "show", *file.subscription_arguments())
    settings = file.settings()
    return StateNames(
        account["id"],
        stack,
        settings.location,
        settings.network.subnet_id,
        file.backup_group(settings),
        has_schedule=settings.working_hours is not None,
    )


def _signed_in_person(account: Mapping[str, Any]) -> str | None:
    """The object id of the person who is signed in; None for a service principal."""
    if account["user"]["type"] != "user":
        return None
    return str(run_az("ad", "signed-in-user", "show")["id"])


def confirm(question: str, answer: str) -> bool:
    """Whether the person at the terminal types `answer`."""
    if not sys.stdin.isatty():
        raise BootstrapError("there is no terminal to ask at: --yes agrees beforehand.")
    return input(f"{question} ").strip() == answer


def _next_steps(
    az: AzureCli, names: StateNames, repository: str, tenant: str, inventory: Inventory
) -> Iterator[str]:
    """What a person does next: on GitHub, with Pulumi, and here again."""
    guide = "docs/how-to/continuous-deployment.md"
    yield from (
        "",
        f"Now on GitHub, in {repository} (protect the environments as {guide} says):",
        "",
    )
    for identity in names.identities:
        here = ("--resource-group", names.group)
        client = az.run("identity", "show", "--name", identity.name, *here)["clientId"]
        variables = {
            "AZURE_CLIENT_ID": client,
            "AZURE_TENANT_ID": tenant,
            "AZURE_SUBSCRIPTION_ID": names.subscription,
            "PULUMI_BACKEND_URL": names.backend,
            "PULUMI_SECRETS_PROVIDER": names.secrets_provider,
        }
        yield from (f"  {line}" for line in environment_commands(repository, identity, variables))
    missing = [group for group in names.deployed_groups if group not in inventory.groups]
    if missing:
        yield from (
            "",
            "Make the first deployment yourself: it needs rights that no workflow gets.",
            "",
            f"  pulumi login '{names.backend}'",
            f"  pulumi stack init {names.stack} --secrets-provider '{names.secrets_provider}'",
            f"  pulumi up --stack {names.stack}",
            f"  git add Pulumi.{names.stack}.yaml && git commit",
            "",
            "Then run this again. The identities get their roles on",
            f"{' and '.join(missing)} once these groups exist.",
        )

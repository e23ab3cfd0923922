"""bin/ollamazure: the operators' command line. Options are read here and nowhere else."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from ollamazure.azure import bootstrap, entra, preflight
from ollamazure.azure.az import AzError
from ollamazure.azure.github import GitHubError
from ollamazure.names import stack_of_file
from ollamazure.new import command as new_command
from ollamazure.new import wishes
from ollamazure.operate import (
    backup,
    drift,
    logs,
    people,
    personal_data,
    power,
    ssh,
    status,
    upgrade,
    usage,
)
from ollamazure.operate.pulumi import (
    EMULATED,
    PROJECT,
    OperateError,
    become_root,
    choose_pulumi,
    emulator_belongs_to_another,
)
from ollamazure.review import compare
from ollamazure.settings.problems import SettingsError

ERRORS = (
    AzError,
    bootstrap.BootstrapError,
    entra.EntraError,
    GitHubError,
    OperateError,
    SettingsError,
)

app = typer.Typer(
    name="ollamazure",
    help="Plan, prepare, check and look after a chat. Every command works on one stack.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def stack_names() -> list[str]:
    """The stacks that the project has files for; the shell completes them."""
    return sorted(filter(None, (stack_of_file(file.name) for file in PROJECT.iterdir())))


StackName = Annotated[
    str,
    typer.Option(
        "--stack",
        "-s",
        metavar="NAME",
        help="The stack, for example dev.",
        autocompletion=stack_names,
    ),
]
Emulated = Annotated[
    bool,
    typer.Option(
        "--emulated",
        help="Look on the emulated Azure. This is the default for the stack local and for a "
        "stack that only the emulated Azure has. Needs root: sudo asks for your password.",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before changes.")]


@app.command(
    "new",
    epilog="Exit codes: 0 the file is written; 1 nothing fits, the file exists, or nothing was "
    "chosen; 2 wrong options, or a wish that is impossible.",
)
def write_new_stack(  # noqa: PLR0913  an option each
    stack: Annotated[
        str, typer.Argument(metavar="STACK", help="The name of the new stack, for example team.")
    ],
    *,
    people: Annotated[
        str | None, typer.Option(metavar="NUMBER", help="How many people will use the chat.")
    ] = None,
    at_once: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER",
            help="How many of them wait for an answer at the same time. Default: a tenth.",
        ),
    ] = None,
    language: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LANGUAGE",
            help="A language that they write, by name or code; may be repeated. Default: English.",
        ),
    ] = None,
    documents: Annotated[
        str | None,
        typer.Option(
            metavar="yes|no", help="Whether they ask about documents that they upload. Default: no."
        ),
    ] = None,
    location: Annotated[
        str | None, typer.Option(metavar="REGION", help="Azure region. Default: francecentral.")
    ] = None,
    budget: Annotated[
        str | None, typer.Option(metavar="DOLLARS", help="What a month may cost, in US dollars.")
    ] = None,
    gpu: Annotated[
        str | None,
        typer.Option(metavar="yes|no|either", help="Whether it has a GPU. Default: either."),
    ] = None,
    ssh_client: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Public IPv4 address that you deploy from; SSH is open to no other.",
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Ask nothing, and take the first proposal.")
    ] = False,
) -> None:
    """Propose models and a machine for a team, and write the stack file.

    Asks what the options do not say. Needs no account and no deployment, and never overwrites a
    file. Figures are marked as measured, calculated or estimated.
    """
    given = {
        "people": people,
        "atOnce": at_once,
        "languages": language
        and [part for text in language for part in wishes.from_text("languages", text)],
        "documents": documents,
        "location": location,
        "budget": budget,
        "gpu": gpu,
        "sshClient": ssh_client,
    }
    known = {key: value for key, value in given.items() if value is not None}
    with errors_exit("new", 1):
        raise typer.Exit(new_command.run(stack, known, yes=yes, folder=PROJECT))


@app.command(
    "preflight",
    epilog="Exit codes: 0 no problem; 1 at least one problem; 2 wrong options.",
)
def check_azure(stack: StackName) -> None:
    """Check what Azure would refuse, before a deployment. Only reads.

    Checks the settings, the SSH addresses, your sign-in, the subscription, the VM size, the quota
    and the DNS label. Prints the commands that fix each problem.
    """
    raise typer.Exit(preflight.run(stack, PROJECT))


@app.command(
    "status",
    epilog="Exit codes: 0 healthy; 1 something needs attention; 2 the machine cannot be queried, "
    "or wrong options; 3 the machine is off outside its working hours.",
)
def show_status(
    stack: StackName,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print it as JSON, for programs (docs/reference/status.md)."),
    ] = False,
    emulated: Emulated = False,
) -> None:
    """Show the state of the chat and its machine on one screen. Only reads."""
    with errors_exit("status", 2):
        raise typer.Exit(status.run(stack, pulumi_for(stack, emulated), as_json=as_json))


@app.command(
    "logs",
    epilog="Exit codes: 0 printed, also after Ctrl-C; 2 the machine cannot be queried, or wrong "
    "options; otherwise that of the command on the machine.",
)
def show_logs(  # noqa: PLR0913  an option each
    stack: StackName,
    *,
    unit: Annotated[
        list[logs.Unit] | None,
        typer.Option(
            "--unit",
            "-u",
            metavar="SERVICE",
            help="ollama, open-webui or nginx; may be repeated. Default: all three.",
        ),
    ] = None,
    since: Annotated[
        str,
        typer.Option(
            metavar="WHEN",
            help='A span (15min, 1h, 2d) or a moment (today, "2027-01-31 09:00").',
        ),
    ] = "1h",
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with new lines until Ctrl-C.")
    ] = False,
    audit: Annotated[
        bool,
        typer.Option(
            "--audit",
            help="Print the audit log of the chat instead: who signed in, and who changed what.",
        ),
    ] = False,
    emulated: Emulated = False,
) -> None:
    """Print what the services on the machine have logged. Only reads; secrets are masked."""
    if audit and (unit or follow):
        raise typer.BadParameter("It has no services and cannot be followed.", param_hint="--audit")
    command = (
        logs.audit_command(since)
        if audit
        else logs.journal_command(unit or list(logs.Unit), since, follow=follow)
    )
    with errors_exit("logs", 2):
        raise typer.Exit(logs.run(stack, pulumi_for(stack, emulated), command))


@app.command(
    "ssh",
    # As with ssh itself, options after the first word of the command belong to the command.
    context_settings={"allow_interspersed_args": False},
    epilog="Exit codes: that of the command or of the session; 2 the session cannot be started, "
    "or wrong options.",
)
def open_session(
    stack: StackName,
    command: Annotated[
        list[str] | None, typer.Argument(help="A command to run there instead of a session.")
    ] = None,
    emulated: Emulated = False,
) -> None:
    """Open a session on the machine, or run one command there.

    Pulumi has the keys: no key file is needed, and none is written.
    """
    with errors_exit("ssh", 2):
        raise typer.Exit(ssh.run(stack, pulumi_for(stack, emulated), command or []))


@app.command(
    "drift",
    epilog="Exit codes: 0 no drift; 1 drift; 2 no drift found, but Azure or the machine cannot be "
    "queried, or wrong options; 3 no drift in Azure, and the machine is off outside its working "
    "hours.",
)
def find_drift(
    stack: StackName,
    markdown: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", resolve_path=True, help="Also write the report there, in Markdown."
        ),
    ] = None,
    emulated: Emulated = False,
) -> None:
    """Find what was changed by hand, in Azure and on the machine. Only reads.

    Prints the commands that restore what was declared.
    """
    with errors_exit("drift", 2):
        raise typer.Exit(drift.run(stack, pulumi_for(stack, emulated), markdown))


@app.command(
    "start",
    epilog="Exit codes: 0 the chat answers; 1 not confirmed; 2 Azure does not start the machine, "
    "the chat does not answer, or wrong options.",
)
def start_machine(stack: StackName, yes: Yes = False, emulated: Emulated = False) -> None:
    """Start the machine, and wait until the chat answers.

    A machine that runs stays as it is. Needs `az`, signed in; with the setting workingHours the
    schedule stops the machine again.
    """
    with errors_exit("start", 2):
        raise typer.Exit(power.start(stack, pulumi_for(stack, emulated), yes=yes))


@app.command(
    "stop",
    epilog="Exit codes: 0 the machine is stopped; 1 not confirmed; 2 Azure does not stop it, or "
    "wrong options.",
)
def stop_machine(stack: StackName, yes: Yes = False, emulated: Emulated = False) -> None:
    """Stop the machine, so that Azure bills only disks and addresses.

    Chats, files and models are kept. Needs `az`, signed in; with the setting workingHours the
    schedule starts the machine again.
    """
    with errors_exit("stop", 2):
        raise typer.Exit(power.stop(stack, pulumi_for(stack, emulated), yes=yes))


@app.command(
    "undo-upgrade",
    epilog="Exit codes: 0 done; 1 not confirmed; 2 the machine cannot be queried or keeps no such "
    "data, or wrong options.",
)
def undo_upgrade(stack: StackName, yes: Yes = False, emulated: Emulated = False) -> None:
    """Go back to the version and the data of Open WebUI before its last upgrade.

    All chats since the upgrade are lost. An upgrade that fails goes back by itself.
    """
    with errors_exit("undo-upgrade", 2):
        raise typer.Exit(upgrade.undo(stack, pulumi_for(stack, emulated), yes=yes))


@app.command(
    "backup",
    epilog="Exit codes: 0 done; 1 the backup is not complete, or there is none to list; 2 the "
    "machine cannot be queried, or wrong options.",
)
def make_backup(
    stack: StackName,
    action: Annotated[
        backup.Action,
        typer.Argument(
            help="now: make a backup; list: print the times of the backups; key: print their key, "
            "without which they cannot be read, to keep it elsewhere."
        ),
    ] = backup.Action.NOW,
    *,
    check: Annotated[
        bool,
        typer.Option("--check", help="With now: also check it, as each week."),
    ] = False,
    emulated: Emulated = False,
) -> None:
    """Make a backup while people chat, or list the backups, or print their key."""
    if check and action != backup.Action.NOW:
        raise typer.BadParameter("Only a new backup is checked.", param_hint="--check")
    with errors_exit("backup", 2):
        pulumi = pulumi_for(stack, emulated)
        match action:
            case backup.Action.NOW:
                raise typer.Exit(backup.make(stack, pulumi, check=check))
            case backup.Action.LIST:
                raise typer.Exit(backup.print_list(stack, pulumi))
            case backup.Action.KEY:
                raise typer.Exit(backup.print_key(stack, pulumi))


@app.command(
    "restore",
    epilog="Exit codes: 0 the chat answers with the data of the backup; 1 it does not, and the "
    "reason is printed; 2 the machine cannot be reached, or wrong options.",
)
def restore_backup(  # noqa: PLR0913  an option each
    stack: StackName,
    *,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help='The newest backup that is not after this time in UTC: "2027-01-31 09:00" or '
            "2027-01-31. Default: the newest.",
        ),
    ] = None,
    other_key: Annotated[
        bool,
        typer.Option(
            "--other-key",
            help="Another stack made the backups: read its key from standard input.",
        ),
    ] = False,
    undo: Annotated[
        bool, typer.Option("--undo", help="Bring back the data that the last restore replaced.")
    ] = False,
    yes: Yes = False,
    emulated: Emulated = False,
) -> None:
    """Bring the chat back to a backup, on the same machine or on a new one.

    Replaces chats, users and files; the present ones are kept for seven days. The chat is
    unavailable for some minutes.
    """
    if undo and (at or other_key):
        raise typer.BadParameter("It takes neither a time nor a key.", param_hint="--undo")
    key = read_key() if other_key else ""  # before the question, which also reads standard input
    if not yes:
        typer.confirm(f"Replace all chats, users and files of the stack {stack}?", abort=True)
    with errors_exit("restore", 2):
        pulumi = pulumi_for(stack, emulated)
        if undo:
            raise typer.Exit(backup.undo_restore(stack, pulumi))
        raise typer.Exit(backup.restore(stack, pulumi, at, key))


def read_key() -> str:
    """The key of backups, from standard input; a terminal does not show it."""
    return (getpass.getpass("Key: ") if sys.stdin.isatty() else sys.stdin.readline()).strip()


@app.command(
    "people",
    epilog="Exit codes: 0 done; 1 not confirmed, or no message would help one of the people, and "
    "the reason is printed; 2 the machine cannot be queried, or wrong options.",
)
def look_after_people(  # noqa: PLR0913  an option each
    stack: StackName,
    action: Annotated[
        people.PeopleAction,
        typer.Argument(
            help="list: print the declared users; invite: make the message for each person, with "
            "the initial password; reset: give one person another password; export: write all that "
            "one account has to an archive; erase: delete one account with all that it has."
        ),
    ] = people.PeopleAction.LIST,
    emails: Annotated[
        list[str] | None, typer.Argument(metavar="EMAIL", help="Of the people.")
    ] = None,
    *,
    everyone: Annotated[
        bool, typer.Option("--all", help="With invite: all who need a message.")
    ] = False,
    to: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            resolve_path=True,
            help="Write each message, or the archive of export, to a file there that only you can "
            "read. Default: print the messages, on a terminal only.",
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="With invite: also if a message was made before.")
    ] = False,
    yes: Yes = False,
    emulated: Emulated = False,
) -> None:
    """List the declared users, hand out their accounts, reset a password, export or erase a person.

    The list shows the state of each account, when it was last used, its second factor, when a
    message was made, and its groups.
    """
    given = [email.lower() for email in emails or []]
    check_people(action, len(given), everyone)
    if action == people.PeopleAction.EXPORT and to is None:
        raise typer.BadParameter("export needs a folder for the archive.", param_hint="--to")
    with errors_exit("people", 2):
        pulumi = pulumi_for(stack, emulated)
        match action:
            case people.PeopleAction.LIST:
                raise typer.Exit(people.print_people(stack, pulumi))
            case people.PeopleAction.INVITE:
                raise typer.Exit(people.invite(stack, pulumi, given, to, again=again))
            case people.PeopleAction.RESET:
                raise typer.Exit(people.reset(stack, pulumi, given[0], to, yes=yes))
            case people.PeopleAction.EXPORT if to:
                raise typer.Exit(personal_data.export(stack, pulumi, given[0], to))
            case people.PeopleAction.ERASE:
                raise typer.Exit(personal_data.erase(stack, pulumi, given[0], yes=yes))


def check_people(action: people.PeopleAction, given: int, everyone: bool) -> None:
    """Raise typer.BadParameter if this number of e-mails does not fit the action and --all."""
    if everyone and (action != people.PeopleAction.INVITE or given):
        raise typer.BadParameter("It is for invite, without e-mails.", param_hint="--all")
    if action == people.PeopleAction.LIST and given:
        raise typer.BadParameter("list takes none.", param_hint="EMAIL")
    if action == people.PeopleAction.INVITE and not given and not everyone:
        raise typer.BadParameter("Whom? Give e-mails, or --all.", param_hint="EMAIL")
    for_one = (people.PeopleAction.RESET, people.PeopleAction.EXPORT, people.PeopleAction.ERASE)
    if action in for_one and given != 1:
        raise typer.BadParameter(f"{action} takes one.", param_hint="EMAIL")


@app.command(
    "usage",
    epilog="Exit codes: 0 printed; 2 the machine cannot be queried, or wrong options.",
)
def show_usage(  # noqa: PLR0913  an option each
    stack: StackName,
    *,
    by: Annotated[
        usage.Period, typer.Option(help="Add up days, weeks (from Monday) or months, in UTC.")
    ] = usage.Period.MONTH,
    since: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"],
            metavar="DAY",
            help="The first day, 2027-01-01. Default: the first that is stored.",
        ),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], metavar="DAY", help="The last day, 2027-01-31. Default: today."
        ),
    ] = None,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print CSV for a spreadsheet, with the users' names.")
    ] = False,
    emulated: Emulated = False,
) -> None:
    """Show tokens and answers by user and model over time. Only reads.

    These are personal data: docs/how-to/usage.md says what is counted, and what to tell users.
    """
    if since and until and since > until:
        raise typer.BadParameter("It is before --since.", param_hint="--until")
    with errors_exit("usage", 2):
        pulumi = pulumi_for(stack, emulated)
        wanted = usage.Wanted(by, since, until)
        raise typer.Exit(usage.print_usage(stack, pulumi, wanted, as_csv=as_csv))


@app.command(
    "preview",
    epilog="Exit codes: 0 previewed; 2 no preview was possible, or wrong options; otherwise that "
    "of `pulumi preview`.",
)
def preview_changes(
    stack: StackName,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="REF",
            help="Compare with the commit where this branch left REF, for example main. Default: "
            "compare with what is deployed on the emulated Azure.",
        ),
    ] = None,
    diff: Annotated[bool, typer.Option("--diff", help="Also print Pulumi's own diff.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            resolve_path=True,
            help="Write a comment for a pull request there, in Markdown.",
        ),
    ] = None,
) -> None:
    """Show what this folder would change, in plain words.

    Previews on the emulated Azure, which needs no account.
    """
    with errors_exit("preview", 2):
        # Only what is deployed on the emulated Azure of this folder can belong to root.
        if not base and emulator_belongs_to_another():
            become_root()
        os.chdir(PROJECT)
        raise typer.Exit(compare.run(stack, base=base, diff=diff, output=output))


@app.command(
    "bootstrap",
    epilog="Exit codes: 0 done; 1 nothing more was created or deleted; 2 wrong options.",
)
def bootstrap_workflows(
    stack: StackName,
    repository: Annotated[
        str, typer.Option(metavar="OWNER/NAME", help="The repository whose workflows deploy.")
    ] = "",
    subject_prefix: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="How GitHub names the repository in tokens, for example repo:owner@1/name@2. "
            "Default: GitHub is queried.",
        ),
    ] = None,
    remove: Annotated[
        bool, typer.Option("--teardown", help="Delete it again, after `pulumi destroy`.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Create what GitHub's workflows need on Azure.

    Creates a place for Pulumi's state, a key, and two identities. Prints everything first, then
    asks. What exists stays as it is.
    """
    with errors_exit("bootstrap", 1):
        if remove:
            bootstrap.teardown(stack, PROJECT, yes=yes)
        else:
            bootstrap.bootstrap(stack, PROJECT, repository, subject_prefix=subject_prefix, yes=yes)


@app.command(
    "sign-in",
    epilog="Exit codes: 0 done; 1 nothing more was created, changed or deleted; 2 wrong options.",
)
def set_up_sign_in(  # noqa: PLR0913  an option each
    stack: StackName,
    provider: Annotated[
        entra.Provider, typer.Argument(help="entra: Microsoft Entra ID.")
    ] = entra.Provider.ENTRA,
    *,
    domain: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DOMAIN",
            help="Only users whose e-mail is in this domain can sign in; may be repeated. Default: "
            "that of the settings, else that of your own e-mail.",
        ),
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A group of ollamazure:groups whose members Entra names; may be repeated.",
        ),
    ] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Delete the application and the settings again.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Let users sign in with an account of the organisation.

    Registers the chat at the provider with `az`, and writes the settings of signIn. Prints
    everything first, with its commands, then asks. What exists stays, so it may run again.
    """
    del provider  # there is one
    if remove and (domain or group):
        raise typer.BadParameter("It takes neither domains nor groups.", param_hint="--remove")
    with errors_exit("sign-in", 1):
        if remove:
            entra.remove(stack, PROJECT, yes=yes)
        else:
            entra.register(stack, PROJECT, domain or (), group or (), yes=yes)


@contextmanager
def errors_exit(command: str, code: int) -> Iterator[None]:
    """End with this exit code when the command cannot do its work, and print the reason."""
    try:
        yield
    except ERRORS as error:
        print(f"{command}: {error}", file=sys.stderr)
        raise typer.Exit(code) from None


def pulumi_for(stack: str, emulated: bool) -> str:
    """The Pulumi CLI that has the stack; for the emulated Azure this process becomes root."""
    pulumi = choose_pulumi(stack, emulated=emulated)
    if pulumi == EMULATED:
        become_root()
    return pulumi


def main() -> None:
    """Run the command line under its own name."""
    app(prog_name="ollamazure")


if __name__ == "__main__":
    main()

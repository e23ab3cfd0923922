"""The one place that makes a command on the machine.

The script of a command, with the files it installs, goes in by standard input: a preview shows its
changes line by line, and a failure prints only the short command and what the script said. Secrets
are in there, too, and make it secret as a whole.

Facts this file stands on (pulumi-command 1.2.1): `triggers` alone replaces, every other change is
an update that runs `create` again; `create`, standard output and standard error of a command that
fails are printed.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
import pulumi
from pulumi_command import remote

GUEST = Path(__file__).resolve().parent.parent / "guest"
TOOLS = "/usr/local/lib/ollamazure"
# Each command remembers below this folder what it installed: what `make drift` compares with.
INSTALLED = "/etc/ollamazure/installed"

_END_OF_FILE = "END_OF_FILE"
_END_OF_SECRETS = "END_OF_SECRETS"

_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(GUEST),
    undefined=jinja2.StrictUndefined,
    keep_trailing_newline=True,
    trim_blocks=True,
    lstrip_blocks=True,
    autoescape=False,  # noqa: S701  configuration files and shell, never HTML
)

# What the login shell of the admin user runs. The script is kept in memory, because it may hold
# secrets. The lock is for the run before this one, which may still be at work when only its
# connection broke.
_COMMAND = """\
set -eu
script=$(mktemp -p /dev/shm)
trap 'rm -f "$script"' EXIT
cat >"$script"
sudo install -d -m 0755 /run/ollamazure
sudo flock --close {lock} bash "$script"
"""

_SCRIPT = """\
# ollamazure: {name}, on the machine {machine}{reapplied}
set -euo pipefail
umask 022

on_exit() {{
    local code=$?
    if [ "$code" = 0 ]; then
        rm -f "$installed/unfinished"
    else
        $known || rm -rf "$installed"
        printf 'ollamazure: %s failed (code %s). %s\\n' {quoted_name} "$code" {fix} >&2
    fi
}}
trap on_exit EXIT

# What this command remembers of what it did: guest/usr/local/lib/ollamazure/drift.py reads it.
installed={installed}
known=$([ -d "$installed" ] && echo true || echo false)
install -d -m 0755 "$installed"
: >"$installed/files"
# Pulumi forgets an update that failed: settings that are taken back then run nothing again. It
# forgets as well what failed the first time, and then there is nothing to compare.
: >"$installed/unfinished"
{functions}
"""

_PUT_FILE = """
# put PATH MODE [SUFFIX]: standard input becomes the file PATH, whole or not at all. With SUFFIX it
# is written beside it, for a script that checks it before it takes its place.
put() {
    local path=$1${3-} new=$1.new
    install -d -m 0755 "${path%/*}"
    install -m 0600 /dev/null "$new"
    cat >"$new"
    chmod "$2" "$new"
    # A file that is right already keeps its time, which start_with in lib.sh goes by.
    ! cmp --silent "$new" "$path" || touch --reference "$path" "$new"
    printf '%s %s %s\\n' "$2" "$(sha256sum "$new" | cut -d ' ' -f 1)" "$1" >>"$installed/files"
    mv -f "$new" "$path"
}
"""

_SECRET = """
# secret KEY: prints one secret.
secrets=$(cat <<'{end}'
{secrets}
{end}
)
secret() {{
    printf '%s' "$secrets" |
        python3 -c 'import json, sys; sys.stdout.write(json.load(sys.stdin)[sys.argv[1]])' "$1"
}}
"""  # noqa: S105  a script that reads them

_DEFAULT_FIX = "Fix what the lines above name, then run `pulumi up` again: it goes on from here."


@dataclass(frozen=True)
class Target:
    """The machine that commands run on.

    Attributes:
        connection: where and how to sign in, with the host key pinned.
        identity: the machine's `vmId`; a new one runs every command again.
        vm: the resource that commands vanish with.
        ready: what must be there before the first command of an application.
        reapply: any text; another one runs every command again, too.
    """

    connection: remote.ConnectionArgs
    identity: pulumi.Output[str]
    vm: pulumi.Resource
    ready: Sequence[pulumi.Resource] = ()
    reapply: str | None = None


@dataclass(frozen=True)
class File:
    """A file of the machine, whose source lies at the same path below `guest/`.

    Attributes:
        path: absolute path on the machine; `guest/PATH` or, a template, `guest/PATH.j2`.
        mode: octal permissions; the owner is root.
        values: what the template is rendered with; outputs are allowed.
        suffix: written to PATH + suffix, for a script that checks it before it takes its place.
    """

    path: str
    mode: str = "0644"
    values: Mapping[str, pulumi.Input[Any]] = field(default_factory=dict)
    suffix: str = ""


# What speaks with Open WebUI, for every command that has something to tell it.
WEBUI_TOOLS = (
    File(f"{TOOLS}/webui.py", "0755"),
    File(f"{TOOLS}/webui_accounts.py"),
    File(f"{TOOLS}/webui_client.py"),
    File(f"{TOOLS}/webui_items.py"),
    File(f"{TOOLS}/webui_workspace.py"),
)


class RemoteCommand(remote.Command):
    """A command on the machine, with the digest of what it does.

    Attributes:
        digest: SHA-256 (hex) of the script with its files; secrets are not in it.
    """

    digest: pulumi.Output[str]


def run_on_machine(  # noqa: PLR0913  what a command may need, all by name but two
    name: str,
    target: Target,
    *,
    script: pulumi.Input[str],
    files: Sequence[File] = (),
    secrets: Mapping[str, pulumi.Input[str]] | None = None,
    shown_input: str = "",
    show_output: bool = False,
    delete: str | None = None,
    fix: str = _DEFAULT_FIX,
    timeout: str = "30m",
    opts: pulumi.ResourceOptions | None = None,
) -> RemoteCommand:
    """Run `script` as root on the machine whenever it, a file, a secret or the machine changes.

    A new machine is an update, not a replacement: that would first run `delete` on the old one and
    fail when it is gone.

    Args:
        name: of the resource and of its lock on the machine.
        target: the machine.
        script: bash, safe to run again at any moment, also half way.
        files: written before the script runs.
        secrets: what the script reads with `secret KEY`.
        shown_input: a line that the script finds on its standard input; a preview shows it where
            `secrets` hide the script. It is printed when the command fails.
        show_output: while it runs, although there are secrets; what is stored of it is secret then.
        delete: a command line that undoes it; not run when the machine itself goes.
        fix: what to do when it fails, the last line of its output.
        timeout: of one run, waiting for the machine included (Go duration).
        opts: of the resource; `parent` above all.

    Raises:
        ValueError: a file holds the word that ends it.
    """
    shown = secrets is None or show_output
    content = pulumi.Output.all(
        script=script, values=[file.values for file in files], machine=target.identity
    )
    plain = content.apply(
        lambda known: render_script(
            name,
            known["script"],
            render_files(files, known["values"]),
            machine=known["machine"],
            reapply=target.reapply,
            fix=fix,
        )
    )
    step = RemoteCommand(
        name,
        connection=target.connection,
        create=command(name, shown_input),
        delete=None if delete is None else _undo(name, delete),
        stdin=plain if secrets is None else _with_secrets(plain, secrets),
        logging=remote.Logging.STDOUT_AND_STDERR if shown else remote.Logging.NONE,
        add_previous_output_in_env=False,
        opts=pulumi.ResourceOptions.merge(
            opts,
            pulumi.ResourceOptions(
                depends_on=list(target.ready),
                deleted_with=target.vm,
                additional_secret_outputs=None if secrets is None else ["stdout", "stderr"],
                custom_timeouts=pulumi.CustomTimeouts(create=timeout, update=timeout, delete="10m"),
            ),
        ),
    )
    step.digest = plain.apply(_sha256)
    return step


class Lanes:
    """Lets only so many commands run at once: each waits for the one before it in its lane.

    A command that comes or goes changes nothing about the others but what they wait for, which no
    preview shows.
    """

    def __init__(self, width: int, after: Sequence[pulumi.Resource] = ()) -> None:
        """`width` lanes, each beginning when `after` is there."""
        self._lanes = [list(after) for _ in range(width)]
        self._turn = itertools.cycle(self._lanes)

    def add(self, make: Callable[[list[pulumi.Resource]], RemoteCommand]) -> RemoteCommand:
        """The command that `make` makes when told what it has to wait for."""
        lane = next(self._turn)
        step = make(list(lane))
        lane[:] = [step]
        return step


def digest_of(steps: Sequence[RemoteCommand]) -> pulumi.Output[str]:
    """One SHA-256 (hex) for all that `steps` do: it changes when one of them does."""
    return pulumi.Output.all(*[step.digest for step in steps]).apply(
        lambda digests: _sha256("".join(digests))
    )


def secret_json(values: Mapping[str, pulumi.Input[Any]]) -> pulumi.Output[str]:
    """`values` as one JSON text that the engine keeps secret."""
    text: pulumi.Output[Any] = pulumi.Output.json_dumps(values)
    return pulumi.Output.secret(text)


def machine_files(mirror: str | None) -> list[File]:
    """What the applications' commands find on a machine that is ready.

    Args:
        mirror: HOST:PORT that stands in for the container registries, or None.
    """
    return [
        File(f"{TOOLS}/lib.sh"),
        File(f"{TOOLS}/machine-ready", "0755"),
        File(f"{TOOLS}/model.py", "0755"),
        File(f"{TOOLS}/drift.py", "0755"),
        File(f"{TOOLS}/status.py", "0755"),
        *WEBUI_TOOLS,
        File("/etc/containers/systemd/mynet.network"),
        File("/etc/containers/registries.conf.d/ollamazure.conf", values={"mirror": mirror}),
    ]


def render_files(
    files: Sequence[File], values: Sequence[Mapping[str, Any]]
) -> list[tuple[File, str]]:
    """Each file with its content, templates filled in with the known `values`."""
    return [
        (file, render_file(file.path, **known)) for file, known in zip(files, values, strict=True)
    ]


def render_file(path: str, **values: Any) -> str:
    """Content of the machine's file `path`, from `guest/`.

    Raises:
        jinja2.TemplateNotFound: neither the file nor its template exists.
        jinja2.UndefinedError: the template needs a value that was not given.
    """
    source = path.removeprefix("/")
    if (GUEST / source).is_file():
        return (GUEST / source).read_text()
    return _ENVIRONMENT.get_template(f"{source}.j2").render(values)


def command(name: str, shown_input: str = "") -> str:
    """What the login shell runs for the command `name`: it takes the script from standard input.

    `shown_input` stands first: a preview cuts off what comes after the third line.
    """
    line = _COMMAND.format(lock=_lock(name))
    if not shown_input:
        return line
    *lines, last = line.splitlines()
    first = f"input={shlex.quote(shown_input)}"
    return "\n".join([first, *lines, f"printf '%s\\n' \"$input\" | {last}", ""])


def here(text: str, what: str = "the input") -> str:
    """A here-document with `text`, which ends a line of shell.

    Args:
        text: any text; one that does not end a line gets an end.
        what: that it is, for the error.

    Raises:
        ValueError: a line of it is the word that ends it.
    """
    body = _without(_END_OF_FILE, _lines(text), what)
    return f"<<'{_END_OF_FILE}'\n{body}{_END_OF_FILE}\n"


def render_script(  # noqa: PLR0913  as `run_on_machine`
    name: str,
    script: str,
    files: Sequence[tuple[File, str]] = (),
    *,
    machine: str,
    reapply: str | None = None,
    fix: str = _DEFAULT_FIX,
) -> str:
    """The script of one command: pure, readable, and the same for the same input.

    Raises:
        ValueError: see `run_on_machine`.
    """
    head = _SCRIPT.format(
        name=name,
        machine=machine,
        reapplied=f", again: {json.dumps(reapply)}" if reapply else "",
        installed=_installed(name),
        quoted_name=shlex.quote(name),
        fix=shlex.quote(fix),
        functions=_PUT_FILE,
    )
    return head + "".join(_put(file, content) for file, content in files) + _lines(script)


def add_secrets(script: str, secrets: str) -> str:
    """The script with `secrets`, one line of JSON, at its head, where `secret KEY` reads them."""
    return _SECRET.format(secrets=secrets, end=_END_OF_SECRETS) + script


def _with_secrets(
    script: pulumi.Output[str], secrets: Mapping[str, pulumi.Input[Any]]
) -> pulumi.Output[str]:
    both = pulumi.Output.all(script, secret_json(secrets))
    return both.apply(lambda known: add_secrets(*known))


def _undo(name: str, command: str) -> str:
    # The folder of the locks is gone after a restart of the machine.
    return (
        "sudo install -d -m 0755 /run/ollamazure"
        f" && sudo flock --close {_lock(name)} {command}"
        f" && sudo rm -rf {_installed(name)}"
    )


def _lock(name: str) -> str:
    return shlex.quote(f"/run/ollamazure/{name}.lock")


def _installed(name: str) -> str:
    return shlex.quote(f"{INSTALLED}/{name}")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _put(file: File, content: str) -> str:
    words = shlex.join([file.path, file.mode, *filter(None, [file.suffix])])
    return f"put {words} {here(content, file.path)}\n"


def _lines(text: str) -> str:
    return text if text.endswith("\n") else text + "\n"


def _without(word: str, text: str, where: str) -> str:
    if word in text.splitlines():
        raise ValueError(
            f"{where}: a line of it is the word {word}, which ends the text. Change it."
        )
    return text

"""The one place that makes a command on the machine.

The script of a command, with the files it installs, goes in by standard input: a preview shows its
changes line by line, and a failure prints only the short command and the output of the script. The
script starts with a manifest, which says what the command does (ollamazure/manifest.py). Secrets
are in the script, too, and make it secret as a whole.

Facts this file relies on (pulumi-command 1.2.1): `triggers` alone replaces, every other change is
an update that runs `update`, also one of the connection; the command line, standard output and
standard error of a command that fails are printed.
"""

from __future__ import annotations

import base64
import itertools
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
from pulumi_command import local, remote

from ollamazure import manifest
from ollamazure.manifest import InstalledFile, Manifest
from ollamazure.settings.proxy import ProxySettings
from ollamazure.settings.stack import Settings
from ollamazure.templates import render_template

GUEST = Path(__file__).resolve().parent.parent / "guest"
TOOLS = "/usr/local/lib/ollamazure"
# Below this folder the machine records what each command did: command.sh.
INSTALLED = "/etc/ollamazure/installed"

APT_PROXY = "/etc/apt/apt.conf.d/53ollamazure-proxy"

# The variable of a command in a pod that has the way to the cluster.
KUBECONFIG = "OLLAMAZURE_KUBECONFIG"

_END_OF_SECRETS = "END_OF_SECRETS"

HALF_AN_HOUR = 1800  # seconds; for a command that moves few bytes
_DEFAULT_FIX = "Fix what the lines above name, then run `pulumi up` again: it goes on from here."


class MachineCommand(remote.Command):
    """A command on the machine.

    Attributes:
        digest: SHA-256 (hex) of the script with its files, without secrets.
    """

    digest: pulumi.Output[str]


class PodCommand(local.Command):
    """A command in a pod of a cluster.

    Attributes:
        digest: as of MachineCommand.
    """

    digest: pulumi.Output[str]


RemoteCommand = MachineCommand | PodCommand


class Part(pulumi.ComponentResource):
    """A part of the chat, on which answers depend.

    Attributes:
        digest: SHA-256 (hex) that changes with what it does.
    """

    digest: pulumi.Output[str]


@dataclass(frozen=True)
class Target:
    """The machine that commands run on.

    Attributes:
        connection: where and how to sign in, with the host key pinned.
        identity: the machine's `vmId`; a new one runs every command again.
        vm: the virtual machine; when it is deleted, its commands need not be undone.
        ready: resources that must exist before the first command of an application.
        reapply: any text; another one runs every command again, too.
    """

    connection: remote.ConnectionArgs
    identity: pulumi.Output[str]
    vm: pulumi.Resource
    ready: Sequence[pulumi.Resource] = ()
    reapply: str | None = None

    def command(
        self, name: str, delete: str | None, *, show_output: bool, **options: Any
    ) -> MachineCommand:
        """The resource of a command that runs here; `options` as of every command."""
        return MachineCommand(
            name,
            connection=self.connection,
            create=command(name),
            update=command(name, unless="done"),
            delete=None if delete is None else _undo(name, delete),
            logging=remote.Logging.STDOUT_AND_STDERR if show_output else remote.Logging.NONE,
            **options,
        )


@dataclass(frozen=True)
class PodTarget:
    """The pod of a cluster that commands run in.

    Attributes:
        kubeconfig: secret; the way to the cluster.
        pod: what `kubectl exec` calls it, such as `deployment/tools`.
        namespace: of the pod.
        identity: of what the commands set up; another one runs every command again.
        vm: what the pod is in; when it is deleted, its commands need not be undone.
        ready: resources that must exist before the first command.
        reapply: any text; another one runs every command again, too.
    """

    kubeconfig: pulumi.Output[str]
    pod: str
    namespace: str
    identity: pulumi.Output[str]
    vm: pulumi.Resource
    ready: Sequence[pulumi.Resource] = ()
    reapply: str | None = None

    def command(
        self,
        name: str,
        delete: str | None,
        *,
        show_output: bool,
        environment: Mapping[str, pulumi.Input[str]] | None,
        **options: Any,
    ) -> PodCommand:
        """The resource of a command that runs here; `options` as of every command."""
        return PodCommand(
            name,
            create=self._exec(command(name)),
            update=self._exec(command(name, unless="done")),
            delete=None if delete is None else self._exec(_undo(name, delete)),
            environment={**(environment or {}), KUBECONFIG: self.kubeconfig},
            # For <( ), by which no file and no command line has the way to the cluster.
            interpreter=["/bin/bash", "-c"],
            logging=local.Logging.STDOUT_AND_STDERR if show_output else local.Logging.NONE,
            **options,
        )

    def _exec(self, script: str) -> str:
        # A pod has no sudo: it has one user.
        inner = shlex.quote(f'sudo() {{ "$@"; }}\n{script}')
        return (
            f'kubectl --kubeconfig <(printf %s "${KUBECONFIG}") --namespace {self.namespace} '
            f"exec --stdin {self.pod} -- bash -c {inner}"
        )


@dataclass(frozen=True)
class File:
    """A file of the machine. Its source is at the same path below `guest/`, unless given here.

    Attributes:
        path: absolute path on the machine; `guest/PATH` or, a template, `guest/PATH.j2`.
        mode: octal permissions; the owner is root.
        values: what the template is rendered with; outputs are allowed.
        suffix: written to PATH + suffix, for a script that checks it before it replaces PATH.
        content: instead of a source below `guest/`.
        key: of the secret (`secret KEY`) that is the content.
    """

    path: str
    mode: str = "0644"
    values: Mapping[str, pulumi.Input[Any]] = field(default_factory=dict)
    suffix: str = ""
    content: bytes | None = None
    key: str | None = None


# The tool that sets up Open WebUI, for every command that uses it.
WEBUI_TOOLS = (
    File(f"{TOOLS}/webui-cli", "0755"),
    File(f"{TOOLS}/audit_log.py", "0755"),
    File(f"{TOOLS}/chat_answers.py", "0755"),
    File(f"{TOOLS}/durable.py"),
    *(
        File(f"/{path.relative_to(GUEST)}")
        for path in sorted((GUEST / TOOLS[1:] / "webui").rglob("*.py"))
    ),
)

# Backups; also where there are none, because status.py asks this package.
BACKUP_TOOLS = (
    File(f"{TOOLS}/backup-cli", "0755"),
    *(
        File(f"/{path.relative_to(GUEST)}")
        for path in sorted((GUEST / TOOLS[1:] / "backup").glob("*.py"))
    ),
)


def run_on_machine(  # noqa: PLR0913  what a command may need, all by name but two
    name: str,
    target: Target | PodTarget,
    *,
    purpose: str,
    script: pulumi.Input[str],
    files: Sequence[File] = (),
    secrets: Mapping[str, pulumi.Input[str]] | None = None,
    shown_input: str = "",
    show_output: bool = False,
    delete: str | None = None,
    fix: str = _DEFAULT_FIX,
    limit: int = HALF_AN_HOUR,
    opts: pulumi.ResourceOptions | None = None,
) -> RemoteCommand:
    """Run `script` as root on the machine whenever it, a file, a secret or the machine changes.

    When only the connection changes, such as the SSH key, Pulumi uses it once and nothing runs.

    A new machine is an update, not a replacement: that would first run `delete` on the old machine
    and fail if it no longer exists.

    Args:
        name: of the resource and of its lock on the machine.
        target: the machine.
        purpose: continues "the command to …" in messages.
        script: bash, safe to run again at any moment, also after it was cut off.
        files: written before the script runs.
        secrets: what the script reads with `secret KEY`.
        shown_input: a text that a preview shows although `secrets` hide the script.
        show_output: show the output while it runs, although there are secrets; it is stored secret.
        delete: a command line that undoes it; not run when the machine itself is deleted.
        fix: what to do when it fails, the last line of its output.
        limit: of one run, in seconds, with the time that it waits for the machine.
        opts: of the resource; `parent` above all.
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
            purpose=purpose,
            machine=known["machine"],
            reapply=target.reapply,
            secrets=secrets is not None,
            shown_input=shown_input,
            fix=fix,
        )
    )
    step = target.command(
        name,
        delete,
        show_output=shown,
        stdin=plain if secrets is None else _with_secrets(plain, secrets),
        # Pulumi hides the script with the secrets, and the manifest in it.
        environment=None if secrets is None else {manifest.VARIABLE: plain.apply(_manifest_of)},
        add_previous_output_in_env=False,
        opts=pulumi.ResourceOptions.merge(
            opts,
            pulumi.ResourceOptions(
                depends_on=list(target.ready),
                deleted_with=target.vm,
                additional_secret_outputs=None if secrets is None else ["stdout", "stderr"],
                custom_timeouts=time_limit(limit),
            ),
        ),
    )
    step.digest = plain.apply(_sha256)
    return step


def time_limit(seconds: int) -> pulumi.CustomTimeouts:
    """The limit of a command. It ends what hangs without notice (ollamazure/sizing/duration.py)."""
    return pulumi.CustomTimeouts(create=f"{seconds}s", update=f"{seconds}s", delete="10m")


class Lanes:
    """Lets only a fixed number of commands run at once: each waits for the one before in its lane.

    Adding or removing a command changes only what other commands wait for, which no preview shows.
    """

    def __init__(self, width: int, after: Sequence[pulumi.Resource] = ()) -> None:
        """`width` lanes, whose first commands wait for `after`."""
        self._lanes = [list(after) for _ in range(width)]
        self._turn = itertools.cycle(self._lanes)

    def add(self, make: Callable[[list[pulumi.Resource]], RemoteCommand]) -> RemoteCommand:
        """The command that `make` returns; its argument is what the command has to wait for."""
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


def mirror_authority(authority: str | None) -> File:
    """The file with the authorities of the mirrors and the proxy (PEM), or with none."""
    return File("/etc/ollamazure/mirrors-ca.pem", values={"authority": authority})


def proxy_variables(proxy: ProxySettings) -> File:
    """The file with the environment variables of the proxy, or with none."""
    return File("/etc/ollamazure/proxy.env", values=proxy_values(proxy))


def proxy_values(proxy: ProxySettings) -> dict[str, Any]:
    """What the templates know of the proxy: `proxy`, None without one."""
    if proxy.url is None:
        return {"proxy": None}
    names = ("address", "certificate_authority", "direct", "exceptions", "never", "port", "url")
    return {"proxy": {name: getattr(proxy, name) for name in names}}


def machine_files(settings: Settings) -> list[File]:
    """The files that the applications' commands use on a machine that is ready."""
    return [
        File(f"{TOOLS}/lib.sh"),
        File(f"{TOOLS}/machine-ready", "0755"),
        File(f"{TOOLS}/model.py", "0755"),
        File(f"{TOOLS}/image_size.py", "0755"),
        File(f"{TOOLS}/drift.py", "0755"),
        File(f"{TOOLS}/disks.py", "0755"),
        File(f"{TOOLS}/status.py", "0755"),
        File(f"{TOOLS}/findings.py"),
        File(f"{TOOLS}/webhook.py", "0755"),  # also without a webhook, because status.py asks it
        File(f"{TOOLS}/proxy.py"),
        File(f"{TOOLS}/acme_client.py", "0755"),
        File(f"{TOOLS}/value_of.py", "0755"),
        File(f"{TOOLS}/container_dns.py", "0755"),
        File(f"{TOOLS}/cleanup.py", "0755"),
        *(
            File(f"/etc/systemd/system/ollamazure-{unit}")
            for unit in ("container-dns.service", "cleanup.service", "cleanup.timer")
        ),
        *WEBUI_TOOLS,
        *BACKUP_TOOLS,
        File("/etc/containers/systemd/mynet.network"),
        File(
            "/etc/containers/registries.conf.d/ollamazure.conf",
            values={"mirror": settings.mirrors.containers},
        ),
        mirror_authority(settings.authorities),
        proxy_variables(settings.proxy),
        File(APT_PROXY, values=proxy_values(settings.proxy)),
    ]


def render_files(
    files: Sequence[File], values: Sequence[Mapping[str, Any]]
) -> list[tuple[File, bytes]]:
    """Each file with its content, templates filled in with the known `values`."""
    return [(file, _content(file, known)) for file, known in zip(files, values, strict=True)]


def render_file(path: str, **values: Any) -> str:
    """The content of the machine's file `path`, from `guest/`.

    Raises:
        jinja2.TemplateNotFound: neither the file nor its template exists.
        jinja2.UndefinedError: the template needs a value that was not given.
    """
    source = path.removeprefix("/")
    if (GUEST / source).is_file():
        return (GUEST / source).read_text()
    return render_template(f"guest/{source}.j2", **values)


def command(name: str, unless: str = "") -> str:
    """What the login shell runs for the command `name`: it takes the script from standard input.

    With `unless="done"`, a script that this machine has run to its end does not run again.
    """
    lines = render_file(f"{TOOLS}/receive.sh").splitlines(keepends=True)
    setup = f"lock={_lock(name)} unless={unless}\n"
    return setup + "".join(line for line in lines if not line.startswith("#"))


def render_script(  # noqa: PLR0913  as `run_on_machine`
    name: str,
    script: str,
    files: Sequence[tuple[File, bytes]] = (),
    *,
    purpose: str,
    machine: str,
    reapply: str | None = None,
    secrets: bool = False,
    shown_input: str = "",
    fix: str = _DEFAULT_FIX,
) -> str:
    """The script of one command, without its secrets: readable, the same for the same input."""
    own = _end_line(script)
    setup = f"name={shlex.quote(name)} fix={shlex.quote(fix)}\n"
    setup += render_file(f"{TOOLS}/command.sh") + "\n"
    listed, puts = zip(*itertools.starmap(_put, files), strict=True) if files else ((), ())
    described = Manifest(
        name=name,
        purpose=purpose,
        machine=machine,
        reapply=reapply,
        secrets=secrets,
        input=shown_input or None,
        setup=(setup + (_secrets_block("{}") if secrets else "")).count("\n"),
        files=listed,
        script=_sha256(own),
    )
    return described.opening() + setup + "".join(puts) + own


def add_secrets(script: str, secrets: str) -> str:
    """The script with `secrets`, one line of JSON, which `secret KEY` reads."""
    _, rest = manifest.split(script)
    return script.removesuffix(rest) + _secrets_block(secrets) + rest


def _secrets_block(secrets: str) -> str:
    return f"secrets=$(cat <<'{_END_OF_SECRETS}'\n{secrets}\n{_END_OF_SECRETS}\n)\n"


def _with_secrets(
    script: pulumi.Output[str], secrets: Mapping[str, pulumi.Input[Any]]
) -> pulumi.Output[str]:
    both = pulumi.Output.all(script, secret_json(secrets))
    return both.apply(lambda known: add_secrets(*known))


def _manifest_of(script: str) -> str:
    return manifest.split(script)[0]


def _undo(name: str, command: str) -> str:
    # A restart of the machine removes the folder of the locks.
    return (
        "sudo install -d -m 0755 /run/ollamazure"
        f" && sudo flock --close {_lock(name)} {command}"
        f" && sudo rm -rf {shlex.quote(f'{INSTALLED}/{name}')}"
    )


def _lock(name: str) -> str:
    return shlex.quote(f"/run/ollamazure/{name}.lock")


def _sha256(text: str) -> str:
    return manifest.digest(text.encode())


def _content(file: File, values: Mapping[str, Any]) -> bytes:
    if file.key is not None:
        return b""
    if file.content is not None:
        return file.content
    return _end_line(render_file(file.path, **values)).encode()


def _put(file: File, content: bytes) -> tuple[InstalledFile, str]:
    """The file's entry in the manifest, and the lines of bash that write the file."""
    words = shlex.join([file.path, file.mode, *filter(None, [file.suffix])])
    if file.key is not None:
        listed = InstalledFile(path=file.path, mode=file.mode, sha256=None, lines=0)
        return listed, f"put_secret {shlex.quote(file.key)} {words}\n\n"
    text, end = _as_text(content), manifest.END_OF_FILE
    encoded = base64.encodebytes(content).decode() if text is None else text
    put = f"put {words}" if text is not None else f"{{ base64 --decode | put {words}; }}"
    listed = InstalledFile(
        path=file.path,
        mode=file.mode,
        sha256=manifest.digest(content),
        lines=encoded.count("\n"),
        base64=text is None,
    )
    return listed, f"{put} <<'{end}'\n{encoded}{end}\n\n"


def _as_text(content: bytes) -> str | None:
    """The content as text; None if a here-document cannot hold it."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    fits = text.endswith("\n") and "\0" not in text and "\r" not in text
    return text if fits and manifest.END_OF_FILE not in text.split("\n") else None


def _end_line(text: str) -> str:
    return text if text.endswith("\n") else text + "\n"

"""The last resource: `pulumi up` ends only when the chat answers."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
from pulumi_command import local

from components.remote_command import (
    GUEST,
    HALF_AN_HOUR,
    TOOLS,
    File,
    Part,
    PodTarget,
    RemoteCommand,
    Target,
    render_file,
    run_on_machine,
    secret_json,
    time_limit,
)
from ollamazure.catalog import VmSize
from ollamazure.settings.stack import Settings
from ollamazure.sizing import duration
from ollamazure.sizing.upgrade import DATA, VERSION

# As in chat_answers.py.
SIZES = "Bytes of the data: "
QUESTIONER = f"{TOOLS}/chat_answers.py"


@dataclass(frozen=True)
class AnswerCheckArgs:
    """What asking questions through the public address needs.

    Attributes:
        target: the machine.
        settings: the stack's. Each of its chat models and presets is asked.
        size: of the machine.
        url: the address users open, `https://…`.
        trust: what the certificate is checked with, as `Certificate` has it.
        certificate_fingerprint: SHA-256 of the certificate's DER form, hex with or without colons;
            None if it is not known.
        address: the machine's public one, if the name in `url` may not lead to it yet.
        application: the components that make up the chat.
        presets: the commands that set up the presets.
    """

    target: Target | PodTarget
    settings: Settings
    size: VmSize
    url: pulumi.Input[str]
    trust: pulumi.Input[dict[str, Any]]
    certificate_fingerprint: pulumi.Input[str] | None
    application: Sequence[Part]
    presets: Sequence[RemoteCommand] = ()
    address: pulumi.Input[str] | None = None

    @property
    def parts(self) -> list[Part | RemoteCommand]:
        """Everything that the answers depend on."""
        return [*self.application, *self.presets]


class AnswerCheck(pulumi.ComponentResource):
    """`answers` is complete when each model and preset has answered a question through `url`.

    Its outputs `webuiVersion` and `webuiData` are those of the last complete `pulumi up`: Pulumi
    keeps them when a later one fails. No stack output may wait for a command: if one failed, there
    would be no outputs at all, and the operator could neither sign in nor look at the machine.

    Attributes:
        answers: the command that asks.
    """

    TYPE = "ollamazure:index:AnswerCheck"

    answers: local.Command | RemoteCommand

    def __init__(
        self, name: str, args: AnswerCheckArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(self.TYPE, name, None, opts)
        from_machine = args.settings.probe_from == "machine"
        self.answers = self._ask_from_machine(args) if from_machine else self._ask_here(args)
        data = pulumi.Output.unsecret(self.answers.stdout.apply(sizes_in))
        version = args.settings.webui_version_with_digest
        self.register_outputs({DATA: data, VERSION: data.apply(lambda _: version)})

    def _ask_here(self, args: AnswerCheckArgs) -> local.Command:
        # Paths are relative to the project, where the engine runs this: the same in every clone.
        python, questioner = map(_from_project, (Path(sys.executable), _questioner()))
        return local.Command(
            "chat-answers",
            create=f"{python} {questioner}",
            # Only the machine's tools make sessions, so the operator's side asks them over SSH.
            stdin=secret_json({**_questions(args), "machine": _machine(args.target)}),
            environment={"OLLAMAZURE_ASKS_ABOUT": _digest(args)},
            logging=local.Logging.STDOUT_AND_STDERR,
            add_previous_output_in_env=False,
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=args.parts,
                deleted_with=args.target.vm,
                additional_secret_outputs=["stdout", "stderr"],
                custom_timeouts=time_limit(_limit(args)),
            ),
        )

    def _ask_from_machine(self, args: AnswerCheckArgs) -> RemoteCommand:
        """Ask on the machine itself, which leaves the network in front of it untested."""
        questions = pulumi.Output.json_dumps({**_questions(args), "connect": "127.0.0.1"})
        return run_on_machine(
            "chat-answers",
            args.target,
            purpose="ask each model and preset a question",
            script=_digest(args).apply(
                lambda digest: f"# asks about {digest}\nsecret questions | {QUESTIONER}"
            ),
            files=[File(QUESTIONER, "0755")],
            secrets={"questions": questions},
            show_output=True,
            fix="Fix what the lines above name, then run `pulumi up`: it asks again.",
            limit=_limit(args),
            opts=pulumi.ResourceOptions(parent=self, depends_on=args.parts),
        )


def sizes_in(printed: str | None) -> dict[str, int]:
    """The sizes in what chat_answers.py has printed; plain numbers, the only part without text."""
    lines = [line for line in (printed or "").splitlines() if line.startswith(SIZES)]
    if not lines:
        return {}
    return {str(key): int(size) for key, size in json.loads(lines[-1][len(SIZES) :]).items()}


def _from_project(path: Path) -> str:
    return shlex.quote(os.path.relpath(path))


def _questioner() -> Path:
    """The program in this project, or beside the components when another project uses them."""
    own = Path(f"guest{QUESTIONER}")
    return own if own.exists() else GUEST.parent / own


def _questions(args: AnswerCheckArgs) -> dict[str, pulumi.Input[Any]]:
    return {
        "url": args.url,
        "trust": args.trust,
        "fingerprint": args.certificate_fingerprint,
        # A first certificate needs a chat to which the name leads, and need not have it yet.
        "address": args.address if args.settings.certificate.mode == "letsEncrypt" else None,
        "models": list(args.settings.chat_models),
        "presets": [preset.id for preset in args.settings.presets],
        "answer_within": duration.answer_seconds(args.size),
    }


def _limit(args: AnswerCheckArgs) -> int:
    return HALF_AN_HOUR + duration.questions_seconds(args.size, args.settings)


def _machine(target: Target | PodTarget) -> dict[str, pulumi.Input[Any]]:
    """The fields of MachineConnection (ollamazure/operate/connection.py), or of PodConnection."""
    if isinstance(target, PodTarget):
        return {
            "kubeconfig": target.kubeconfig,
            "namespace": target.namespace,
            "pod": target.pod,
        }
    connection = target.connection
    return {
        "user": connection.user,
        "address": connection.host,
        "private_key": connection.private_key,
        "host_key": connection.host_key,
    }


def _digest(args: AnswerCheckArgs) -> pulumi.Output[str]:
    """Changes with everything that the answers depend on."""
    questioner = render_file(QUESTIONER)
    return pulumi.Output.all(*[part.digest for part in args.parts]).apply(
        lambda known: hashlib.sha256("".join([questioner, *known]).encode()).hexdigest()
    )

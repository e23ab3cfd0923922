"""The last resource: the program ends only when the chat answers."""

from __future__ import annotations

import hashlib
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pulumi
from pulumi_command import local

from components.nginx import Nginx
from components.ollama import Ollama
from components.open_webui import OpenWebui
from components.remote_command import (
    GUEST,
    TOOLS,
    File,
    RemoteCommand,
    Target,
    render_file,
    run_on_machine,
    secret_json,
)
from ollamazure.settings.types import model_id

QUESTIONER = f"{TOOLS}/chat_answers.py"


@dataclass(frozen=True)
class AnswerCheckArgs:
    """What asking a question through the public address needs.

    Attributes:
        target: the machine, for `probe_from="machine"`.
        url: the address users open, `https://…`.
        certificate_fingerprint: SHA-256 of the certificate's DER form, hex with or without colons.
        admin_email: address that the admin signs in with.
        admin_password: secret.
        models: names in Ollama's library; each is asked.
        application: the components that make up the chat.
        probe_from: `operator` asks from where this program runs; `machine` from the machine itself,
            which says nothing of the way in between.
    """

    target: Target
    url: pulumi.Input[str]
    certificate_fingerprint: pulumi.Input[str]
    admin_email: str
    admin_password: pulumi.Input[str]
    models: Sequence[str]
    application: Sequence[Ollama | OpenWebui | Nginx]
    probe_from: Literal["operator", "machine"] = "operator"


class AnswerCheck(pulumi.ComponentResource):
    """`answers` is there when each model has answered a question through `url`."""

    answers: pulumi.CustomResource

    def __init__(
        self, name: str, args: AnswerCheckArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ollamazure:index:AnswerCheck", name, None, opts)
        from_machine = args.probe_from == "machine"
        self.answers = self._ask_there(args) if from_machine else self._ask_here(args)
        self.register_outputs({})

    def _ask_here(self, args: AnswerCheckArgs) -> local.Command:
        # Relative to the project, where the engine runs it: the same words in every clone.
        python, questioner = map(_from_project, (Path(sys.executable), _questioner()))
        return local.Command(
            "chat-answers",
            create=f"{python} {questioner}",
            stdin=secret_json(_questions(args)),
            environment={"OLLAMAZURE_ASKS_ABOUT": _digest(args)},
            logging=local.Logging.STDOUT_AND_STDERR,
            add_previous_output_in_env=False,
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=list(args.application),
                deleted_with=args.target.vm,
                custom_timeouts=pulumi.CustomTimeouts(create="60m", update="60m"),
            ),
        )

    def _ask_there(self, args: AnswerCheckArgs) -> RemoteCommand:
        questions = secret_json({**_questions(args), "connect": "127.0.0.1"})
        return run_on_machine(
            "chat-answers",
            args.target,
            purpose="ask each model a question",
            script=_digest(args).apply(
                lambda digest: f"# asks about {digest}\nsecret questions | {QUESTIONER}"
            ),
            files=[File(QUESTIONER, "0755")],
            secrets={"questions": questions},
            show_output=True,
            fix="After fixing, `pulumi up` asks again.",
            timeout="60m",
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(args.application)),
        )


def _from_project(path: Path) -> str:
    return shlex.quote(os.path.relpath(path))


def _questioner() -> Path:
    """In the project; beside the components when they are a package of another project."""
    own = Path(f"guest{QUESTIONER}")
    return own if own.exists() else GUEST.parent / own


def _questions(args: AnswerCheckArgs) -> dict[str, pulumi.Input[Any]]:
    return {
        "url": args.url,
        "fingerprint": args.certificate_fingerprint,
        "email": args.admin_email,
        "password": args.admin_password,
        "models": [model_id(model) for model in args.models],
    }


def _digest(args: AnswerCheckArgs) -> pulumi.Output[str]:
    """Changes with anything that the answer depends on."""
    questioner = render_file(QUESTIONER)
    parts = [part.digest for part in args.application]
    return pulumi.Output.all(*parts).apply(
        lambda known: hashlib.sha256("".join([questioner, *known]).encode()).hexdigest()
    )

"""Ollama on the machine: the server, and each model as a resource of its own."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

import pulumi

from components.remote_command import (
    HALF_AN_HOUR,
    TOOLS,
    File,
    Lanes,
    Part,
    RemoteCommand,
    Target,
    digest_of,
    mirror_authority,
    proxy_variables,
    run_on_machine,
)
from ollamazure import catalog
from ollamazure.settings.base import slug
from ollamazure.settings.stack import Settings
from ollamazure.sizing import duration
from ollamazure.sizing.plan import Sizing


@dataclass(frozen=True)
class OllamaArgs:
    """What Ollama is made from.

    Attributes:
        target: the machine.
        settings: the stack's.
        plan: how the machine's size lets Ollama use its memory.
    """

    target: Target
    settings: Settings
    plan: Sizing


class Ollama(Part):
    """Ollama with its models.

    Attributes:
        server: the command that installs and starts Ollama.
        models: the commands that install the models, by name.
        digest: changes with any of these commands.
    """

    server: RemoteCommand
    models: dict[str, RemoteCommand]

    def __init__(
        self, name: str, args: OllamaArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ollamazure:index:Ollama", name, None, opts)
        self.server = self._server(args)
        lanes = Lanes(duration.DOWNLOADS_AT_ONCE, after=[self.server])
        self.models = {model: self._model(model, args, lanes) for model in args.settings.models}
        self.digest = digest_of([self.server, *self.models.values()])
        self.register_outputs({})

    def _server(self, args: OllamaArgs) -> RemoteCommand:
        plan, authority, proxy = args.plan, args.settings.authorities, args.settings.proxy
        return run_on_machine(
            "ollama",
            args.target,
            purpose="install Ollama",
            script=install_command(args.settings, gpu=plan.gpu),
            files=[
                File(f"{TOOLS}/install-ollama", "0755"),
                File("/etc/sysusers.d/ollama.conf"),
                File("/etc/systemd/system/ollamazure-load-model.service"),
                File(
                    "/etc/systemd/system/ollama.service",
                    suffix=".next",  # the former one stays in force until the new version answers
                    values={
                        "context_length": plan.context_length,
                        "num_parallel": plan.num_parallel,
                        "max_loaded_models": plan.max_loaded_models,
                        "prompt_cache_mib": plan.prompt_cache_mib,
                        "keep_alive": plan.keep_alive,
                        "load_seconds": plan.load_seconds,
                        "memory_limit_mib": plan.ollama_limit_mib,
                        "gpu": plan.gpu,
                        "proxy": proxy.url is not None,
                    },
                ),
                # Ollama reads the authorities when it starts. Without one it need not restart.
                *([mirror_authority(authority)] if authority else []),
                *([proxy_variables(proxy)] if proxy.url else []),
            ],
            fix="`journalctl --unit ollama` on the machine has details; `pulumi up` tries again.",
            limit=HALF_AN_HOUR + duration.ollama_seconds(plan.vm_size, args.settings),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _model(self, model: str, args: OllamaArgs, lanes: Lanes) -> RemoteCommand:
        tool, name = f"{TOOLS}/model.py", shlex.quote(model)
        mirror = args.settings.mirrors.models or ""
        script = [f'{tool} pull {name} "$installed/model" {mirror}'.rstrip()]
        if model in args.settings.chat_models:
            script += [f"{tool} check-chat {name}"]
        if model in args.settings.models_for_everyone:
            script += [f"{TOOLS}/webui-cli show {name}"]
        return lanes.add(
            lambda before: run_on_machine(
                f"model-{slug(model)}",
                args.target,
                purpose=f"pull the model {model}",
                script="\n".join(script),
                delete=f"{tool} remove {name}",
                fix="`pulumi up` continues the download where it stopped.",
                limit=HALF_AN_HOUR + duration.pull_seconds(args.plan.vm_size, args.settings, model),
                opts=pulumi.ResourceOptions(parent=self, depends_on=before),
            )
        )


def install_command(settings: Settings, *, gpu: bool) -> str:
    """The command line that installs Ollama, from a mirror if there is one."""
    releases = settings.mirrors.ollama or catalog.versions().ollama.download
    version = settings.ollama_version
    libraries = "gpu" if gpu else "cpu"
    return f"{TOOLS}/install-ollama {shlex.join([version, f'{releases}/v{version}', libraries])}"

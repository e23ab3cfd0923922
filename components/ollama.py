"""Ollama on the machine: one version of it, and each model as a resource of its own."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import pulumi

from components.remote_command import (
    TOOLS,
    File,
    Lanes,
    RemoteCommand,
    Target,
    digest_of,
    run_on_machine,
)
from ollamazure.settings.types import model_id
from ollamazure.settings.workspace import slug

DOWNLOADS_AT_ONCE = 2
RELEASES = "https://github.com/ollama/ollama/releases/download"


@dataclass(frozen=True)
class OllamaArgs:
    """What Ollama needs to know.

    Attributes:
        target: the machine.
        version: of Ollama, for example `0.34.0`.
        models: names in Ollama's library, for example `llama3.2:1b`; each once.
        context_length: tokens, the same for every request.
        num_parallel: requests answered at once by one model.
        max_loaded_models: models in memory at once.
        keep_alive: how long a model stays in memory unused, as Ollama writes it (`24h`).
        prompt_cache_mib: MiB that a loaded model may keep of former conversations.
        restricted_models: those of `models` that are not for every user.
        gpu: the size has a graphics card, so its libraries are unpacked too.
        release_mirror: URL that stands in for Ollama's releases, or None.
        model_mirror: URL that stands in for Ollama's model registry, or None.
        sha256: of the bundle (hex); None takes it from sha256sum.txt beside the bundle.
    """

    target: Target
    version: str
    models: Sequence[str]
    context_length: int
    num_parallel: int
    max_loaded_models: int
    keep_alive: str
    prompt_cache_mib: int
    restricted_models: frozenset[str] = frozenset()
    gpu: bool = False
    release_mirror: str | None = None
    model_mirror: str | None = None
    sha256: str | None = None


class Ollama(pulumi.ComponentResource):
    """Ollama with its models; `server` and `models` (by name) are the commands that make them."""

    server: RemoteCommand
    models: dict[str, RemoteCommand]
    digest: pulumi.Output[str]

    def __init__(
        self, name: str, args: OllamaArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ollamazure:index:Ollama", name, None, opts)
        self.server = run_on_machine(
            "ollama",
            args.target,
            purpose="install Ollama",
            script=_install(args),
            files=[
                File(f"{TOOLS}/install-ollama", "0755"),
                File("/etc/sysusers.d/ollama.conf"),
                File(
                    "/etc/systemd/system/ollama.service",
                    values={
                        "context_length": args.context_length,
                        "num_parallel": args.num_parallel,
                        "max_loaded_models": args.max_loaded_models,
                        "prompt_cache_mib": args.prompt_cache_mib,
                        "keep_alive": args.keep_alive,
                        "gpu": args.gpu,
                    },
                ),
            ],
            fix="`journalctl --unit ollama` on the machine tells more; `pulumi up` tries again.",
            opts=pulumi.ResourceOptions(parent=self),
        )
        lanes = Lanes(DOWNLOADS_AT_ONCE, after=[self.server])
        self.models = {model: self._model(model, args, lanes) for model in args.models}
        self.digest = digest_of([self.server, *self.models.values()])
        self.register_outputs({})

    def _model(self, model: str, args: OllamaArgs, lanes: Lanes) -> RemoteCommand:
        tool, name = f"{TOOLS}/model.py", shlex.quote(model_id(model))
        mirror = urlsplit(args.model_mirror).netloc if args.model_mirror else ""
        script = [f'{tool} pull {name} "$installed/model" {mirror}'.rstrip()]
        if model_id(model) not in args.restricted_models:
            script += [f"{TOOLS}/webui-cli show {name}"]
        return lanes.add(
            lambda before: run_on_machine(
                f"model-{slug(model)}",
                args.target,
                purpose=f"pull the model {model}",
                script="\n".join(script),
                delete=f"{tool} remove {name}",
                fix="`pulumi up` goes on with the download where it stopped.",
                # Tens of gigabytes over a slow line.
                timeout="3h",
                opts=pulumi.ResourceOptions(parent=self, depends_on=before),
            )
        )


def _install(args: OllamaArgs) -> str:
    release = f"{(args.release_mirror or RELEASES).rstrip('/')}/v{args.version}"
    words = [args.version, release, "gpu" if args.gpu else "cpu", *filter(None, [args.sha256])]
    return f"{TOOLS}/install-ollama {shlex.join(words)}"

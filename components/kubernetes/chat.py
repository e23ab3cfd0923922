"""One private chat on a cluster."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes import core

from components.answer_check import AnswerCheck, AnswerCheckArgs
from components.certificate import Certificate, CertificateArgs
from components.chat import admin_password
from components.kubernetes.cluster import Cluster, ClusterArgs
from components.kubernetes.data_services import DataServices, DataServicesArgs
from components.kubernetes.nginx import NginxPods, NginxPodsArgs
from components.kubernetes.objects import NAMESPACE
from components.kubernetes.ollama import OllamaPods, OllamaPodsArgs
from components.kubernetes.open_webui import OLLAMA_URL, WebuiPods, WebuiPodsArgs
from components.kubernetes.policies import restrict_network
from components.kubernetes.tools import Tools, ToolsArgs
from components.open_webui import apply_settings, declaration, set_up_admin
from components.remote_command import (
    HALF_AN_HOUR,
    TOOLS,
    Lanes,
    PodTarget,
    RemoteCommand,
    run_on_machine,
)
from components.tags import Tags
from components.workspace import Workspace, WorkspaceArgs
from ollamazure.names import GroupNames
from ollamazure.settings.base import slug
from ollamazure.settings.stack import Settings
from ollamazure.sizing.cluster import ClusterPlan
from ollamazure.sizing.duration import pull_seconds

FIX = "`kubectl --namespace ollamazure get pods` has details; `pulumi up` tries again."


@dataclass(frozen=True)
class ClusterChatArgs:
    """What a chat on a cluster is made from.

    Attributes:
        groups: names of its resource groups.
        settings: the stack's.
        plan: what follows from the settings.
        tags: of the Azure resources.
    """

    groups: GroupNames
    settings: Settings
    plan: ClusterPlan
    tags: Tags


class ClusterChat(pulumi.ComponentResource):
    """A chat on a cluster that has answered a question.

    Attributes:
        url: the address users open, `https://…`.
        admin_password: secret.
        initial_passwords: secret; of each declared user, by e-mail.
        cluster: what it runs on.
        certificate: what Nginx shows to browsers.
    """

    def __init__(
        self, name: str, args: ClusterChatArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ollamazure:kubernetes:Chat", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        settings, plan, groups = args.settings, args.plan, args.groups
        self.cluster = Cluster("cluster", ClusterArgs(settings, plan, groups, args.tags), child)
        data = DataServices(
            "data-services",
            DataServicesArgs(settings, plan, groups, self.cluster, args.tags),
            child,
        )
        inside = pulumi.ResourceOptions(parent=self, provider=self.cluster.provider)
        namespace = core.v1.Namespace(
            NAMESPACE,
            metadata={
                "name": NAMESPACE,
                "labels": {"pod-security.kubernetes.io/enforce": "baseline"},
            },
            opts=inside,
        )
        restrict_network(namespace, inside)
        address = self.cluster.address
        host = settings.public_name or (address.ip_address if address else "chat")
        self.url = pulumi.Output.concat("https://", host)
        self.certificate = Certificate(
            "certificate",
            CertificateArgs(host, settings, authority=f"{groups.chat} authority"),
            child,
        )
        self.admin_password = admin_password(settings, None, self)
        ollama = OllamaPods("ollama", OllamaPodsArgs(settings, plan, namespace), inside)
        webui = WebuiPods(
            "open-webui",
            WebuiPodsArgs(settings, plan, data, self.url, namespace),
            inside,
        )
        nginx = NginxPods(
            "nginx",
            NginxPodsArgs(
                settings,
                server_name=host,
                certificate=self.certificate.certificate,
                private_key=self.certificate.private_key,
                replicas=ollama.replicas,
                address=address,
                group_name=groups.chat,
                namespace=namespace,
            ),
            inside,
        )
        tools = Tools(
            "tools", ToolsArgs(settings, webui, self.cluster.kubeconfig, namespace), inside
        )
        target = tools.target
        models = _models(settings, plan, ollama, target, child)
        declared = ollama.declare(list(models.values()))
        admin = set_up_admin(target, settings, self.admin_password, fix=FIX, opts=child)
        applied = apply_settings(
            target,
            self.url.apply(lambda known: declaration(settings, plan, known, OLLAMA_URL)),
            fix=FIX,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[admin, *models.values()]),
        )
        workspace = Workspace(
            "workspace",
            WorkspaceArgs(target, settings, models, after=[applied, nginx.deployment, declared]),
            child,
        )
        self.initial_passwords = workspace.initial_passwords
        AnswerCheck(
            "answer-check",
            AnswerCheckArgs(
                target,
                settings,
                plan.models[0].size,
                url=self.url,
                trust=self.certificate.trust,
                certificate_fingerprint=self.certificate.fingerprint,
                application=[ollama, webui, nginx],
                presets=[*models.values(), applied, *workspace.presets],
            ),
            child,
        )
        self.register_outputs({"url": self.url})


def _models(
    settings: Settings,
    plan: ClusterPlan,
    ollama: OllamaPods,
    target: PodTarget,
    opts: pulumi.ResourceOptions,
) -> dict[str, RemoteCommand]:
    """A command for each model, which pulls it on every replica."""
    lanes = Lanes(1, after=ollama.sets)
    tool, mirror = f"{TOOLS}/model.py", settings.mirrors.models or ""

    def on_each(*lines: str) -> str:
        """The lines for each replica, until one fails."""
        head = f"for OLLAMAZURE_OLLAMA in {shlex.join(ollama.addresses)}; do"
        return "\n".join(["set -e", "export OLLAMAZURE_OLLAMA", head, *lines, "done"])

    def command(model: str, before: list[pulumi.Resource]) -> RemoteCommand:
        name = shlex.quote(model)
        lines = [f'{tool} pull {name} "$installed/$OLLAMAZURE_OLLAMA" {mirror}'.rstrip()]
        if model in settings.chat_models:
            lines.append(f"{tool} check-chat {name}")
        script = on_each(*lines)
        if model in settings.models_for_everyone:
            script += f"\n{TOOLS}/webui-cli show {name}"
        return run_on_machine(
            f"model-{slug(model)}",
            target,
            purpose=f"pull the model {model} on each replica of Ollama",
            script=script,
            delete=f"bash -c {shlex.quote(on_each(f'{tool} remove {name}'))}",
            fix="`pulumi up` continues the downloads where they stopped.",
            limit=HALF_AN_HOUR
            + sum(pool.nodes * pull_seconds(pool.size, settings, model) for pool in plan.models),
            opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=before)),
        )

    return {
        model: lanes.add(lambda before, model=model: command(model, before))  # type: ignore[misc]
        for model in settings.models
    }

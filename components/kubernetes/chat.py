"""One private chat on a cluster."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
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
from components.open_webui import declaration, digest_of_settings
from components.remote_command import (
    HALF_AN_HOUR,
    TOOLS,
    File,
    Lanes,
    PodTarget,
    RemoteCommand,
    run_on_machine,
    secret_json,
)
from components.tags import Tags
from components.workspace import Workspace, WorkspaceArgs
from ollamazure.names import GroupNames
from ollamazure.settings.base import slug
from ollamazure.settings.stack import Settings
from ollamazure.sizing.cluster import ClusterPlan
from ollamazure.sizing.duration import pull_seconds

DECLARED = "/etc/ollamazure/open-webui.json"
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
        admin = _admin(settings, self.admin_password, target, child)
        applied = _settings(settings, plan, self.url, target, [admin, *models.values()], child)
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
    tool, addresses = f"{TOOLS}/model.py", shlex.join(ollama.addresses)
    mirror = settings.mirrors.models or ""

    def command(model: str, before: list[pulumi.Resource]) -> RemoteCommand:
        name = shlex.quote(model)
        each = [f'{tool} pull {name} "$installed/$OLLAMAZURE_OLLAMA" {mirror}'.rstrip()]
        if model in settings.chat_models:
            each.append(f"{tool} check-chat {name}")
        lines = ["export OLLAMAZURE_OLLAMA", f"for OLLAMAZURE_OLLAMA in {addresses}; do", *each]
        show = model in settings.models_for_everyone
        last = [f"{TOOLS}/webui-cli show {name}"] if show else []
        remove = (
            f"for OLLAMAZURE_OLLAMA in {addresses}; do OLLAMAZURE_OLLAMA=$OLLAMAZURE_OLLAMA"
            f" {tool} remove {name} || exit 1; done"
        )
        return run_on_machine(
            f"model-{slug(model)}",
            target,
            purpose=f"pull the model {model} on each replica of Ollama",
            script="\n".join([*lines, "done", *last]),
            delete=f"bash -c {shlex.quote(remove)}",
            fix="`pulumi up` continues the downloads where they stopped.",
            limit=HALF_AN_HOUR
            + sum(pool.nodes * pull_seconds(pool.size, settings, model) for pool in plan.models),
            opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=before)),
        )

    return {
        model: lanes.add(lambda before, model=model: command(model, before))  # type: ignore[misc]
        for model in settings.models
    }


def _admin(
    settings: Settings,
    password: pulumi.Output[str],
    target: PodTarget,
    opts: pulumi.ResourceOptions,
) -> RemoteCommand:
    account: Mapping[str, pulumi.Input[str]] = {
        "email": settings.admin_email,
        "name": settings.admin_name,
        "password": password,
    }
    return run_on_machine(
        "open-webui-admin",
        target,
        purpose="set up the administrator of Open WebUI",
        script=f"secret admin | {TOOLS}/webui-cli admin",
        secrets={"admin": secret_json(account)},
        show_output=True,  # what happens to a former administrator; it never has the password
        fix=FIX,
        opts=opts,
    )


def _settings(  # noqa: PLR0913, PLR0917
    settings: Settings,
    plan: ClusterPlan,
    url: pulumi.Output[str],
    target: PodTarget,
    after: list[RemoteCommand],
    opts: pulumi.ResourceOptions,
) -> RemoteCommand:
    declared = url.apply(lambda known: declaration(settings, plan, known, OLLAMA_URL))
    command = run_on_machine(
        "open-webui-settings",
        target,
        purpose="apply the settings of Open WebUI",
        script=f"{TOOLS}/webui-cli apply-settings {DECLARED}.next\n"
        f"mv -f {DECLARED}.next {DECLARED}",
        files=[File(DECLARED, values={"declared": declared}, suffix=".next")],
        fix=FIX,
        limit=2 * 3600,
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=after)),
    )
    command.digest = declared.apply(digest_of_settings)
    return command

"""The whole product: one private chat, made of the other components."""

from __future__ import annotations

from dataclasses import dataclass, field

import pulumi
import pulumi_random as random

from components.alerts import Alerts, AlertsArgs
from components.answer_check import AnswerCheck, AnswerCheckArgs
from components.backup import Backup, BackupArgs
from components.backup_storage import BackupStorage, BackupStorageArgs
from components.certificate import Certificate, CertificateArgs
from components.machine import Machine, MachineArgs
from components.network import Network, NetworkArgs
from components.nginx import Nginx, NginxArgs
from components.node_exporter import NodeExporter
from components.ollama import Ollama, OllamaArgs
from components.open_webui import OpenWebui, OpenWebuiArgs
from components.schedule import Schedule, ScheduleArgs
from components.tags import Tags
from components.webhook import Webhook, WebhookArgs
from components.workspace import Workspace, WorkspaceArgs
from ollamazure.names import GroupNames, group_names
from ollamazure.settings.stack import Settings
from ollamazure.sizing.plan import Sizing


@dataclass(frozen=True)
class ChatArgs:
    """What a chat is made from.

    Attributes:
        groups: names of its resource groups.
        settings: the stack's.
        plan: what follows from the settings and the size of the machine.
        tags: of the Azure resources.
        admin_password: replaces the settings' password; may be another resource's output.
    """

    groups: GroupNames
    settings: Settings
    plan: Sizing
    tags: Tags
    admin_password: pulumi.Input[str] | None = field(default=None, repr=False)

    @classmethod
    def of_stack(
        cls, settings: Settings, plan: Sizing, admin_password: pulumi.Input[str] | None = None
    ) -> ChatArgs:
        """The arguments with names and tags of the stack that is being deployed."""
        groups = group_names(pulumi.get_project(), pulumi.get_stack())
        return cls(groups, settings, plan, Tags.of_stack(settings), admin_password)


class Chat(pulumi.ComponentResource):
    """A chat that has answered a question.

    Attributes:
        url: the address users open, `https://…`.
        admin_password: secret.
        initial_passwords: secret; of each declared user, by e-mail.
        network: the cloud's network.
        machine: the VM.
        backup_storage: the storage account of the backups; None if they are kept elsewhere.
        alerts: of Azure; None without a receiver.
        certificate: what Nginx shows to browsers.
        backup: of the chat; None if backup.target is off.
    """

    # The attributes are annotated in __init__ only: annotations here would become outputs of the
    # component that the package provides.

    def __init__(
        self, name: str, args: ChatArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ollamazure:index:PrivateChat", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        settings, plan = args.settings, args.plan

        self.network = Network(
            "network", NetworkArgs(args.groups.chat, settings, tags=args.tags), child
        )
        host = settings.public_name or self.network.address
        self.url = pulumi.Output.concat("https://", host)
        self.machine = Machine(
            "machine",
            MachineArgs(
                settings,
                plan,
                group=self.network.group,
                group_name=args.groups.chat,
                data_group_name=args.groups.data,
                nic=self.network.nic,
                address=self.network.address,
                tags=args.tags,
            ),
            child,
        )
        self.backup_storage = self._backup_storage(args)
        self.alerts = self._alerts(args)
        self.certificate = Certificate(
            "certificate",
            CertificateArgs(host, settings, authority=f"{args.groups.chat} authority"),
            child,
        )
        self.admin_password = admin_password(settings, args.admin_password, self)

        target = self.machine.target
        ollama = Ollama("ollama", OllamaArgs(target, settings, plan), child)
        nginx = Nginx(
            # Its former name. With another one, Pulumi would derive "proxy-config" as the former
            # name of "nginx-config", and would then replace this and the other children.
            "proxy",
            NginxArgs(
                target,
                settings,
                server_name=host,
                address=self.network.address,
                certificate=self.certificate.certificate,
                private_key=self.certificate.private_key,
            ),
            _renamed(child, "proxy", "Proxy"),
        )
        webui = OpenWebui(
            "open-webui",
            OpenWebuiArgs(
                target,
                settings,
                plan,
                url=self.url,
                admin_password=self.admin_password,
                models=ollama.models,
                nginx_config=nginx.config,
                nginx=nginx.service,
            ),
            child,
        )
        workspace = Workspace(
            "workspace",
            WorkspaceArgs(
                target,
                settings,
                models=ollama.models,
                # After Nginx too, whose commands then no longer use connections to the machine.
                after=[webui.settings, nginx.service],
            ),
            _renamed(child, "people", "People"),
        )
        self.initial_passwords = workspace.initial_passwords
        self.backup = self._backup(args, after=[webui.settings])
        if settings.metrics_clients:
            NodeExporter("node-exporter", target, child)
        if settings.webhook:
            authority = self.certificate.authority
            after = [webui.settings, nginx.service]
            Webhook("webhook", WebhookArgs(target, settings, self.url, authority, after), child)
        self._schedule(args)
        AnswerCheck(
            "answer-check",
            AnswerCheckArgs(
                target,
                settings,
                args.plan.vm_size,
                url=self.url,
                trust=self.certificate.trust,
                certificate_fingerprint=self.certificate.fingerprint,
                address=self.network.address,
                application=[ollama, webui, nginx],
                presets=workspace.presets,
            ),
            _renamed(child, "access", "Access"),
        )
        self.register_outputs({"url": self.url})

    def _backup_storage(self, args: ChatArgs) -> BackupStorage | None:
        if self.machine.identity is None:
            return None
        return BackupStorage(
            "backup-storage",
            BackupStorageArgs(
                args.settings,
                args.groups,
                data_group=self.machine.data_group,
                identity=self.machine.identity,
                tags=args.tags,
            ),
            pulumi.ResourceOptions(parent=self),
        )

    def _alerts(self, args: ChatArgs) -> Alerts | None:
        if not args.settings.alerts_on:
            return None
        return Alerts(
            "alerts",
            AlertsArgs(
                args.settings,
                args.plan,
                group=self.network.group,
                group_name=args.groups.chat,
                vm=self.machine.target.vm,
                url=self.url,
                tags=args.tags,
            ),
            pulumi.ResourceOptions(parent=self),
        )

    def _backup(self, args: ChatArgs, after: list[pulumi.Resource]) -> Backup | None:
        if args.settings.backup.target == "off":
            return None
        return Backup(
            "backup",
            BackupArgs(self.machine.target, args.settings, after, storage=self.backup_storage),
            pulumi.ResourceOptions(parent=self),
        )

    def _schedule(self, args: ChatArgs) -> None:
        hours = args.settings.working_hours
        if hours:
            Schedule(
                "schedule",
                ScheduleArgs(
                    hours,
                    args.settings.location,
                    group=self.network.group,
                    group_name=args.groups.chat,
                    target=self.machine.target,
                    tags=args.tags,
                ),
                pulumi.ResourceOptions(parent=self),
            )


def admin_password(
    settings: Settings, given: pulumi.Input[str] | None, parent: pulumi.Resource
) -> pulumi.Output[str]:
    """The password that is given or set, else a random one; secret in any case."""
    if given is None and settings.admin_password:
        given = settings.admin_password.get_secret_value()
    if given is not None:
        return pulumi.Output.secret(given)
    rotation = settings.admin_rotation
    password: pulumi.Output[str] = random.RandomPassword(
        "admin-password",
        length=24,
        special=False,
        keepers={"rotation": rotation} if rotation else None,
        opts=pulumi.ResourceOptions(parent=parent),
    ).result
    return password


def _renamed(opts: pulumi.ResourceOptions, name: str, type_: str) -> pulumi.ResourceOptions:
    """The options of a component that earlier versions deployed with this name and type.

    The engine derives the former identity of each child from it.
    """
    former = pulumi.Alias(name=name, type_=f"ollamazure:index:{type_}")
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(aliases=[former]))

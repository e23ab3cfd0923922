"""The whole product: one private chat, made of the other components."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
import pulumi_random as random

from components.answer_check import AnswerCheck, AnswerCheckArgs
from components.certificate import Certificate, CertificateArgs, renewal_period
from components.machine import Machine, MachineArgs
from components.network import Network, NetworkArgs
from components.nginx import Nginx, NginxArgs
from components.ollama import Ollama, OllamaArgs
from components.open_webui import OpenWebui, OpenWebuiArgs
from components.workspace import Workspace, WorkspaceArgs
from ollamazure.names import GroupNames, group_names
from ollamazure.settings.stack import Settings
from ollamazure.settings.types import model_id
from ollamazure.sizing import Sizing


@dataclass(frozen=True)
class ChatArgs:
    """What a chat is made from.

    Attributes:
        groups: names of its resource groups.
        settings: all that a stack can say.
        plan: what follows from the settings and the size of the machine.
        tags: on every Azure resource.
        admin_password: stands in for that of the settings; may be known only later.
    """

    groups: GroupNames
    settings: Settings
    plan: Sizing
    tags: Mapping[str, str]
    admin_password: pulumi.Input[str] | None = field(default=None, repr=False)

    @classmethod
    def of_stack(
        cls, settings: Settings, plan: Sizing, admin_password: pulumi.Input[str] | None = None
    ) -> ChatArgs:
        """Named and tagged after the stack that is being deployed."""
        project, stack = pulumi.get_project(), pulumi.get_stack()
        tags = {**settings.tags, "project": project, "stack": stack}
        return cls(group_names(project, stack), settings, plan, tags, admin_password)


class Chat(pulumi.ComponentResource):
    """A chat that has answered a question.

    Attributes:
        url: where users go, `https://…`.
        admin_password: secret.
        initial_passwords: secret; of those who are declared, by e-mail.
        network: the cloud's network.
        machine: the VM.
        certificate: what Nginx shows.
    """

    # Their types are in __init__: annotations here would be outputs of the package's component.

    def __init__(
        self, name: str, args: ChatArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ollamazure:index:PrivateChat", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        settings, plan, mirrors = args.settings, args.plan, args.settings.mirrors

        self.network = Network(
            "network",
            NetworkArgs(
                group_name=args.groups.chat,
                location=settings.location,
                ssh_clients=settings.ssh_clients,
                dns_label=settings.dns_label,
                tags=args.tags,
            ),
            child,
        )
        host = settings.public_name or self.network.address
        self.url = pulumi.Output.concat("https://", host)
        self.machine = Machine(
            "machine",
            MachineArgs(
                group=self.network.group,
                data_group_name=args.groups.data,
                location=settings.location,
                nic_id=self.network.nic.id,
                address=self.network.address,
                vm_size=plan.vm_size.name,
                machine_class=plan.vm_size.machine_class,
                premium_caching=plan.vm_size.premium_caching,
                gpu=plan.gpu,
                image_version=settings.image_version,
                admin_username=settings.vm_admin_username,
                data_disk_gib=settings.data_disk_gib,
                data_disk_id=settings.data_disk_id,
                keep_data=settings.keep_data,
                container_mirror=mirrors.containers if mirrors else None,
                reapply=settings.reapply,
                tags=args.tags,
            ),
            child,
        )
        subject = settings.certificate
        today = subject.today or datetime.date.today()
        self.certificate = Certificate(
            "certificate",
            CertificateArgs(
                host=host,
                country=subject.country,
                province=subject.province,
                locality=subject.locality,
                organization=subject.organization,
                validity_days=subject.validity_days,
                period=renewal_period(today, subject.renew_after_days),
            ),
            child,
        )
        # What answers nothing, no user is to choose.
        restricted = {*settings.model_access, *settings.embedding_models}
        ollama = Ollama(
            "ollama",
            OllamaArgs(
                target=self.machine.target,
                version=settings.ollama_version,
                models=settings.models,
                restricted_models=frozenset(map(model_id, restricted)),
                context_length=plan.context_length,
                num_parallel=plan.num_parallel,
                max_loaded_models=plan.max_loaded_models,
                keep_alive=plan.keep_alive,
                prompt_cache_mib=plan.prompt_cache_mib,
                gpu=plan.gpu,
                release_mirror=mirrors.ollama if mirrors else None,
                model_mirror=mirrors.models if mirrors else None,
            ),
            child,
        )
        rotation = settings.admin_password_rotation
        password = args.admin_password
        if password is None and settings.admin_password:
            password = settings.admin_password.get_secret_value()
        self.admin_password = (
            pulumi.Output.secret(password)
            if password is not None
            else random.RandomPassword(
                "admin-password",
                length=24,
                special=False,
                keepers={"rotation": rotation} if rotation else None,
                opts=child,
            ).result
        )
        webui = OpenWebui(
            "open-webui",
            OpenWebuiArgs(
                target=self.machine.target,
                image=settings.webui_image,
                url=self.url,
                admin_email=settings.admin_email,
                admin_name=settings.admin_name,
                admin_password=self.admin_password,
                default_model=settings.new_chats_begin_with,
                document_search=settings.document_search,
                embedding_model=settings.embedding_model,
                after=[ollama.models[name] for name in [settings.embedding_model] if name],
                banners=settings.banners,
                permissions=settings.default_permissions,
                web_access=settings.web_access,
                sign_in=settings.sign_in,
                sign_in_secret=pulumi.Output.secret(settings.sign_in_secret.get_secret_value())
                if settings.sign_in_secret
                else None,
                database_pool_size=plan.database_pool_size,
                background_generation=plan.background_generation,
            ),
            child,
        )
        # Named "proxy" still: an alias of a name that its children's names start with renames them.
        nginx = Nginx(
            "proxy",
            NginxArgs(
                target=self.machine.target,
                image=settings.nginx_image,
                server_name=host,
                certificate=self.certificate.certificate,
                private_key=self.certificate.private_key,
            ),
            _renamed(child, "proxy", "Proxy"),
        )
        self.initial_passwords = Workspace(
            "workspace",
            WorkspaceArgs(
                target=self.machine.target,
                users=settings.users,
                groups=settings.groups,
                filled_at_sign_in=settings.sign_in.groups if settings.sign_in else (),
                knowledge=settings.knowledge,
                presets=settings.presets,
                prompts=settings.prompts,
                model_access=settings.model_access,
                models=ollama.models,
                # Nginx as well: what it opens connections for is done by then.
                after=[webui.settings, nginx.service],
            ),
            _renamed(child, "people", "People"),
        ).initial_passwords
        AnswerCheck(
            "answer-check",
            AnswerCheckArgs(
                target=self.machine.target,
                url=self.url,
                certificate_fingerprint=self.certificate.fingerprint,
                admin_email=settings.admin_email,
                admin_password=self.admin_password,
                models=settings.chat_models,
                application=[ollama, webui, nginx],
                probe_from=settings.probe_from,
            ),
            _renamed(child, "access", "Access"),
        )
        self.register_outputs({"url": self.url})


def _renamed(opts: pulumi.ResourceOptions, name: str, type_: str) -> pulumi.ResourceOptions:
    """The options of a component that earlier versions deployed under another name and type."""
    former = pulumi.Alias(name=name, type_=f"ollamazure:index:{type_}")
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(aliases=[former]))

"""One private chat on Azure: settings in, components, outputs out."""

import datetime

import pulumi
import pulumi_random as random

from components.access import Access, AccessArgs
from components.certificate import Certificate, CertificateArgs, renewal_period
from components.machine import Machine, MachineArgs
from components.network import Network, NetworkArgs
from components.ollama import Ollama, OllamaArgs
from components.outputs import operator_page, ssh_command
from components.proxy import Proxy, ProxyArgs
from components.settings import Settings
from components.webui import OpenWebui, OpenWebuiArgs

settings = Settings.load(pulumi.Config())
sizing = settings.sizing()
stack = pulumi.get_stack()
group_name = f"{pulumi.get_project()}-{stack}"
tags = {**settings.tags, "project": pulumi.get_project(), "stack": stack}

network = Network(
    "network",
    NetworkArgs(
        group_name=group_name,
        location=settings.location,
        ssh_clients=settings.ssh_clients,
        dns_label=settings.dns_label,
        tags=tags,
    ),
)
host = settings.public_name or network.address
url = pulumi.Output.concat("https://", host)

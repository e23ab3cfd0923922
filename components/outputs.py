"""What a stack exports, and the operator's page made of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Protocol

import pulumi
from pulumi.runtime import invoke

from components.answer_check import AnswerCheck
from components.certificate import Certificate
from components.chat import Chat
from ollamazure import catalog
from ollamazure.catalog import VmSize
from ollamazure.settings.cross_checks import another_engine, early_rotations, smaller_disk
from ollamazure.settings.problems import SettingsError, problem_of
from ollamazure.settings.sign_in import CALLBACK
from ollamazure.settings.stack import Settings
from ollamazure.sizing.cost import MonthlyCost
from ollamazure.sizing.plan import Sizing
from ollamazure.sizing.upgrade import refused_upgrade
from ollamazure.templates import render_template

STACK = "pulumi:pulumi:Stack"
# Of the common outputs, those that the operator's page shows.
ON_THE_PAGE = (
    "url", "adminEmail", "certificateMode", "certificateFingerprint", "models",
    "monthlyCostEstimate",
)  # fmt: skip


class ChatOfAnyEngine(Protocol):
    """What a chat has on a machine and on a cluster."""

    url: pulumi.Output[str]
    admin_password: pulumi.Output[str]
    initial_passwords: pulumi.Output[dict[str, str]]

    @property
    def certificate(self) -> Certificate: ...


def outputs_of(chat: Chat, settings: Settings, plan: Sizing) -> dict[str, pulumi.Input[Any]]:
    """The outputs by name: of a stack, and of the component that the package provides."""
    common = common_outputs(chat, settings, plan.monthly_cost)
    shown = {
        "sshCommand": ssh_command(settings.vm_admin_username, chat.network.address),
        "hostKey": chat.machine.host_key,
        "vmSize": plan.vm_size.name,
        "backupSshPublicKey": chat.backup and chat.backup.ssh_public_key,
    }
    page = {
        **{name: common[name] for name in ON_THE_PAGE},
        **shown,
        "stack": pulumi.get_stack(),
        "location": settings.location,
        "keepData": settings.keep_data,
        "backupTarget": settings.backup.target,
        "hasUsers": bool(settings.users),
        "redirectUri": pulumi.Output.concat(chat.url, CALLBACK) if settings.sign_in else None,
    }
    hours = settings.working_hours
    return {
        **common,
        **shown,
        "workingHours": hours and hours.model_dump(mode="json", by_alias=True),
        "dataDiskGiB": None if settings.data_disk_id else settings.data_disk_gib,
        "subnetId": settings.network.subnet_id,
        "sshPrivateKey": chat.machine.private_key,
        "backupKey": chat.backup and chat.backup.key,
        "readme": operator_page(page),
    }


def common_outputs(
    chat: ChatOfAnyEngine, settings: Settings, cost: MonthlyCost
) -> dict[str, pulumi.Input[Any]]:
    """The outputs that a stack of each engine has, by name."""
    return {
        "url": chat.url,
        "adminEmail": settings.admin_email,
        "certificateMode": settings.certificate.mode,
        "certificateFingerprint": chat.certificate.fingerprint,
        "models": list(settings.models),
        "modelLicences": {name: catalog.describe_licence(name) for name in settings.models},
        "monthlyCostEstimate": str(cost),
        "monthlyCost": cost_in_numbers(cost),
        "language": settings.language or "en-US",
        "chatDays": settings.chat_days,
        "caCertificate": chat.certificate.authority,
        "certificateTrust": chat.certificate.trust,
        "adminPassword": chat.admin_password,
        "initialPasswords": chat.initial_passwords,
    }


def former_outputs() -> Mapping[str, Any]:
    """The outputs that the last `pulumi up` left, secrets in plain text; empty before the first.

    Those of the stack and of its answer check. The engine reads them from the backend that is in
    use. A StackReference could read the stack's too, but it would be in every preview and copy all
    outputs, also secrets, into the state. Outputs that cannot be read only mean that no warning is
    printed, which is no reason to stop.
    """
    stack = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
    try:
        read = invoke("pulumi:pulumi:readStackResourceOutputs", {"stackName": stack})
    except Exception as error:  # the SDK raises nothing narrower
        pulumi.log.debug(f"The former outputs are not known: {error}")
        return {}
    by_type = {resource["type"]: resource["outputs"] for resource in read.value["outputs"].values()}
    return {**by_type.get(STACK, {}), **by_type.get(AnswerCheck.TYPE, {})}


def refuse_changes(former: Mapping[str, Any], settings: Settings) -> None:
    """Refuse what the stack that the last `pulumi up` left behind cannot change to.

    What the outputs of an earlier version do not have is not checked here.

    Raises:
        SettingsError: naming all problems; nothing has been changed.
    """
    found = [
        *another_engine(former, settings),
        *smaller_disk(int(former.get("dataDiskGiB") or 0), settings),
        *refused_upgrade(former, settings, pulumi.get_stack()),
    ]
    if former and "certificateTrust" not in former:  # an output of each version that rotates
        found += early_rotations(settings)
    if found:
        raise SettingsError([problem_of(each, Settings) for each in found])


def size_in(outputs: Mapping[str, Any]) -> VmSize | None:
    """The machine's size; None if it is unknown."""
    return catalog.vm_sizes().get(outputs.get("vmSize", ""))


def users_in(outputs: Mapping[str, Any]) -> Collection[str]:
    """The e-mails of the declared users."""
    return list(outputs.get("initialPasswords") or {})


def cost_in_numbers(cost: MonthlyCost) -> dict[str, Any]:
    """The same estimate as `monthlyCostEstimate`, for programs."""
    return {
        "amount": round(cost.amount, 2),
        "currency": cost.currency,
        "region": cost.region,
        "asOf": cost.as_of.isoformat(),
        "verified": cost.verified,
    }


def operator_page(values: Mapping[str, pulumi.Input[Any]]) -> pulumi.Output[str]:
    """The page for `pulumi stack output readme`, in Markdown; it contains no secret."""
    return pulumi.Output.all(**values).apply(render_operator_page)


def render_operator_page(values: Mapping[str, Any]) -> str:
    """The operator's page with all values known."""
    return render_template("components/operator.md.j2", **values)


def ssh_command(user: str, address: pulumi.Input[str]) -> pulumi.Output[str]:
    """The command that signs an operator in, with the private key saved as chat.key."""
    return pulumi.Output.concat("ssh -i chat.key ", user, "@", address)

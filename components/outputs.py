"""What a stack says of itself: its outputs, and the operator's page made of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import pulumi

from components.chat import Chat
from ollamazure.settings.sign_in import CALLBACK
from ollamazure.settings.stack import Settings
from ollamazure.sizing import MonthlyCost, Sizing


def outputs_of(chat: Chat, settings: Settings, plan: Sizing) -> dict[str, pulumi.Input[Any]]:
    """The outputs by name, of a stack and of the package's component alike."""
    shown = {
        "url": chat.url,
        "adminEmail": settings.admin_email,
        "sshCommand": ssh_command(settings.vm_admin_username, chat.network.address),
        "hostKey": chat.machine.host_key,
        "certificateFingerprint": chat.certificate.fingerprint,
        "models": list(settings.models),
        "vmSize": plan.vm_size.name,
        "monthlyCostEstimate": str(plan.monthly_cost),
    }
    page = {
        **shown,
        "stack": pulumi.get_stack(),
        "location": settings.location,
        "keepData": settings.keep_data,
        "hasUsers": bool(settings.users),
        "redirectUri": pulumi.Output.concat(chat.url, CALLBACK) if settings.sign_in else None,
    }
    return {
        **shown,
        "monthlyCost": cost_in_numbers(plan.monthly_cost),
        "adminPassword": chat.admin_password,
        "initialPasswords": chat.initial_passwords,
        "sshPrivateKey": chat.machine.private_key,
        "readme": operator_page(page),
    }


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
    """The page for `pulumi stack output readme`, in Markdown; holds no secret."""
    return pulumi.Output.all(**values).apply(render_operator_page)


def render_operator_page(values: Mapping[str, Any]) -> str:
    """The operator's page with all values known.

    Raises:
        jinja2.UndefinedError: the page names a value that is not there.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        autoescape=False,  # noqa: S701 - Markdown, not HTML
    )
    return environment.get_template("operator.md.j2").render(values)


def ssh_command(user: str, address: pulumi.Input[str]) -> pulumi.Output[str]:
    """How an operator signs in, with the private key saved as chat.key."""
    return pulumi.Output.concat("ssh -i chat.key ", user, "@", address)

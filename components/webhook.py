"""The webhook: the machine reports by itself what needs attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from components.remote_command import TOOLS, File, Target, run_on_machine
from ollamazure.settings.stack import Settings
from ollamazure.settings.working_hours import days_between_backups

SETTINGS = "/etc/ollamazure/webhook.json"
ADDRESS = "/etc/ollamazure/webhook-address"
UNITS = tuple(f"/etc/systemd/system/ollamazure-webhook.{kind}" for kind in ("service", "timer"))
PROGRAM = f"{TOOLS}/webhook.py"


@dataclass(frozen=True)
class WebhookArgs:
    """What the reports are made from.

    Attributes:
        target: the machine.
        settings: the stack's; webhook is set.
        url: of the chat.
        authority: the certificate of the stack's authority, PEM; None if another one signs.
        after: commands that start what is reported.
    """

    target: Target
    settings: Settings
    url: pulumi.Input[str]
    authority: pulumi.Input[str] | None
    after: Sequence[pulumi.Resource] = ()


class Webhook(pulumi.ComponentResource):
    """A timer on the machine, whose reports go to the webhook."""

    def __init__(
        self, name: str, args: WebhookArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ollamazure:index:Webhook", name, None, opts)
        settings = args.settings
        assert settings.webhook is not None  # noqa: S101  the caller has checked it
        reports = {
            "format": settings.webhook_form,
            "stack": pulumi.get_stack(),
            "url": args.url,
            "certificateMode": settings.certificate.mode,
            "caCertificate": args.authority,
            "dataDiskGiB": None if settings.data_disk_id else settings.data_disk_gib,
            "daysBetweenBackups": days_between_backups(settings.working_hours),
        }
        run_on_machine(
            "webhook",
            args.target,
            purpose="report to the webhook",
            script=f"{PROGRAM} up",
            files=[
                *map(File, UNITS),
                File(SETTINGS, values={"settings": reports}),
                File(ADDRESS, "0600", key="address"),
            ],
            secrets={"address": pulumi.Output.secret(settings.webhook.get_secret_value())},
            show_output=True,  # why no report arrives; it never has the address
            delete=f"{PROGRAM} off",
            fix="`journalctl --unit ollamazure-webhook` on the machine has details.",
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(args.after)),
        )
        self.register_outputs({})

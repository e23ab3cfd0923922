"""One private chat on Azure: settings in, components, outputs out."""

import pulumi

from components import resizing, sizing
from components.chat import PrivateChat, PrivateChatArgs
from components.outputs import operator_page, ssh_command
from components.settings import Settings

settings = Settings.load(pulumi.Config())
plan = sizing.plan(settings)
resized = resizing.warning(resizing.former_size(), plan.vm_size, settings)
for warning in filter(None, [resized, *plan.warnings]):
    pulumi.log.warn(warning)

project, stack = pulumi.get_project(), pulumi.get_stack()
chat = PrivateChat(
    "chat",
    PrivateChatArgs(
        name=f"{project}-{stack}",
        settings=settings,
        plan=plan,
        tags={**settings.tags, "project": project, "stack": stack},
    ),
)

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
for name, value in shown.items():
    pulumi.export(name, value)
pulumi.export("adminPassword", chat.admin_password)
pulumi.export("initialPasswords", chat.initial_passwords)
pulumi.export("sshPrivateKey", chat.machine.private_key)
pulumi.export(
    "readme",
    operator_page(
        {
            **shown,
            "stack": stack,
            "location": settings.location,
            "keepData": settings.keep_data,
            "hasUsers": bool(settings.users),
        }
    ),
)

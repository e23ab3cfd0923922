"""One private chat on Azure: settings in, components, outputs out."""

import pulumi

from components import resizing, sizing
from components.chat import PrivateChat, PrivateChatArgs
from components.outputs import outputs_of
from components.settings import Settings

settings = Settings.load(pulumi.Config())
plan = sizing.plan(settings)
resized = resizing.warning(resizing.former_size(), plan.vm_size, settings)
for warning in filter(None, [resized, *plan.warnings]):
    pulumi.log.warn(warning)

chat = PrivateChat("chat", PrivateChatArgs.of_stack(settings, plan))

for name, value in outputs_of(chat, settings, plan).items():
    pulumi.export(name, value)

"""One private chat on Azure: settings in, components, outputs out."""

import pulumi

from components.chat import Chat, ChatArgs
from components.outputs import outputs_of
from ollamazure import sizing
from ollamazure.settings.load import load
from ollamazure.sizing import resize

settings = load(pulumi.Config())
plan = sizing.plan(settings)
resized = resize.warning(resize.former_size(), plan.vm_size, settings)
for warning in filter(None, [resized, *plan.warnings]):
    pulumi.log.warn(warning)

chat = Chat("chat", ChatArgs.of_stack(settings, plan))

for name, value in outputs_of(chat, settings, plan).items():
    pulumi.export(name, value)

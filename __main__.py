"""One private chat on Azure: settings in, components, outputs out."""

import pulumi

from components.chat import Chat, ChatArgs
from components.outputs import former_size, outputs_of
from ollamazure.settings.load import load
from ollamazure.sizing.plan import make_plan
from ollamazure.sizing.resize import resize_warning

settings = load(pulumi.Config())
plan = make_plan(settings)
resized = resize_warning(former_size(), plan.vm_size, settings)
for warning in filter(None, [resized, *plan.warnings]):
    pulumi.log.warn(warning)

chat = Chat("chat", ChatArgs.of_stack(settings, plan))

for name, value in outputs_of(chat, settings, plan).items():
    pulumi.export(name, value)

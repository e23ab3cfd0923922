"""One private chat on Azure: settings in, components, outputs out."""

import pulumi

from components.chat import Chat, ChatArgs
from components.outputs import former_outputs, outputs_of, size_in, users_in
from ollamazure.settings.load import load
from ollamazure.settings.warnings import removed_users_warning
from ollamazure.sizing.plan import make_plan
from ollamazure.sizing.resize import resize_warning

settings = load(pulumi.Config())
plan = make_plan(settings)
former = former_outputs()
changes = [
    resize_warning(size_in(former), plan.vm_size, settings),
    removed_users_warning(users_in(former), settings),
]
for warning in filter(None, [*changes, *plan.warnings]):
    pulumi.log.warn(warning)

chat = Chat("chat", ChatArgs.of_stack(settings, plan))

for name, value in outputs_of(chat, settings, plan).items():
    pulumi.export(name, value)

"""One private chat on Azure: settings in, components, outputs out."""

import signal

import pulumi

from components.chat import Chat, ChatArgs
from components.outputs import (
    former_outputs,
    outputs_of,
    refuse_changes,
    size_in,
    users_in,
)
from ollamazure.names import group_names
from ollamazure.settings.load import load
from ollamazure.settings.warnings import (
    deleted_chats_warning,
    moved_warning,
    refused_warning,
    removed_users_warning,
)
from ollamazure.sizing.cost import savings_note
from ollamazure.sizing.plan import make_plan
from ollamazure.sizing.resize import refused_resize_warning, resize_warning
from ollamazure.sizing.upgrade import upgrade_warning

# Pulumi interrupts the program when a resource fails: it ends without a traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)

settings = load(pulumi.Config())
plan = make_plan(settings)
former = former_outputs()
refuse_changes(former, settings)
groups = group_names(pulumi.get_project(), pulumi.get_stack())
changes = [
    resize_warning(size_in(former), plan.vm_size, settings),
    refused_resize_warning(size_in(former), plan.vm_size, groups.chat),
    upgrade_warning(former, settings, pulumi.get_stack()),
    removed_users_warning(users_in(former), settings),
    deleted_chats_warning(former, settings),
    moved_warning(former.get("subnetId"), settings) if former else None,
    refused_warning(former.get("certificateMode"), former.get("url", ""), settings),
]
for warning in filter(None, [*changes, *plan.warnings]):
    pulumi.log.warn(warning)
if note := savings_note(settings, plan.monthly_cost):
    pulumi.log.info(note)

chat = Chat("chat", ChatArgs.of_stack(settings, plan))

for name, value in outputs_of(chat, settings, plan).items():
    pulumi.export(name, value)

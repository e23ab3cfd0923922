"""A chat on a machine: what a preview warns of, the components, the outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi

from components.chat import Chat, ChatArgs
from components.outputs import outputs_of, size_in, users_in
from ollamazure.names import group_names
from ollamazure.settings.stack import Settings
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


def deploy(settings: Settings, former: Mapping[str, Any]) -> Mapping[str, pulumi.Input[Any]]:
    """Register everything; returns the stack's outputs. `former` are those of the last run."""
    plan = make_plan(settings)
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
    return outputs_of(chat, settings, plan)

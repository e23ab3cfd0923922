"""A chat on a cluster: what a preview warns of, the components, the outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi

from components.kubernetes.chat import ClusterChat, ClusterChatArgs
from components.kubernetes.objects import NAMESPACE
from components.outputs import ON_THE_PAGE, common_outputs, users_in
from components.tags import Tags
from ollamazure.names import group_names
from ollamazure.settings.sign_in import CALLBACK
from ollamazure.settings.stack import Settings
from ollamazure.settings.warnings import refused_warning, removed_users_warning
from ollamazure.sizing.cluster import cluster_cost, machine_instead, make_cluster_plan
from ollamazure.templates import render_template


def deploy(settings: Settings, former: Mapping[str, Any]) -> Mapping[str, pulumi.Input[Any]]:
    """Register everything; returns the stack's outputs. `former` are those of the last run."""
    plan = make_cluster_plan(settings)
    changes = [
        removed_users_warning(users_in(former), settings),
        refused_warning(former.get("certificateMode"), former.get("url", ""), settings),
    ]
    for warning in filter(None, changes):
        pulumi.log.warn(warning)
    if note := machine_instead(plan, settings):
        pulumi.log.info(note)
    stack = pulumi.get_stack()
    groups = group_names(pulumi.get_project(), stack)
    chat = ClusterChat("chat", ClusterChatArgs(groups, settings, plan, Tags.of_stack(settings)))
    outputs = common_outputs(chat, settings, cluster_cost(plan, settings))
    page = {
        **{name: outputs[name] for name in ON_THE_PAGE},
        "stack": stack,
        "namespace": NAMESPACE,
        "hasUsers": bool(settings.users),
        "keepData": settings.keep_data,
        "ownCluster": settings.cluster.kubeconfig is not None,
        "redirectUri": pulumi.Output.concat(chat.url, CALLBACK) if settings.sign_in else None,
    }
    return {
        **outputs,
        "engine": settings.engine,
        "namespace": NAMESPACE,
        "kubeconfig": chat.cluster.kubeconfig,
        "readme": pulumi.Output.all(**page).apply(
            lambda known: render_template("components/kubernetes/operator.md.j2", **known)
        ),
    }

"""Which settings apply to which engine: the others are refused, rather than ignored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ollamazure.settings.base import key_of
from ollamazure.settings.problems import Violation
from ollamazure.settings.schema import SettingPath
from ollamazure.settings.stack import Settings

ENGINE = (("engine",),)
# The resources of a cluster are written, but no stack has been deployed on one.
CAN_DEPLOY = ("machine",)
# Why a setting has no meaning for a cluster, by its path.
NOT_FOR_A_CLUSTER: dict[SettingPath, str] = {
    ("vmSize",): "a cluster has nodes; see cluster.modelSize",
    ("imageVersion",): "AKS chooses the image of its nodes",
    ("vmAdminUsername",): "a cluster has no machine to sign in to",
    ("network",): "a cluster on AKS has a network of its own",
    ("dataDiskGiB",): "chats are in the database; see cluster.databaseGiB and cluster.modelDiskGiB",
    ("dataDiskId",): "chats are in the database, and not on a disk",
    ("backup",): "Azure backs up the database and the blobs",
    ("restartWindow",): "a cluster restarts its nodes one after the other",
    ("alerts",): "they are about a machine",
    ("alertsWebhook",): "the alerts are about a machine",
    ("workingHours",): "they are a machine's",
    ("mirrors", "ollama"): "Ollama comes as an image; see mirrors.containers",
    ("mirrors", "certificateAuthority"): "the nodes of a cluster trust what AKS lets them trust",
    ("proxy",): "a cluster has its own way to the internet",
    ("probeFrom",): "there is no machine that could ask",
    ("webhook",): "it is a machine that posts",
    ("metricsClients",): "Kubernetes has metrics of its own",
    ("rotation", "sshKey"): "a cluster has no SSH key",
    ("rotation", "hostKey"): "a cluster has no SSH key",
    ("rotation", "backupKey"): "there are no backups of the stack's own",
}
# What only a cluster of one's own has, and what only AKS has.
OWN_CLUSTER = (
    "context", "oidc_issuer", "storage_class", "endpoint_subnet_id", "database_subnet_id",
)  # fmt: skip
AKS = ("system_size", "system_nodes", "model_nodes", "gpu_nodes", "gpu_spot")
REQUIRED_OF_OWN_CLUSTER = ("oidc_issuer", "endpoint_subnet_id", "database_subnet_id")


def engine(settings: Settings) -> Iterator[Violation]:
    """Settings of another engine, and a cluster that is described in part."""
    if settings.engine == "machine":
        reason = "engine is machine"
        yield from _refused({("scale",): reason, ("cluster",): reason}, settings)
        return
    if settings.engine not in CAN_DEPLOY:
        reason = "this version cannot deploy a cluster yet"
        yield Violation(("engine",), settings.engine, reason, "machine")
    yield from _refused(NOT_FOR_A_CLUSTER, settings)
    yield from _cluster(settings)


def _refused(reasons: dict[SettingPath, str], settings: Settings) -> Iterator[Violation]:
    """The settings at these paths whose value is not the default."""
    for path, reason in reasons.items():
        value: Any = settings
        for step in path:
            field = next(name for name in type(value).model_fields if key_of(name) == step)
            value, default = getattr(value, field), type(value).model_fields[field].default
        if value == default:
            continue
        if hasattr(value, "model_dump"):
            value = value.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        yield Violation(path, value, reason, remove=path, rests_on=ENGINE)


def _cluster(settings: Settings) -> Iterator[Violation]:
    given = settings.cluster
    own = given.kubeconfig is not None
    for name in AKS if own else OWN_CLUSTER:
        value, path = getattr(given, name), ("cluster", key_of(name))
        if value not in (None, False):
            reason = "cluster.kubeconfig is set" if own else "cluster.kubeconfig is not set"
            yield Violation(path, value, reason, remove=path, rests_on=(("cluster", "kubeconfig"),))
    for name in REQUIRED_OF_OWN_CLUSTER if own else ():
        if getattr(given, name) is None:
            path = ("cluster", key_of(name))
            yield Violation(path, None, "a cluster of your own needs it")
    least, most = given.webui_replicas, given.most_webui_replicas
    if least and most and most < least:
        path, rests_on = ("cluster", "mostWebuiReplicas"), (("cluster", "webuiReplicas"),)
        reason = f"it is less than cluster.webuiReplicas, {least}"
        yield Violation(path, most, reason, str(least), rests_on=rests_on)
    size = given.database_size
    if given.database_standby and size and size.startswith("Standard_B"):
        path = ("cluster", "databaseStandby")
        reason = f"{size} is burstable, and Azure has no standby for such servers"
        rests_on = (("cluster", "databaseSize"),)
        yield Violation(path, True, reason, "false", rests_on=rests_on)

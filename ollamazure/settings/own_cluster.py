"""What a cluster of one's own lacks, found at preview, before anything is created.

Only reads, by `kubectl`.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ollamazure.settings.problems import command

# The oldest that Kubernetes itself maintains: https://kubernetes.io/releases/
OLDEST = (1, 34)
PATIENCE = "15s"
# Programs that give Services addresses where no cloud does, by the group of their resources.
BALANCERS = ("metallb.io", "kube-vip.io", "openelb.kubesphere.io", "porter.kubesphere.io")
_DEFAULT = "storageclass.kubernetes.io/is-default-class"


class ClusterError(Exception):
    """The cluster cannot be asked; the message says why."""


@dataclass(frozen=True)
class OwnCluster:
    """A cluster that exists already.

    Attributes:
        kubeconfig: the file with the way to it.
        context: of that file; None: its current one.
    """

    kubeconfig: Path
    context: str | None = None

    def read(self, path: str) -> Any:
        """The JSON that its API server answers. Raises ClusterError."""
        words = ["kubectl", "--kubeconfig", str(self.kubeconfig), "--request-timeout", PATIENCE]
        words += ["--context", self.context] if self.context else []
        try:
            done = subprocess.run(
                [*words, "get", "--raw", path], capture_output=True, text=True, check=False
            )
        except FileNotFoundError as missing:
            raise ClusterError(
                "kubectl is not installed: https://kubernetes.io/docs/tasks/tools"
            ) from missing
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["it printed no reason"]
            raise ClusterError(lines[-1])
        return json.loads(done.stdout)


def problems_of(cluster: OwnCluster, storage_class: str | None) -> Iterator[str]:
    """Each problem, with its fix on a line of its own."""
    try:
        version = cluster.read("/version")
        classes = cluster.read("/apis/storage.k8s.io/v1/storageclasses")["items"]
        balanced = _has_load_balancer(cluster)
    except ClusterError as error:
        yield (
            f"The cluster of {cluster.kubeconfig} cannot be reached: {error}\n"
            f"   Fix: try `kubectl --kubeconfig {cluster.kubeconfig} get nodes`, then this again"
        )
        return
    found = tuple(int(re.sub(r"\D", "", version[part])) for part in ("major", "minor"))
    if found < OLDEST:
        yield (
            f"The cluster has Kubernetes {version['gitVersion']}, and the chat needs"
            f" {'.'.join(map(str, OLDEST))} or later.\n   Fix: upgrade the cluster"
        )
    yield from _check_storage([each["metadata"] for each in classes], storage_class)
    if not balanced:
        yield (
            "The cluster has no load balancer, so the chat would get no address.\n"
            "   Fix: install one, such as MetalLB; if the cluster has another one, create a Service"
            " of the type LoadBalancer: once it has an address, this passes"
        )


def _check_storage(classes: list[dict[str, Any]], wanted: str | None) -> Iterator[str]:
    names = sorted(each["name"] for each in classes)
    default = any((each.get("annotations") or {}).get(_DEFAULT) == "true" for each in classes)
    if wanted in names or (wanted is None and default):
        return
    what = f"no storage class {wanted}" if wanted else "no default storage class"
    fixes = [command(("cluster", "storageClass"), name) for name in names]
    fix = " or ".join(fixes) or "install a storage class; models need disks"
    yield f"The cluster has {what}.\n   Fix: {fix}"


def _has_load_balancer(cluster: OwnCluster) -> bool:
    """Whether something gives Services addresses: a cloud, a known program, or it has done so."""
    groups = {group["name"] for group in cluster.read("/apis")["groups"]}
    if groups & {*BALANCERS}:
        return True
    nodes = cluster.read("/api/v1/nodes")["items"]
    if any(node["spec"].get("providerID") for node in nodes):
        return True
    return any(
        service["spec"]["type"] == "LoadBalancer"
        and service["status"].get("loadBalancer", {}).get("ingress")
        for service in cluster.read("/api/v1/services")["items"]
    )

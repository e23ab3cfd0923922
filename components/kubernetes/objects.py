"""What the objects of the cluster have in common: names, labels, and how little a pod may do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from components.remote_command import render_file
from ollamazure.settings.stack import Settings

NAMESPACE = "ollamazure"
CLUSTER_DOMAIN = "svc.cluster.local"
WEBUI, WEBUI_PORT = "open-webui", 8080
OLLAMA, OLLAMA_PORT = "ollama", 11434
NGINX = "nginx"
TOOLS = "tools"
POOL_LABEL = "ollamazure/pool"
"""The label of nodes, and of the replicas of Ollama on them, with the name of their pool."""
# A ConfigMap has at most 1 MiB, and its keys no slashes: folders become one of these.
SLASH = ".."

Object = dict[str, Any]


def metadata(name: str, part: str, **more: Any) -> Object:
    """Name, namespace and labels of an object of one part of the chat."""
    return {"name": name, "namespace": NAMESPACE, "labels": labels(part), **more}


def labels(part: str) -> dict[str, str]:
    """The labels of all objects of one part, and what selects its pods."""
    return {"app.kubernetes.io/part-of": "ollamazure", "app.kubernetes.io/name": part}


def restricted(*, user: int | None = None, writable: bool = False) -> Object:
    """What a container may do: nothing but compute, in a root file system that it cannot change.

    Without a `user` it runs as the one of its image.
    """
    return {
        "allow_privilege_escalation": False,
        "read_only_root_filesystem": not writable,
        "capabilities": {"drop": ["ALL"]},
        "seccomp_profile": {"type": "RuntimeDefault"},
        **({"run_as_non_root": True, "run_as_user": user} if user else {}),
    }


def environment(values: Mapping[str, pulumi.Input[str]]) -> list[Object]:
    """Environment variables of a container."""
    return [{"name": name, "value": value} for name, value in values.items()]


def http_probe(path: str, port: int, **more: Any) -> Object:
    """A probe by a request; `more` has its times in seconds."""
    return {"http_get": {"path": path, "port": port}, **more}


def image_of(reference: str, settings: Settings) -> str:
    """An image as the nodes pull it: from the mirror, if there is one."""
    mirror = settings.mirrors.containers
    if mirror is None:
        return reference
    return f"{mirror.partition('://')[2] or mirror}/{reference.partition('/')[2]}"


def files_of(paths: Sequence[str]) -> dict[str, str]:
    """The machine's files at these paths, as the data of a ConfigMap."""
    return {key_of(path): render_file(path) for path in paths}


def key_of(path: str) -> str:
    """The key of a file in a ConfigMap: its path, without what a key may not have."""
    return path.strip("/").replace("/", SLASH)


def placed(paths: Sequence[str], folder: str) -> list[Object]:
    """Where a volume of `files_of` has each file, below the folder that it is mounted at."""
    return [{"key": key_of(path), "path": path.removeprefix(f"{folder}/")} for path in paths]


def spread(part: str) -> list[Object]:
    """Rules that put the pods of a part on different nodes and in different zones, if it can be."""
    return [
        {
            "max_skew": 1,
            "topology_key": key,
            "when_unsatisfiable": "ScheduleAnyway",
            "label_selector": {"match_labels": labels(part)},
        }
        for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
    ]


def on_pool(pool: str, settings: Settings) -> dict[str, str] | None:
    """What selects the nodes of a pool on AKS; a cluster of one's own has no pools of ours."""
    return None if settings.cluster.kubeconfig else {POOL_LABEL: pool}


def written(paths: Sequence[str]) -> tuple[list[Object], list[Object]]:
    """The volumes for what a container writes, which last as long as the pod, and their mounts."""
    names = {f"written-{number}": path for number, path in enumerate(paths)}
    return (
        [{"name": name, "empty_dir": {}} for name in names],
        [{"name": name, "mount_path": path} for name, path in names.items()],
    )

"""Ollama in the cluster: a set of replicas for each kind of node, each with a disk of models."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes import apps, core, policy

from components.kubernetes.objects import (
    OLLAMA,
    OLLAMA_PORT,
    POOL_LABEL,
    Object,
    http_probe,
    image_of,
    labels,
    metadata,
    on_pool,
    restricted,
    spread,
)
from components.remote_command import Part
from ollamazure.settings.stack import Settings
from ollamazure.sizing.cluster import ClusterPlan, Pool, ollama_memory_mib
from ollamazure.sizing.duration import load_seconds

# The user of Ollama in its pods: any that is not root, because all it writes is on its disk.
USER = 11434
FOLDER = "/models"
IMAGE = "docker.io/ollama/ollama"
MODELS_FILE = "/etc/ollamazure/models"
# As long as the longest answer may take, and Open WebUI and Nginx wait for it.
STOPS_WITHIN = 3900  # seconds
# Each line is a model; a replica answers no question before it has all of them.
READY = (
    f'while read -r model; do ollama show "$model" >/dev/null || exit 1; done <{MODELS_FILE}/list'
)


@dataclass(frozen=True)
class OllamaPodsArgs:
    """What Ollama is made from.

    Attributes:
        settings: the stack's.
        plan: the nodes that run models.
        namespace: in which it runs.
    """

    settings: Settings
    plan: ClusterPlan
    namespace: core.v1.Namespace


class OllamaPods(Part):
    """Ollama's replicas.

    Attributes:
        replicas: names of the Services that each lead to one replica which has all models.
        addresses: of each replica, also of one that has no models yet.
        sets: of replicas.
        digest: changes with what they run.
    """

    replicas: list[list[str]]
    addresses: list[str]
    sets: list[apps.v1.StatefulSet]

    def __init__(
        self, name: str, args: OllamaPodsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ollamazure:kubernetes:Ollama", name, None, opts)
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self, depends_on=[args.namespace])
        core.v1.Service(
            OLLAMA,
            metadata=metadata(OLLAMA, OLLAMA),
            spec={
                "cluster_ip": "None",
                "selector": labels(OLLAMA),
                "ports": [{"name": "http", "port": OLLAMA_PORT}],
                # Models are pulled by a replica before it answers anyone.
                "publish_not_ready_addresses": True,
            },
            opts=self._child,
        )
        self.sets = [self._set(pool) for pool in args.plan.models]
        self.replicas = [self._services(pool) for pool in args.plan.models]
        self.addresses = [f"{name}.{OLLAMA}" for names in self.replicas for name in names]
        known = [variables(pool, args.settings) for pool in args.plan.models]
        text = json.dumps([known, args.settings.ollama_version, self.addresses])
        self.digest = pulumi.Output.from_input(hashlib.sha256(text.encode()).hexdigest())
        self.register_outputs({})

    def _set(self, pool: Pool) -> apps.v1.StatefulSet:
        name = f"{OLLAMA}-{pool.name}"
        replicas = {**labels(OLLAMA), POOL_LABEL: pool.name}
        settings, plan = self._args.settings, self._args.plan
        memory = f"{ollama_memory_mib(pool.size)}Mi"
        gpus = {"nvidia.com/gpu": str(pool.size.gpu.count)} if pool.size.gpu else {}
        container: Object = {
            "name": OLLAMA,
            "image": image_of(f"{IMAGE}:{settings.ollama_version}", settings),
            "args": ["serve"],
            "env": [{"name": key, "value": value} for key, value in variables(pool, settings)],
            "ports": [{"name": "http", "container_port": OLLAMA_PORT}],
            "security_context": restricted(user=USER),
            "resources": {
                "requests": {"cpu": f"{max(1, pool.size.vcpus - 1)}", "memory": memory, **gpus},
                "limits": {"memory": memory, **gpus},
            },
            "startup_probe": http_probe(
                "/api/version", OLLAMA_PORT, period_seconds=2, failure_threshold=60
            ),
            "readiness_probe": {
                "exec": {"command": ["sh", "-c", READY]},
                "period_seconds": 10,
                "timeout_seconds": 10,
            },
            "liveness_probe": http_probe(
                "/api/version",
                OLLAMA_PORT,
                period_seconds=20,
                failure_threshold=6,
                timeout_seconds=10,
            ),
            # Nginx and kube-proxy have stopped sending questions when it ends.
            "lifecycle": {"pre_stop": {"exec": {"command": ["sleep", "5"]}}},
            "volume_mounts": [
                {"name": "models", "mount_path": FOLDER},
                {"name": "declared", "mount_path": MODELS_FILE, "read_only": True},
                {"name": "tmp", "mount_path": "/tmp"},  # noqa: S108  of the container
            ],
        }
        of_gpu = {"key": "sku", "operator": "Equal", "value": "gpu", "effect": "NoSchedule"}
        of_spot = {
            "key": "kubernetes.azure.com/scalesetpriority",
            "operator": "Equal",
            "value": "spot",
            "effect": "NoSchedule",
        }
        stateful_set = apps.v1.StatefulSet(
            name,
            # A replica is ready when it has all models, and they are pulled after it runs.
            metadata=metadata(name, OLLAMA, annotations={"pulumi.com/skipAwait": "true"}),
            spec={
                "service_name": OLLAMA,
                "replicas": pool.nodes,
                "selector": {"match_labels": replicas},
                "pod_management_policy": "Parallel",
                "template": {
                    "metadata": {"labels": replicas},
                    "spec": {
                        "automount_service_account_token": False,
                        "enable_service_links": False,
                        "node_selector": on_pool(pool.name, settings),
                        "tolerations": [
                            *([of_gpu] if pool.size.gpu else []),
                            *([of_spot] if pool.spot else []),
                        ],
                        "security_context": {"fs_group": USER},
                        "termination_grace_period_seconds": STOPS_WITHIN,
                        "topology_spread_constraints": spread(OLLAMA),
                        "containers": [container],
                        "volumes": [
                            {
                                "name": "declared",
                                "config_map": {"name": "ollama-models", "optional": True},
                            },
                            {"name": "tmp", "empty_dir": {}},
                        ],
                    },
                },
                # Models can be pulled again, so their disks go with the replicas.
                "persistent_volume_claim_retention_policy": {
                    "when_deleted": "Delete",
                    "when_scaled": "Delete",
                },
                "volume_claim_templates": [
                    {
                        "metadata": {"name": "models"},
                        "spec": {
                            "access_modes": ["ReadWriteOnce"],
                            "storage_class_name": settings.cluster.storage_class
                            or (None if settings.cluster.kubeconfig else "managed-csi"),
                            "resources": {"requests": {"storage": f"{plan.model_disk_gib}Gi"}},
                        },
                    }
                ],
            },
            opts=self._child,
        )
        policy.v1.PodDisruptionBudget(
            name,
            metadata=metadata(name, OLLAMA),
            spec={
                "selector": {"match_labels": replicas},
                "max_unavailable": 1,
            },
            opts=self._child,
        )
        return stateful_set

    def _services(self, pool: Pool) -> list[str]:
        """A Service for each replica: an address that stays, and that refuses while it is away."""
        names = [f"{OLLAMA}-{pool.name}-{number}" for number in range(pool.nodes)]
        for name in names:
            core.v1.Service(
                name,
                metadata=metadata(
                    # One that has no replica yet is no failure.
                    name,
                    OLLAMA,
                    annotations={"pulumi.com/skipAwait": "true"},
                ),
                spec={
                    "selector": {"statefulset.kubernetes.io/pod-name": name},
                    "ports": [{"name": "http", "port": OLLAMA_PORT}],
                },
                opts=self._child,
            )
        return names

    def declare(self, after: Sequence[pulumi.Resource]) -> core.v1.ConfigMap:
        """The models that a replica must have before it answers, once all have been pulled."""
        names = self._args.settings.models
        return core.v1.ConfigMap(
            "ollama-models",
            metadata=metadata("ollama-models", OLLAMA),
            data={"list": "".join(f"{name}\n" for name in names)},
            opts=pulumi.ResourceOptions.merge(
                self._child, pulumi.ResourceOptions(depends_on=list(after))
            ),
        )


def variables(pool: Pool, settings: Settings) -> list[tuple[str, str]]:
    """Ollama's environment, as guest/etc/systemd/system/ollama.service.j2 explains it."""
    load = pool.load
    assert load is not None, pool  # noqa: S101 - a pool of models has one
    return [
        ("HOME", FOLDER),
        ("OLLAMA_MODELS", f"{FOLDER}/models"),
        ("OLLAMA_HOST", f"0.0.0.0:{OLLAMA_PORT}"),
        ("OLLAMA_NO_CLOUD", "true"),
        ("OLLAMA_CONTEXT_LENGTH", str(load.context_length)),
        ("OLLAMA_NUM_PARALLEL", str(load.num_parallel)),
        ("OLLAMA_MAX_LOADED_MODELS", str(load.max_loaded_models)),
        ("OLLAMA_KEEP_ALIVE", settings.tuning.keep_alive or "-1"),
        ("OLLAMA_LOAD_TIMEOUT", f"{load_seconds(pool.size)}s"),
        ("LLAMA_ARG_CACHE_RAM", str(load.prompt_cache_mib)),
    ]

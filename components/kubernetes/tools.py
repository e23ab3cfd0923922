"""The pod in which commands run, as they do over SSH on a machine."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes import apps, core

from components.kubernetes.objects import (
    NAMESPACE,
    TOOLS,
    WEBUI,
    files_of,
    image_of,
    labels,
    metadata,
    on_pool,
    placed,
    restricted,
    written,
)
from components.kubernetes.open_webui import WebuiPods
from components.remote_command import TOOLS as FOLDER
from components.remote_command import WEBUI_TOOLS, PodTarget
from ollamazure.settings.stack import Settings

# What commands run, by their paths on a machine.
PROGRAMS = (
    *(file.path for file in WEBUI_TOOLS),
    f"{FOLDER}/model.py",
    f"{FOLDER}/value_of.py",
)
# Where commands write; it lasts as long as the pod, and each `pulumi up` writes what it needs.
WRITTEN = ("/etc/ollamazure", "/run/ollamazure", "/srv/data", "/app/backend/data", "/tmp")  # noqa: S108


@dataclass(frozen=True)
class ToolsArgs:
    """What the pod is made from.

    Attributes:
        settings: the stack's.
        webui: has the environment with the database and the key.
        kubeconfig: secret; the way to the cluster.
        namespace: in which it runs.
    """

    settings: Settings
    webui: WebuiPods
    kubeconfig: pulumi.Output[str]
    namespace: core.v1.Namespace


class Tools(pulumi.ComponentResource):
    """A pod of Open WebUI's image with our tools. It listens on nothing.

    Attributes:
        target: runs commands there.
    """

    target: PodTarget

    def __init__(
        self, name: str, args: ToolsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ollamazure:kubernetes:Tools", name, None, opts)
        settings = args.settings
        child = pulumi.ResourceOptions(parent=self, depends_on=[args.namespace])
        data = files_of(PROGRAMS)
        volumes, mounts = written(WRITTEN)
        files = core.v1.ConfigMap(TOOLS, metadata=metadata(TOOLS, TOOLS), data=data, opts=child)
        container = {
            "name": TOOLS,
            "image": image_of(settings.webui_image, settings),
            "command": ["sleep", "infinity"],
            "env": [
                {"name": "ENABLE_DB_MIGRATIONS", "value": "false"},
                {"name": "OLLAMAZURE_OPEN_WEBUI", "value": WEBUI},
            ],
            "env_from": args.webui.environment,
            "security_context": restricted(),
            "resources": {
                "requests": {"cpu": "50m", "memory": "64Mi"},
                "limits": {"memory": "1Gi"},
            },
            "volume_mounts": [
                {"name": "files", "mount_path": FOLDER, "read_only": True},
                *mounts,
            ],
        }
        pod = apps.v1.Deployment(
            TOOLS,
            metadata=metadata(TOOLS, TOOLS),
            spec={
                "replicas": 1,
                "selector": {"match_labels": labels(TOOLS)},
                # A command that runs would otherwise be cut, and another pod has not its files.
                "strategy": {"type": "Recreate"},
                "template": {
                    "metadata": {
                        "labels": labels(TOOLS),
                        "annotations": {"ollamazure/reads": _digest(data)},
                    },
                    "spec": {
                        "automount_service_account_token": False,
                        "enable_service_links": False,
                        "node_selector": on_pool("system", settings),
                        "termination_grace_period_seconds": 5,
                        "containers": [container],
                        "volumes": [
                            {
                                "name": "files",
                                "config_map": {
                                    "name": files.metadata.name,
                                    "default_mode": 0o555,
                                    "items": placed(PROGRAMS, FOLDER),
                                },
                            },
                            *volumes,
                        ],
                    },
                },
            },
            opts=child,
        )
        self.target = PodTarget(
            kubeconfig=args.kubeconfig,
            pod=f"deployment/{TOOLS}",
            namespace=NAMESPACE,
            identity=args.namespace.metadata.uid,
            vm=args.namespace,
            ready=[pod, args.webui.deployment],
            reapply=settings.reapply,
        )
        self.register_outputs({})


def _digest(files: dict[str, str]) -> str:
    return hashlib.sha256("".join(map(str, sorted(files.items()))).encode()).hexdigest()[:16]

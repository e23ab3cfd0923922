"""Nginx in the cluster: HTTPS in front of Open WebUI, and the way from there to Ollama."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import network
from pulumi_kubernetes import apps, core, policy

from components.kubernetes.cluster import DNS_ADDRESS
from components.kubernetes.objects import (
    CLUSTER_DOMAIN,
    NAMESPACE,
    NGINX,
    OLLAMA_PORT,
    WEBUI,
    files_of,
    image_of,
    labels,
    metadata,
    on_pool,
    placed,
    restricted,
    spread,
    written,
)
from components.nginx import CERTIFICATE, configuration_values, nginx_files, texts
from components.remote_command import Part, render_file
from ollamazure.settings.stack import Settings

CONFIGURATION = "/etc/nginx/nginx.conf"
FOLDER = "/etc/nginx"
CERTIFICATE_FOLDER = CERTIFICATE.rpartition("/")[0]
REPLICAS = 2
# As long as the longest answer, which it passes on.
STOPS_WITHIN = 3900  # seconds
HTTPS_PORT, HTTP_PORT = 443, 80
WRITTEN = ("/var/cache/nginx", "/var/lib/nginx", "/run", "/tmp")  # noqa: S108  of the container


@dataclass(frozen=True)
class NginxPodsArgs:
    """What Nginx is made from.

    Attributes:
        settings: the stack's.
        server_name: the address or domain in the URL.
        certificate: PEM.
        private_key: PEM, secret.
        replicas: of Ollama, by kind of node: the names of their Services.
        address: the public address on Azure; None: the cluster chooses one.
        group_name: of the resource group of the address.
        namespace: in which it runs.
    """

    settings: Settings
    server_name: pulumi.Input[str]
    certificate: pulumi.Input[str]
    private_key: pulumi.Input[str]
    replicas: Sequence[Sequence[str]]
    address: network.PublicIPAddress | None
    group_name: str
    namespace: core.v1.Namespace


class NginxPods(Part):
    """Nginx. A new configuration or certificate starts new pods; the former ones end their answers.

    Attributes:
        deployment: is complete when all replicas are ready.
        service: users reach it.
        digest: changes with the configuration and the certificate.
    """

    deployment: apps.v1.Deployment
    service: core.v1.Service

    def __init__(
        self, name: str, args: NginxPodsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ollamazure:kubernetes:Nginx", name, None, opts)
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self, depends_on=[args.namespace])
        # One file for both, so that Nginx never reads a certificate with another one's key.
        pem = pulumi.Output.concat(args.certificate, "\n", args.private_key)
        configuration = pulumi.Output.all(
            **configuration_values(args.settings, args.server_name)
        ).apply(
            lambda known: render_file(
                CONFIGURATION,
                **known,
                resolver=DNS_ADDRESS,
                open_webui=f"{WEBUI}.{NAMESPACE}.{CLUSTER_DOMAIN}",
                replicas=args.replicas,
            )
        )
        files = self._files(configuration)
        certificate = core.v1.Secret(
            f"{NGINX}-certificate",
            metadata=metadata(f"{NGINX}-certificate", NGINX),
            string_data={"server.pem": pem},
            opts=self._child,
        )
        self.digest = pulumi.Output.unsecret(
            pulumi.Output.all(configuration, args.certificate).apply(
                lambda known: hashlib.sha256("".join(known).encode()).hexdigest()
            )
        )
        self.deployment = self._deployment(files, certificate)
        self.service = self._service()
        self.register_outputs({})

    def _files(self, configuration: pulumi.Output[str]) -> core.v1.ConfigMap:
        settings = self._args.settings
        return core.v1.ConfigMap(
            f"{NGINX}-files",
            metadata=metadata(f"{NGINX}-files", NGINX),
            data={
                **files_of(nginx_files(settings)),
                "texts.json": json.dumps(texts(settings.language), indent=2),
                "nginx.conf": configuration,
            },
            opts=self._child,
        )

    def _deployment(
        self, files: core.v1.ConfigMap, certificate: core.v1.Secret
    ) -> apps.v1.Deployment:
        settings = self._args.settings
        items = [
            *placed(nginx_files(settings), FOLDER),
            *({"key": name, "path": name} for name in ("texts.json", "nginx.conf")),
        ]
        volumes, mounts = written(WRITTEN)
        # It serves an unknown name nothing, so no page is asked for.
        listens = {"tcp_socket": {"port": HTTPS_PORT}}
        container = {
            "name": NGINX,
            "image": image_of(settings.nginx_image, settings),
            "ports": [
                {"name": "https", "container_port": HTTPS_PORT},
                {"name": "http", "container_port": HTTP_PORT},
                {"name": "ollama", "container_port": OLLAMA_PORT},
            ],
            "security_context": {
                **restricted(),
                # For ports below 1024, and for the user of the workers.
                "capabilities": {
                    "drop": ["ALL"],
                    "add": ["NET_BIND_SERVICE", "SETUID", "SETGID", "CHOWN", "DAC_OVERRIDE"],
                },
            },
            "resources": {
                "requests": {"cpu": "100m", "memory": "64Mi"},
                "limits": {"memory": "512Mi"},
            },
            "readiness_probe": {**listens, "period_seconds": 5},
            "liveness_probe": {**listens, "period_seconds": 20, "failure_threshold": 6},
            # kube-proxy and the load balancer have stopped sending requests when it ends.
            "lifecycle": {
                "pre_stop": {"exec": {"command": ["sh", "-c", "sleep 10; nginx -s quit"]}}
            },
            "volume_mounts": [
                *(
                    {
                        "name": "files",
                        "mount_path": f"{FOLDER}/{item['path']}",
                        "sub_path": item["path"],
                        "read_only": True,
                    }
                    for item in items
                ),
                {"name": "certificate", "mount_path": CERTIFICATE_FOLDER, "read_only": True},
                *mounts,
            ],
        }
        deployment = apps.v1.Deployment(
            NGINX,
            metadata=metadata(NGINX, NGINX),
            spec={
                "replicas": REPLICAS,
                "selector": {"match_labels": labels(NGINX)},
                "strategy": {
                    "type": "RollingUpdate",
                    "rolling_update": {"max_surge": 1, "max_unavailable": 0},
                },
                "template": {
                    "metadata": {
                        "labels": labels(NGINX),
                        # Pods read both when they start.
                        "annotations": {"ollamazure/reads": self.digest},
                    },
                    "spec": {
                        "automount_service_account_token": False,
                        "enable_service_links": False,
                        "node_selector": on_pool("system", settings),
                        "termination_grace_period_seconds": STOPS_WITHIN,
                        "topology_spread_constraints": spread(NGINX),
                        "containers": [container],
                        "volumes": [
                            {
                                "name": "files",
                                "config_map": {"name": files.metadata.name, "items": items},
                            },
                            {
                                "name": "certificate",
                                "secret": {
                                    "secret_name": certificate.metadata.name,
                                    "default_mode": 0o440,
                                },
                            },
                            *volumes,
                        ],
                    },
                },
            },
            opts=self._child,
        )
        policy.v1.PodDisruptionBudget(
            NGINX,
            metadata=metadata(NGINX, NGINX),
            spec={"selector": {"match_labels": labels(NGINX)}, "max_unavailable": 1},
            opts=self._child,
        )
        core.v1.Service(
            f"{NGINX}-internal",
            metadata=metadata(f"{NGINX}-internal", NGINX),
            spec={
                "selector": labels(NGINX),
                "ports": [{"name": "ollama", "port": OLLAMA_PORT}],
            },
            opts=self._child,
        )
        return deployment

    def _service(self) -> core.v1.Service:
        """The chat's address. Only the clients that may use it reach it."""
        args, settings = self._args, self._args.settings
        on_azure: dict[str, pulumi.Input[str]] = {}
        prefix = "service.beta.kubernetes.io/azure"
        if args.address:
            on_azure = {
                f"{prefix}-load-balancer-resource-group": args.group_name,
                f"{prefix}-pip-name": args.address.name,
            }
        elif not settings.public_address:
            on_azure = {f"{prefix}-load-balancer-internal": "true"}
        return core.v1.Service(
            NGINX,
            metadata=metadata(NGINX, NGINX, annotations=on_azure),
            spec={
                "type": "LoadBalancer",
                # Nginx sees the addresses of clients, by which it limits sign-ins.
                "external_traffic_policy": "Local",
                "load_balancer_source_ranges": list(settings.allowed_clients),
                "selector": labels(NGINX),
                "ports": [
                    {"name": "https", "port": HTTPS_PORT},
                    {"name": "http", "port": HTTP_PORT},
                ],
            },
            opts=self._child,
        )

"""Open WebUI in the cluster: one migrates its database, then several answer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pulumi
import pulumi_random as random
from pulumi_kubernetes import apps, autoscaling, batch, core, policy

from components.kubernetes.cluster import PODS_PREFIX
from components.kubernetes.data_services import DataServices
from components.kubernetes.objects import (
    CLUSTER_DOMAIN,
    NAMESPACE,
    NGINX,
    OLLAMA_PORT,
    WEBUI,
    WEBUI_PORT,
    Object,
    files_of,
    http_probe,
    image_of,
    labels,
    metadata,
    on_pool,
    placed,
    restricted,
    spread,
    written,
)
from components.open_webui import HINT, SIGN_IN, START_FILES, UNIT, hint_banner, unit_values
from components.remote_command import Part, render_file
from ollamazure.settings.stack import Settings
from ollamazure.sizing.cluster import ClusterPlan
from ollamazure.sizing.memory import SPARE_GIB, WEBUI_GIB

OLLAMA_URL = f"http://{NGINX}-internal.{NAMESPACE}.{CLUSTER_DOMAIN}:{OLLAMA_PORT}"
CUSTOMIZE = START_FILES[-1].path
FOLDER = CUSTOMIZE.rpartition("/")[0]
# What the container writes; all that lasts is in the database and in the store of files.
WRITTEN = ("/app/backend/data", "/app/backend/open_webui/static", "/tmp")  # noqa: S108
# Variables of the machine's unit that are about SQLite or about its own network.
OF_THE_MACHINE = ("DATABASE_SQLITE_", "FORWARDED_ALLOW_IPS", "AUDIT_LOG", "DATABASE_POOL_SIZE")
MIB_LIMIT = int(1024 * (WEBUI_GIB + SPARE_GIB))
_URL = "https://the.url"
_NOT_USED = {"database_pool_size": 0, "memory_limit_mib": 0}
MIGRATES_WITHIN = 24 * 3600  # seconds, as on the machine
STOPS_WITHIN = 60  # seconds, for what it has not stored yet


@dataclass(frozen=True)
class WebuiPodsArgs:
    """What Open WebUI is made from.

    Attributes:
        settings: the stack's.
        plan: its replicas.
        data: the database, the cache and the store of files.
        url: the address users open, `https://…`.
        namespace: in which it runs.
    """

    settings: Settings
    plan: ClusterPlan
    data: DataServices
    url: pulumi.Input[str]
    namespace: core.v1.Namespace


class WebuiPods(Part):
    """Open WebUI.

    Attributes:
        environment: where its containers have their environment variables from.
        deployment: is complete when all replicas are ready.
        digest: changes with what the pods run.
    """

    environment: list[Object]
    deployment: apps.v1.Deployment

    def __init__(
        self, name: str, args: WebuiPodsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ollamazure:kubernetes:OpenWebui", name, None, opts)
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self, depends_on=[args.namespace])
        self._image = image_of(args.settings.webui_image, args.settings)
        values = variables(args)
        self.environment = [
            {"config_map_ref": {"name": self._variables(values).metadata.name}},
            {"secret_ref": {"name": self._secret().metadata.name}},
        ]
        account = core.v1.ServiceAccount(
            WEBUI,
            metadata=metadata(
                WEBUI,
                WEBUI,
                annotations={"azure.workload.identity/client-id": args.data.client_id},
            ),
            automount_service_account_token=False,
            opts=self._child,
        )
        files = self._files()
        migration = self._migration(account, files)
        read = pulumi.Output.json_dumps([values, render_file(CUSTOMIZE), self._image])
        self.digest = read.apply(lambda text: hashlib.sha256(text.encode()).hexdigest())
        self.deployment = self._deployment(account, files, migration)
        self._service()
        self._limits()
        self.register_outputs({})

    def _variables(self, values: Mapping[str, pulumi.Input[str]]) -> core.v1.ConfigMap:
        """The environment. Apart from the pods, so that the job that migrates never changes."""
        return core.v1.ConfigMap(
            f"{WEBUI}-environment",
            metadata=metadata(f"{WEBUI}-environment", WEBUI),
            data=values,
            opts=self._child,
        )

    def _secret(self) -> core.v1.Secret:
        """What the environment has of secrets. Another key signs all users out."""
        args, rotation = self._args, self._args.settings.rotation.session_key
        key = random.RandomPassword(
            "session-key",
            length=43,
            special=False,
            keepers={"rotation": rotation} if rotation else None,
            opts=pulumi.ResourceOptions(parent=self),
        ).result
        first_password = random.RandomPassword(
            "first-password", length=40, special=False, opts=pulumi.ResourceOptions(parent=self)
        ).result
        sign_in = args.settings.sign_in_secret
        return core.v1.Secret(
            f"{WEBUI}-secret",
            metadata=metadata(f"{WEBUI}-secret", WEBUI),
            string_data={
                "DATABASE_URL": args.data.database_url,
                "REDIS_URL": args.data.cache_url,
                "WEBSOCKET_REDIS_URL": args.data.cache_url,
                "WEBUI_SECRET_KEY": key,
                "OAUTH_SESSION_TOKEN_ENCRYPTION_KEY": key,
                # It only prevents the first visitor from becoming the administrator.
                "WEBUI_ADMIN_EMAIL": "admin@localhost",
                "WEBUI_ADMIN_PASSWORD": first_password,
                **({"OAUTH_CLIENT_SECRET": sign_in.get_secret_value()} if sign_in else {}),
            },
            opts=self._child,
        )

    def _files(self) -> core.v1.ConfigMap:
        """Code of ours that Python imports when it starts."""
        hint = render_file(HINT, banner=hint_banner())
        return core.v1.ConfigMap(
            f"{WEBUI}-files",
            metadata=metadata(f"{WEBUI}-files", WEBUI),
            data={**files_of([CUSTOMIZE]), "hint.json": hint},
            opts=self._child,
        )

    def _pod(self, account: core.v1.ServiceAccount, files: core.v1.ConfigMap) -> Object:
        """What the pods of the migration and of the deployment have in common."""
        return {
            "service_account_name": account.metadata.name,
            "enable_service_links": False,
            "node_selector": on_pool("system", self._args.settings),
            "termination_grace_period_seconds": STOPS_WITHIN,
            "volumes": [
                {
                    "name": "files",
                    "config_map": {
                        "name": files.metadata.name,
                        "items": [
                            *placed([CUSTOMIZE], FOLDER),
                            {"key": "hint.json", "path": "hint.json"},
                        ],
                    },
                },
                *written(WRITTEN)[0],
            ],
        }

    def _container(self, *, migrates: bool) -> Object:
        return {
            "name": WEBUI,
            "image": self._image,
            "env": [{"name": "ENABLE_DB_MIGRATIONS", "value": str(migrates).lower()}],
            "env_from": self.environment,
            "security_context": restricted(),
            "resources": {
                "requests": {"cpu": "250m", "memory": f"{MIB_LIMIT // 2}Mi"},
                "limits": {"memory": f"{MIB_LIMIT}Mi"},
            },
            "volume_mounts": [
                {"name": "files", "mount_path": FOLDER, "read_only": True},
                *written(WRITTEN)[1],
            ],
        }

    def _migration(self, account: core.v1.ServiceAccount, files: core.v1.ConfigMap) -> batch.v1.Job:
        """The one process that may change the database: this version has no lock for that.

        Nothing of another version may use the database meanwhile. So another version replaces this
        job, and with it the deployment, which has its name from the job: Pulumi deletes what
        depends on a job before it deletes the job, and creates it again after it.
        """
        version = self._args.settings.webui_release.lstrip("v").replace(".", "-")
        # Importing the configuration migrates the database (open_webui/config.py).
        command = ["python3", "-c", "import open_webui.config"]
        return batch.v1.Job(
            "migration",
            metadata=metadata(f"{WEBUI}-{version}", "migration"),
            spec={
                "backoff_limit": 3,
                "active_deadline_seconds": MIGRATES_WITHIN,
                "template": {
                    "metadata": {"labels": labels("migration")},
                    "spec": {
                        **self._pod(account, files),
                        "restart_policy": "Never",
                        "containers": [{**self._container(migrates=True), "command": command}],
                    },
                },
            },
            opts=pulumi.ResourceOptions.merge(
                self._child,
                pulumi.ResourceOptions(
                    depends_on=self._args.data.ready,
                    delete_before_replace=True,
                    custom_timeouts=pulumi.CustomTimeouts(create=f"{MIGRATES_WITHIN}s"),
                ),
            ),
        )

    def _deployment(
        self, account: core.v1.ServiceAccount, files: core.v1.ConfigMap, migration: batch.v1.Job
    ) -> apps.v1.Deployment:
        container = {
            **self._container(migrates=False),
            "ports": [{"name": "http", "container_port": WEBUI_PORT}],
            "startup_probe": http_probe(
                "/health", WEBUI_PORT, period_seconds=2, failure_threshold=150, timeout_seconds=5
            ),
            "readiness_probe": http_probe(
                "/ready", WEBUI_PORT, period_seconds=5, failure_threshold=3, timeout_seconds=5
            ),
            # Only a process that hangs: a database that is away ends no pod.
            "liveness_probe": http_probe(
                "/health", WEBUI_PORT, period_seconds=20, failure_threshold=6, timeout_seconds=10
            ),
            # Nginx and kube-proxy have stopped sending requests when it ends.
            "lifecycle": {"pre_stop": {"sleep": {"seconds": 5}}},
        }
        return apps.v1.Deployment(
            WEBUI,
            metadata={**metadata(WEBUI, WEBUI), "name": migration.metadata.name},
            # Without a number of replicas, which the autoscaler decides.
            spec={
                "selector": {"match_labels": labels(WEBUI)},
                "strategy": {
                    "type": "RollingUpdate",
                    "rolling_update": {"max_surge": 1, "max_unavailable": 0},
                },
                "progress_deadline_seconds": 900,
                "template": {
                    "metadata": {
                        "labels": {**labels(WEBUI), "azure.workload.identity/use": "true"},
                        # Pods read both when they start.
                        "annotations": {"ollamazure/reads": self.digest},
                    },
                    "spec": {
                        **self._pod(account, files),
                        "containers": [container],
                        "topology_spread_constraints": spread(WEBUI),
                    },
                },
            },
            opts=pulumi.ResourceOptions.merge(
                self._child, pulumi.ResourceOptions(delete_before_replace=True)
            ),
        )

    def _service(self) -> core.v1.Service:
        return core.v1.Service(
            WEBUI,
            metadata=metadata(WEBUI, WEBUI),
            spec={
                "selector": labels(WEBUI),
                "ports": [{"name": "http", "port": WEBUI_PORT}],
            },
            opts=self._child,
        )

    def _limits(self) -> None:
        """How many replicas there are, at least and at most."""
        least, most = self._args.plan.webui_replicas
        autoscaling.v2.HorizontalPodAutoscaler(
            WEBUI,
            metadata=metadata(WEBUI, WEBUI),
            spec={
                "scale_target_ref": {
                    "api_version": "apps/v1",
                    "kind": "Deployment",
                    "name": self.deployment.metadata.name,
                },
                "min_replicas": least,
                "max_replicas": most,
                "metrics": [
                    {
                        "type": "Resource",
                        "resource": {
                            "name": "cpu",
                            "target": {"type": "Utilization", "average_utilization": 200},
                        },
                    }
                ],
            },
            opts=self._child,
        )
        policy.v1.PodDisruptionBudget(
            WEBUI,
            metadata=metadata(WEBUI, WEBUI),
            spec={"selector": {"match_labels": labels(WEBUI)}, "max_unavailable": 1},
            opts=self._child,
        )


def variables(args: WebuiPodsArgs) -> dict[str, pulumi.Input[str]]:
    """Open WebUI's environment: what the machine's unit has, and what several replicas need.

    Sources of the latter: Open WebUI's pages on scaling and on several replicas.
    """
    settings = args.settings
    unit = render_file(UNIT, **unit_values(settings), url=_URL, proxy=None, **_NOT_USED)
    sign_in = (
        render_file(SIGN_IN, url=_URL, **settings.sign_in.values()) if settings.sign_in else ""
    )
    common = {
        name: value
        for name, value in [*_lines(unit, "Environment="), *_lines(sign_in, "")]
        if not name.startswith(OF_THE_MACHINE)
    }
    return {
        **{name: _with_url(value, args.url) for name, value in common.items()},
        "OLLAMA_BASE_URLS": OLLAMA_URL,
        # Network policies let only Nginx and the tools reach it.
        "FORWARDED_ALLOW_IPS": PODS_PREFIX,
        "UVICORN_WORKERS": "1",
        "THREAD_POOL_SIZE": "2000",
        "DATABASE_POOL_SIZE": str(args.plan.database_pool_size),
        "DATABASE_POOL_MAX_OVERFLOW": "0",
        "DATABASE_USER_ACTIVE_STATUS_UPDATE_INTERVAL": "300",
        "ENABLE_WEBSOCKET_SUPPORT": "true",
        "WEBSOCKET_MANAGER": "redis",
        "VECTOR_DB": "pgvector",
        # The server allows the extension, and the migration creates it.
        "PGVECTOR_CREATE_EXTENSION": "true",
        "PGVECTOR_INITIALIZE_MAX_VECTOR_LENGTH": "1024",
        "STORAGE_PROVIDER": "azure",
        "AZURE_STORAGE_ENDPOINT": args.data.blob_endpoint,
        "AZURE_STORAGE_CONTAINER_NAME": args.data.container,
        # Nginx chooses the replica of Ollama by the chat (components/kubernetes/nginx.py).
        "ENABLE_FORWARD_USER_INFO_HEADERS": "true",
        "ENABLE_COMPRESSION_MIDDLEWARE": "false",
        # The log of the cluster has it; there is no disk for a file.
        "ENABLE_AUDIT_STDOUT": str(settings.audit_log_days > 0).lower(),
        "ENABLE_AUDIT_LOGS_FILE": "false",
        "AUDIT_LOG_LEVEL": "METADATA" if settings.audit_log_days else "NONE",
        "AUDIT_EXCLUDED_PATHS": "/chats,/chat,/folders,/channels/webhooks",
    }


def _lines(text: str, before: str) -> Iterator[tuple[str, str]]:
    """Names and values of the lines NAME=VALUE that start so."""
    for line in text.splitlines():
        name, equals, value = line.removeprefix(before).partition("=")
        if line.startswith(before) and equals and name.isupper() and not line.startswith("#"):
            yield name, value


def _with_url(value: str, url: pulumi.Input[str]) -> pulumi.Input[str]:
    """The value with the chat's address, which may not be known yet."""
    if _URL not in value:
        return value
    return pulumi.Output.from_input(url).apply(lambda known: value.replace(_URL, known))

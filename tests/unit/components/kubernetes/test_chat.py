"""A chat on a cluster: every resource that it registers, without an engine."""

from __future__ import annotations

import base64
import json
import os
import re
import runpy
import signal
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pulumi.runtime import set_all_config

from components.tags import Tags
from emulator.plugins.azure_types import FUNCTIONS, LISTS, TYPES
from ollamazure.names import group_names
from ollamazure.settings import engines
from ollamazure.settings.load import parse
from ollamazure.sizing.cluster import make_cluster_plan
from tests.unit.components.recorder import Recorded, Recorder, record

pytestmark = pytest.mark.unit
pytest.importorskip("pulumi_kubernetes", reason="requirements-kubernetes.txt is not installed")

SECRETS = {
    "database-password": "the-password-of-the-database",
    "session-key": "the-key-of-the-sessions",
    "first-password": "the-first-password",
    "admin-password": "the-password-of-the-administrator",
    "initial-passwords": "the-seed",
}
KUBECONFIG, REDIS_KEY, TLS_KEY = "the-kubeconfig", "the-key-of-the-cache", "the-key-of-nginx"
PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
OUTPUTS: Mapping[str, Mapping[str, Any]] = {
    **{name: {"result": secret} for name, secret in SECRETS.items()},
    "cluster": {"identity": {"type": "UserAssigned", "userAssignedIdentities": {}}, "name": "chat"},
    "ollamazure": {"metadata": {"uid": "the-uid", "name": "ollamazure"}},
    "data-group": {"name": "ollamazure-test-data"},
    "public-ip": {"ipAddress": "192.0.2.9"},
    "certificate": {"certPem": PEM},
    "certificate-key": {"privateKeyPem": TLS_KEY},
    "certificate-authority": {"certPem": PEM},
    "certificate-authority-key": {"privateKeyPem": "the-key-of-the-authority"},
}
RESULTS: Mapping[str, Mapping[str, Any]] = {
    "authorization:getClientConfig": {
        "subscriptionId": "0000", "clientId": "", "objectId": "", "tenantId": "",
    },
    "containerservice:listManagedClusterUserCredentials": {
        "kubeconfigs": [
            {"name": "user", "value": base64.b64encode(KUBECONFIG.encode()).decode()}
        ]
    },
    "containerservice:getManagedCluster": {
        "oidcIssuerProfile": {"issuerURL": "https://issuer.example.com", "enabled": True}
    },
    "managedidentity:getUserAssignedIdentity": {"principalId": "principal", "clientId": "id"},
    "redisenterprise:listDatabaseKeys": {"primaryKey": REDIS_KEY, "secondaryKey": ""},
    "redisenterprise:getRedisEnterprise": {"hostName": "cache.example.com"},
}  # fmt: skip
CALLS = {f"azure-native:{token}": result for token, result in RESULTS.items()}


@cache
def deployed(**given: str) -> Recorder:
    texts = {"sshClients": "203.0.113.7", "engine": "kubernetes", **given}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engines, "CAN_DEPLOY", ("kubernetes",))
        settings = parse(texts)
    from components.kubernetes.chat import ClusterChat, ClusterChatArgs  # noqa: PLC0415

    args = ClusterChatArgs(
        group_names("ollamazure", "test"), settings, make_cluster_plan(settings), Tags({"a": "b"})
    )
    return record(lambda: ClusterChat("chat", args), outputs=OUTPUTS, calls=CALLS)


def one(kind: str, name: str, **given: str) -> Recorded:
    [found] = [
        each for each in deployed(**given).resources if each.name == name and kind in each.type
    ]
    return found


def pod(kind: str, name: str) -> dict[str, Any]:
    spec: dict[str, Any] = one(kind, name).inputs["spec"]["template"]["spec"]
    return spec


def variables() -> dict[str, str]:
    found: dict[str, str] = one("ConfigMap", "open-webui-environment").inputs["data"]
    return found


def test_no_secret_is_in_a_plain_value() -> None:
    known = [*SECRETS.values(), REDIS_KEY, TLS_KEY, KUBECONFIG]
    for resource in deployed(users='[{"email":"a@example.org","name":"A"}]').resources:
        # The kubeconfig is one of several variables, and a secret by itself.
        plain = {
            key: value
            for key, value in resource.inputs.items()
            if key not in {*resource.secrets, "environment", "administratorLoginPassword"}
        }
        text = json.dumps(plain, default=str)
        assert not [secret for secret in known if secret in text], resource.name


@pytest.mark.parametrize("scale", ["small", "medium", "large"])
def test_the_emulated_azure_knows_all_that_is_sent(scale: str) -> None:
    """Each type, each property, and each value."""
    for resource in deployed(scale=scale).resources:
        if not resource.type.startswith("azure-native:"):
            continue
        token = re.sub(r":(\w+)/v\w+:", r":\1:", resource.type)
        native = TYPES[token]
        given = dict.fromkeys(native.path_names, "any") | json.loads(
            json.dumps(resource.inputs), parse_float=lambda text: int(float(text))
        )
        assert native.check(given) == [], resource.name
    assert {*CALLS} - {"azure-native:authorization:getClientConfig"} <= {*FUNCTIONS, *LISTS}


def test_one_process_migrates_and_the_deployment_has_its_name_from_the_job() -> None:
    job, deployment = one("Job", "migration"), one("Deployment", "open-webui")
    assert job.inputs["metadata"]["name"] == "open-webui-0-12-4"
    assert deployment.inputs["metadata"]["name"] == "open-webui-0-12-4"
    assert job.delete_before_replace
    assert deployment.delete_before_replace
    assert "migration" in deployment.dependencies
    migrates, serves = (
        {one["name"]: one["value"] for one in pod(*which)["containers"][0]["env"]}
        for which in (("Job", "migration"), ("Deployment", "open-webui"))
    )
    assert migrates["ENABLE_DB_MIGRATIONS"] == "true"
    assert serves["ENABLE_DB_MIGRATIONS"] == "false"


def test_the_autoscaler_scales_the_deployment() -> None:
    scaler = one("HorizontalPodAutoscaler", "open-webui").inputs["spec"]
    name = one("Deployment", "open-webui").inputs["metadata"]["name"]
    assert scaler["scaleTargetRef"]["name"] == name
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (2, 3)


def test_a_setting_of_open_webui_leaves_the_job_as_it_is() -> None:
    """Else each such change would stop all replicas, as another version does."""
    before, after = one("Job", "migration"), one("Job", "migration", language="fr")
    assert before.inputs == after.inputs
    assert (
        one("Deployment", "open-webui").inputs["spec"]["template"]["metadata"]
        != one("Deployment", "open-webui", language="fr").inputs["spec"]["template"]["metadata"]
    )


def test_another_version_of_open_webui_is_another_job() -> None:
    assert (
        one("Job", "migration", webuiVersion="v0.11.4").inputs["metadata"]["name"]
        == "open-webui-0-11-4"
    )


def test_open_webui_has_the_environment_of_a_machine_and_what_several_replicas_need() -> None:
    found = variables()
    assert found["WEBUI_URL"] == found["CORS_ALLOW_ORIGIN"] == "https://192.0.2.9"
    assert found["ENABLE_SIGNUP"] == "false"
    assert found["OFFLINE_MODE"] == "true"
    assert (found["VECTOR_DB"], found["STORAGE_PROVIDER"]) == ("pgvector", "azure")
    assert found["WEBSOCKET_MANAGER"] == "redis"
    assert not [name for name in found if "SQLITE" in name]
    assert "10.89." not in json.dumps(found)
    assert set(one("Secret", "open-webui-secret").inputs["stringData"]) >= {
        *("DATABASE_URL", "REDIS_URL", "WEBSOCKET_REDIS_URL", "WEBUI_SECRET_KEY"),
        "OAUTH_SESSION_TOKEN_ENCRYPTION_KEY",
    }


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("Deployment", "open-webui"),
        ("Deployment", "nginx"),
        ("Deployment", "tools"),
        ("Job", "migration"),
        ("StatefulSet", "ollama-models"),
    ],
)
def test_a_pod_can_do_little(kind: str, name: str) -> None:
    [container] = pod(kind, name)["containers"]
    allowed = container["securityContext"]
    assert allowed["allowPrivilegeEscalation"] is False
    assert allowed["readOnlyRootFilesystem"] is True
    assert allowed["capabilities"]["drop"] == ["ALL"]
    assert "memory" in container["resources"]["limits"]


def test_network_policies_deny_by_default() -> None:
    policy = one("NetworkPolicy", "policy-deny-all").inputs["spec"]
    assert policy == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} | {
        "ingress": [],
        "egress": [],
    }
    to_ollama = one("NetworkPolicy", "policy-to-ollama-11434").inputs["spec"]
    callers = [
        each["podSelector"]["matchLabels"]["app.kubernetes.io/name"]
        for each in to_ollama["ingress"][0]["from"]
    ]
    assert callers == ["nginx", "tools"]


def test_a_replica_of_ollama_answers_when_it_has_all_declared_models() -> None:
    declared = one("ConfigMap", "ollama-models", models='["llama3.2:1b","all-minilm"]')
    assert declared.inputs["data"]["list"].splitlines()[0] == "llama3.2:1b"
    assert any(name.startswith("model-llama3.2") for name in declared.dependencies)
    [container] = pod("StatefulSet", "ollama-models")["containers"]
    assert "ollama show" in container["readinessProbe"]["exec"]["command"][-1]


def test_nginx_keeps_a_conversation_at_one_replica() -> None:
    cluster = '{"modelNodes": 2}'
    conf = one("ConfigMap", "nginx-files", cluster=cluster).inputs["data"]["nginx.conf"]
    assert "hash $conversation consistent;" in conf
    assert "server ollama-models-0:11434" in conf
    assert "server ollama-models-1:11434" in conf
    services = {each.name for each in deployed(cluster=cluster).of("kubernetes:core/v1:Service")}
    assert {"ollama-models-0", "ollama-models-1"} <= services


def test_only_allowed_clients_reach_the_chat() -> None:
    service = one("Service", "nginx", allowedClients="198.51.100.0/24").inputs["spec"]
    assert service["type"] == "LoadBalancer"
    assert service["loadBalancerSourceRanges"] == ["198.51.100.0/24"]
    assert service["externalTrafficPolicy"] == "Local"


def test_what_keep_data_keeps_is_in_the_group_of_the_data() -> None:
    kept = {each.name for each in deployed(keepData="true").resources if each.protect}
    assert kept >= {"data-group", "vnet", "database", "database-of-open-webui", "files-container"}
    assert "cache" not in kept
    for kind, name in (("Server", "database"), ("StorageAccount", "files"), ("Virtual", "vnet")):
        assert one(kind, name).inputs["resourceGroupName"] == "ollamazure-test-data"


def test_a_command_runs_in_the_pod_with_the_tools() -> None:
    command = one("Command", "open-webui-settings")
    assert command.type == "command:local:Command"
    assert (
        "--namespace ollamazure exec --stdin deployment/tools -- bash -c"
        in (command.inputs["create"])
    )
    assert command.deleted_with == "ollamazure"


def test_a_command_runs_its_script_in_the_pod_and_leaves_no_kubeconfig(tmp_path: Path) -> None:
    """kubectl is one that runs here what it would run in the pod, and shows what it was given."""
    kubectl = tmp_path / "kubectl"
    kubectl.write_text('#!/bin/bash\ncat "$2" >"$0.config"\nshift 7\nexec "$@"\n')
    kubectl.chmod(0o755)
    # The pod's root has these; here only root may make such folders.
    (tmp_path / "install").write_text("#!/bin/sh\n")
    (tmp_path / "flock").write_text('#!/bin/sh\nshift 2\nexec "$@"\n')
    for name in ("install", "flock"):
        (tmp_path / name).chmod(0o755)
    command = one("Command", "open-webui-settings").inputs["create"]
    done = subprocess.run(
        ["/bin/bash", "-c", command],
        input="echo ran as $(basename $0 | cut -c 1-3)",
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "OLLAMAZURE_KUBECONFIG": KUBECONFIG},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "ran as tmp\n"), done.stderr
    assert (tmp_path / "kubectl.config").read_text() == KUBECONFIG
    assert KUBECONFIG not in command


def test_the_program_deploys_a_cluster_and_exports_the_way_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engines, "CAN_DEPLOY", ("kubernetes",))
    exported: dict[str, Any] = {}
    monkeypatch.setattr("pulumi.export", exported.__setitem__)
    config = {"engine": "kubernetes", "sshClients": "203.0.113.7"}
    set_all_config({f"ollamazure:{key}": value for key, value in config.items()})
    calls = {**CALLS, "pulumi:pulumi:readStackResourceOutputs": {"outputs": {}}}
    ctrl_c = signal.getsignal(signal.SIGINT)
    try:
        recorded = record(lambda: runpy.run_path("__main__.py"), outputs=OUTPUTS, calls=calls)
    finally:
        signal.signal(signal.SIGINT, ctrl_c)
        set_all_config({})
    types = {resource.type for resource in recorded.resources}
    assert "ollamazure:kubernetes:Chat" in types
    assert "azure-native:compute:VirtualMachine" not in types
    assert exported["engine"] == "kubernetes"
    assert {"url", "adminPassword", "kubeconfig", "readme", "monthlyCost"} <= exported.keys()
    assert not {"sshCommand", "sshPrivateKey", "vmSize"} & exported.keys()

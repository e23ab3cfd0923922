"""Kubernetes clusters (AKS), their node pools, and the credentials of their users.

Sources: learn.microsoft.com/azure/aks (quotas-skus-regions, use-system-pools, workload-identity,
supported-kubernetes-versions). A message is Azure's where a report of it is named.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Collection, Iterator

from emulator.azure.errors import AzureError, change_not_allowed, not_emulated
from emulator.azure.identities import TENANT, check_identity, show_identity
from emulator.azure.kinds import (
    PutRequest,
    ResourceKind,
    find,
    forget_below,
    keep,
    merge_defaults,
    new_guid,
    put_beside,
)
from emulator.azure.names import POOL, SUBNET, ResourceId
from emulator.azure.offers import offers
from emulator.azure.store import Body, StoredState

VERSIONS = {"1.36": "1.36.3", "1.35": "1.35.4", "1.34": "1.34.4"}
"""The minor versions that AKS supports, with the newest patch version of each; the newest first."""
KUBECONFIG = "kubeconfig"
"""The stored property with the credentials, which the host fills in."""
FIXED_OF_POOL = ("vmSize", "vnetSubnetID", "osType", "scaleSetPriority", "maxPods")
NODE_DEFAULTS: Body = {
    "count": 1,
    "maxPods": 250,
    "mode": "User",
    "osSKU": "Ubuntu",
    "osType": "Linux",
    "scaleSetPriority": "Regular",
    "type": "VirtualMachineScaleSets",
}


class ManagedCluster(ResourceKind):
    """A cluster. The pools in its body are created with it, and are resources of their own."""

    def put(self, request: PutRequest) -> None:
        name, properties, old = request.id.name, request.properties, request.old_properties
        if not re.fullmatch(r"[A-Za-z0-9]([\w-]{0,61}[A-Za-z0-9])?", name, re.ASCII):
            raise AzureError(
                "InvalidParameter",
                f"The value of parameter resourceName is invalid: '{name}'. It has 1 to 63 letters,"
                " digits, '_' and '-', and starts and ends with a letter or a digit.",
            )
        check_identity(request)
        if not request.body.get("identity"):
            raise not_emulated("A cluster without an identity of its own", "identity")
        prefix = properties.get("dnsPrefix") or ""
        if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9-]{0,52}[A-Za-z0-9])?", prefix):
            raise AzureError(
                "InvalidDNSPrefix",
                f"The dnsPrefix '{prefix}' is not valid. It has 1 to 54 letters, digits and"
                " hyphens, and starts and ends with a letter or a digit.",
                target="dnsPrefix",
            )
        _check_unchanged(request, ("dnsPrefix", "networkProfile", "enableRBAC"))
        properties["kubernetesVersion"] = _version(request, properties.get("kubernetesVersion"))
        properties["currentKubernetesVersion"] = VERSIONS[_minor(properties["kubernetesVersion"])]
        pools = properties.pop("agentPoolProfiles", None) or []
        keep(request, "resourceUID", new_guid)
        _check_issuer(request)
        digits = hashlib.sha256(request.id.key.encode()).hexdigest()[:8]
        region = request.region
        properties["fqdn"] = f"{prefix.lower()}-{digits}.hcp.{region}.azmk8s.io"
        properties["nodeResourceGroup"] = f"MC_{request.id.group}_{name}_{region}"[:80]
        properties["powerState"] = {"code": "Running"}
        if KUBECONFIG in old:
            properties[KUBECONFIG] = old[KUBECONFIG]
        if not request.old and not any(pool.get("mode") == "System" for pool in pools):
            raise AzureError(
                "BadRequest", "There has to be at least one system agent pool.", target="mode"
            )
        request.state.resources[request.id.key] = request.body  # so that its pools find it
        for pool in pools:
            _put_inline_pool(request, pool)

    def after_deletion(self, state: StoredState, id_: ResourceId, body: Body) -> None:
        forget_below(state, id_)

    def view(self, state: StoredState, id_: ResourceId, body: Body) -> None:
        body["properties"].pop(KUBECONFIG, None)
        show_identity(state, body)
        body["properties"]["agentPoolProfiles"] = [
            {"name": pool["name"], **pool["properties"]} for pool in pools_of(state, id_)
        ]


def pools_of(state: StoredState, cluster: ResourceId) -> Iterator[Body]:
    """The cluster's pools, oldest first."""
    for key, body in state.of_type(POOL):
        if key.startswith(f"{cluster.key}/"):
            yield body


def _put_inline_pool(request: PutRequest, pool: Body) -> None:
    id_ = request.id.child("agentPools", pool["name"])
    body: Body = {"properties": {name: each for name, each in pool.items() if name != "name"}}
    put_beside(request, AgentPool(), id_, body)


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _version(request: PutRequest, wanted: str | None) -> str:
    """The version of a cluster, which only goes up, by one minor version at a time."""
    version = wanted or request.old_properties.get("kubernetesVersion") or next(iter(VERSIONS))
    known = VERSIONS.get(_minor(version))
    if known is None or version not in (_minor(version), known):
        raise AzureError(
            "K8sVersionNotSupported",
            f"Managed cluster {request.id.name} is on version {version} which is not supported in"
            " this region. Please use [az aks get-versions] command to get the supported version"
            " list in this region. For more information, please check"
            " https://aka.ms/supported-version-list",
            target="kubernetesVersion",
        )
    former = request.old_properties.get("kubernetesVersion")
    if former:
        step = int(_minor(version).partition(".")[2]) - int(_minor(former).partition(".")[2])
        if step not in (0, 1):
            raise AzureError(
                "OperationNotAllowed",
                f"Upgrading Kubernetes version from {former} to {version} is not allowed: it goes"
                " up by one minor version at a time, and never down.",
                target="kubernetesVersion",
            )
    return version


def _check_issuer(request: PutRequest) -> None:
    """Workload identity needs the issuer of tokens, which stays once a cluster has it."""
    properties = request.properties
    issuer = properties.get("oidcIssuerProfile") or {}
    workload = (properties.get("securityProfile") or {}).get("workloadIdentity") or {}
    former = request.old_properties.get("oidcIssuerProfile") or {}
    if former.get("enabled") and not issuer.get("enabled"):
        raise AzureError(
            "OIDCIssuerFeatureCannotBeDisabled", "The OIDC issuer feature cannot be disabled."
        )
    if workload.get("enabled") and not issuer.get("enabled"):
        raise AzureError(
            "BadRequest", "Workload identity needs the OIDC issuer.", target="oidcIssuerProfile"
        )
    if issuer.get("enabled"):
        base = f"https://{request.region}.oic.prod-aks.azure.com/{TENANT}"
        issuer["issuerURL"] = former.get("issuerURL") or f"{base}/{properties['resourceUID']}/"


def _check_unchanged(request: PutRequest, names: Collection[str]) -> None:
    for name in names:
        new, old = request.properties.get(name), request.old_properties.get(name)
        if request.old and new is not None and new != old:
            raise change_not_allowed(name)  # github.com/Azure/AKS/issues/1420


class AgentPool(ResourceKind):
    """Nodes of one size."""

    def put(self, request: PutRequest) -> None:
        name, properties = request.id.name, request.properties
        if not re.fullmatch(r"[a-z][a-z0-9]{0,11}", name):
            # learn.microsoft.com/azure/aks/create-node-pools
            raise AzureError(
                "InvalidParameter",
                f"The value of parameter agentPoolProfile.name is invalid: '{name}'. A name has up"
                " to 12 lower-case letters and digits, and starts with a letter.",
                target="agentPoolProfile.name",
            )
        merge_defaults(properties, NODE_DEFAULTS)
        _check_unchanged(request, FIXED_OF_POOL)
        _check_nodes(request)
        cluster = request.state.resources[request.id.parent.key]
        version = cluster["properties"]["kubernetesVersion"]
        wanted = properties.setdefault("orchestratorVersion", version)
        if int(_minor(wanted).partition(".")[2]) > int(_minor(version).partition(".")[2]):
            raise AzureError(
                "NodePoolMcVersionIncompatible",
                f"Node pool version {wanted} and control plane version {version} are incompatible."
                " Minor version of node pool version is bigger than control plane version.",
                target="orchestratorVersion",
            )
        properties["currentOrchestratorVersion"] = VERSIONS[_minor(wanted)]
        properties["powerState"] = {"code": "Running"}

    def check_delete(self, state: StoredState, id_: ResourceId, leaving: Collection[str]) -> None:
        if id_.parent.key in leaving:
            return
        others = [pool for pool in pools_of(state, id_.parent) if pool["id"].lower() != id_.key]
        if not any(pool["properties"]["mode"] == "System" for pool in others):
            raise AzureError("BadRequest", "There has to be at least one system agent pool.")


def _check_nodes(request: PutRequest) -> None:
    properties = request.properties
    size = offers().sizes.get((properties.get("vmSize") or "").lower())
    if size is None:
        raise AzureError(
            "BadRequest",
            f"The VM size of {properties.get('vmSize')} is not allowed in your subscription in"
            f" location '{_region(request)}'.",
            target="vmSize",
        )
    system = properties["mode"] == "System"
    if system and (size.vcpus < 2 or size.memory_gib < 4):
        raise AzureError(
            "BadRequest",
            f"A system pool needs 2 processors and 4 GiB, which the size {size.name} has not.",
            target="vmSize",
        )
    if not (1 if system else 0) <= properties["count"] <= 1000:
        raise AzureError(
            "InvalidParameter",
            f"The value of parameter agentPoolProfile.count is invalid: {properties['count']}.",
            target="count",
        )
    if system and properties["scaleSetPriority"] == "Spot":
        raise AzureError("BadRequest", "A system pool cannot have spot nodes.", target="mode")
    subnet = find(request.state, properties.get("vnetSubnetID") or "", SUBNET, "vnetSubnetID")
    delegations = request.state.resources[subnet.key]["properties"]["delegations"]
    if delegations:
        raise AzureError(
            "SubnetIsDelegated",
            f"Subnet {subnet} cannot be used as it's a delegated subnet.",
            target="vnetSubnetID",
        )


def _region(request: PutRequest) -> str:
    return str(request.state.resources[request.id.parent.key]["location"])


def list_credentials(body: Body) -> Body:
    """The kubeconfig of a stored cluster. Without a host, no server answers at its address."""
    given = body["properties"].get(KUBECONFIG) or _unreachable(body["properties"]["fqdn"])
    encoded = base64.b64encode(given.encode()).decode()
    return {"kubeconfigs": [{"name": "clusterUser", "value": encoded}]}


def _unreachable(name: str) -> str:
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "cluster", "cluster": {"server": f"https://{name}:443"}}],
            "users": [{"name": "user", "user": {}}],
            "contexts": [{"name": "cluster", "context": {"cluster": "cluster", "user": "user"}}],
            "current-context": "cluster",
        }
    )

"""Azure Managed Redis: a cluster, its one database, and the keys of that.

Source: learn.microsoft.com/azure/redis/overview. The messages are not verified.
"""

from __future__ import annotations

import base64
import re
import secrets

from emulator.azure.errors import AzureError, not_emulated
from emulator.azure.kinds import PutRequest, ResourceKind, forget_below, keep, merge_defaults
from emulator.azure.names import CACHE, ResourceId
from emulator.azure.store import Body, StoredState

SIZE = re.compile(r"(Balanced_B|MemoryOptimized_M|ComputeOptimized_X|FlashOptimized_A)\d+")
KEYS = ("primaryKey", "secondaryKey")
FIXED = ("clusteringPolicy", "port")


class Cache(ResourceKind):
    """A cluster of Redis servers. What it stores is in its database."""

    def put(self, request: PutRequest) -> None:
        name = request.id.name
        if not re.fullmatch(r"[A-Za-z0-9](-?[A-Za-z0-9]){0,59}", name):
            raise AzureError(
                "InvalidResourceName",
                f"The name '{name}' is not valid. It has 1 to 60 letters, digits and single"
                " hyphens between them.",
            )
        for key, other in request.state.of_type(CACHE):
            if key != request.id.key and other["name"].lower() == name.lower():
                raise AzureError(
                    "NameNotAvailable", f"The name '{name}' is not available.", status=409
                )
        size = request.body["sku"]["name"]
        if not SIZE.fullmatch(size):
            raise AzureError("InvalidParameter", f"The SKU '{size}' is not valid.", target="sku")
        merge_defaults(
            request.properties,
            {
                "highAvailability": "Enabled",
                "minimumTlsVersion": "1.2",
                "publicNetworkAccess": "Enabled",
            },
        )
        if request.properties["publicNetworkAccess"] == "Enabled":
            raise not_emulated("A cache with a public address", "publicNetworkAccess")
        host = f"{name.lower()}.{request.region}.redis.azure.net"
        request.properties.update(hostName=host, resourceState="Running", redisVersion="7.4")

    def after_deletion(self, state: StoredState, id_: ResourceId, body: Body) -> None:
        forget_below(state, id_)


class CacheDatabase(ResourceKind):
    """The database of a cluster, whose name is always `default`."""

    def put(self, request: PutRequest) -> None:
        if request.id.name != "default":
            raise AzureError(
                "InvalidResourceName",
                f"The name of the database is 'default', not '{request.id.name}'.",
            )
        properties, old = request.properties, request.old_properties
        merge_defaults(
            properties,
            {
                "accessKeysAuthentication": "Disabled",
                "clientProtocol": "Encrypted",
                "clusteringPolicy": "OSSCluster",
                "evictionPolicy": "VolatileLRU",
                "port": 10000,
            },
        )
        for name in FIXED:
            if old and properties[name] != old[name]:
                raise AzureError(
                    "BadRequest", f"The property '{name}' cannot be changed.", target=name
                )
        if properties["clusteringPolicy"] != "EnterpriseCluster":
            raise not_emulated("A cache that clients see as several servers", "clusteringPolicy")
        for name in KEYS:
            keep(request, name, _new_key)
        properties["resourceState"] = "Running"

    def view(self, state: StoredState, id_: ResourceId, body: Body) -> None:
        for name in KEYS:
            body["properties"].pop(name, None)


def list_keys(body: Body) -> Body:
    """The keys of a stored database. Raises BadRequest if clients cannot sign in with them."""
    properties = body["properties"]
    if properties["accessKeysAuthentication"] != "Enabled":
        raise AzureError("BadRequest", "Access keys authentication is disabled for this database.")
    return {name: properties[name] for name in KEYS}


def _new_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()

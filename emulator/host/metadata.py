"""The metadata service of one virtual network: tokens of the identities that its machines have.

    python -m emulator.host.metadata HOME NETWORK-ID ADDRESS PORT

Only GET /metadata/identity/oauth2/token is there. As on Azure, the address of the network interface
from which a request comes is what tells the machine.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from emulator.azure.storage import BLOB_DOMAIN
from emulator.host.desired import Desired
from emulator.host.places import Places
from emulator.host.tokens import Directory, Identity
from emulator.instance import Instance

ADDRESS = "169.254.169.254"
STORAGE = "https://storage.azure.com"
Resources = Mapping[str, Mapping[str, Any]]


class MetadataService:
    """Answers the machines of one network. `read` returns the resources as they are now."""

    def __init__(self, read: Callable[[], Resources], network: str, directory: Directory) -> None:
        self._read = read
        self._network = network
        self._directory = directory

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/metadata/identity/oauth2/token", self._token)
        return app

    async def _token(self, request: web.Request) -> web.Response:
        # A request that a server was made to send has the one header and lacks the other.
        if request.headers.get("Metadata", "").lower() != "true":
            raise _bad_request("invalid_request", "Required metadata header not specified")
        if "X-Forwarded-For" in request.headers:
            raise _bad_request("invalid_request", "X-Forwarded-For is not allowed")
        if request.query.get("api-version", "") < "2018-02-01":
            raise _bad_request(
                "invalid_request", "Required query variable 'api-version' is missing"
            )
        resource = request.query.get("resource", "")
        if not _is_storage(resource):
            raise _bad_request(
                "invalid_resource",
                f"AADSTS500011: The resource principal named {resource} was not found. The emulated"
                f" directory has {STORAGE} and https://ACCOUNT.{BLOB_DOMAIN}.",
            )
        identity = self._choose(request)
        token, claims = self._directory.issue(identity, resource)
        seconds = str(claims["exp"] - claims["iat"] - 1)
        answer = {
            "access_token": token,
            "client_id": identity.client_id,
            "expires_in": seconds,
            "expires_on": str(claims["exp"]),
            "ext_expires_in": seconds,
            "not_before": str(claims["nbf"]),
            "resource": resource,
            "token_type": "Bearer",
        }
        return web.json_response(answer)

    def _choose(self, request: web.Request) -> Identity:
        """The identity that a request names, or the machine's only one."""
        found = list(identities_at(self._read(), self._network, request.remote or ""))
        names: dict[str, Callable[[Identity], str]] = {
            "client_id": lambda identity: identity.client_id,
            "object_id": lambda identity: identity.principal_id,
            "msi_res_id": lambda identity: identity.resource_id,
        }
        for name, of in names.items():
            if wanted := request.query.get(name, ""):
                found = [each for each in found if of(each).lower() == wanted.lower()]
        if not found:
            raise _bad_request("invalid_request", "Identity not found")
        if len(found) > 1:
            raise _bad_request(
                "invalid_request",
                "Multiple user assigned identities exist, please specify the clientId / resourceId"
                " of the identity in the token request",
            )
        return found[0]


def identities_at(resources: Resources, network: str, address: str) -> Iterator[Identity]:
    """The identities of the machine with this address in a network."""
    desired = Desired.read(resources)
    for machine in desired.machines:
        of_machine, interface = desired.cable_of(machine)
        if of_machine.id == network and interface.address == address:
            yield from _identities(resources, resources[machine.id])


def _identities(resources: Resources, machine: Mapping[str, Any]) -> Iterator[Identity]:
    identity = machine.get("identity") or {}
    if principal := identity.get("principalId"):
        # Its client id is the directory's, and no one needs it.
        yield Identity(machine["id"], principal, principal)
    for resource_id in identity.get("userAssignedIdentities") or {}:
        found = resources.get(resource_id.lower())
        if found is not None:  # it may have been deleted
            properties = found["properties"]
            yield Identity(found["id"], properties["principalId"], properties["clientId"])


def _is_storage(resource: str) -> bool:
    plain = resource.rstrip("/")
    return plain == STORAGE or (plain.startswith("https://") and plain.endswith(f".{BLOB_DOMAIN}"))


def _bad_request(error: str, description: str) -> web.HTTPBadRequest:
    body = json.dumps({"error": error, "error_description": description})
    return web.HTTPBadRequest(text=body, content_type="application/json")


def read_resources(places: Places) -> Resources:
    """The resources that the host matches."""
    resources: Resources = json.loads((places.state / "resources.json").read_text())
    return resources


def main() -> None:
    home, network, address, port = sys.argv[1:]
    places = Places(Instance.open(Path(home)))
    service = MetadataService(
        lambda: read_resources(places), network, Directory(places.directory_key)
    )
    web.run_app(service.application(), host=address, port=int(port), print=None)


if __name__ == "__main__":
    main()

"""Signing in: the endpoints of this cloud, and tokens for its one service principal.

The forms are those of Microsoft Entra (version 2.0 of the token endpoint) and of ARM's metadata
(api-version 2022-09-01).
"""

from __future__ import annotations

import hmac
import time
from typing import Any

from aiohttp import web

from emulator.arm.account import Account
from emulator.azure.errors import AzureError
from emulator.azure.kinds import new_guid, now
from emulator.host.tokens import Claims, InvalidTokenError

METADATA = "2022-09-01"
CLOUD = "EmulatedAzure"
NOWHERE = "emulated-azure.invalid"
"""Names of services that are not emulated end with it: a client that uses one reaches no one."""

GRAPH = "/graph"
"""Microsoft Graph's address, below this server's."""


class EntraEndpoints:
    """Answers clients that are not signed in yet, and checks the tokens of those that are."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def add_routes(self, app: web.Application) -> None:
        """Add the paths of signing in."""
        app.router.add_get("/metadata/endpoints", self._metadata)
        app.router.add_get("/common/discovery/instance", self._instance)
        for version in ("v2.0/", ""):
            path = f"/{{tenant}}/{version}.well-known/openid-configuration"
            app.router.add_get(path, self._openid)
        app.router.add_post("/{tenant}/oauth2/v2.0/token", self._token)
        app.router.add_route("*", GRAPH + "/{path:.*}", self._graph)

    def check(self, authorization: str | None, path: str = "") -> Claims:
        """The claims of a token for the resource at this path of the server.

        Raises AzureError with Azure's code of 401.
        """
        wanted = f"{self._account.url}{path}"
        if not authorization:
            raise AzureError(
                "AuthenticationFailed",
                "Authentication failed. The 'Authorization' header is missing.",
                status=401,
            )
        scheme, _, token = authorization.partition(" ")
        try:
            if scheme.lower() != "bearer":
                raise InvalidTokenError("the scheme must be Bearer")
            claims = self._account.directory.verify(token.strip())
        except InvalidTokenError as error:
            raise AzureError(
                "InvalidAuthenticationToken",
                f"The access token is invalid: {error}.",
                status=401,
            ) from error
        if claims["aud"].rstrip("/") != wanted:
            raise AzureError(
                "InvalidAuthenticationTokenAudience",
                f"The access token has been obtained for wrong audience or resource"
                f" '{claims['aud']}'. It should exactly match (including forward slash) with one"
                f" of the allowed audiences '{wanted}','{wanted}/'.",
                status=401,
            )
        return claims

    async def _metadata(self, request: web.Request) -> web.Response:
        if request.query.get("api-version") != METADATA:
            error = AzureError(
                "InvalidApiVersionParameter",
                f"The api-version '{request.query.get('api-version', '')}' is invalid. The"
                f" supported versions are '{METADATA}'.",
            )
            return web.json_response(error.body(), status=error.status)
        url = self._account.url
        return web.json_response(
            {
                "name": CLOUD,
                "authentication": {
                    "loginEndpoint": url,
                    "audiences": [url],
                    "tenant": "common",
                    "identityProvider": "AAD",
                },
                "resourceManager": url,
                "microsoftGraphResourceId": f"{url}{GRAPH}/",
                "graph": f"https://graph.{NOWHERE}/",
                "graphAudience": f"https://graph.{NOWHERE}/",
                "portal": f"https://portal.{NOWHERE}",
                "gallery": f"https://gallery.{NOWHERE}/",
                "media": f"https://media.{NOWHERE}",
                "batch": f"https://batch.{NOWHERE}/",
                "sqlManagement": f"https://sql.{NOWHERE}/",
                "vmImageAliasDoc": f"https://images.{NOWHERE}/aliases.json",
                "suffixes": {
                    "storage": f"storage.{NOWHERE}",
                    "keyVaultDns": f"vault.{NOWHERE}",
                    "acrLoginServer": f"registry.{NOWHERE}",
                },
            }
        )

    async def _instance(self, request: web.Request) -> web.Response:
        """The answer to clients that ask whether the sign-in's host is one of Microsoft's."""
        endpoint = f"{self._account.url}/common/v2.0/.well-known/openid-configuration"
        return web.json_response(
            {
                "tenant_discovery_endpoint": endpoint,
                "api-version": "1.1",
                "metadata": [],
            }
        )

    async def _graph(self, request: web.Request) -> web.Response:
        """Refuse as Microsoft Graph does for an account without rights in the directory."""
        self.check(request.headers.get("Authorization"), GRAPH)
        raise AzureError(
            "Authorization_RequestDenied",
            "Insufficient privileges to complete the operation.",
            status=403,
        )

    async def _openid(self, request: web.Request) -> web.Response:
        tenant = request.match_info["tenant"]
        base = f"{self._account.url}/{tenant}"
        return web.json_response(
            {
                "issuer": f"{base}/v2.0",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
                "jwks_uri": f"{base}/discovery/v2.0/keys",
                "token_endpoint_auth_methods_supported": ["client_secret_post"],
                "response_types_supported": ["code"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "tenant_region_scope": None,
            }
        )

    async def _token(self, request: web.Request) -> web.Response:
        wanted = {name: str(value) for name, value in (await request.post()).items()}
        audience = wanted.get("scope", "").removesuffix("/.default").rstrip("/")
        if refusal := self._refusal(request.match_info["tenant"], wanted, audience):
            return refusal
        token, claims = self._account.directory.issue(self._account.principal, audience)
        seconds = claims["exp"] - int(time.time())
        answer = {"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds}
        return web.json_response({**answer, "access_token": token})

    def _refusal(self, tenant: str, wanted: dict[str, str], audience: str) -> web.Response | None:
        """The refusal of a request for a token; None if it is granted."""
        known = self._account.credentials
        client, scope = wanted.get("client_id", ""), wanted.get("scope", "")
        secret, grant = wanted.get("client_secret", ""), wanted.get("grant_type", "")
        is_secret = hmac.compare_digest(secret.encode(), known.clientSecret.encode())
        audiences = (self._account.url, f"{self._account.url}{GRAPH}")
        checks = (
            (
                tenant.lower() == known.tenantId,
                (90002, "invalid_tenant"),
                f"Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID"
                " and are signing into the correct cloud.",
            ),
            (
                grant == "client_credentials",
                (70003, "unsupported_grant_type"),
                f"The app requested an unsupported grant type '{grant}'.",
            ),
            (
                client.lower() == known.clientId,
                (700016, "unauthorized_client"),
                f"Application with identifier '{client}' was not found in the directory.",
            ),
            (
                is_secret,
                (7000215, "invalid_client"),
                "Invalid client secret provided. Ensure the secret being sent in the request is"
                " the client secret value, not the client secret ID, for a secret added to app"
                f" '{known.clientId}'.",
            ),
            (
                scope.endswith("/.default"),
                (1002012, "invalid_scope"),
                f"The provided value for scope {scope} is not valid. Client credential flows must"
                " have a scope value with /.default suffixed to the resource identifier.",
            ),
            (
                audience in audiences,
                (500011, "invalid_resource"),
                f"The resource principal named {audience} was not found in the tenant. This cloud"
                f" has {self._account.url}.",
            ),
        )
        return next((_refuse(*code, text) for passed, code, text in checks if not passed), None)


def _refuse(number: int, error: str, text: str) -> web.Response:
    trace, correlation = new_guid(), new_guid()
    body: dict[str, Any] = {
        "error": error,
        "error_description": f"AADSTS{number}: {text} Trace ID: {trace} Correlation ID:"
        f" {correlation} Timestamp: {now()}",
        "error_codes": [number],
        "timestamp": now(),
        "trace_id": trace,
        "correlation_id": correlation,
    }
    return web.json_response(body, status=401 if error == "invalid_client" else 400)

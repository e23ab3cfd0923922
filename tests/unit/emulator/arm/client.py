"""A client of the HTTPS front of an emulated Azure in plan mode."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import httpx

from emulator.arm import server
from emulator.arm.account import Account
from emulator.azure.names import SUBSCRIPTION
from emulator.host.places import Places
from emulator.host.processes import Processes
from emulator.instance import Instance

SUBSCRIPTION_ID = f"/subscriptions/{SUBSCRIPTION}"
VERSION = "2024-11-01"
"""An API version that groups and machines have."""

NETWORK = "2024-05-01"


@contextmanager
def served(home: Path) -> Iterator[Account]:
    """The front of a new instance at `home`, in a process of its own."""
    with mock.patch.dict(os.environ, {"OLLAMAZURE_PLAN": "1"}):
        instance = Instance.open(home)
        try:
            yield server.ensure(instance)
        finally:
            Processes(Places(instance)).stop("arm")
            instance.release()


class Client:
    """Sends requests, by default with a token of the instance's service principal."""

    def __init__(self, account: Account) -> None:
        self.account = account
        trust = ssl.create_default_context(cafile=account.authority)
        self.http = httpx.Client(
            base_url=account.url, verify=trust, timeout=60, transport=httpx.HTTPTransport(
                verify=trust, limits=httpx.Limits(max_connections=200)
            ),
        )  # fmt: skip
        self.token = self.sign_in().json()["access_token"]

    def sign_in(self, tenant: str = "", **changes: str) -> httpx.Response:
        """Ask for a token, with the instance's credentials unless they are changed."""
        known = self.account.credentials
        form = {
            "grant_type": "client_credentials",
            "client_id": known.clientId,
            "client_secret": known.clientSecret,
            "scope": f"{self.account.url}/.default",
            **changes,
        }
        return self.http.post(f"/{tenant or known.tenantId}/oauth2/v2.0/token", data=form)

    def send(
        self,
        method: str,
        path: str,
        json: object = None,
        *,
        version: str | None = VERSION,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Send a request about something below the subscription."""
        version_wanted = {"api-version": version} if version else {}
        return self.http.request(
            method,
            f"{SUBSCRIPTION_ID}{path}",
            params={**version_wanted, **(query or {})},
            json=json,
            headers={"Authorization": f"Bearer {self.token}", **(headers or {})},
        )


def code_of(answer: httpx.Response) -> str:
    """The code of the error that an answer carries."""
    code: str = answer.json()["error"]["code"]
    return code

"""Runs a command of a workflow, and keeps it signed in to Azure however long it takes.

GitHub states who a job is in a token that is valid for five minutes; for it, Azure gives an access
token that is valid for about an hour. azure-native asks GitHub for a new one each time, but Pulumi
itself, for the state and its key, does not: it reads the token from the file that
AZURE_FEDERATED_TOKEN_FILE names, again whenever an access token ends. So a fresh token is in that
file from before the command starts until it ends.

Sources: azidentity 1.14.0, default_azure_credential.go and workload_identity.go; go-cloud,
blob/azureblob and secrets/azurekeyvault, which use its DefaultAzureCredential; pulumi-azure-native,
provider/pkg/provider/auth_azidentity.go; Azure/login issue 180 (five minutes, no second sign-in).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

AUDIENCE = "api://AzureADTokenExchange"
RENEW_SECONDS = 120.0
"""Two of the five minutes: a token that is read has at least three left."""
RETRY_SECONDS = 10.0
TRIES = 6
TIMEOUT_SECONDS = 20
_BOOTSTRAP = "copy the environment's variables that `bin/ollamazure bootstrap` printed"
_PERMISSION = "the job needs `permissions: id-token: write`"
NEEDED = {
    "AZURE_CLIENT_ID": _BOOTSTRAP,
    "AZURE_TENANT_ID": _BOOTSTRAP,
    "ACTIONS_ID_TOKEN_REQUEST_URL": _PERMISSION,
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN": _PERMISSION,
}


class SignInError(Exception):
    """GitHub gives no token; the message gives the reason, and never the token."""


class OutageError(SignInError):
    """GitHub does not answer, or only with an error of its own: another try may succeed."""


def check_environment(environment: Mapping[str, str]) -> None:
    """Check that the job may sign in.

    Raises:
        SignInError: variables are missing; the message names all of them.
    """
    missing = [
        f"{name} is not set: {fix}" for name, fix in NEEDED.items() if not environment.get(name)
    ]
    if missing:
        raise SignInError("\n".join(missing))


def github_token(environment: Mapping[str, str]) -> str:
    """A new token of GitHub about this job, for Azure.

    Raises:
        SignInError: GitHub gave none.
    """
    separator = "&" if "?" in environment["ACTIONS_ID_TOKEN_REQUEST_URL"] else "?"
    audience = urllib.parse.urlencode({"audience": AUDIENCE})
    request = urllib.request.Request(  # noqa: S310 - the address is GitHub's own
        f"{environment['ACTIONS_ID_TOKEN_REQUEST_URL']}{separator}{audience}",
        headers={"Authorization": f"Bearer {environment['ACTIONS_ID_TOKEN_REQUEST_TOKEN']}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
            token = json.load(answer)["value"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        refused = isinstance(error, urllib.error.HTTPError) and error.code < 500
        kind = OutageError if isinstance(error, OSError) and not refused else SignInError
        raise kind(f"GitHub gives no token for Azure: {type(error).__name__}: {error}") from None
    if not isinstance(token, str) or not token:
        raise SignInError("GitHub gives no token for Azure: its answer contains none")
    return token


class TokenFile:
    """A file with a token of GitHub, never older than `RENEW_SECONDS` while GitHub answers."""

    def __init__(self, file: Path, get_token: Callable[[], str]) -> None:
        self._file = file
        self._get_token = get_token
        self._stopped = threading.Event()

    def renew(self) -> None:
        """Write a new token; a reader sees the former one or the new one. Raises SignInError."""
        new = self._file.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_text(self._get_token())
        new.replace(self._file)

    def renew_patiently(self, retry_seconds: float = RETRY_SECONDS) -> None:
        """Renew the token, in several tries if GitHub is out of order; raises SignInError."""
        for _ in range(TRIES - 1):
            try:
                return self.renew()
            except OutageError:
                self._stopped.wait(retry_seconds)
        return self.renew()

    def keep_fresh(
        self, renew_seconds: float = RENEW_SECONDS, retry_seconds: float = RETRY_SECONDS
    ) -> None:
        """Renew the token until `stop`. The first of several failures in a row is printed."""
        failed, wait = False, renew_seconds
        while not self._stopped.wait(wait):
            try:
                self.renew()
            except SignInError as error:
                if not failed:
                    print(f"signed_in: {error}; trying again", file=sys.stderr, flush=True)
                failed, wait = True, retry_seconds
            else:
                failed, wait = False, renew_seconds

    def stop(self) -> None:
        self._stopped.set()


def run(
    command: Sequence[str], environment: Mapping[str, str], renew_seconds: float = RENEW_SECONDS
) -> int:
    """Run the command, signed in; returns its exit code, 128 + n if signal n ended it.

    Raises:
        SignInError: the first sign-in failed; the command has not started.
    """
    check_environment(environment)
    with tempfile.TemporaryDirectory(dir=environment.get("RUNNER_TEMP")) as folder:
        file = Path(folder) / "token"
        token = TokenFile(file, lambda: github_token(environment))
        token.renew_patiently()
        keeper = threading.Thread(target=token.keep_fresh, args=(renew_seconds,), daemon=True)
        keeper.start()
        signed_in = {
            "AZURE_FEDERATED_TOKEN_FILE": str(file),
            "AZURE_TOKEN_CREDENTIALS": "WorkloadIdentityCredential",
        }
        try:
            return _run_and_forward_signals(command, {**environment, **signed_in})
        finally:
            token.stop()
            keeper.join()  # it may be writing the file


def _run_and_forward_signals(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the command; a cancelled job's SIGINT and SIGTERM reach it, and it is waited for."""
    with subprocess.Popen(command, env=environment) as process:

        def forward(number: int, _frame: object) -> None:
            process.send_signal(number)

        former = {one: signal.signal(one, forward) for one in (signal.SIGINT, signal.SIGTERM)}
        try:
            code = process.wait()
        finally:
            for one, handler in former.items():
                signal.signal(one, handler)
    return code if code >= 0 else 128 - code


def main(arguments: Sequence[str] | None = None) -> int:
    command = list(sys.argv[1:] if arguments is None else arguments)
    if not command:
        print("usage: python3 tools/signed_in.py COMMAND [ARGUMENT...]", file=sys.stderr)
        return 2
    try:
        return run(command, os.environ)
    except SignInError as error:
        print(
            "".join(f"signed_in: {line}\n" for line in str(error).splitlines()),
            end="",
            file=sys.stderr,
        )
        return 1


if __name__ == "__main__":
    sys.exit(main())

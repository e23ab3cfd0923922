"""Starts Azurite with one account for each name, on the loopback address of its namespace.

    python -m emulator.host.azurite FOLDER CERTIFICATES ACCOUNT...

Azurite requires a key for each account. It is random, and forgotten at once: blobs.py refuses keys.
"""

from __future__ import annotations

import base64
import os
import sys
from pathlib import Path

from emulator.artifacts import paths


def main() -> None:
    folder, certificates, *accounts = sys.argv[1:]
    keys = [f"{name}:{base64.b64encode(os.urandom(64)).decode()}" for name in accounts]
    os.environ["AZURITE_ACCOUNTS"] = ";".join(keys)
    server = Path(certificates)
    options = ["--location", folder, "--oauth", "basic", "--silent", "--disableTelemetry"]
    options += ["--blobHost", "127.0.0.1", "--blobPort", "10000", "--skipApiVersionCheck"]
    options += ["--cert", str(server / "server.pem"), "--key", str(server / "server.key")]
    os.execvp("node", ["node", str(paths.azurite_blobs()), *options])  # noqa: S606 -- it needs no shell


if __name__ == "__main__":
    main()

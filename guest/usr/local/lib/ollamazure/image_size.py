#!/usr/bin/python3
"""Prints how many bytes a pull of a container image downloads, or 0 if its registry does not say.

image_size.py IMAGE

Podman itself shows only the platforms of an image. The protocol is OCI's distribution 1.1.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

REGISTRIES = Path("/etc/containers/registries.conf.d/ollamazure.conf")
HOSTS = {"docker.io": "registry-1.docker.io"}
MANIFESTS = ("application/vnd.oci.image", "application/vnd.docker.distribution")
ACCEPT = "{0}.manifest.v1+json, {0}.index.v1+json, {1}.manifest.v2+json, {1}.manifest.list.v2+json"
PLATFORM = {"os": "linux", "architecture": "amd64"}
WITHIN = 30  # seconds, for one answer


def main(image: str) -> int:
    try:
        print(size_of(image))
    except (OSError, HTTPException, ValueError, LookupError, TypeError, AttributeError):
        print(0)
    return 0


def size_of(image: str) -> int:
    registry, name, reference = parts_of(image)
    url = f"{address_of(registry)}/v2/{name}/manifests"
    manifest = fetch(f"{url}/{reference}")
    if "manifests" in manifest:  # one for each platform
        [ours] = [
            each
            for each in manifest["manifests"]
            if PLATFORM.items() <= each.get("platform", {}).items()
        ]
        manifest = fetch(f"{url}/{ours['digest']}")
    return sum(int(layer["size"]) for layer in manifest["layers"])


def parts_of(image: str) -> tuple[str, str, str]:
    """Registry, name, and digest or tag of `registry/name:tag` or `registry/name:tag@digest`."""
    tagged, _, digest = image.partition("@")
    registry, _, rest = tagged.partition("/")
    name, _, tag = rest.partition(":")
    return registry, name, digest or tag


def address_of(registry: str) -> str:
    """Where Podman pulls from: the mirror, if there is one."""
    for each in tomllib.loads(REGISTRIES.read_text()).get("registry", []):
        if each["prefix"] == registry:
            [mirror] = each["mirror"]
            return f"{'http' if mirror['insecure'] else 'https'}://{mirror['location']}"
    return f"https://{HOSTS.get(registry, registry)}"


def fetch(url: str) -> Any:
    headers = {"Accept": ACCEPT.format(*MANIFESTS)}
    try:
        return get(url, headers)
    except HTTPError as error:
        if error.code != 401:
            raise
        # An anonymous session, as the registry asks for.
        wanted = dict(re.findall(r'(\w+)="([^"]*)"', error.headers["WWW-Authenticate"]))
        session = get(f"{wanted['realm']}?service={wanted['service']}&scope={wanted['scope']}", {})
        return get(url, {**headers, "Authorization": f"Bearer {session['token']}"})


def get(url: str, headers: dict[str, str]) -> Any:
    if not url.startswith(("https://", "http://")):
        raise ValueError(url)
    with urlopen(Request(url, headers=headers), timeout=WITHIN) as answer:  # noqa: S310  see above
        return json.loads(answer.read())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

"""Copy an image or a model from a registry into the mirror's tree, checking every digest.

Container registries and Ollama's model registry speak the same protocol (OCI distribution 1.1).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import httpx

from emulator.artifacts.oci import OCI_MANIFEST, Repository, digest_of
from emulator.artifacts.work import CONNECT_SECONDS, BuildError, OfficialUnavailableError, download

_DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_LISTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)


def pull(
    base: str, repository: Repository, tag: str, say: Callable[[str], None], *, digest: str = ""
) -> None:
    """Copy `repository.name`:`tag` for linux/amd64 from the registry at `base` (a URL).

    `digest`, if set, is what the tag must be. Existing blobs are kept.

    Raises:
        OfficialUnavailableError: the registry does not answer, refuses, or the connection breaks.
        BuildError: a download does not have its digest.
    """
    url = f"{base}/v2/{repository.name}"
    try:
        with httpx.Client(follow_redirects=True, timeout=CONNECT_SECONDS * 4) as client:
            client.headers.update(_sign_in(client, f"{url}/manifests/{tag}"))
            content, media_type = _manifest(client, url, digest or tag)
            headers = dict(client.headers)
    except httpx.HTTPError as error:
        raise OfficialUnavailableError(f"{url}: {error or type(error).__name__}") from error
    manifest = json.loads(content)
    for blob in (manifest["config"], *manifest["layers"]):
        hexadecimal = blob["digest"].removeprefix("sha256:")
        download(
            f"{url}/blobs/{blob['digest']}",
            repository.blob(blob["digest"]),
            say,
            digest=hexadecimal,
            headers={key: headers[key] for key in headers if key.lower() == "authorization"},
        )
    repository.put_manifest(tag, content, media_type)


def digest_of_tag(base: str, name: str, tag: str) -> str:
    """The digest of `name`:`tag` in the registry at `base` (a URL): of all platforms together.

    Raises:
        OfficialUnavailableError: the registry does not answer, or does not have the tag.
    """
    url = f"{base}/v2/{name}/manifests/{tag}"
    accept = ", ".join((*_LISTS, OCI_MANIFEST, _DOCKER_MANIFEST))
    try:
        with httpx.Client(follow_redirects=True, timeout=CONNECT_SECONDS * 4) as client:
            headers = {"Accept": accept, **_sign_in(client, url)}
            return digest_of(client.get(url, headers=headers).raise_for_status().content)
    except httpx.HTTPError as error:
        raise OfficialUnavailableError(f"{url}: {error or type(error).__name__}") from error


def _sign_in(client: httpx.Client, url: str) -> dict[str, str]:
    """The header of an anonymous session, if the registry requires one."""
    challenge = client.head(url).headers.get("WWW-Authenticate", "")
    wanted = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    if "realm" not in wanted:
        return {}
    realm = wanted.pop("realm")
    answer = client.get(realm, params=wanted).raise_for_status().json()
    return {"Authorization": f"Bearer {answer.get('token') or answer['access_token']}"}


def _manifest(client: httpx.Client, url: str, reference: str) -> tuple[bytes, str]:
    """The manifest for linux/amd64 and its media type; a list of platforms is followed."""
    accept = ", ".join((OCI_MANIFEST, _DOCKER_MANIFEST, *_LISTS))
    response = client.get(f"{url}/manifests/{reference}", headers={"Accept": accept})
    response.raise_for_status()
    if reference.startswith("sha256:"):
        _check(url, reference, response.content)
    media_type = response.headers["Content-Type"].split(";")[0]
    if media_type in _LISTS:
        return _manifest(client, url, _for_amd64(url, response.json()))
    return response.content, media_type


def _for_amd64(url: str, index: dict[str, Any]) -> str:
    for entry in index["manifests"]:
        platform = entry.get("platform", {})
        if (platform.get("os"), platform.get("architecture")) == ("linux", "amd64"):
            return str(entry["digest"])
    raise BuildError(f"{url} has no image for linux/amd64; choose another tag in the catalog.")


def _check(url: str, digest: str, content: bytes) -> None:
    if (found := digest_of(content)) != digest:
        raise BuildError(
            f"{url}: the manifest has the digest {found}, not {digest}; it was refused."
        )

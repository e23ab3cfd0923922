"""The mirror server: artifacts over HTTP, for the machines of a virtual network.

    python -m emulator.host.mirrors FOLDER ADDRESS PORT

The files of FOLDER are served as they are. Below /v2 it is also a read-only OCI registry:

- a manifest's media type is in the file `<tag or digest>.type` beside it;
- a request for a blob at `mirrors.internal` is redirected to `blobs.mirrors.internal`, because
  Ollama (0.34) takes blobs only from another host than the registry's, as with its own registry.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from aiohttp import web

REGISTRY_HOST = "mirrors.internal"
BLOB_HOST = "blobs.mirrors.internal"


class Mirror:
    """Serves one artifact folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/v2/", self._version)
        app.router.add_get("/v2/{name:.+}/manifests/{reference}", self._manifest)
        app.router.add_get("/v2/{name:.+}/blobs/{digest}", self._blob)
        app.router.add_get("/{path:.*}", self._file)
        return app

    async def _version(self, _: web.Request) -> web.Response:
        return web.json_response({}, headers={"Docker-Distribution-API-Version": "registry/2.0"})

    async def _manifest(self, request: web.Request) -> web.Response:
        file = self._find_file(request)
        content = file.read_bytes()
        kind = file.with_name(f"{file.name}.type").read_text().strip()
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        headers = {"Content-Type": kind, "Docker-Content-Digest": digest}
        return web.Response(body=content, headers=headers)

    async def _blob(self, request: web.Request) -> web.FileResponse:
        file = self._find_file(request)
        host, _, port = request.host.partition(":")
        if host == REGISTRY_HOST:
            raise web.HTTPTemporaryRedirect(f"http://{BLOB_HOST}:{port or 80}{request.path}")
        return web.FileResponse(file, headers={"Docker-Content-Digest": file.name})

    async def _file(self, request: web.Request) -> web.FileResponse:
        return web.FileResponse(self._find_file(request))

    def _find_file(self, request: web.Request) -> Path:
        """The file that a request names. Answers 404 if it does not exist in the folder."""
        file = (self._folder / request.path.lstrip("/")).resolve()
        if not file.is_relative_to(self._folder) or not file.is_file():
            raise web.HTTPNotFound(text=f"The mirror has no {request.path}.\n")
        return file


def main() -> None:
    folder, address, port = sys.argv[1:]
    web.run_app(Mirror(Path(folder)).application(), host=address, port=int(port), print=None)


if __name__ == "__main__":
    main()

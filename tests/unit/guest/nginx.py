"""The real Nginx of the pinned image, run by an ordinary user with the machine's configuration."""

from __future__ import annotations

import getpass
import subprocess
from pathlib import Path
from typing import Any

from components import remote_command
from components.nginx import NGINX_FILES, SECOND_FACTOR_FILES

_LIBRARIES = "usr/lib/x86_64-linux-gnu"


def command(root: Path, folder: Path) -> list[str]:
    """How to run it: by its own loader, whatever this system's C library is."""
    loader = root / _LIBRARIES / "ld-linux-x86-64.so.2"
    program = [str(loader), "--library-path", str(root / _LIBRARIES), str(root / "usr/sbin/nginx")]
    return [*program, "-p", str(folder), "-c", str(folder / "nginx.conf")]


def configure(
    root: Path,
    folder: Path,
    *,
    upstream: str = "127.0.0.1:1",
    http: int = 80,
    https: int = 443,
    **values: Any,
) -> str:
    """Write the machine's configuration for `folder`, to be run by the Nginx of the image's tree
    `root`; returns its text as on the machine."""
    defaults = {
        "server_name": "127.0.0.1",
        "azure_name": None,
        "upload_limit_mb": 100,
        "microphone": False,
        "frame_origins": (),
        "plugins": False,
        "second_factor": False,
    }
    text = remote_command.render_file("/etc/nginx/nginx.conf", **{**defaults, **values})
    _certificate(folder)
    for path in (*NGINX_FILES, *SECOND_FACTOR_FILES):
        static = remote_command.render_file(path)
        static = static.replace("/run/ollamazure/status.txt", f"{folder}/status.txt")
        (folder / Path(path).name).write_text(static.replace('"/etc/nginx"', f'"{folder}"'))
    for there, here in {
        "load_module ": f"load_module {root}",
        "user nginx;": f"user {getpass.getuser()};",
        "pid /run/nginx.pid": f"pid {folder}/nginx.pid",
        "/dev/stdout": f"{folder}/access.log",
        "/etc/nginx/cert/server.pem": f"{folder}/server.pem",
        "listen 80 ": f"listen 127.0.0.1:{http} ",
        "listen 443 ": f"listen 127.0.0.1:{https} ",
        "http://open-webui:8080": f"http://{upstream}",
    }.items():
        assert there in text, there
        text = text.replace(there, here)
    text = text.replace("root /etc/nginx;", f"root {folder};")
    temporary = "".join(
        f"    {kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(text.replace("http {\n", "http {\n" + temporary))
    return text


def _certificate(folder: Path) -> None:
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    making = ["openssl", "req", "-x509", "-nodes", *curve, "-subj", "/CN=test"]
    key, pem = folder / "key.pem", folder / "server.pem"
    subprocess.run(
        [*making, "-keyout", str(key), "-out", str(pem)], check=True, capture_output=True
    )
    pem.write_text(pem.read_text() + key.read_text())

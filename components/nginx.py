"""Nginx on the machine: HTTPS in front of Open WebUI."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from components.open_webui import UPLOAD_LIMIT_MB
from components.remote_command import TOOLS, File, RemoteCommand, Target, digest_of, run_on_machine

CERTIFICATE = "/etc/nginx/cert/server.pem"
CONFIGURE = f"{TOOLS}/configure-nginx"
# What nginx.conf uses: pages and scripts.
NGINX_FILES = (
    "/etc/nginx/preparing.html",
    "/etc/nginx/failed.html",
    "/etc/nginx/permissions.js",
    "/etc/nginx/sign_in.js",
    "/etc/nginx/unanswered.js",
)


@dataclass(frozen=True)
class NginxArgs:
    """What Nginx is made from.

    Attributes:
        target: the machine.
        image: full reference, for example `docker.io/library/nginx:1.30.3`.
        server_name: the address or domain in the URL.
        azure_name: another name that leads to `server_name`.
        microphone: whether pages may use the microphone.
        frame_origins: sites that may show the chat in a frame, `https://…`.
        trusted_certificate: whether browsers trust the certificate without more ado, so that they
            may insist on HTTPS from then on.
        certificate: PEM.
        private_key: PEM, secret.
    """

    target: Target
    image: str
    server_name: pulumi.Input[str]
    certificate: pulumi.Input[str]
    private_key: pulumi.Input[str]
    azure_name: str | None = None
    microphone: bool = False
    frame_origins: Sequence[str] = ()
    trusted_certificate: bool = False


class Nginx(pulumi.ComponentResource):
    """Nginx. A new configuration or certificate only reloads it.

    Attributes:
        service: the command that runs Nginx.
        digest: changes with the service, its configuration and its certificate's command.
    """

    service: RemoteCommand
    digest: pulumi.Output[str]

    def __init__(
        self, name: str, args: NginxArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ollamazure:index:Nginx", name, None, opts)
        config = self._config(args)
        certificate = self._certificate(args, config)
        self.service = run_on_machine(
            "nginx",
            args.target,
            purpose="start Nginx",
            script=f"{TOOLS}/start-nginx {shlex.quote(args.image)}",
            files=[
                File(f"{TOOLS}/start-nginx", "0755"),
                # The former one stays in force until the image is there.
                File(
                    "/etc/containers/systemd/nginx.container",
                    values={"image": args.image},
                    suffix=".next",
                ),
            ],
            fix="`journalctl --unit nginx` on the machine has details; `pulumi up` tries again.",
            opts=pulumi.ResourceOptions(parent=self, depends_on=[config, certificate]),
        )
        self.digest = digest_of([config, certificate, self.service])
        self.register_outputs({})

    def _config(self, args: NginxArgs) -> RemoteCommand:
        return run_on_machine(
            "nginx-config",
            args.target,
            purpose="configure Nginx",
            script=f"{CONFIGURE} nginx.conf",
            files=[
                File(CONFIGURE, "0755"),
                File(f"{TOOLS}/check_certificate.py", "0755"),
                *(File(path) for path in NGINX_FILES),
                File(
                    "/etc/nginx/nginx.conf",
                    suffix=".next",
                    values={
                        "server_name": args.server_name,
                        "azure_name": args.azure_name,
                        "microphone": args.microphone,
                        "frame_origins": args.frame_origins,
                        "trusted_certificate": args.trusted_certificate,
                        "upload_limit_mb": 2 * UPLOAD_LIMIT_MB,
                    },
                ),
            ],
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _certificate(self, args: NginxArgs, config: RemoteCommand) -> RemoteCommand:
        return run_on_machine(
            "nginx-certificate",
            args.target,
            purpose="install the certificate",
            script=f"{CONFIGURE} cert/server.pem",
            # One file for both, so that Nginx never reads a certificate with another one's key.
            files=[File(CERTIFICATE, "0600", suffix=".next", key="pem")],
            secrets={"pem": pulumi.Output.concat(args.certificate, "\n", args.private_key)},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[config]),
        )

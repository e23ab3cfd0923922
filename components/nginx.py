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
# The page where users ask for a second factor.
SECOND_FACTOR_FILES = ("/etc/nginx/second-factor.html", "/etc/nginx/second-factor.js")


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
        plugins: whether administrators may add functions and tools.
        second_factor: whether users may ask for a second factor.
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
    plugins: bool = False
    second_factor: bool = False


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
                File("/etc/containers/systemd/nginx.container", values={"image": args.image}),
            ],
            fix="`journalctl --unit nginx` on the machine has details; `pulumi up` tries again.",
            opts=pulumi.ResourceOptions(parent=self, depends_on=[config, certificate]),
        )
        self.digest = digest_of([config, certificate, self.service])
        self.register_outputs({})

    def _config(self, args: NginxArgs) -> RemoteCommand:
        pages = (*NGINX_FILES, *(SECOND_FACTOR_FILES if args.second_factor else ()))
        return run_on_machine(
            "nginx-config",
            args.target,
            purpose="configure Nginx",
            script=f"{CONFIGURE} nginx.conf",
            files=[
                File(CONFIGURE, "0755"),
                File(f"{TOOLS}/check_certificate.py", "0755"),
                *(File(path) for path in pages),
                File(
                    "/etc/nginx/nginx.conf",
                    suffix=".next",
                    values={
                        "server_name": args.server_name,
                        "azure_name": args.azure_name,
                        "microphone": args.microphone,
                        "frame_origins": args.frame_origins,
                        "plugins": args.plugins,
                        "second_factor": args.second_factor,
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

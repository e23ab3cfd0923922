"""Nginx on the machine: HTTPS in front of Open WebUI."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

import pulumi

from components import remote
from components.webui import UPLOAD_LIMIT_MB

CERTIFICATE = "/etc/nginx/cert/server.pem"
CONFIGURE = f"{remote.TOOLS}/configure-nginx"


@dataclass(frozen=True)
class ProxyArgs:
    """What Nginx needs to know.

    Attributes:
        target: the machine.
        image: full reference, for example `docker.io/library/nginx:1.30.3`.
        server_name: address or domain in the URL.
        certificate: PEM, with the certificates that lead to a trusted one, if any.
        private_key: PEM, secret.
        self_signed: browsers do not trust the certificate, so they are not told to insist on it.
    """

    target: remote.Target
    image: str
    server_name: pulumi.Input[str]
    certificate: pulumi.Input[str]
    private_key: pulumi.Input[str]
    self_signed: bool = True


class Proxy(pulumi.ComponentResource):
    """Nginx; `service` runs it. A new configuration or certificate reloads it, no more."""

    service: remote.Step
    digest: pulumi.Output[str]

    def __init__(
        self, name: str, args: ProxyArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ollamazure:index:Proxy", name, None, opts)
        config = self._config(args)
        certificate = self._certificate(args, config)
        self.service = remote.run(
            "nginx",
            args.target,
            script=f"{remote.TOOLS}/start-nginx {shlex.quote(args.image)}",
            files=[
                remote.File(f"{remote.TOOLS}/start-nginx", "0755"),
                remote.File(
                    "/etc/containers/systemd/nginx.container", values={"image": args.image}
                ),
            ],
            mend="`journalctl --unit nginx` on the machine tells more; `pulumi up` tries again.",
            opts=pulumi.ResourceOptions(parent=self, depends_on=[config, certificate]),
        )
        self.digest = remote.digest([config, certificate, self.service])
        self.register_outputs({})

    def _config(self, args: ProxyArgs) -> remote.Step:
        return remote.run(
            "nginx-config",
            args.target,
            script=f"{CONFIGURE} nginx.conf",
            files=[
                remote.File(CONFIGURE, "0755"),
                remote.File("/etc/nginx/preparing.html"),
                remote.File("/etc/nginx/permissions.js"),
                remote.File(
                    "/etc/nginx/nginx.conf",
                    suffix=".next",
                    values={
                        "server_name": args.server_name,
                        "self_signed": args.self_signed,
                        "upload_limit_mb": 2 * UPLOAD_LIMIT_MB,
                    },
                ),
            ],
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _certificate(self, args: ProxyArgs, config: remote.Step) -> remote.Step:
        return remote.run(
            "nginx-certificate",
            args.target,
            script=f"secret pem | put {CERTIFICATE} 0600 .next\n{CONFIGURE} cert/server.pem",
            # One file for both: a certificate and a key of two different moments do not fit.
            secrets={"pem": pulumi.Output.concat(args.certificate, "\n", args.private_key)},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[config]),
        )

"""Nginx on the machine: HTTPS in front of Open WebUI."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from components.open_webui import UPLOAD_LIMIT_MB
from components.remote_command import (
    TOOLS,
    File,
    Part,
    RemoteCommand,
    Target,
    digest_of,
    run_on_machine,
)
from ollamazure import catalog
from ollamazure.settings.stack import Settings

CERTIFICATE = "/etc/nginx/cert/server.pem"
# What Nginx shows until the ACME authority has issued a certificate.
SELF_SIGNED = "/etc/nginx/cert/self-signed.pem"
ACME = f"{TOOLS}/acme_client.py"
ACME_SETTINGS = "/etc/ollamazure/acme.json"
ACME_AUTHORITY = "/etc/ollamazure/acme-ca.pem"
ACME_UNITS = tuple(f"/etc/systemd/system/ollamazure-acme.{kind}" for kind in ("service", "timer"))
CONFIGURE = f"{TOOLS}/configure-nginx"
# What nginx.conf reaches: the resolver of mynet, the container of Open WebUI, the one Ollama.
OF_A_MACHINE: Mapping[str, Any] = {
    "resolver": "10.89.0.1",
    "open_webui": "open-webui",
    "replicas": (),
}
NGINX_FILES = (
    "/etc/nginx/preparing.html",
    "/etc/nginx/failed.html",
    "/etc/nginx/pages.js",
    "/etc/nginx/permissions.js",
    "/etc/nginx/sign_in.js",
    "/etc/nginx/unanswered.js",
)
# What its pages and messages say, in each language.
TEXTS = "/etc/nginx/texts.json"
# The page where users ask for a second factor.
SECOND_FACTOR_FILES = ("/etc/nginx/second-factor.html", "/etc/nginx/second-factor.js")


@dataclass(frozen=True)
class NginxArgs:
    """What Nginx is made from.

    Attributes:
        target: the machine.
        settings: the stack's.
        server_name: the address or domain in the URL.
        address: the machine's public address.
        certificate: PEM; with Let's Encrypt, the one until it has issued another.
        private_key: PEM, secret.
    """

    target: Target
    settings: Settings
    server_name: pulumi.Input[str]
    address: pulumi.Input[str]
    certificate: pulumi.Input[str]
    private_key: pulumi.Input[str]


class Nginx(Part):
    """Nginx. A new configuration or certificate only reloads it.

    Attributes:
        service: the command that runs Nginx.
        config: the command that installs its configuration.
        digest: changes with the service, its configuration and its certificate's command.
    """

    service: RemoteCommand
    config: RemoteCommand

    def __init__(
        self, name: str, args: NginxArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ollamazure:index:Nginx", name, None, opts)
        self.config = self._config(args)
        certificate = self._certificate(args, self.config)
        self.service = run_on_machine(
            "nginx",
            args.target,
            purpose="start Nginx",
            script=f"{TOOLS}/start-nginx {shlex.quote(args.settings.nginx_image)}",
            files=[
                File(f"{TOOLS}/start-nginx", "0755"),
                # The former one stays in force until the image is there.
                File(
                    "/etc/containers/systemd/nginx.container",
                    values={"image": args.settings.nginx_image},
                    suffix=".next",
                ),
            ],
            fix="`journalctl --unit nginx` on the machine has details; `pulumi up` tries again.",
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self.config, certificate]),
        )
        steps = [self.config, certificate, self.service]
        if args.settings.certificate.mode == "letsEncrypt":
            steps.append(self._acme(args))
        self.digest = digest_of(steps)
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
                *(File(path) for path in nginx_files(args.settings)),
                File(TEXTS, values={"texts": texts(args.settings.language)}),
                File(
                    "/etc/nginx/nginx.conf",
                    suffix=".next",
                    values={
                        **configuration_values(args.settings, args.server_name),
                        **OF_A_MACHINE,
                    },
                ),
            ],
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _certificate(self, args: NginxArgs, config: RemoteCommand) -> RemoteCommand:
        # One file for both, so that Nginx never reads a certificate with another one's key.
        pem = pulumi.Output.concat(args.certificate, "\n", args.private_key)
        if args.settings.certificate.mode == "letsEncrypt":
            files = [*self._acme_settings(args), File(SELF_SIGNED, "0600", key="pem")]
            script = f"{ACME} install"
        else:
            files = [File(CERTIFICATE, "0600", suffix=".next", key="pem")]
            # Without its settings, a timer that still runs changes nothing.
            script = f"rm -f {ACME_SETTINGS} {SELF_SIGNED}\n{CONFIGURE} cert/server.pem"
        return run_on_machine(
            "nginx-certificate",
            args.target,
            purpose="install the certificate",
            script=script,
            files=files,
            secrets={"pem": pem},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[config]),
        )

    def _acme_settings(self, args: NginxArgs) -> list[File]:
        certificate = args.settings.certificate
        authority = certificate.acme_authority
        settings = {
            "name": args.server_name,
            "address": args.address,
            "directory": certificate.acme_directory,
            "email": certificate.email,
            "authority": ACME_AUTHORITY if authority else None,
        }
        files = [File(ACME_SETTINGS, values={"settings": settings})]
        if authority:
            files.append(File(ACME_AUTHORITY, content=authority.encode()))
        return files

    def _acme(self, args: NginxArgs) -> RemoteCommand:
        """The timer that requests and renews the certificate, and the first request.

        A certificate that is not issued is no failure: the chat keeps the one that it has.
        """
        certificate = args.settings.certificate
        return run_on_machine(
            "acme",
            args.target,
            purpose="request the certificate",
            script=pulumi.Output.concat(
                f"# {certificate.acme_directory} issues ",
                args.server_name,
                f"\n{TOOLS}/start-acme\n",
            ),
            files=[
                File(f"{TOOLS}/start-acme", "0755"),
                *(File(unit) for unit in ACME_UNITS),
            ],
            delete=f"{ACME} stop",
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self.service]),
        )


def nginx_files(settings: Settings) -> list[str]:
    """What nginx.conf uses: pages and scripts, by their paths on the machine."""
    return [*NGINX_FILES, *(SECOND_FACTOR_FILES if has_second_factor(settings) else ())]


def has_second_factor(settings: Settings) -> bool:
    """Whether users may ask for a second factor."""
    return settings.multi_factor in ("offered", "administrators")


def configuration_values(
    settings: Settings, server_name: pulumi.Input[str]
) -> dict[str, pulumi.Input[Any]]:
    """What nginx.conf follows from, on a machine and in a cluster."""
    return {
        "server_name": server_name,
        # Another name that leads to the chat's.
        "azure_name": settings.azure_name if settings.domain else None,
        "microphone": settings.microphone,
        "frame_origins": settings.frame_origins,
        "plugins": settings.features.plugins,
        "model_management": settings.features.model_management,
        "second_factor": has_second_factor(settings),
        "upload_limit_mb": 2 * UPLOAD_LIMIT_MB,
        "acme": settings.certificate.mode == "letsEncrypt",
        "trusted_certificate": settings.certificate.mode != "selfSigned",
    }


def texts(language: str | None) -> dict[str, Any]:
    """The content of texts.json: the texts by language, and which one is for all other browsers.

    Args:
        language: a locale of Open WebUI.
    """
    status = catalog.texts("status")
    return {
        "default": catalog.language_of_texts(language),
        "languages": {
            name: {**words, "status": status.get(name, {})}
            for name, words in catalog.texts("pages").items()
        },
    }

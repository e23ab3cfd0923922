"""Nginx on the machine: HTTPS in front of Open WebUI."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from components.open_webui import UPLOAD_LIMIT_MB
from components.remote_command import TOOLS, File, RemoteCommand, Target, digest_of, run_on_machine
from ollamazure import catalog
from ollamazure.settings.groups import CertificateSettings

CERTIFICATE = "/etc/nginx/cert/server.pem"
# What Nginx shows until the ACME authority has issued a certificate.
SELF_SIGNED = "/etc/nginx/cert/self-signed.pem"
ACME = f"{TOOLS}/acme_client.py"
ACME_SETTINGS = "/etc/ollamazure/acme.json"
ACME_AUTHORITY = "/etc/ollamazure/acme-ca.pem"
ACME_UNITS = tuple(f"/etc/systemd/system/ollamazure-acme.{kind}" for kind in ("service", "timer"))
CONFIGURE = f"{TOOLS}/configure-nginx"
# What nginx.conf uses: pages and scripts.
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
        image: full reference, for example `docker.io/library/nginx:1.30.3`.
        server_name: the address or domain in the URL.
        azure_name: another name that leads to `server_name`.
        microphone: whether pages may use the microphone.
        frame_origins: sites that may show the chat in a frame, `https://…`.
        plugins: whether administrators may add functions and tools.
        model_management: whether administrators may pull and delete models in the chat.
        second_factor: whether users may ask for a second factor.
        language: of its pages for browsers that prefer none of theirs, as Open WebUI names it.
        certificate: PEM; with Let's Encrypt, the one until it has issued another.
        private_key: PEM, secret.
        certificate_settings: where the certificate comes from.
        address: the machine's public address.
    """

    target: Target
    image: str
    server_name: pulumi.Input[str]
    certificate: pulumi.Input[str]
    private_key: pulumi.Input[str]
    certificate_settings: CertificateSettings = CertificateSettings()  # noqa: RUF009  frozen
    address: pulumi.Input[str] = ""
    azure_name: str | None = None
    microphone: bool = False
    frame_origins: Sequence[str] = ()
    plugins: bool = False
    model_management: bool = False
    second_factor: bool = False
    language: str | None = None


class Nginx(pulumi.ComponentResource):
    """Nginx. A new configuration or certificate only reloads it.

    Attributes:
        service: the command that runs Nginx.
        config: the command that installs its configuration.
        digest: changes with the service, its configuration and its certificate's command.
    """

    service: RemoteCommand
    config: RemoteCommand
    digest: pulumi.Output[str]

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
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self.config, certificate]),
        )
        steps = [self.config, certificate, self.service]
        if args.certificate_settings.mode == "letsEncrypt":
            steps.append(self._acme(args))
        self.digest = digest_of(steps)
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
                File(TEXTS, values={"texts": texts(args.language)}),
                File(
                    "/etc/nginx/nginx.conf",
                    suffix=".next",
                    values={
                        "server_name": args.server_name,
                        "azure_name": args.azure_name,
                        "microphone": args.microphone,
                        "frame_origins": args.frame_origins,
                        "plugins": args.plugins,
                        "model_management": args.model_management,
                        "second_factor": args.second_factor,
                        "upload_limit_mb": 2 * UPLOAD_LIMIT_MB,
                        "acme": args.certificate_settings.mode == "letsEncrypt",
                        "trusted_certificate": args.certificate_settings.mode != "selfSigned",
                    },
                ),
            ],
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _certificate(self, args: NginxArgs, config: RemoteCommand) -> RemoteCommand:
        # One file for both, so that Nginx never reads a certificate with another one's key.
        pem = pulumi.Output.concat(args.certificate, "\n", args.private_key)
        if args.certificate_settings.mode == "letsEncrypt":
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
        certificate = args.certificate_settings
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
        certificate = args.certificate_settings
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

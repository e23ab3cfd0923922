"""Checks of single resources: each yields what is wrong with one.

Property names are those of azure-native and command, as the engine has them. A value that a preview
does not know yet passes: the deployment checks again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Any

from pulumi_policy import ResourceValidationArgs

from ollamazure import catalog, manifest
from ollamazure.manifest import Manifest, ManifestError
from ollamazure.settings.types import opens_to_everyone
from policy.stacks import REMOTE_COMMAND
from policy.values import UNKNOWN, at, differs, items, plain_type, project_and_stack, texts

WEB = frozenset({80, 443})
SSH = 22
_SIZE = ("hardwareProfile", "vmSize")
_OUTPUTS = frozenset({"stdout", "stderr"})
_PRIVATE_KEY = re.compile("-----BEGIN [A-Z ]*PRIVATE KEY-----")


def open_ports(resource: ResourceValidationArgs) -> Iterator[str]:
    """Ports other than 80 and 443 that are open to everyone; SSH alone has a check of its own."""
    for name, ports in _open_to_everyone(resource):
        if set(ports) - WEB and set(ports) != {SSH}:
            yield f"the rule {name} opens {_in_words(ports)} to everyone."


def open_ssh(resource: ResourceValidationArgs) -> Iterator[str]:
    """SSH that is open to everyone."""
    for name, ports in _open_to_everyone(resource):
        if SSH in ports:
            yield f"the rule {name} opens SSH ({_in_words(ports)}) to everyone."


def _open_to_everyone(resource: ResourceValidationArgs) -> Iterator[tuple[str, range]]:
    """The name of each inbound rule that is open to everyone, with each range of ports it opens."""
    if plain_type(resource.resource_type) == "azure-native:network:SecurityRule":
        rules = [resource.props]
    else:
        rules = list(items(at(resource.props, "securityRules")))
    for rule in rules:
        kind = (str(at(rule, "direction")).lower(), str(at(rule, "access")).lower())
        everyone = any(map(opens_to_everyone, _each(rule, "sourceAddressPrefix")))
        if kind == ("inbound", "allow") and everyone:
            for ports in _each(rule, "destinationPortRange"):
                yield str(at(rule, "name") or resource.name), _ports(ports)


def _each(rule: Any, name: str) -> Iterator[str]:
    """The values of a property that a rule has once (`name`) or as a list (`names`)."""
    one = at(rule, name)
    if isinstance(one, str):
        yield one
    yield from items(at(rule, f"{name}es" if name.endswith("x") else f"{name}s"))


def _ports(written: str) -> range:
    if written == "*":
        return range(65536)
    first, _, last = written.partition("-")
    return range(int(first), int(last or first) + 1)


def _in_words(ports: range) -> str:
    if len(ports) == 65536:
        return "every port"
    return f"port {ports[0]}" if len(ports) == 1 else f"ports {ports[0]} to {ports[-1]}"


def public_or_plain_disk(resource: ResourceValidationArgs) -> Iterator[str]:
    """A disk that can be exported over the network, or whose encryption is not set."""
    if differs(at(resource.props, "publicNetworkAccess"), "Disabled"):
        yield "publicNetworkAccess is not Disabled."
    if differs(at(resource.props, "networkAccessPolicy"), "DenyAll", "AllowPrivate"):
        yield "networkAccessPolicy is neither DenyAll nor AllowPrivate."
    encryption = at(resource.props, "encryption", "type")
    if encryption is not UNKNOWN and not str(encryption).startswith("EncryptionAtRestWith"):
        yield "encryption.type is not set."


def open_storage(resource: ResourceValidationArgs) -> Iterator[str]:
    """A storage account with keys or without encrypted connections, or blobs for everyone."""
    if plain_type(resource.resource_type).endswith(":BlobContainer"):
        if differs(at(resource.props, "publicAccess"), None, "None"):
            yield "publicAccess is not None."
        return
    for name in ("allowSharedKeyAccess", "allowBlobPublicAccess"):
        if differs(at(resource.props, name), False):
            yield f"{name} is not false."
    if differs(at(resource.props, "enableHttpsTrafficOnly"), True):
        yield "enableHttpsTrafficOnly is not true."
    if differs(at(resource.props, "minimumTlsVersion"), "TLS1_2", "TLS1_3"):
        yield "minimumTlsVersion is neither TLS1_2 nor TLS1_3."


def unprotected_data(resource: ResourceValidationArgs) -> Iterator[str]:
    """A disk or backups that `pulumi destroy` would delete."""
    if not resource.opts.protect:
        kind = "disk is" if plain_type(resource.resource_type).endswith(":Disk") else "backups are"
        yield f"the {kind} not protected."


def basic_or_dynamic_address(resource: ResourceValidationArgs) -> Iterator[str]:
    """A public address that is open by default or can change."""
    if differs(at(resource.props, "sku", "name"), "Standard", "StandardV2"):
        yield "sku.name is not Standard."
    if differs(at(resource.props, "publicIPAllocationMethod"), "Static"):
        yield "publicIPAllocationMethod is not Static."


def untrusted_launch(resource: ResourceValidationArgs) -> Iterator[str]:
    """A machine without Trusted Launch; a GPU's driver is unsigned and needs no secure boot."""
    security = at(resource.props, "securityProfile", "securityType")
    if differs(security, "TrustedLaunch", "ConfidentialVM"):
        yield "securityProfile.securityType is not TrustedLaunch."
    size = _size(resource)
    if at(resource.props, *_SIZE) is UNKNOWN or (size and size.gpu):
        return
    for setting in ("secureBootEnabled", "vTpmEnabled"):
        if differs(at(resource.props, "securityProfile", "uefiSettings", setting), True):
            yield f"securityProfile.uefiSettings.{setting} is not true."


def missing_tags(resource: ResourceValidationArgs) -> Iterator[str]:
    """A resource without the tags of its project and stack."""
    tags = at(resource.props, "tags")
    if tags is UNKNOWN:
        return
    project, stack = project_and_stack(resource.urn)
    for tag, value in (("project", project), ("stack", stack)):
        if differs(at(tags, tag), value):
            yield f"the tag {tag} is not {value}."


def password_login(resource: ResourceValidationArgs) -> Iterator[str]:
    """A machine that accepts passwords."""
    linux = ("osProfile", "linuxConfiguration", "disablePasswordAuthentication")
    if differs(at(resource.props, *linux), True):
        yield f"{'.'.join(linux)} is not true."
    if differs(at(resource.props, "osProfile", "adminPassword"), None):
        yield "osProfile.adminPassword is set."


def retired_size(resource: ResourceValidationArgs, today: date | None = None) -> Iterator[str]:
    """A size that Azure no longer offers; sizes that the catalog does not know pass."""
    size = _size(resource)
    if size and size.retires and size.retires <= (today or date.today()):
        yield f"{size.name} ({size.series}) was retired on {size.retires}."


def _size(resource: ResourceValidationArgs) -> catalog.VmSize | None:
    name = at(resource.props, *_SIZE)
    return catalog.vm_sizes().get(name) if isinstance(name, str) else None


def shown_secrets(resource: ResourceValidationArgs) -> Iterator[str]:
    """A command with a secret on its command line, or with secrets and outputs in plain text."""
    for name in ("create", "update", "delete", "environment", "triggers"):
        if any(map(_PRIVATE_KEY.search, texts(at(resource.props, name)))):
            yield f"a private key is in `{name}`."
    stored = sorted(_OUTPUTS - set(resource.opts.additional_secret_outputs))
    if stored and _has_secrets(resource):
        yield f"`stdin` has secrets, and {' and '.join(stored)} would be stored in plain text."


def _has_secrets(resource: ResourceValidationArgs) -> bool:
    if any(map(_PRIVATE_KEY.search, texts(at(resource.props, "stdin")))):
        return True
    try:
        described = _manifest_of(resource)
    except ManifestError:  # `unknown_command` reports it
        return False
    return described is not None and described.secrets


def unknown_command(resource: ResourceValidationArgs) -> Iterator[str]:
    """A command on the machine whose manifest is missing, unreadable or of another script."""
    try:
        _manifest_of(resource)
    except ManifestError as error:
        yield f"the manifest cannot be read: {error}."


def _manifest_of(resource: ResourceValidationArgs) -> Manifest | None:
    """The manifest of a command on the machine; None if there is none or it is not known yet.

    Raises:
        ManifestError: the command has no manifest, or one that does not describe its script.
    """
    if plain_type(resource.resource_type) != REMOTE_COMMAND:
        return None
    stdin = at(resource.props, "stdin")
    shown = at(resource.props, "environment", manifest.VARIABLE)
    if stdin is UNKNOWN:
        return manifest.read(None, shown) if isinstance(shown, str) else None
    described = manifest.read(str(stdin), shown if isinstance(shown, str) else "")
    manifest.contents(described, str(stdin))
    return described

"""What a single resource must not be: each check yields what is wrong, nothing where all is well.

Property names are azure-native's and command's, as the engine has them. A value that a preview does
not know yet is nothing wrong: the deployment itself asks again.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from datetime import date
from typing import Any

from pulumi_policy import ResourceValidationArgs

from ollamazure import catalog
from policy.values import UNKNOWN, at, differs, items, plain_type, project_and_stack, texts

WEB = frozenset({80, 443})
SSH = 22
# A single address range with more than this share of all addresses is meant for everybody.
_WIDEST_PREFIX = {4: 8, 6: 16}
_EVERYBODY = frozenset({"*", "any", "internet", "azurecloud"})
_SIZE = ("hardwareProfile", "vmSize")
_OUTPUTS = frozenset({"stdout", "stderr"})
_PRIVATE_KEY = re.compile("-----BEGIN [A-Z ]*PRIVATE KEY-----")
# The function of components/remote_command.py that reads a secret from the script's own head.
_HOLDS_SECRETS = re.compile(r"^secret\(\) \{", re.MULTILINE)


def open_ports(resource: ResourceValidationArgs) -> Iterator[str]:
    """Ports that the world reaches besides 80 and 443; SSH alone has a rule of its own."""
    for name, ports in _open_to_the_world(resource):
        if set(ports) - WEB and set(ports) != {SSH}:
            yield f"the rule {name} opens {_in_words(ports)} to the world."


def open_ssh(resource: ResourceValidationArgs) -> Iterator[str]:
    """SSH that the world reaches."""
    for name, ports in _open_to_the_world(resource):
        if SSH in ports:
            yield f"the rule {name} opens SSH ({_in_words(ports)}) to the world."


def _open_to_the_world(resource: ResourceValidationArgs) -> Iterator[tuple[str, range]]:
    """Each range of ports that an inbound rule opens to everybody, with the rule's name."""
    if plain_type(resource.resource_type) == "azure-native:network:SecurityRule":
        rules = [resource.props]
    else:
        rules = list(items(at(resource.props, "securityRules")))
    for rule in rules:
        says = (str(at(rule, "direction")).lower(), str(at(rule, "access")).lower())
        everybody = any(map(_is_everybody, _each(rule, "sourceAddressPrefix")))
        if says == ("inbound", "allow") and everybody:
            for ports in _each(rule, "destinationPortRange"):
                yield str(at(rule, "name") or resource.name), _ports(ports)


def _each(rule: Any, name: str) -> Iterator[str]:
    """A property that a security rule has once (`name`) or as a list (`names`)."""
    one = at(rule, name)
    if isinstance(one, str):
        yield one
    yield from items(at(rule, f"{name}es" if name.endswith("x") else f"{name}s"))


def _is_everybody(source: str) -> bool:
    if source.partition(".")[0].lower() in _EVERYBODY:
        return True
    try:
        network = ipaddress.ip_network(source, strict=False)
    except ValueError:
        return False
    return network.prefixlen < _WIDEST_PREFIX[network.version]


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
    """A disk that can be exported over the internet, or does not say how it is encrypted."""
    if differs(at(resource.props, "publicNetworkAccess"), "Disabled"):
        yield "publicNetworkAccess is not Disabled."
    if differs(at(resource.props, "networkAccessPolicy"), "DenyAll", "AllowPrivate"):
        yield "networkAccessPolicy is neither DenyAll nor AllowPrivate."
    encryption = at(resource.props, "encryption", "type")
    if encryption is not UNKNOWN and not str(encryption).startswith("EncryptionAtRestWith"):
        yield "encryption.type is not set."


def unprotected_disk(resource: ResourceValidationArgs) -> Iterator[str]:
    """A disk that Pulumi would delete."""
    if not resource.opts.protect:
        yield "the disk is not protected."


def basic_or_dynamic_address(resource: ResourceValidationArgs) -> Iterator[str]:
    """A public address that is open by default, or that may change."""
    if differs(at(resource.props, "sku", "name"), "Standard", "StandardV2"):
        yield "sku.name is not Standard."
    if differs(at(resource.props, "publicIPAllocationMethod"), "Static"):
        yield "publicIPAllocationMethod is not Static."


def untrusted_launch(resource: ResourceValidationArgs) -> Iterator[str]:
    """A machine that boots whatever it is given. A GPU's driver is built there, so unsigned."""
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
    """A resource that does not say which project and stack it belongs to."""
    tags = at(resource.props, "tags")
    if tags is UNKNOWN:
        return
    project, stack = project_and_stack(resource.urn)
    for tag, value in (("project", project), ("stack", stack)):
        if differs(at(tags, tag), value):
            yield f"the tag {tag} is not {value}."


def password_login(resource: ResourceValidationArgs) -> Iterator[str]:
    """A machine that somebody may sign in to with a password."""
    linux = ("osProfile", "linuxConfiguration", "disablePasswordAuthentication")
    if differs(at(resource.props, *linux), True):
        yield f"{'.'.join(linux)} is not true."
    if differs(at(resource.props, "osProfile", "adminPassword"), None):
        yield "osProfile.adminPassword is set."


def retired_size(resource: ResourceValidationArgs, today: date | None = None) -> Iterator[str]:
    """A size that Microsoft no longer runs; sizes that the catalog does not know pass."""
    size = _size(resource)
    if size and size.retires and size.retires <= (today or date.today()):
        yield f"{size.name} ({size.series}) was retired on {size.retires}."


def _size(resource: ResourceValidationArgs) -> catalog.VmSize | None:
    name = at(resource.props, *_SIZE)
    return catalog.vm_sizes().get(name) if isinstance(name, str) else None


def shown_secrets(resource: ResourceValidationArgs) -> Iterator[str]:
    """A command with a secret on its command line, or beside outputs that are stored in plain."""
    for name in ("create", "update", "delete", "environment", "triggers"):
        if any(map(_PRIVATE_KEY.search, texts(at(resource.props, name)))):
            yield f"a private key is in `{name}`."
    stdin = "".join(texts(at(resource.props, "stdin")))
    stored = sorted(_OUTPUTS - set(resource.opts.additional_secret_outputs))
    if stored and (_HOLDS_SECRETS.search(stdin) or _PRIVATE_KEY.search(stdin)):
        yield f"`stdin` holds secrets, and {' and '.join(stored)} would be stored in plain."

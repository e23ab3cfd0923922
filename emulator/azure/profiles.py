"""osProfile: the accounts of a machine, and the data for its first boot."""

from __future__ import annotations

import base64
import binascii
import re

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from emulator.azure.errors import change_not_allowed, invalid_parameter
from emulator.azure.kinds import PutRequest, merge_defaults, require
from emulator.azure.store import Body

# fmt: off
FORBIDDEN_ADMINS = frozenset({
    "administrator", "admin", "user", "user1", "test", "user2", "test1", "user3", "admin1",
    "1", "123", "a", "actuser", "adm", "admin2", "aspnet", "backup", "console", "david",
    "guest", "john", "owner", "root", "server", "sql", "support", "support_388945a0", "sys",
    "test2", "test3", "user4", "user5",
})
FORBIDDEN_PASSWORDS = frozenset({
    "abc@123", "P@$$w0rd", "P@ssw0rd", "P@ssword123", "Pa$$word", "pass@word1", "Password!",
    "Password1", "Password22", "iloveyou!",
})
# fmt: on
MAX_CUSTOM_DATA = 87380
"""Characters of base64: 65,535 bytes."""


def complete_profile(request: PutRequest) -> None:
    """Check osProfile: in full for a new machine, for changes when the machine exists."""
    if request.old and request.properties.get("osProfile") is None:
        request.properties["osProfile"] = request.old_properties["osProfile"]
        return
    profile: Body = require(request, "osProfile")
    profile.setdefault("computerName", request.id.name)
    merge_defaults(
        profile,
        {
            "allowExtensionOperations": True,
            "secrets": [],
            "linuxConfiguration": {
                "disablePasswordAuthentication": False,
                "provisionVMAgent": True,
                "patchSettings": {"assessmentMode": "ImageDefault", "patchMode": "ImageDefault"},
            },
        },
    )
    if request.old:
        _check_profile_unchanged(profile, request.old_properties["osProfile"])
        return
    _check_computer_name(profile["computerName"])
    _check_admin(require(request, "osProfile", "adminUsername"))
    _check_custom_data(profile.get("customData"))
    _check_access(profile)


def _check_profile_unchanged(new: Body, old: Body) -> None:
    """Refuse any change. Secrets may be left out; then they stay."""
    for secret in ("customData", "adminPassword"):
        if new.get(secret) is None and old.get(secret) is not None:
            new[secret] = old[secret]
        if new.get(secret) != old.get(secret):
            raise change_not_allowed(secret)
    for name in ("adminUsername", "computerName"):
        if new.get(name) != old.get(name):
            raise change_not_allowed(f"osProfile.{name}")
    configuration, before = new["linuxConfiguration"], old["linuxConfiguration"]
    for key in (configuration.get("ssh") or {}).get("publicKeys") or []:
        key.setdefault("path", _key_path(new["adminUsername"]))
    if configuration.get("ssh") != before.get("ssh"):
        raise change_not_allowed("linuxConfiguration.ssh.publicKeys")
    name = "disablePasswordAuthentication"
    if configuration[name] != before[name]:
        raise change_not_allowed(f"linuxConfiguration.{name}")


def _check_computer_name(name: str) -> None:
    forbidden = "` ~ ! @ # $ % ^ & * ( ) = + _ [ ] { } \\ | ; : ' \" , < > / ?"
    if len(name) > 64 or not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", name):
        raise invalid_parameter(
            "Linux host name cannot exceed 64 characters in length or contain the following"
            f" characters: {forbidden}.",
            "computerName",
        )


def _check_admin(name: str) -> None:
    if (
        len(name) > 64
        or name.lower() in FORBIDDEN_ADMINS
        or not re.fullmatch(r"[a-z_][\w-]*", name)
    ):
        raise invalid_parameter("The Admin Username specified is not allowed.", "adminUsername")


def _check_custom_data(text: str | None) -> None:
    if text is None:
        return
    try:
        base64.b64decode(text, validate=True)
    except binascii.Error:
        valid = False
    else:
        valid = len(text) <= MAX_CUSTOM_DATA
    if not valid:
        raise invalid_parameter(
            "Custom data in OSProfile must be in Base64 encoding and with a maximum length of"
            f" {MAX_CUSTOM_DATA} characters.",
            "osProfile.customData",
        )


def _check_access(profile: Body) -> None:
    configuration = profile["linuxConfiguration"]
    keys = (configuration.get("ssh") or {}).get("publicKeys") or []
    password = profile.get("adminPassword")
    if configuration["disablePasswordAuthentication"] and password is not None:
        raise invalid_parameter(
            "'adminPassword' must not be given when password authentication is disabled.",
            "adminPassword",
        )
    if not keys and (password is None or configuration["disablePasswordAuthentication"]):
        raise invalid_parameter(
            "Authentication using either SSH or by user name and password must be enabled in Linux"
            " profile.",
            "linuxConfiguration",
        )
    if password is not None:
        _check_password(password)
    for key in keys:
        _check_key(key, profile["adminUsername"])


def _check_password(password: str) -> None:
    if password in FORBIDDEN_PASSWORDS:
        raise invalid_parameter("The Admin password specified is not allowed.", "adminPassword")
    classes = sum(bool(re.search(each, password)) for each in ("[a-z]", "[A-Z]", r"\d", r"[\W_]"))
    if not 6 <= len(password) <= 72 or classes < 3:
        raise invalid_parameter(
            "The supplied password must be between 6-72 characters long and must satisfy at least"
            " 3 of password complexity requirements from the following: uppercase, lowercase,"
            " numeric digit, special character",
            "adminPassword",
        )


def _key_path(admin: str) -> str:
    return f"/home/{admin}/.ssh/authorized_keys"


def _check_key(key: Body, admin: str) -> None:
    path = _key_path(admin)
    if key.setdefault("path", path) != path:
        raise invalid_parameter(
            "Destination path for Ssh public keys is currently limited to its default value"
            f" {path} due to a known issue in Linux provisioning agent.",
            "linuxConfiguration.ssh.publicKeys.path",
        )
    try:
        parsed = load_ssh_public_key((key.get("keyData") or "").strip().encode())
    except (ValueError, UnsupportedAlgorithm):
        parsed = None
    strong = isinstance(parsed, RSAPublicKey) and parsed.key_size >= 2048
    if not strong and not isinstance(parsed, Ed25519PublicKey):
        raise invalid_parameter(
            "The value of parameter linuxConfiguration.ssh.publicKeys.keyData is invalid.",
            "linuxConfiguration.ssh.publicKeys.keyData",
        )

"""Each policy: what breaks it, what passes, and that the program's own resources pass all."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyCustomTimeouts,
    PolicyResource,
    PolicyResourceOptions,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, unknown_checking_proxy

from components import remote_command
from ollamazure import catalog
from policy.policies import CHECKS, POLICIES
from policy.values import in_production
from tests.tiers import first_of
from tests.unit.components.recorder import Recorded
from tests.unit.components.test_cloud import whole_program

PROJECT = Path(__file__).resolve().parents[3]
STACKS = sorted(file.name.split(".")[1] for file in PROJECT.glob("Pulumi.*.yaml"))
REMOVED = object()

NSG = "azure-native:network:NetworkSecurityGroup"
PRIVATE_KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n"


@dataclass(frozen=True)
class Violation:
    """A violation that a policy reported."""

    policy: str
    level: EnforcementLevel | None
    message: str


def in_stack(resource: Recorded, stack: str = "prod") -> Recorded:
    """The resource with the URN that it has in a stack; the URNs of the mocks have none."""
    return replace(
        resource, urn=f"urn:pulumi:{stack}::ollamazure::{resource.type}::{resource.name}"
    )


@cache
def program(stack: str) -> Sequence[Recorded]:
    """All resources of a shipped stack."""
    return [in_stack(it, stack) for it in whole_program(stack).resources]


def named(name: str, stack: str = "prod") -> Recorded:
    """One of the program's resources; a component, which may have the same name, is not one."""
    [found] = [it for it in program(stack) if it.name == name and it.custom]
    return found


def options(protect: bool = False, secret_outputs: Sequence[str] = ()) -> PolicyResourceOptions:
    timeouts = PolicyCustomTimeouts(0, 0, 0)
    return PolicyResourceOptions(protect, [], None, [], timeouts, list(secret_outputs))


def violations(resource: Recorded, inputs: Mapping[str, Any] | None = None) -> list[Violation]:
    """What all policies say of a resource, with other inputs on request."""
    args = ResourceValidationArgs(
        resource.type,
        unknown_checking_proxy(dict(resource.inputs if inputs is None else inputs)),
        resource.urn,
        resource.name,
        options(resource.protect, sorted(resource.secret_outputs)),
        None,
    )
    found: list[Violation] = []
    for policy in POLICIES:
        if isinstance(policy, ResourceValidationPolicy):
            policy.validate(args, noting(policy, found))
    return found


def noting(policy: Policy, found: list[Violation]) -> ReportViolation:
    """A function that collects the violations of a policy."""

    def report(message: str, urn: str | None = None) -> None:
        found.append(Violation(policy.name, policy.enforcement_level, message))

    return report


def stack_violations(*resources: PolicyResource) -> list[Violation]:
    """The violations that the policies of whole stacks report."""
    found: list[Violation] = []
    for policy in POLICIES:
        if isinstance(policy, StackValidationPolicy):
            policy.validate(StackValidationArgs(list(resources)), noting(policy, found))
    return found


def changed(inputs: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of the inputs with one of them, `a.b`, different or REMOVED."""
    copied: dict[str, Any] = copy.deepcopy(dict(inputs))
    *parents, last = path.split(".")
    node = copied
    for name in parents:
        node = node.setdefault(name, {})
    if value is REMOVED:
        node.pop(last, None)
    else:
        node[last] = value
    return copied


@pytest.mark.parametrize("stack", first_of(STACKS))
def test_the_program_passes_its_policies(stack: str) -> None:
    """No shipped stack has an error; the only warning is about SSH that is open to everyone."""
    found = [violation for it in program(stack) for violation in violations(it)]
    assert {it.policy for it in found} <= {"ssh-for-known-addresses-outside-production"}
    assert EnforcementLevel.MANDATORY not in {it.level for it in found}


@pytest.mark.parametrize("stack", ["prod", "production", "prod-eu", "eu_prod"])
def test_production_is_known_by_the_stacks_name(stack: str) -> None:
    assert in_production(f"urn:pulumi:{stack}::ollamazure::pulumi:pulumi:Stack::x")


@pytest.mark.parametrize("stack", ["dev", "product", "reproduction", "preprod"])
def test_other_stacks_are_not_production(stack: str) -> None:
    assert not in_production(f"urn:pulumi:{stack}::ollamazure::pulumi:pulumi:Stack::x")


def script(*, own: str = "true\n", secrets: bool = False) -> str:
    """A command's script as the program renders it."""
    files = [(remote_command.File("/etc/x"), b"x\n")]
    text = remote_command.render_script(
        "nginx", own, files, purpose="test", machine="vm-1", secrets=secrets
    )
    return remote_command.add_secrets(text, '{"a": "b"}') if secrets else text


BROKEN = [
    ("data-disk", "publicNetworkAccess", "Enabled", "private-encrypted-disks"),
    ("data-disk", "publicNetworkAccess", REMOVED, "private-encrypted-disks"),
    ("data-disk", "networkAccessPolicy", "AllowAll", "private-encrypted-disks"),
    ("data-disk", "networkAccessPolicy", REMOVED, "private-encrypted-disks"),
    ("data-disk", "encryption", REMOVED, "private-encrypted-disks"),
    ("public-ip", "sku.name", "Basic", "standard-static-address"),
    ("public-ip", "sku", REMOVED, "standard-static-address"),
    ("public-ip", "publicIPAllocationMethod", "Dynamic", "standard-static-address"),
    ("public-ip", "publicIPAllocationMethod", REMOVED, "standard-static-address"),
    ("vm", "securityProfile.securityType", "Standard", "trusted-launch"),
    ("vm", "securityProfile.securityType", REMOVED, "trusted-launch"),
    ("vm", "securityProfile.uefiSettings.vTpmEnabled", False, "trusted-launch"),
    ("vm", "securityProfile.uefiSettings.secureBootEnabled", False, "trusted-launch"),
    (
        "vm",
        "osProfile.linuxConfiguration.disablePasswordAuthentication",
        False,
        "no-password-login",
    ),
    ("vm", "osProfile.linuxConfiguration", REMOVED, "no-password-login"),
    ("vm", "osProfile.adminPassword", "Correct-Horse-1", "no-password-login"),
    ("vm", "tags.project", REMOVED, "tagged"),
    ("vm", "tags.stack", "dev", "tagged"),
    ("nginx", "create", f"echo '{PRIVATE_KEY}'", "secrets-not-shown"),
    ("nginx", "environment", {"KEY": PRIVATE_KEY}, "secrets-not-shown"),
    ("nginx", "stdin", script(secrets=True), "secrets-not-shown"),
    ("nginx", "stdin", script(own=PRIVATE_KEY), "secrets-not-shown"),
    ("nginx", "stdin", REMOVED, "commands-with-manifest"),
    ("nginx", "stdin", "true\n", "commands-with-manifest"),
    ("nginx", "stdin", script().replace('"secrets"', '"hidden"'), "commands-with-manifest"),
    ("nginx", "stdin", script().replace("true\n", "false\n"), "commands-with-manifest"),
    # Secrets that the manifest does not mention move every other line of the script.
    ("nginx", "stdin", remote_command.add_secrets(script(), "{}"), "commands-with-manifest"),
]


@pytest.mark.parametrize(("name", "path", "value", "policy"), BROKEN)
def test_what_breaks_a_policy(name: str, path: str, value: Any, policy: str) -> None:
    resource = named(name)
    found = violations(resource, changed(resource.inputs, path, value))
    assert [(it.policy, it.level) for it in found] == [(policy, EnforcementLevel.MANDATORY)]


def test_every_policy_is_broken_by_a_test() -> None:
    """Each policy needs a test that breaks it."""
    elsewhere = {
        "only-web-ports-for-the-world",
        "ssh-for-known-addresses",
        "private-backups",
        "protected-data",
        "size-not-retired",
        "generated-secrets-not-shown",
    }
    assert {check.name for check in CHECKS} == {policy for *_, policy in BROKEN} | elsewhere


def test_a_violation_names_the_resource_the_problem_the_reason_and_the_fix() -> None:
    [found] = violations(named("public-ip"), changed(named("public-ip").inputs, "sku", REMOVED))
    assert found.message == (
        "public-ip: sku.name is not Standard.\n   Fix:      in components/network.py, set sku.name "
        "to Standard and publicIPAllocationMethod to Static."
    )
    [policy] = [it for it in POLICIES if it.name == found.policy]
    assert policy.description.startswith("A public address is Standard and static. A Basic")


def opened(
    sources: str | list[str], ports: str | list[str], **other: str
) -> tuple[Recorded, dict[str, Any]]:
    """The program's security group with this rule alone."""
    rule: dict[str, Any] = {
        "name": "door",
        "direction": "Inbound",
        "access": "Allow",
        "sourceAddressPrefix" if isinstance(sources, str) else "sourceAddressPrefixes": sources,
        "destinationPortRange" if isinstance(ports, str) else "destinationPortRanges": ports,
        **other,
    }
    resource = named("nsg")
    return resource, {**resource.inputs, "securityRules": [rule]}


WEB_ONLY, SSH_KNOWN = "only-web-ports-for-the-world", "ssh-for-known-addresses"


@pytest.mark.parametrize(
    "everyone",
    [
        "*",
        "0.0.0.0/0",
        "Internet",
        "any",
        "::/0",
        "AzureCloud",
        "AzureCloud.westeurope",
        ["203.0.113.7/32", "0.0.0.0/0"],
        ["0.0.0.0/1", "128.0.0.0/1"],
        ["2000::/3"],
    ],
    ids=str,
)
def test_every_form_of_everyone_is_recognised(everyone: str | list[str]) -> None:
    found = violations(*opened(everyone, "11434"))
    assert {it.policy for it in found} == {WEB_ONLY}
    assert "nsg: the rule door opens port 11434 to everyone." in found[0].message


@pytest.mark.parametrize(
    "source",
    ["203.0.113.7/32", "203.0.113.7", "10.0.0.0/8", "VirtualNetwork", "AzureLoadBalancer"],
)
def test_known_addresses_may_reach_any_port(source: str) -> None:
    assert violations(*opened(source, "*")) == []


@pytest.mark.parametrize(
    ("ports", "policies"),
    [
        ("80", []),
        (["80", "443"], []),
        ("443-443", []),
        ("80-443", [WEB_ONLY]),
        ("22", [SSH_KNOWN]),
        ("22-23", [WEB_ONLY, SSH_KNOWN]),
        ("1-1024", [WEB_ONLY, SSH_KNOWN]),
        ("*", [WEB_ONLY, SSH_KNOWN]),
        (["443", "3389"], [WEB_ONLY]),
        ("0-65535", [WEB_ONLY, SSH_KNOWN]),
    ],
    ids=str,
)
def test_ports_open_to_everyone(ports: str | list[str], policies: list[str]) -> None:
    assert {it.policy for it in violations(*opened("*", ports))} == {*policies}


@pytest.mark.parametrize("other", [{"access": "Deny"}, {"direction": "Outbound"}], ids=str)
def test_rules_that_allow_no_access_open_nothing(other: dict[str, str]) -> None:
    assert violations(*opened("*", "*", **other)) == []


def test_single_rules_and_versioned_types_are_checked_too() -> None:
    _, inputs = opened("*", "11434")
    for type_, props in (
        ("azure-native:network:SecurityRule", inputs["securityRules"][0]),
        ("azure-native:network/v20240501:NetworkSecurityGroup", inputs),
        ("azure-native_network_v20240501:network:NetworkSecurityGroup", inputs),
    ):
        resource = replace(named("nsg"), type=type_)
        assert WEB_ONLY in {it.policy for it in violations(resource, props)}, type_


def test_ssh_from_everywhere_is_an_error_in_production_and_a_warning_elsewhere() -> None:
    _, inputs = opened("0.0.0.0/0", "22")
    [error] = violations(named("nsg", "prod"), inputs)
    assert (error.policy, error.level) == (SSH_KNOWN, EnforcementLevel.MANDATORY)
    [warning] = violations(named("nsg", "dev"), changed(inputs, "tags.stack", "dev"))
    assert warning.level is EnforcementLevel.ADVISORY
    assert "pulumi config set --path 'ollamazure:sshClients[0]'" in warning.message


def test_the_data_disk_is_protected_in_production_alone() -> None:
    unprotected = replace(named("data-disk"), protect=False)
    assert [(it.policy, it.level) for it in violations(unprotected)] == [
        ("protected-data", EnforcementLevel.MANDATORY)
    ]
    assert violations(named("data-disk", "dev")) == []


@cache
def backup_storage(name: str) -> Recorded:
    """A resource of a production stack that keeps its backups in Azure."""
    return in_stack(whole_program("prod", backup={"target": "azure"}).named(name))


@pytest.mark.parametrize(
    "name", ["backup-account", "backup-container", "backup-blobs", "machine-identity"]
)
def test_the_backups_pass_their_policies(name: str) -> None:
    assert violations(backup_storage(name)) == []


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("backup-account", "allowSharedKeyAccess", True),
        ("backup-account", "allowSharedKeyAccess", REMOVED),
        ("backup-account", "allowBlobPublicAccess", True),
        ("backup-account", "enableHttpsTrafficOnly", False),
        ("backup-account", "minimumTlsVersion", "TLS1_0"),
        ("backup-container", "publicAccess", "Blob"),
    ],
)
def test_backups_with_keys_or_for_everyone_stop_the_preview(
    name: str, path: str, value: Any
) -> None:
    resource = backup_storage(name)
    [found] = violations(resource, changed(resource.inputs, path, value))
    assert (found.policy, found.level) == ("private-backups", EnforcementLevel.MANDATORY)
    assert path in found.message


@pytest.mark.parametrize("name", ["backup-account", "backup-container"])
def test_backups_are_protected_in_production(name: str) -> None:
    [found] = violations(replace(backup_storage(name), protect=False))
    assert found.policy == "protected-data"
    assert "the backups are not protected." in found.message


def test_a_gpu_size_may_start_without_secure_boot_and_vtpm() -> None:
    gpu = next(size.name for size in catalog.vm_sizes().values() if size.gpu)
    unsigned = changed(named("vm").inputs, "securityProfile.uefiSettings", REMOVED)
    assert {it.policy for it in violations(named("vm"), unsigned)} == {"trusted-launch"}
    for size in (gpu, UNKNOWN_STRING_VALUE):
        assert violations(named("vm"), changed(unsigned, "hardwareProfile.vmSize", size)) == []


def test_a_size_is_refused_once_it_is_retired(monkeypatch: pytest.MonkeyPatch) -> None:
    size = catalog.vm_sizes()["Standard_D8as_v5"]
    for day, policies in ((date(2020, 1, 1), ["size-not-retired"]), (date(2999, 1, 1), [])):
        retiring = {size.name: size.model_copy(update={"retires": day})}
        monkeypatch.setattr(catalog, "vm_sizes", lambda retiring=retiring: retiring)
        assert [it.policy for it in violations(named("vm"))] == policies


def test_a_size_that_the_catalog_does_not_know_passes() -> None:
    other = changed(named("vm").inputs, "hardwareProfile.vmSize", "Standard_NEW_v9")
    assert violations(named("vm"), other) == []


def test_every_resource_in_azure_has_to_have_the_tags() -> None:
    """Also kinds of resources that are added later."""
    alerts = whole_program(
        "prod",
        alerts={"email": ["alice@example.com"]},
        domain="chat.example.com",
        certificate={"mode": "letsEncrypt"},
    )
    for resource in [*program("prod"), *map(in_stack, alerts.resources)]:
        if "tags" in resource.inputs:
            found = violations(resource, changed(resource.inputs, "tags", REMOVED))
            assert [it.policy for it in found] == ["tagged", "tagged"], resource.type


def paths(value: Any, before: str = "") -> Iterator[str]:
    """The path of each of a resource's inputs; a list is one input."""
    for name, inner in value.items():
        yield f"{before}{name}"
        if isinstance(inner, dict):
            yield from paths(inner, f"{before}{name}.")


def test_what_a_preview_does_not_know_breaks_nothing() -> None:
    for resource in program("prod"):
        for path in paths(resource.inputs):
            unknown = changed(resource.inputs, path, UNKNOWN_STRING_VALUE)
            assert violations(resource, unknown) == [], f"{resource.name}: {path}"


@pytest.mark.parametrize("path", ["direction", "access", "sourceAddressPrefix", "name"])
def test_a_rule_that_is_not_known_yet_hides_no_other(path: str) -> None:
    resource, inputs = opened("*", "11434")
    inputs["securityRules"].insert(0, {**inputs["securityRules"][0], path: UNKNOWN_STRING_VALUE})
    inputs["securityRules"].insert(0, UNKNOWN_STRING_VALUE)
    assert WEB_ONLY in {it.policy for it in violations(resource, inputs)}


def test_outputs_of_commands_with_secrets_are_secret() -> None:
    command = replace(named("nginx"), secret_outputs=frozenset({"stdout", "stderr"}))
    inputs = changed(command.inputs, "stdin", script(secrets=True))
    assert violations(command, inputs) == []


def test_renaming_a_function_of_the_script_hides_no_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = remote_command.render_file

    def renamed(path: str, **values: Any) -> str:
        return original(path, **values).replace("secret()", "read_secret()")

    monkeypatch.setattr(remote_command, "render_file", renamed)
    stdin = script(secrets=True)
    assert "\nread_secret() {\n" in stdin and "\nsecret() {\n" not in stdin
    [found] = violations(named("nginx"), changed(named("nginx").inputs, "stdin", stdin))
    assert found.policy == "secrets-not-shown"


def test_the_programs_own_commands_with_secrets_are_known_as_such() -> None:
    for name in ("open-webui-admin", "nginx-certificate"):
        careless = replace(named(name), secret_outputs=frozenset())
        assert [it.policy for it in violations(careless)] == ["secrets-not-shown"], name


def test_a_command_that_shows_its_questions_keeps_the_answers_secret() -> None:
    [asking] = [
        it
        for it in whole_program("dev", probeFrom="machine").resources
        if it.name == "chat-answers"
    ]
    assert asking.inputs["logging"] == "stdoutAndStderr"
    assert [it for it in violations(asking) if it.policy == "secrets-not-shown"] == []


def resource(type_: str, name: str, **outputs: Any) -> PolicyResource:
    urn = f"urn:pulumi:dev::ollamazure::{type_}::{name}"
    props = unknown_checking_proxy(outputs)
    return PolicyResource(type_, props, urn, name, options(), None, None, [], {})


def stack_of(**outputs: Any) -> PolicyResource:
    return resource("pulumi:pulumi:Stack", "ollamazure-dev", **outputs)


@pytest.mark.parametrize("name", ["create", "update", "delete", "environment"])
def test_a_generated_secret_on_a_command_line_is_found(name: str) -> None:
    password = resource("random:index/randomPassword:RandomPassword", "admin", result="s3cr3t")
    key = resource("tls:index/privateKey:PrivateKey", "key", privateKeyPem=UNKNOWN_STRING_VALUE)
    for shown in ("echo s3cr3t", {"PASSWORD": "s3cr3t"}, ["s3cr3t"]):
        command = resource("command:remote:Command", "nginx", **{name: shown})
        [found] = stack_violations(stack_of(), password, key, command)
        assert found.policy == "generated-secrets-not-shown"
        assert f"nginx: the secret of admin is in `{name}`." in found.message
    quiet = resource("command:remote:Command", "nginx", **{name: "true", "stdin": "s3cr3t"})
    assert stack_violations(stack_of(), password, key, quiet) == []

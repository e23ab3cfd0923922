"""The policies: what they demand, why, of what, how strictly, and the way out.

An error stops `pulumi preview` and `pulumi up` before anything is made; a warning is only told.
Production, where a stack's name has the word `prod` in it, is never treated more mildly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)

from policy import resources, stacks
from policy.values import in_production, plain_type

ERROR, WARNING, NOTHING = (
    EnforcementLevel.MANDATORY,
    EnforcementLevel.ADVISORY,
    EnforcementLevel.DISABLED,
)


@dataclass(frozen=True)
class Rule:
    """What is demanded, and what is told to whom does otherwise.

    Attributes:
        name: of the policy, as Pulumi shows it.
        demand: what has to be so, a sentence.
        reason: why, a sentence.
        fix: the way out, following "Fix it:".
    """

    name: str
    demand: str
    reason: str
    fix: str

    @property
    def description(self) -> str:
        """What and why, as Pulumi shows it above each violation."""
        return f"{self.demand} {self.reason}"

    def violation(self, what: str) -> str:
        """What Pulumi shows below the description."""
        return f"{what}\n   Fix:      {self.fix}"


@dataclass(frozen=True)
class ResourceRule(Rule):
    """A demand on each resource of some types.

    Attributes:
        types: of the resources, without API versions.
        check: yields what is wrong with one.
        elsewhere: what a violation is outside production; there it is an error.
    """

    types: frozenset[str]
    check: Callable[[ResourceValidationArgs], Iterator[str]]
    elsewhere: EnforcementLevel = ERROR

    def policies(self) -> Iterator[Policy]:
        """One policy, or, as each has one level, one for production and one for elsewhere."""
        if self.elsewhere is ERROR:
            yield self._policy(self.name, ERROR, lambda urn: True)
            return
        yield self._policy(self.name, ERROR, in_production)
        if self.elsewhere is not NOTHING:
            name = f"{self.name}-outside-production"
            yield self._policy(name, self.elsewhere, lambda urn: not in_production(urn))

    def _policy(
        self, name: str, level: EnforcementLevel, concerns: Callable[[str], bool]
    ) -> Policy:
        def validate(resource: ResourceValidationArgs, report: ReportViolation) -> None:
            if plain_type(resource.resource_type) in self.types and concerns(resource.urn):
                for what in self.check(resource):
                    report(self.violation(f"{resource.name}: {what}"), None)

        return ResourceValidationPolicy(
            name, self.description, validate, level, remediation_steps=self.fix
        )


@dataclass(frozen=True)
class StackRule(Rule):
    """A demand on all resources together, asked when they are known.

    Attributes:
        check: yields what is wrong.
    """

    check: Callable[[StackValidationArgs], Iterator[str]]

    def policies(self) -> Iterator[Policy]:
        """One policy."""

        def validate(stack: StackValidationArgs, report: ReportViolation) -> None:
            for what in self.check(stack):
                report(self.violation(what), None)

        yield StackValidationPolicy(
            self.name, self.description, validate, ERROR, remediation_steps=self.fix
        )


_SECURITY_RULES = frozenset(
    {"azure-native:network:NetworkSecurityGroup", "azure-native:network:SecurityRule"}
)
_DISK = frozenset({"azure-native:compute:Disk"})
_ADDRESS = frozenset({"azure-native:network:PublicIPAddress"})
_MACHINE = frozenset({"azure-native:compute:VirtualMachine"})
_TAGGED = frozenset(
    {
        "azure-native:resources:ResourceGroup",
        "azure-native:network:NetworkSecurityGroup",
        "azure-native:network:VirtualNetwork",
        "azure-native:network:NetworkInterface",
        *_ADDRESS,
        *_DISK,
        *_MACHINE,
    }
)

RULES: tuple[ResourceRule | StackRule, ...] = (
    ResourceRule(
        name="only-web-ports-for-the-world",
        demand="Nothing but the ports 80 and 443 is open to the world.",
        reason="Whatever else is open is found and attacked within minutes.",
        fix="in components/network.py, name the port alone, or the addresses that may reach it.",
        types=_SECURITY_RULES,
        check=resources.open_ports,
    ),
    ResourceRule(
        name="ssh-for-known-addresses",
        demand="SSH is open to known addresses only.",
        reason="An error in sshd, or a stolen key, is then nothing that the world can use.",
        fix="list who deploys and operates, for example "
        "`pulumi config set --path 'ollamazure:sshClients[0]' 203.0.113.7/32`.",
        types=_SECURITY_RULES,
        check=resources.open_ssh,
        elsewhere=WARNING,
    ),
    ResourceRule(
        name="private-encrypted-disks",
        demand="Disks say that they are encrypted, and cannot be reached over the network.",
        reason="A disk of chats that can be exported needs only a leaked link to be copied.",
        fix="in components/machine.py, set encryption.type to EncryptionAtRestWithPlatformKey, "
        "publicNetworkAccess to Disabled and networkAccessPolicy to DenyAll.",
        types=_DISK,
        check=resources.public_or_plain_disk,
    ),
    ResourceRule(
        name="protected-data",
        demand="The data disk of a production stack is protected.",
        reason="It holds every chat; without protection one `pulumi destroy` deletes them.",
        fix="`pulumi config set ollamazure:keepData true`.",
        types=_DISK,
        check=resources.unprotected_disk,
        elsewhere=NOTHING,
    ),
    ResourceRule(
        name="standard-static-address",
        demand="A public address is Standard and static.",
        reason="A Basic one is retired and open by default; a dynamic one changes, and with it "
        "the URL, the certificate and who answers there.",
        fix="in components/network.py, set sku.name to Standard and publicIPAllocationMethod to "
        "Static.",
        types=_ADDRESS,
        check=resources.basic_or_dynamic_address,
    ),
    ResourceRule(
        name="trusted-launch",
        demand="A machine has Trusted Launch and, without a GPU, secure boot and a vTPM.",
        reason="What was changed below the operating system is then noticed, or does not start.",
        fix="in components/machine.py, set securityProfile as it was; securityType replaces the "
        "machine.",
        types=_MACHINE,
        check=resources.untrusted_launch,
    ),
    ResourceRule(
        name="tagged",
        demand="Every resource has the tags project and stack.",
        reason="They say in Azure's portal and on its bill what it is for and what manages it.",
        fix="in the component, hand `tags=args.tags` on to the resource.",
        types=_TAGGED,
        check=resources.missing_tags,
    ),
    ResourceRule(
        name="no-password-login",
        demand="Nobody signs in to a machine with a password.",
        reason="Passwords are guessed, keys are not.",
        fix="in components/machine.py, set disablePasswordAuthentication to true and no "
        "adminPassword.",
        types=_MACHINE,
        check=resources.password_login,
    ),
    ResourceRule(
        name="size-not-retired",
        demand="A machine has a size that Microsoft still runs.",
        reason="Machines of a retired size are stopped, and cannot be started again.",
        fix="`pulumi config set ollamazure:vmSize auto`, or a size of docs/reference/vm-sizes.md.",
        types=_MACHINE,
        check=resources.retired_size,
    ),
    ResourceRule(
        name="secrets-not-shown",
        demand="A secret reaches a command by its standard input, and nothing it prints is stored "
        "in plain.",
        reason="Command lines are in process lists, previews and error messages; outputs are in "
        "the state.",
        fix="hand it to `remote.run` of components/remote_command.py in `secrets`.",
        types=frozenset(stacks.COMMANDS),
        check=resources.shown_secrets,
    ),
    StackRule(
        name="generated-secrets-not-shown",
        demand="No generated password or key is on a command line.",
        reason="Command lines are in process lists, previews and error messages.",
        fix="hand it to `remote.run` of components/remote_command.py in `secrets`.",
        check=stacks.secrets_on_command_lines,
    ),
    StackRule(
        name="models-fit",
        demand="Each model fits the machine's memory.",
        reason="Ollama does not refuse one that is too large: it swaps, or is killed.",
        fix="take a size that fits, as named above, or a smaller model.",
        check=stacks.models_too_large,
    ),
)
POLICIES: list[Policy] = [policy for rule in RULES for policy in rule.policies()]

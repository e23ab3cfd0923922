"""The policies: what each demands and why, of which resources, how strictly, and how to fix it.

An error stops `pulumi preview` and `pulumi up` before anything is created; a warning is only
printed. Production, where a stack's name contains the word `prod`, is never treated less strictly.
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
class Check:
    """One policy: what it demands, and the text of a violation.

    Attributes:
        name: of the policy, as Pulumi shows it.
        demand: what must be true, a sentence.
        reason: why, a sentence.
        fix: how to fix a violation; follows "Fix:".
    """

    name: str
    demand: str
    reason: str
    fix: str

    @property
    def description(self) -> str:
        """The demand and its reason, as Pulumi shows them above each violation."""
        return f"{self.demand} {self.reason}"

    def violation(self, what: str) -> str:
        """The text that Pulumi shows below the description."""
        return f"{what}\n   Fix:      {self.fix}"


@dataclass(frozen=True)
class ResourceCheck(Check):
    """A demand on each resource of some types.

    Attributes:
        types: of the resources, without API versions.
        check: yields what is wrong with a resource.
        elsewhere: the level of a violation outside production; in production it is an error.
    """

    types: frozenset[str]
    check: Callable[[ResourceValidationArgs], Iterator[str]]
    elsewhere: EnforcementLevel = ERROR

    def policies(self) -> Iterator[Policy]:
        """One policy; two if production has another level, because a policy has one level only."""
        if self.elsewhere is ERROR:
            yield self._policy(self.name, ERROR, lambda urn: True)
            return
        yield self._policy(self.name, ERROR, in_production)
        if self.elsewhere is not NOTHING:
            name = f"{self.name}-outside-production"
            yield self._policy(name, self.elsewhere, lambda urn: not in_production(urn))

    def _policy(
        self, name: str, level: EnforcementLevel, applies_to: Callable[[str], bool]
    ) -> Policy:
        def validate(resource: ResourceValidationArgs, report: ReportViolation) -> None:
            if plain_type(resource.resource_type) in self.types and applies_to(resource.urn):
                for what in self.check(resource):
                    report(self.violation(f"{resource.name}: {what}"), None)

        return ResourceValidationPolicy(
            name, self.description, validate, level, remediation_steps=self.fix
        )


@dataclass(frozen=True)
class StackCheck(Check):
    """A demand on all resources together, checked when all of them are known.

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
_ACCOUNT = frozenset({"azure-native:storage:StorageAccount"})
_CONTAINER = frozenset({"azure-native:storage:BlobContainer"})
_TAGGED = frozenset(
    {
        "azure-native:alertsmanagement:AlertProcessingRuleByName",
        "azure-native:logic:Workflow",
        "azure-native:managedidentity:UserAssignedIdentity",
        "azure-native:resources:ResourceGroup",
        "azure-native:network:NetworkSecurityGroup",
        "azure-native:network:VirtualNetwork",
        "azure-native:network:NetworkInterface",
        "azure-native:network:NatGateway",
        "azure-native:monitor:ActionGroup",
        "azure-native:monitor:MetricAlert",
        "azure-native:applicationinsights:Component",
        "azure-native:applicationinsights:WebTest",
        "azure-native:operationalinsights:Workspace",
        *_ACCOUNT,
        *_ADDRESS,
        *_DISK,
        *_MACHINE,
    }
)

CHECKS: tuple[ResourceCheck | StackCheck, ...] = (
    ResourceCheck(
        name="only-web-ports-for-the-world",
        demand="Only the ports 80 and 443 are open to everyone.",
        reason="Attackers find any other open port within minutes.",
        fix="in components/network.py, open only these ports, or list the clients' addresses.",
        types=_SECURITY_RULES,
        check=resources.open_ports,
    ),
    ResourceCheck(
        name="ssh-for-known-addresses",
        demand="SSH is open only to known addresses.",
        reason="Otherwise anyone can exploit an error in sshd or a stolen key.",
        fix="list the addresses of the operators, for example "
        "`pulumi config set --path 'ollamazure:sshClients[0]' 203.0.113.7/32`.",
        types=_SECURITY_RULES,
        check=resources.open_ssh,
        elsewhere=WARNING,
    ),
    ResourceCheck(
        name="private-encrypted-disks",
        demand="Disks are encrypted explicitly and cannot be reached over the network.",
        reason="Otherwise a leaked link is enough to copy the disk with all chats.",
        fix="in components/machine.py, set encryption.type to EncryptionAtRestWithPlatformKey, "
        "publicNetworkAccess to Disabled and networkAccessPolicy to DenyAll.",
        types=_DISK,
        check=resources.public_or_plain_disk,
    ),
    ResourceCheck(
        name="private-backups",
        demand="A storage account has no keys and no public blobs, and only encrypted connections.",
        reason="Anyone who has a key, or finds a public container, has every backup.",
        fix="in components/backup_storage.py, set allowSharedKeyAccess and allowBlobPublicAccess "
        "to false, enableHttpsTrafficOnly to true, minimumTlsVersion to TLS1_2 and publicAccess of "
        "the container to None.",
        types=_ACCOUNT | _CONTAINER,
        check=resources.open_storage,
    ),
    ResourceCheck(
        name="protected-data",
        demand="The data disk and the backups of a production stack are protected.",
        reason="They hold every chat; without protection one `pulumi destroy` deletes them.",
        fix="`pulumi config set ollamazure:keepData true`.",
        types=_DISK | _ACCOUNT | _CONTAINER,
        check=resources.unprotected_data,
        elsewhere=NOTHING,
    ),
    ResourceCheck(
        name="standard-static-address",
        demand="A public address is Standard and static.",
        reason="A Basic address is retired and open by default. A dynamic address changes, and "
        "with it the URL and the certificate.",
        fix="in components/network.py, set sku.name to Standard and publicIPAllocationMethod to "
        "Static.",
        types=_ADDRESS,
        check=resources.basic_or_dynamic_address,
    ),
    ResourceCheck(
        name="trusted-launch",
        demand="A machine has Trusted Launch and, without a GPU, secure boot and a vTPM.",
        reason="They detect or stop changes below the operating system.",
        fix="in components/machine.py, restore securityProfile; a change of securityType replaces "
        "the machine.",
        types=_MACHINE,
        check=resources.untrusted_launch,
    ),
    ResourceCheck(
        name="tagged",
        demand="Every resource has the tags project and stack.",
        reason="They show in Azure's portal and on the bill which stack a resource belongs to.",
        fix="in the component, pass `tags=args.tags` to the resource.",
        types=_TAGGED,
        check=resources.missing_tags,
    ),
    ResourceCheck(
        name="no-password-login",
        demand="Machines accept no password for signing in.",
        reason="Passwords can be guessed, keys cannot.",
        fix="in components/machine.py, set disablePasswordAuthentication to true and no "
        "adminPassword.",
        types=_MACHINE,
        check=resources.password_login,
    ),
    ResourceCheck(
        name="size-not-retired",
        demand="A machine has a size that Azure still offers.",
        reason="Azure stops machines of a retired size and does not start them again.",
        fix="`pulumi config set ollamazure:vmSize auto`, or a size of docs/reference/vm-sizes.md.",
        types=_MACHINE,
        check=resources.retired_size,
    ),
    ResourceCheck(
        name="secrets-not-shown",
        demand="A command reads secrets only from standard input, and its output is stored as a "
        "secret.",
        reason="Command lines appear in process lists, previews and error messages; outputs are in "
        "the state.",
        fix="pass the secret to `run_on_machine` of components/remote_command.py in `secrets`.",
        types=frozenset({stacks.REMOTE_COMMAND, stacks.LOCAL_COMMAND}),
        check=resources.shown_secrets,
    ),
    ResourceCheck(
        name="commands-with-manifest",
        demand="A command on the machine has a manifest that describes its script.",
        reason="The other policies, the review and the drift check learn from it what the command "
        "does.",
        fix="run the command with `run_on_machine` of components/remote_command.py.",
        types=frozenset({stacks.REMOTE_COMMAND}),
        check=resources.unknown_command,
    ),
    StackCheck(
        name="generated-secrets-not-shown",
        demand="No generated password or key is on a command line.",
        reason="Command lines appear in process lists, previews and error messages.",
        fix="pass the secret to `run_on_machine` of components/remote_command.py in `secrets`.",
        check=stacks.secrets_on_command_lines,
    ),
)
POLICIES: list[Policy] = [policy for check in CHECKS for policy in check.policies()]

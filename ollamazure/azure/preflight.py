"""What Azure would refuse at `pulumi up`, found before anything is created or paid for.

Only reads: the stack's file, and Azure through `az`. Every finding is printed, each problem with
its fixes.

`az` registers a resource provider by itself when Azure answers a query with "not registered".
Preflight changes nothing, so it sends no query to a provider that is not registered.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ollamazure import catalog
from ollamazure.azure.az import AzError, AzureCli, run_az
from ollamazure.azure.cluster_preflight import (
    AKS,
    POSTGRESQL,
    REDIS,
    check_cache,
    check_cluster,
    check_database,
)
from ollamazure.azure.finding import Finding
from ollamazure.azure.region import Region, belongs_to
from ollamazure.azure.stack_file import StackFile
from ollamazure.names import BACKUPS, backup_account_name, group_of
from ollamazure.settings.problems import SettingsError, command
from ollamazure.settings.stack import Settings
from ollamazure.settings.subnet import (
    ExistingSubnet,
    SubnetName,
    subnet_violations,
    subnet_warnings,
)
from ollamazure.sizing.cluster import ClusterPlan, cluster_cost, make_cluster_plan
from ollamazure.sizing.plan import SizingError, make_plan

JOIN = "Microsoft.Network/virtualNetworks/subnets/join/action"
ASSIGN = "Microsoft.Authorization/roleAssignments/write"
COMPUTE, NETWORK = "Microsoft.Compute", "Microsoft.Network"
STORAGE, IDENTITY = "Microsoft.Storage", "Microsoft.ManagedIdentity"
INSIGHTS, WORKSPACES = "Microsoft.Insights", "Microsoft.OperationalInsights"
ALERTS = "Microsoft.AlertsManagement"
LOGIC = "Microsoft.Logic"
# RFC 5737: no machine has such an address.
DOCUMENTATION = [
    ipaddress.IPv4Network(network)
    for network in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
]
FIND_ADDRESS = (
    "your address is the one that the internet sees: the Azure portal shows it as 'My IP address', "
    "the source of a new inbound rule; or ask the people who run your network"
)


def run(name: str, folder: Path) -> int:
    """Print every finding about a stack; returns 0 without problems, else 1.

    Args:
        name: of the stack.
        folder: where its file is.
    """
    try:
        stack = StackFile.read(name, folder)
    except FileNotFoundError as error:
        print(
            f"{error.filename} does not exist.\n"
            f"-> pulumi stack init {name}, then pulumi config set … as "
            "docs/tutorial/first-deployment-on-azure.md shows"
        )
        return 1
    problems = 0
    for finding in check(stack):
        print(finding, flush=True)
        problems += not finding.good
    count = "1 problem" if problems == 1 else f"{problems} problems"
    print(count if problems else "Ready for `pulumi up`.")
    return 1 if problems else 0


def check(stack: StackFile) -> Iterator[Finding]:
    """Every finding about a stack, as soon as it is known."""
    settings, size, findings = check_settings(stack)
    plan = size if isinstance(size, ClusterPlan) else None
    yield from findings
    if settings:
        yield from check_ssh_clients(stack, settings)
    try:
        account = run_az("account", "show", *stack.subscription_arguments())
    except AzError as error:
        yield Finding(f"sign-in: {error}", _sign_in_fixes(error))
        return
    yield check_account(account)
    az = AzureCli(account["id"])
    registered = set()
    backups = stack.backup_group(settings) if settings else None
    needed = [COMPUTE, NETWORK, *((STORAGE, IDENTITY) if backups else ())]
    hours = settings.working_hours if settings else None
    needed += [LOGIC, IDENTITY] if hours else []
    needed += [AKS, POSTGRESQL, REDIS, STORAGE, IDENTITY] if plan else []
    needed += [INSIGHTS] if settings and settings.alerts_on else []
    needed += [WORKSPACES] if settings and settings.availability_test else []
    needed += [ALERTS] if settings and settings.availability_test and hours else []
    for namespace in dict.fromkeys(needed):
        finding = check_provider(az, namespace)
        registered |= {namespace} if finding.good else set()
        yield finding
    if settings and plan:
        if settings.cluster.kubeconfig is None:
            checks = check_cluster(az, stack, settings, plan)
            yield from _guard("cluster", checks, {COMPUTE, AKS} <= registered)
        checks = check_database(az, settings, plan)
        yield from _guard("database", checks, POSTGRESQL in registered)
        yield from _guard("cache", check_cache(az, settings), REDIS in registered)
        checks = check_right_to_assign(az, stack.groups.chat, "cluster", "its identities")
        yield from _guard("cluster", checks, IDENTITY in registered)
    elif settings and isinstance(size, str):
        checks = check_capacity(az, stack, settings.location, size)
        yield from _guard("size and quota", checks, COMPUTE in registered)
    if settings and settings.dns_label:
        checks = check_dns_label(az, stack, settings)
        yield from _guard("DNS label", checks, NETWORK in registered)
    if settings and settings.network.subnet_id:
        checks = check_subnet(az, stack, settings, settings.network.subnet_id)
        yield from _guard("subnet", checks, NETWORK in registered)
    if settings and backups:
        checks = check_backups(az, stack, settings, backups)
        yield from _guard("backups", checks, STORAGE in registered)
    if hours:
        checks = check_right_to_assign(az, stack.groups.chat, "working hours", "the schedule")
        yield from _guard("working hours", checks, LOGIC in registered)


def check_settings(
    stack: StackFile,
) -> tuple[Settings | None, str | ClusterPlan | None, list[Finding]]:
    """The settings, the machine's size or the cluster's plan (None: invalid), and the findings."""
    settings: Settings | None = None
    size: str | ClusterPlan | None = None
    findings = []
    try:
        settings = stack.settings()
        findings.append(Finding(f"settings: Pulumi.{stack.name}.yaml is valid"))
        if settings.engine == "kubernetes":
            size = make_cluster_plan(settings)
            on, cost = f"each node for models ({_sizes_of(size)})", cluster_cost(size, settings)
        else:
            plan = make_plan(settings)
            on = size = plan.vm_size.name
            cost = plan.monthly_cost
        findings.append(Finding(f"models: {on} holds {', '.join(settings.models)}"))
        findings.append(Finding(f"cost: {cost}"))
    except (SettingsError, SizingError) as error:
        fixes = ["fix the settings above, then run this again"]
        if "ollamazure:sshClients" not in stack.config:
            fixes.append(FIND_ADDRESS)
        findings.append(Finding(f"settings: {error}", tuple(fixes)))
    return settings, size, findings


def _sizes_of(plan: ClusterPlan) -> str:
    return ", ".join(pool.size.name for pool in plan.models)


def check_ssh_clients(stack: StackFile, settings: Settings) -> Iterator[Finding]:
    """SSH clients have real addresses: `pulumi up` itself connects from one of them."""
    problems = False
    for index, client in enumerate(settings.ssh_clients):
        network = ipaddress.IPv4Network(client)
        if any(network.subnet_of(reserved) for reserved in DOCUMENTATION):
            problems = True
            yield Finding(
                f"SSH: {client} is reserved for documentation, no machine has it",
                (
                    f"{command(('sshClients', index), '<your address>')} --stack {stack.name}",
                    FIND_ADDRESS,
                ),
            )
    if not problems:
        yield Finding(f"SSH: open to {', '.join(settings.ssh_clients)}")


def _guard(topic: str, checks: Iterator[Finding], registered: bool) -> Iterator[Finding]:
    """The findings of `checks`, unless their provider is not registered; an error is one too."""
    if not registered:
        yield Finding(f"{topic}: not checked", ("fix the resource provider, then run this again",))
        return
    try:
        yield from checks
    except AzError as error:
        yield _failed_query(topic, error)


def _failed_query(topic: str, error: AzError) -> Finding:
    return Finding(
        f"{topic}: {error}",
        (
            "az login, when it is about a token (AADSTS…)",
            "otherwise fix what az reports, then run this again",
        ),
    )


def _sign_in_fixes(error: AzError) -> tuple[str, ...]:
    if "not installed" in str(error):
        return ("install it: https://learn.microsoft.com/cli/azure/install-azure-cli",)
    return (
        "az login",
        "another subscription: az account list --output table, then "
        "pulumi config set azure-native:subscriptionId <SubscriptionId>",
    )


def check_account(account: Mapping[str, Any]) -> Finding:
    """A user is signed in to an enabled subscription."""
    subscription = f"subscription {account['name']} ({account['id']})"
    if account["state"] != "Enabled":
        return Finding(
            f"sign-in: {subscription} is {account['state']}, not Enabled",
            (
                "az account set --subscription <one that is Enabled in `az account list`>",
                "or enable it in the Azure portal under Subscriptions",
            ),
        )
    return Finding(f"sign-in: {account['user']['name']}, {subscription}")


def check_provider(az: AzureCli, namespace: str) -> Finding:
    """The subscription has registered a provider, which it must do once to use its resources."""
    topic = f"resource provider {namespace}"
    try:
        state = az.run("provider", "show", "--namespace", namespace)["registrationState"]
    except AzError as error:
        return _failed_query(topic, error)
    if state == "Registered":
        return Finding(f"{topic}: {state}")
    register = f"az provider register --namespace {namespace} --wait"
    return Finding(f"{topic}: {state}", (f"{register} --subscription {az.subscription}",))


def check_capacity(az: AzureCli, stack: StackFile, location: str, size: str) -> Iterator[Finding]:
    """Azure offers the machine's size to this subscription, and has cores left for it."""
    region = Region.query(az, stack, location)
    if not region.offers:
        yield Finding(
            f"region: Azure offers no machines in {region.name}",
            (
                "az account list-locations --output table shows the names; then "
                "pulumi config set ollamazure:location <Name>",
            ),
        )
        return
    refusal = region.refusal(size)
    if refusal:
        yield Finding(f"size: {size} in {region.name} is {refusal}", _other_sizes(size, region))
        return
    yield Finding(f"size: {size} is offered in {region.name}")
    shortage = region.shortage(size)
    what = f"quota: {size} needs {region.cores(size)} cores in {region.name}"
    if shortage:
        request = f"request more: Azure portal, Quotas, Compute, region {region.name}"
        yield Finding(f"{what}; {shortage}", (request, *_other_sizes(size, region)))
    else:
        yield Finding(f"{what}, which are free")


def _other_sizes(size: str, region: Region) -> tuple[str, ...]:
    """The fixes for a size that Azure refuses: others as large, then other regions."""
    others = [
        f"pulumi config set ollamazure:vmSize {other}"
        + ("  (request quota first)" if region.shortage(other) else "")
        for other in equal_sizes(size)
        if region.refusal(other) is None
    ]
    return (*others, "another region: pulumi config set ollamazure:location <region>")


def equal_sizes(size: str) -> list[str]:
    """The other sizes with the same cores, memory and GPU that Azure does not retire."""

    def shape(of: catalog.VmSize) -> object:
        return (of.vcpus, of.memory_gib, of.architecture, of.gpu)

    wanted = catalog.vm_sizes()[size]
    return [
        other.name
        for other in catalog.vm_sizes().values()
        if shape(other) == shape(wanted) and other is not wanted and other.retires is None
    ]


def check_dns_label(az: AzureCli, stack: StackFile, settings: Settings) -> Iterator[Finding]:
    """A DNS label is free in its region, or already this stack's."""
    label, location = settings.dns_label, settings.location
    name = f"{label}.{location}.cloudapp.azure.com"
    answer = run_az(
        "rest",
        "--method",
        "get",
        "--url",
        f"/subscriptions/{az.subscription}/providers/Microsoft.Network/locations/{location}"
        f"/CheckDnsNameAvailability?domainNameLabel={label}&api-version=2023-09-01",
    )
    if answer["available"]:
        yield Finding(f"DNS label: {name} is free")
    elif any(
        belongs_to(address, stack) and (address.get("dnsSettings") or {}).get("fqdn") == name
        for address in az.run("network", "public-ip", "list")
    ):
        yield Finding(f"DNS label: {name} belongs to this stack")
    else:
        yield Finding(
            f"DNS label: {name} is taken",
            (
                "another one: pulumi config set ollamazure:dnsLabel <label>",
                "or none, and the address instead: pulumi config rm ollamazure:dnsLabel",
            ),
        )


def check_subnet(
    az: AzureCli, stack: StackFile, settings: Settings, subnet_id: str
) -> Iterator[Finding]:
    """An existing subnet can have the machine, and this account may put it there."""
    name = SubnetName.of(subnet_id)
    topic = f"subnet: {name.subnet} of {name.network}"
    if name.subscription.lower() != az.subscription.lower():
        yield Finding(
            f"{topic} is in another subscription, and Azure requires the machine's own",
            ("use another subnet, or pulumi config set azure-native:subscriptionId <its own>",),
        )
        return
    subnet, vnet = _read(subnet_id), _read(subnet_id.rpartition("/subnets/")[0])
    group = (subnet.get("networkSecurityGroup") or {}).get("id")
    own = f"/subscriptions/{az.subscription}/resourceGroups/{stack.groups.chat}/".lower()
    found = ExistingSubnet(subnet, vnet, _read(group) if group else None, own)
    problems = subnet_violations(found, settings)
    for problem in problems:
        yield Finding(f"{topic}: {problem.reason}", (str(problem.fix),))
    for warning in subnet_warnings(found, settings):
        yield Finding(f"{topic}: {warning}")
    if not _may(JOIN, subnet_id):
        role = f"--role 'Virtual Machine Contributor' --scope {subnet_id}"
        yield Finding(
            f"{topic}: this account lacks the right {JOIN}",
            (f"have its owner run: az role assignment create --assignee <you> {role}",),
        )
    elif not problems:
        yield Finding(f"{topic} can have the machine")


def check_backups(
    az: AzureCli, stack: StackFile, settings: Settings, group: str
) -> Iterator[Finding]:
    """The storage account's name is free, and this account may give the machine its role."""
    if settings.backup.container_id is None:
        yield _check_account_name(az, stack, group)
    yield from check_right_to_assign(az, group, "backups", "the machine")


def check_right_to_assign(az: AzureCli, group: str, topic: str, whom: str) -> Iterator[Finding]:
    """This account may give `whom` its role in a resource group, which need not exist yet."""
    exists = group.lower() in {one["name"].lower() for one in az.run("group", "list")}
    scope = f"/subscriptions/{az.subscription}"
    scope = f"{scope}/resourceGroups/{group}" if exists else scope
    if _may(ASSIGN, scope):
        yield Finding(f"{topic}: this account may give {whom} its role")
        return
    role = f"--role 'Role Based Access Control Administrator' --scope {scope}"
    yield Finding(
        f"{topic}: this account lacks the right {ASSIGN}",
        (f"have an owner run: az role assignment create --assignee <you> {role}",),
    )


def _check_account_name(az: AzureCli, stack: StackFile, group: str) -> Finding:
    name = backup_account_name(az.subscription, stack.groups)
    topic = f"backups: storage account {name}"
    if az.run("storage", "account", "check-name", "--name", name)["nameAvailable"]:
        return Finding(f"{topic} is free")
    found = {one["name"]: one["id"] for one in az.run("storage", "account", "list")}
    container = f"{found.get(name)}/blobServices/default/containers/{BACKUPS}"
    if name not in found:
        return Finding(
            f"{topic} is taken by another subscription",
            ("deploy with another name of the stack, or to another subscription",),
        )
    if group_of(found[name]).lower() == group.lower():
        return Finding(
            f"{topic} belongs to this stack; if the stack was destroyed and left it, adopt its "
            f"backups: {command(('backup', 'containerId'), container)}"
        )
    return Finding(
        f"{topic} is in the resource group {group_of(found[name])}",
        (f"adopt its backups: {command(('backup', 'containerId'), container)}",),
    )


def _may(action: str, scope: str) -> bool:
    """Whether this account may do something on a scope."""
    query = "providers/Microsoft.Authorization/permissions?api-version=2022-04-01"
    url = f"{scope}/{query}"
    granted = run_az("rest", "--method", "get", "--url", url)["value"]

    def matches(patterns: Sequence[str]) -> bool:
        return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns)

    return any(matches(one["actions"]) and not matches(one["notActions"]) for one in granted)


def _read(resource_id: str) -> dict[str, Any]:
    """A resource of Microsoft.Network, its properties without nesting."""
    url = f"{resource_id}?api-version=2024-05-01"
    flat: dict[str, Any] = _flatten(run_az("rest", "--method", "get", "--url", url))
    return flat


def _flatten(value: Any) -> Any:
    if isinstance(value, list):
        return [_flatten(each) for each in value]
    if not isinstance(value, dict):
        return value
    nested = value.get("properties") or {}
    flat = {**{key: each for key, each in value.items() if key != "properties"}, **nested}
    return {key: _flatten(each) for key, each in flat.items()}

"""Will `pulumi up` find what it needs on Azure? Asked before anything is made or paid for.

Reads only: the stack's settings from `Pulumi.<stack>.yaml`, and Azure's answers through the `az`
command. Every finding is printed, each problem with its way out; the exit code is 1 when there is
a problem, 0 when there is none.

What `az` takes and answers was tried with Azure CLI 2.91. Where Azure answers even a question with
"not registered", `az` registers the resource provider by itself; so that nothing is changed here,
a provider that is not registered is asked nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ollamazure import catalog
from ollamazure.settings.problems import NAMESPACE
from ollamazure.settings.stack import Settings, SettingsError
from ollamazure.sizing.plan import SizingError, make_plan

PROJECT = Path(__file__).resolve().parents[2]
COMPUTE, NETWORK = "Microsoft.Compute", "Microsoft.Network"
# The list of sizes is some megabytes; everything else answers within seconds.
PATIENCE_SECONDS = 300
QUIET = {"AZURE_CORE_ONLY_SHOW_ERRORS": "true", "AZURE_CORE_NO_COLOR": "true"}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: what it is, and for a problem the ways out, best first."""

    what: str
    ways_out: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        return not self.ways_out

    def __str__(self) -> str:
        lines = [f"{'ok     ' if self.good else 'PROBLEM'}  {self.what}"]
        lines += [f"         -> {way_out}" for way_out in self.ways_out]
        return "\n".join(lines)


class AzError(Exception):
    """`az` did not answer; the message is the first line of its error."""


@dataclass(frozen=True)
class Az:
    """The Azure command line, asked for JSON about one subscription."""

    subscription: str

    def ask(self, *arguments: str) -> Any:
        """What `az` answers to these arguments.

        Raises:
            AzError: `az` is missing, failed, or answered in something else than JSON. Some
                commands answer nothing, which is None.
        """
        return ask_az(*arguments, "--subscription", self.subscription)


def ask_az(*arguments: str) -> Any:
    """What `az` answers, for the few commands that take no subscription; see `Az.ask`."""
    command = ["az", *arguments, "--output", "json"]
    shown = " ".join(command[:4])
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            check=False,
            env={
                **os.environ,
                "AZURE_CORE_ONLY_SHOW_ERRORS": "true",
                "AZURE_CORE_NO_COLOR": "true",
            },
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
    except FileNotFoundError as error:
        raise AzError("the az command is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise AzError(f"`{shown} …` gave no answer within {PATIENCE_SECONDS} s") from error
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise AzError(said[0].removeprefix("ERROR: ") if said else f"`{shown} …` failed silently")
    try:
        return json.loads(done.stdout) if done.stdout.strip() else None
    except json.JSONDecodeError as error:
        raise AzError(f"`{shown} …` did not answer in JSON") from error


@dataclass(frozen=True)
class Stack:
    """A stack as its file describes it: `config` maps full keys (`ollamazure:vmSize`) to values."""

    name: str
    config: Mapping[str, Any]

    @classmethod
    def read(cls, name: str, folder: Path) -> Stack:
        """Read `Pulumi.<name>.yaml` in `folder`; raises FileNotFoundError when there is none."""
        document = yaml.safe_load((folder / f"Pulumi.{name}.yaml").read_text()) or {}
        return cls(name, document.get("config") or {})

    @property
    def group(self) -> str:
        """The resource group of the machine, as `__main__.py` names it."""
        return f"ollamazure-{self.name}"


def findings(stack: Stack) -> Iterator[Finding]:
    """Everything there is to say about a stack, in the order in which it is found."""
    settings, size, found = look_at_settings(stack)
    yield from found
    try:
        account = ask_az("account", "show", *wanted_subscription(stack))
    except AzError as error:
        yield Finding(f"sign-in: {error}", sign_in_help(error))
        return
    yield sign_in(account)
    az = Az(account["id"])
    registered = set()
    for namespace in (COMPUTE, NETWORK):
        finding = provider(az, namespace)
        registered |= {namespace} if finding.good else set()
        yield finding
    if settings and size:
        checks = capacity(az, stack, settings.location, size)
        yield from guarded("size and quota", checks, COMPUTE in registered)
    if settings and settings.dns_label:
        checks = dns_label(az, stack, settings)
        yield from guarded("DNS label", checks, NETWORK in registered)


def look_at_settings(stack: Stack) -> tuple[Settings | None, str | None, list[Finding]]:
    """The settings and the machine's size, each None when bad, and what was found."""
    settings = size = None
    found = []
    try:
        settings = stack_settings(stack)
        found.append(Finding(f"settings: Pulumi.{stack.name}.yaml is valid"))
        plan = make_plan(settings)
        size = plan.vm_size.name
        found.append(Finding(f"models: {size} holds {', '.join(settings.models)}"))
        found.append(Finding(f"cost: {plan.monthly_cost}"))
    except (SettingsError, SizingError) as error:
        found.append(
            Finding(f"settings: {error}", ("fix what is said above, then run this again",))
        )
    return settings, size, found


def guarded(topic: str, checks: Iterator[Finding], registered: bool) -> Iterator[Finding]:
    """The findings of `checks`, unless their provider must not be asked; an error is one too."""
    if not registered:
        yield Finding(
            f"{topic}: not asked yet", ("fix the resource provider, then run this again",)
        )
        return
    try:
        yield from checks
    except AzError as error:
        yield unanswered(topic, error)


def unanswered(topic: str, error: AzError) -> Finding:
    return Finding(
        f"{topic}: {error}",
        (
            "az login, when it is about a token (AADSTS…)",
            "otherwise fix what az says, then run this again",
        ),
    )


def stack_settings(stack: Stack) -> Settings:
    """The stack's settings, checked as the program checks them.

    A secret lies encrypted in the stack's file and is taken to be valid. Raises SettingsError.
    """
    given, secrets = {}, set()
    for key, value in stack.config.items():
        namespace, _, name = key.partition(":")
        if namespace != NAMESPACE:
            continue
        if isinstance(value, dict) and set(value) == {"secure"}:
            secrets.add(name)
            given[name] = "an encrypted value"
        else:
            given[name] = value if isinstance(value, str) else json.dumps(value)
    return Settings.parse(given, frozenset(secrets))


def wanted_subscription(stack: Stack) -> tuple[str, ...]:
    """The subscription Pulumi will use, as arguments; none when it is the signed-in default."""
    wanted = stack.config.get("azure-native:subscriptionId") or os.environ.get(
        "ARM_SUBSCRIPTION_ID"
    )
    return ("--subscription", str(wanted)) if wanted else ()


def sign_in_help(error: AzError) -> tuple[str, ...]:
    if "not installed" in str(error):
        return ("install it: https://learn.microsoft.com/cli/azure/install-azure-cli",)
    return (
        "az login",
        "another subscription: az account list --output table, then "
        "pulumi config set azure-native:subscriptionId <SubscriptionId>",
    )


def sign_in(account: Mapping[str, Any]) -> Finding:
    """Who is signed in, and where `pulumi up` would put things."""
    where = f"subscription {account['name']} ({account['id']})"
    if account["state"] != "Enabled":
        return Finding(
            f"sign-in: {where} is {account['state']}, not Enabled",
            (
                "az account set --subscription <one that is Enabled in `az account list`>",
                "or enable it in the Azure portal under Subscriptions",
            ),
        )
    return Finding(f"sign-in: {account['user']['name']}, {where}")


def provider(az: Az, namespace: str) -> Finding:
    """A new subscription has to register a provider once before it can make its resources."""
    topic = f"resource provider {namespace}"
    try:
        state = az.ask("provider", "show", "--namespace", namespace)["registrationState"]
    except AzError as error:
        return unanswered(topic, error)
    if state == "Registered":
        return Finding(f"{topic}: {state}")
    register = f"az provider register --namespace {namespace} --wait"
    return Finding(f"{topic}: {state}", (f"{register} --subscription {az.subscription}",))


class Counter(NamedTuple):
    """One of Azure's quotas, in cores."""

    title: str
    used: int
    limit: int


@dataclass(frozen=True)
class Region:
    """What Azure offers in a region, to this subscription.

    Attributes:
        name: for example francecentral.
        offers: Azure's description of each VM size, by name.
        usage: quotas by family, and as "cores" that of all families; keys in lower case.
        present: the size of the machine this stack already has, if any; its cores are in use.
    """

    name: str
    offers: Mapping[str, Any]
    usage: Mapping[str, Counter]
    present: str | None

    @classmethod
    def ask(cls, az: Az, stack: Stack, name: str) -> Region:
        # Without --all, az hides the sizes that are restricted instead of saying so.
        offers = az.ask(
            "vm", "list-skus", "--location", name, "--resource-type", "virtualMachines", "--all"
        )
        usage = az.ask("vm", "list-usage", "--location", name) if offers else []
        present = [
            vm["hardwareProfile"]["vmSize"] for vm in az.ask("vm", "list") if belongs(vm, stack)
        ]
        return cls(
            name,
            {offer["name"]: offer for offer in offers},
            # az spells a family in another case here, and writes the numbers as text.
            {
                item["name"]["value"].lower(): Counter(
                    item["name"]["localizedValue"], int(item["currentValue"]), int(item["limit"])
                )
                for item in usage
            },
            present[0] if present else None,
        )

    def refusal(self, size: str) -> str | None:
        """Why a size cannot be had here, or None when it can.

        A restriction of availability zones does not matter: the machine is put in none.
        """
        if size not in self.offers:
            return "not offered"
        for restriction in self.offers[size].get("restrictions") or ():
            if restriction["type"] == "Location":
                return f"restricted for this subscription ({restriction['reasonCode']})"
        return None

    def shortage(self, size: str) -> str | None:
        """Which quota is too small for a size that can be had, or None when there is room.

        Azure counts cores by the size's family and for all families together.
        """
        family = self.offers[size]["family"].lower()
        short = [
            f"{counter.used} of {counter.limit} {counter.title} are used"
            for key, counter in self.usage.items()
            if key in (family, "cores")
            and counter.used - self._own(key) + self.cores(size) > counter.limit
        ]
        return " and ".join(short) or None

    def _own(self, key: str) -> int:
        """The cores of this stack's machine in a quota: they are free for its next size."""
        if self.present is None or self.present not in self.offers:
            return 0
        counted = (self.offers[self.present]["family"].lower(), "cores")
        return self.cores(self.present) if key in counted else 0

    def cores(self, size: str) -> int:
        capabilities = self.offers[size]["capabilities"]
        return int(next(item["value"] for item in capabilities if item["name"] == "vCPUs"))


def capacity(az: Az, stack: Stack, location: str, size: str) -> Iterator[Finding]:
    """Whether Azure offers the machine's size to this subscription, and has cores left for it."""
    region = Region.ask(az, stack, location)
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
        yield Finding(f"size: {size} in {region.name} is {refusal}", other_sizes(size, region))
        return
    yield Finding(f"size: {size} is offered in {region.name}")
    shortage = region.shortage(size)
    what = f"quota: {size} needs {region.cores(size)} cores in {region.name}"
    if shortage:
        ask = f"ask for more: Azure portal, Quotas, Compute, region {region.name}"
        yield Finding(f"{what}; {shortage}", (ask, *other_sizes(size, region)))
    else:
        yield Finding(f"{what}, which are free")


def sizes_alike(size: str) -> list[str]:
    """The other sizes of the same cores, memory and GPU that Azure does not retire, in the
    catalog's order."""

    def shape(of: catalog.VmSize) -> object:
        return (of.vcpus, of.memory_gib, of.architecture, of.gpu)

    wanted = catalog.vm_sizes()[size]
    return [
        other.name
        for other in catalog.vm_sizes().values()
        if shape(other) == shape(wanted) and other is not wanted and other.retires is None
    ]


def other_sizes(size: str, region: Region) -> tuple[str, ...]:
    """The ways round a size that cannot be had: others as large, then other regions."""
    alike = [
        f"pulumi config set ollamazure:vmSize {other}"
        + ("  (ask for quota first)" if region.shortage(other) else "")
        for other in sizes_alike(size)
        if region.refusal(other) is None
    ]
    return (*alike, "another region: pulumi config set ollamazure:location <region>")


def belongs(resource: Mapping[str, Any], stack: Stack) -> bool:
    """Whether a resource is in the stack's group; Azure does not keep the case of its name."""
    return f"/resourcegroups/{stack.group}/".lower() in resource["id"].lower()


def dns_label(az: Az, stack: Stack, settings: Settings) -> Iterator[Finding]:
    """A DNS label is free in its region, or already this stack's."""
    label, location = settings.dns_label, settings.location
    name = f"{label}.{location}.cloudapp.azure.com"
    answer = ask_az(
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
        belongs(address, stack) and (address.get("dnsSettings") or {}).get("fqdn") == name
        for address in az.ask("network", "public-ip", "list")
    ):
        yield Finding(f"DNS label: {name} is this stack's")
    else:
        yield Finding(
            f"DNS label: {name} is taken",
            (
                "another one: pulumi config set ollamazure:dnsLabel <label>",
                "or none, and the address instead: pulumi config rm ollamazure:dnsLabel",
            ),
        )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Look before `pulumi up`: reads, changes nothing.")
    parser.add_argument("--stack", required=True, help="for example dev")
    parser.add_argument("--folder", type=Path, default=PROJECT, help="where its file is")
    options = parser.parse_args(arguments)
    try:
        stack = Stack.read(options.stack, options.folder)
    except FileNotFoundError as error:
        print(
            f"{error.filename} does not exist.\n"
            f"-> pulumi stack init {options.stack}, then pulumi config set … as "
            "docs/tutorial/first-deployment-on-azure.md says"
        )
        return 1
    problems = 0
    for finding in findings(stack):
        print(finding, flush=True)
        problems += not finding.good
    count = "1 problem" if problems == 1 else f"{problems} problems"
    print(count if problems else "Ready for `pulumi up`.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

"""Which alerts Azure gives about a machine of a size, and about the chat's address.

Azure sees the machine from outside: these metrics need no extension in it. Free space on the disks
is not among them. Names, units and aggregations are those of Microsoft.Compute/virtualMachines in
https://learn.microsoft.com/azure/azure-monitor/reference/supported-metrics.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ollamazure.catalog import VmSize
from ollamazure.settings.stack import Settings
from ollamazure.sizing.memory import GIB, SPARE_GIB

# Five places, and three of them that fail, are Microsoft's least; the rarest test is the cheapest.
# https://learn.microsoft.com/azure/azure-monitor/app/availability
TEST_LOCATIONS = (
    *("emea-nl-ams-azr", "emea-gb-db3-azr", "emea-fr-pra-edge"),
    *("us-va-ash-azr", "apac-sg-sin-azr"),
)
FAILED_LOCATIONS = 3
TEST_SECONDS = 900
# The machine renews a certificate of Let's Encrypt long before; one of your own needs some days.
CERTIFICATE_DAYS = 7

LEAST_MINUTES_AT_FULL_SPEED = 5
LEAST_MEMORY_SHARE = 0.02


@dataclass(frozen=True)
class AlertRule:
    """When Azure looks at something, and what its message contains.

    Attributes:
        name: of the rule.
        frequency: how often Azure looks, as an ISO 8601 duration.
        window: how far back.
        severity: 0 (critical) to 4 (verbose).
        description: what it means and what to do.
    """

    name: str
    frequency: str
    window: str
    severity: int
    description: str


@dataclass(frozen=True)
class MetricRule(AlertRule):
    """A rule on a metric of the machine.

    Attributes:
        metric: Azure's name.
        aggregation: of the metric's values within `window`.
        operator: how the aggregate compares to `threshold` when Azure alerts.
        threshold: in the metric's unit.
    """

    metric: str
    aggregation: Literal["Average", "Maximum"]
    operator: Literal["LessThan", "GreaterThan"]
    threshold: float


def metric_rules(size: VmSize) -> Iterator[MetricRule]:
    """The alerts on a machine of this size."""
    # Azure has no value of a machine that it stopped (deallocated), so this stays silent then.
    # After a shutdown from inside the value is 0.
    yield MetricRule(
        *("machine-down", "PT1M", "PT5M", 0),
        "The machine has not run for five minutes, and no one reaches the chat. See its Resource "
        "health in the Azure portal. If Azure reports no failure there, start it: az vm start. To "
        "stop it on purpose, use az vm deallocate: then this alert stays silent.",
        *("VmAvailabilityMetric", "Maximum", "LessThan", 1),
    )
    low_memory = max(SPARE_GIB / 2, size.memory_gib * LEAST_MEMORY_SHARE)
    yield MetricRule(
        *("memory-low", "PT5M", "PT15M", 2),
        f"For 15 minutes the machine has had less than {low_memory:.2g} GiB of memory to spare: a "
        "model, or the chat, may be ended soon. `bin/ollamazure status` shows what uses it. A "
        "smaller model, a shorter contextLength or a larger vmSize helps.",
        *("Available Memory Bytes", "Average", "LessThan", low_memory * GIB),
    )
    if size.burstable:
        credits_ = size.vcpus * LEAST_MINUTES_AT_FULL_SPEED
        yield MetricRule(
            *("credits-low", "PT5M", "PT15M", 2),
            f"The credits of {size.name} last for less than {LEAST_MINUTES_AT_FULL_SPEED} minutes "
            "at full speed. Without credits Azure slows the processors down, and answers take "
            "several times as long, until the machine has been idle for a while. If this comes "
            "often, choose a vmSize of a steady speed, such as one of Dasv5.",
            *("CPU Credits Remaining", "Average", "LessThan", credits_),
        )
    elif not size.gpu:
        yield MetricRule(
            *("processors-busy", "PT15M", "PT1H", 3),
            "The processors have been busy for an hour: questions wait for each other. If this "
            "comes often, a smaller model or a larger vmSize helps.",
            *("Percentage CPU", "Average", "GreaterThan", 95),
        )


UNREACHABLE = AlertRule(
    *("chat-unreachable", "PT5M", "PT15M", 0),
    "Three of five places in the world cannot open the chat: it does not answer, its certificate "
    f"expires within {CERTIFICATE_DAYS} days, or the name leads elsewhere. `bin/ollamazure status` "
    "shows which, and docs/how-to/troubleshoot.md what to do.",
)


def count_rules(size: VmSize, settings: Settings) -> int:
    """How many alert rules a stack has."""
    return sum(1 for _ in metric_rules(size)) + settings.availability_test

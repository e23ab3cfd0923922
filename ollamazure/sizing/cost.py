"""What a machine costs a month."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from ollamazure import catalog
from ollamazure.catalog import VmSize
from ollamazure.settings.stack import Settings
from ollamazure.sizing.alerts import TEST_LOCATIONS, TEST_SECONDS, count_rules
from ollamazure.sizing.disks import OS_DISK_GIB

HOURS_A_MONTH = 730  # as in Azure's own calculator
HOURS_A_WEEK = 7 * 24


@dataclass(frozen=True)
class MonthlyCost:
    """An estimate for machine, disks and network, without tax and traffic.

    Attributes:
        amount: of `currency` a month.
        currency: for example USD.
        region: whose prices these are.
        as_of: the day of the prices.
        verified: whether they come from Azure's own price list.
        always_on: the amount if the machine ran all the time; None if it does.
    """

    amount: float
    currency: str
    region: str
    as_of: date
    verified: bool
    always_on: float | None = None

    def __str__(self) -> str:
        return f"{self.short} ({self.basis})"

    @property
    def short(self) -> str:
        """The amount alone."""
        short = f"about {self.amount:.0f} {self.currency} a month"
        return f"{short} instead of {self.always_on:.0f}" if self.always_on else short

    @property
    def basis(self) -> str:
        """Which prices the amount is based on."""
        trust = "" if self.verified else ", not verified"
        return f"pay as you go, prices of {self.region} as of {self.as_of}{trust}"


def monthly_cost(size: VmSize, settings: Settings) -> MonthlyCost:
    """An estimate for machine, disks, public address, NAT gateway, backups in Azure and alerts.

    Outside workingHours Azure bills everything but the machine; the schedule itself costs cents a
    year. A region without prices of its own is estimated with those of eastus.
    """
    prices, location = catalog.prices(), settings.location
    region = location if size.name in prices.hourly.get(location, {}) else "eastus"
    machine = prices.hourly[region][size.name] * HOURS_A_MONTH
    rest = (
        disk_price(OS_DISK_GIB)
        + disk_price(settings.data_disk_gib)
        + network_price(settings)
        + backup_price(settings)
        + alert_price(size, settings)
    )
    basis = (prices.currency, region, prices.date, prices.verified)
    hours = settings.working_hours
    if hours is None:
        return MonthlyCost(machine + rest, *basis)
    amount = machine * hours.hours_a_week / HOURS_A_WEEK + rest
    return MonthlyCost(amount, *basis, always_on=machine + rest)


def savings_note(settings: Settings, cost: MonthlyCost) -> str | None:
    """What the working hours are and save; None without them."""
    if settings.working_hours is None:
        return None
    return (
        f"The machine runs in its working hours, {settings.working_hours}: {cost.short}. Disks, "
        "addresses and backups cost the same while it is off."
    )


def network_price(settings: Settings) -> float:
    """Dollars a month for the public address, or for a NAT gateway with its address.

    Azure also bills each GB that passes through a NAT gateway.
    """
    prices = catalog.prices().monthly
    if settings.network.outbound == "natGateway":
        return prices.nat_gateway + prices.public_address
    return prices.public_address if settings.public_address else 0


def backup_price(settings: Settings) -> float:
    """Dollars a month for backups in a storage account.

    They are estimated to be as large as half of the data disk: models are not in them, and restic
    stores what does not change once. Azure also bills operations, and reading from another region.
    """
    declared = settings.backup
    if declared.target != "azure":
        return 0
    return catalog.prices().monthly.blob_gib[declared.redundancy] * settings.data_disk_gib / 2


def alert_price(size: VmSize, settings: Settings) -> float:
    """Dollars a month for alert rules, and for the runs of the availability test.

    The first thousand e-mails of a month are free, and so are 5 GB of results; a test has 0.1.
    """
    if not settings.alerts_on:
        return 0
    prices = catalog.prices().monthly
    runs = HOURS_A_MONTH * 3600 / TEST_SECONDS * len(TEST_LOCATIONS)
    tests = runs * prices.test_run if settings.availability_test else 0
    return count_rules(size, settings) * prices.alert_rule + tests


def disk_price(gib: int) -> float:
    """Dollars a month for a Standard SSD, which Azure bills by the next larger tier."""
    tiers = catalog.prices().monthly.standard_ssd
    return next(price for tier, price in sorted(tiers.items()) if tier >= gib)

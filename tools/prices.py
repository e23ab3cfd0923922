"""Updates ollamazure/catalog/prices.yaml from Azure's public price list and prints the changes.

    .venv/bin/python -m tools.prices [REGION…]

The named regions are added to those that the file already has. The list needs no sign-in:
https://learn.microsoft.com/rest/api/cost-management/retail-prices/azure-retail-prices
"""

from __future__ import annotations

import json
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from ollamazure import catalog
from ollamazure.catalog import Prices
from ollamazure.sizing.cost import HOURS_A_MONTH

FILE = catalog.FOLDER / "prices.yaml"
SERVICE = "https://prices.azure.com/api/retail/prices"
# Disks and addresses cost nearly the same everywhere, so they have the prices of one region.
REFERENCE_REGION = "eastus"
SIZES_A_REQUEST = 15  # the service refuses filters of more than about 2000 characters
DISK_TIERS = {
    4: "E1", 8: "E2", 16: "E3", 32: "E4", 64: "E6", 128: "E10", 256: "E15", 512: "E20",
    1024: "E30", 2048: "E40", 4096: "E50",
}  # fmt: skip

BLOB_REDUNDANCY = {"local": "LRS", "zones": "ZRS"}
# learn.microsoft.com/azure/azure-monitor/fundamentals/cost-meters
RULE, TEST_RUN = "Alerts Metric Monitored", "Standard Web Test Execution"

TEMPLATE = """\
# Prices in US dollars, pay as you go, Linux, without tax.
# `verified: false` marks prices from third-party tables or from memory; estimates based on them are
# only rough. `python -m tools.prices` fetches Azure's price list and sets the date.

currency: {currency}
date: {date}
verified: {verified}
source: {source}

# Dollars an hour. Another region is estimated from eastus.
hourly:
{hourly}
# Dollars a month for the address, a NAT gateway, the disks, the backups and the alerts.
monthly:
  publicAddress: {address:g}
  natGateway: {gateway:g}
  # Standard SSD by the largest size, in GiB, of each tier; operations cost extra.
  standardSsd: {{{disks}}}
  # A GiB of blobs in the hot tier, by backup.redundancy; operations cost extra.
  blobGib: {{{blobs}}}
  # A rule on one metric; and each run of an availability test from one place.
  alertRule: {rule:g}
  testRun: {test:g}
"""


class UnreachableError(Exception):
    """The price list did not answer as documented; the message contains what to do."""


def main(regions: list[str], service: str = SERVICE, file: Path = FILE) -> int:
    """Refresh the file. The exit code is 1 if the price list did not answer."""
    unknown = sorted(set(regions) - set(catalog.locations()))
    if unknown:
        print(
            f"not a region of ollamazure/catalog/locations.yaml: {', '.join(unknown)}",
            file=sys.stderr,
        )
        return 1
    former = catalog.prices()
    try:
        current = fetch_prices(former, [*former.hourly, *regions], service)
    except UnreachableError as error:
        print(f"{error}\n{file.name} is unchanged.", file=sys.stderr)
        return 1
    file.write_text(render(current), encoding="utf-8")
    for line in changes(former, current):
        print(line)
    return 0


def fetch_prices(former: Prices, regions: Iterable[str], service: str) -> Prices:
    """Today's prices. What is missing in the list keeps its former price.

    Raises:
        UnreachableError: no answer, or one that is not as documented.
    """
    hourly = {
        region: {**former.hourly.get(region, {}), **machine_prices(region, service)}
        for region in dict.fromkeys(regions)
    }
    monthly = former.monthly.model_copy(
        update={
            "public_address": address_price(service) or former.monthly.public_address,
            "nat_gateway": gateway_price(service) or former.monthly.nat_gateway,
            "standard_ssd": {**former.monthly.standard_ssd, **disk_prices(service)},
            "blob_gib": {**former.monthly.blob_gib, **blob_prices(service)},
            "alert_rule": monitor_price(RULE, service) or former.monthly.alert_rule,
            "test_run": monitor_price(TEST_RUN, service) or former.monthly.test_run,
        }
    )
    return former.model_copy(
        update={
            "date": date.today(),
            "verified": True,
            "source": SERVICE,
            "hourly": hourly,
            "monthly": monthly,
        }
    )


def machine_prices(region: str, service: str) -> dict[str, float]:
    """Dollars an hour for each size of the catalog that the region offers with Linux."""
    names = list(catalog.vm_sizes())
    found: dict[str, float] = {}
    for start in range(0, len(names), SIZES_A_REQUEST):
        some = " or ".join(f"armSkuName eq '{n}'" for n in names[start : start + SIZES_A_REQUEST])
        where = f"armRegionName eq '{region}' and priceType eq 'Consumption' and ({some})"
        for item in items(f"serviceName eq 'Virtual Machines' and {where}", service):
            if _plain_linux(item):
                found[item["armSkuName"]] = item["retailPrice"]
    return {name: found[name] for name in names if name in found}


def _plain_linux(item: Mapping[str, Any]) -> bool:
    """Whether it is Linux, and not one of the cheaper offers that Azure can end at any time."""
    return "Windows" not in item["productName"] and not any(
        word in item["skuName"] for word in ("Spot", "Low Priority")
    )


def disk_prices(service: str) -> dict[int, float]:
    """Dollars a month for each tier of Standard SSD."""
    where = (
        "productName eq 'Standard SSD Managed Disks' and priceType eq 'Consumption' "
        f"and armRegionName eq '{REFERENCE_REGION}'"
    )
    by_meter = {item["meterName"]: item["retailPrice"] for item in items(where, service)}
    meters = {size: f"{tier} LRS Disk" for size, tier in DISK_TIERS.items()}
    return {size: by_meter[meter] for size, meter in meters.items() if meter in by_meter}


def blob_prices(service: str) -> dict[str, float]:
    """Dollars a month for a GiB of blobs in the hot tier, by redundancy."""
    where = (
        "productName eq 'General Block Blob v2' and priceType eq 'Consumption' "
        f"and armRegionName eq '{REFERENCE_REGION}'"
    )
    by_meter: dict[str, float] = {}
    for item in items(where, service):  # the first terabytes cost most
        meter, price = item["meterName"], item["retailPrice"]
        by_meter[meter] = max(price, by_meter.get(meter, 0))
    meters = {name: f"Hot {kind} Data Stored" for name, kind in BLOB_REDUNDANCY.items()}
    return {name: by_meter[meter] for name, meter in meters.items() if meter in by_meter}


def address_price(service: str) -> float | None:
    """Dollars a month for a static public address."""
    meter = "meterName eq 'Standard IPv4 Static Public IP'"
    return _price_of_meter(f"serviceName eq 'Virtual Network' and {meter}", service)


def gateway_price(service: str) -> float | None:
    """Dollars a month for a NAT gateway, without the traffic."""
    where = "serviceName eq 'NAT Gateway' and meterName eq 'Standard Gateway'"
    return _price_of_meter(where, service)


def monitor_price(meter: str, service: str) -> float | None:
    """Dollars for a unit of one of Azure Monitor's meters."""
    where = f"serviceName eq 'Azure Monitor' and meterName eq '{meter}'"
    region = f"(armRegionName eq '{REFERENCE_REGION}' or armRegionName eq 'Global')"
    found = items(f"{where} and priceType eq 'Consumption' and {region}", service)
    return max((item["retailPrice"] for item in found), default=None)


def _price_of_meter(meter: str, service: str) -> float | None:
    where = f"{meter} and priceType eq 'Consumption' and armRegionName eq '{REFERENCE_REGION}'"
    hourly = [item["retailPrice"] for item in items(where, service)]
    return round(max(hourly) * HOURS_A_MONTH, 2) if hourly else None


def items(where: str, service: str) -> Iterator[Mapping[str, Any]]:
    """All entries of the price list that match a filter.

    Raises:
        UnreachableError: no answer, or one that is not as documented.
    """
    url: str | None = f"{service}?{urllib.parse.urlencode({'$filter': where})}"
    while url:
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - always http(s)
                page = json.load(answer)
            yield from page["Items"]
            url = page["NextPageLink"]
        except (OSError, ValueError, KeyError) as error:
            raise UnreachableError(
                f"{service} did not answer as documented ({error}). Is it reachable from here? "
                "Prices are only printed; everything else works without them."
            ) from error


def render(prices: Prices) -> str:
    """The text of prices.yaml."""
    hourly = "".join(
        f"  {region}:\n" + "".join(f"    {name}: {price:g}\n" for name, price in sizes.items())
        for region, sizes in prices.hourly.items()
    )
    return TEMPLATE.format(
        currency=prices.currency,
        date=prices.date,
        verified=str(prices.verified).lower(),
        source=prices.source,
        hourly=hourly,
        address=prices.monthly.public_address,
        gateway=prices.monthly.nat_gateway,
        disks=_in_braces(prices.monthly.standard_ssd),
        blobs=_in_braces(prices.monthly.blob_gib),
        rule=prices.monthly.alert_rule,
        test=prices.monthly.test_run,
    )


def _in_braces(prices: Mapping[Any, float]) -> str:
    return ", ".join(f"{name}: {price:g}" for name, price in prices.items())


def changes(former: Prices, current: Prices) -> Iterator[str]:
    """One line for each price that changed or is new, and for each size that is not offered."""
    for region, sizes in current.hourly.items():
        before = former.hourly.get(region, {})
        for name, price in sizes.items():
            if before.get(name) != price:
                yield f"{region} {name}: {before.get(name, 'new')} -> {price} an hour"
        for name in catalog.vm_sizes():
            if name not in sizes:
                yield f"{region} {name}: not offered"
    for gib, price in current.monthly.standard_ssd.items():
        if former.monthly.standard_ssd.get(gib) != price:
            yield f"disk of {gib} GiB: {former.monthly.standard_ssd.get(gib)} -> {price} a month"
    for name, price in current.monthly.blob_gib.items():
        if former.monthly.blob_gib.get(name) != price:
            earlier = former.monthly.blob_gib.get(name)
            yield f"GiB of blobs, {name}: {earlier} -> {price} a month"
    for name, attribute, unit in (
        ("public address", "public_address", "a month"),
        ("NAT gateway", "nat_gateway", "a month"),
        ("alert rule", "alert_rule", "a month"),
        ("availability test", "test_run", "a run"),
    ):
        earlier, now = getattr(former.monthly, attribute), getattr(current.monthly, attribute)
        if earlier != now:
            yield f"{name}: {earlier} -> {now} {unit}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The prices come from a price list with the documented shape, here served on this machine."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from ollamazure import catalog
from ollamazure.catalog import Prices
from tools import prices


def item(sku: str, price: float, product: str = "Virtual Machines BS Series", **more: Any) -> Any:
    return {"armSkuName": sku, "retailPrice": price, "productName": product, "skuName": sku} | more


MACHINES = {
    "eastus": [
        item("Standard_B2ms", 0.2, "Virtual Machines BS Series Windows"),
        item("Standard_B2ms", 0.09),
        item("Standard_B2ms", 0.01, skuName="B2ms Spot"),
        item("Standard_B2ms", 0.02, skuName="B2ms Low Priority"),
        item("Standard_B2as_v2", 0.0752),
    ],
    "francecentral": [item("Standard_B2ms", 0.1)],
}
DISKS = [
    {"meterName": "E6 LRS Disk", "retailPrice": 5.0},
    {"meterName": "E6 LRS Disk Operations", "retailPrice": 0.002},
]
GATEWAY = [{"meterName": "Standard Gateway", "retailPrice": 0.05}]
BLOBS = [
    {"meterName": "Hot LRS Data Stored", "retailPrice": 0.019},
    {"meterName": "Hot LRS Data Stored", "retailPrice": 0.021},
    {"meterName": "Cool LRS Data Stored", "retailPrice": 0.01},
]
TEST_RUN = [{"meterName": "Standard Web Test Execution", "retailPrice": 0.0006}]
ADDRESS = [{"meterName": "Standard IPv4 Static Public IP", "retailPrice": 0.005}]


class PriceList(BaseHTTPRequestHandler):
    """One item a page, so that the client has to follow the pages."""

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        where, skip = query["$filter"][0], int(query.get("skip", ["0"])[0])
        found = matching(where)
        following = f"{self.url()}{self.path.partition('&skip')[0]}&skip={skip + 1}"
        page = {
            "Items": found[skip : skip + 1],
            "NextPageLink": following if skip + 1 < len(found) else None,
        }
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(page).encode())

    def url(self) -> str:
        return f"http://{self.headers['Host']}"

    def log_message(self, *_: Any) -> None:
        pass


def matching(where: str) -> list[Any]:
    region = re.findall(r"armRegionName eq '(\w+)'", where)[0]
    if "Azure Monitor" in where:
        return TEST_RUN if "Web Test" in where else []
    if "Virtual Machines" in where:
        asked = re.findall(r"armSkuName eq '(\w+)'", where)
        return [entry for entry in MACHINES.get(region, []) if entry["armSkuName"] in asked]
    if "NAT Gateway" in where:
        return GATEWAY
    if "Block Blob" in where:
        return BLOBS
    return DISKS if "Managed Disks" in where else ADDRESS


@contextmanager
def served(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/api/retail/prices"
    finally:
        server.shutdown()
        server.server_close()


def test_prices_are_taken_from_the_list_and_changes_are_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "prices.yaml"
    with served(PriceList) as service:
        assert prices.main(["francecentral"], service, file) == 0
    written = Prices.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    assert written.verified
    assert written.hourly["eastus"]["Standard_B2ms"] == 0.09
    assert written.hourly["francecentral"] == {"Standard_B2ms": 0.1}
    assert written.monthly.standard_ssd[64] == 5.0
    assert written.monthly.public_address == pytest.approx(3.65)
    assert written.monthly.nat_gateway == pytest.approx(36.5)
    assert written.monthly.blob_gib["local"] == 0.021, "the first terabytes"
    assert written.monthly.blob_gib["zones"] == catalog.prices().monthly.blob_gib["zones"]
    assert written.monthly.test_run == 0.0006
    assert written.monthly.alert_rule == catalog.prices().monthly.alert_rule, "not in the list"
    former = catalog.prices().hourly["eastus"]
    assert written.hourly["eastus"].keys() == former.keys(), "prices that the list lacks are kept"
    printed = capsys.readouterr().out.splitlines()
    assert f"eastus Standard_B2ms: {former['Standard_B2ms']} -> 0.09 an hour" in printed
    assert "francecentral Standard_B2ms: new -> 0.1 an hour" in printed
    assert "francecentral Standard_D4as_v5: not offered" in printed
    assert not [line for line in printed if line.startswith("eastus Standard_B2as_v2")]


class Broken(PriceList):
    """The answer of a captive portal."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>sign in first</html>")


def test_an_answer_that_is_not_the_price_list_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "prices.yaml"
    with served(Broken) as service:
        assert prices.main([], service, file) == 1
    assert not file.exists()
    assert "prices.yaml is unchanged." in capsys.readouterr().err


def test_an_unreachable_list_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(PriceList) as service:
        pass
    assert prices.main([], service, tmp_path / "prices.yaml") == 1
    assert "Is it reachable from here?" in capsys.readouterr().err


def test_a_misspelt_region_is_named_in_the_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert prices.main(["francecentrl"], "http://127.0.0.1:9") == 1
    assert "francecentrl" in capsys.readouterr().err


def test_the_file_is_what_the_program_writes() -> None:
    assert prices.FILE.read_text(encoding="utf-8") == prices.render(catalog.prices())

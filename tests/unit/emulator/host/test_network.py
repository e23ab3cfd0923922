"""nftables accepts the rulesets, and they do what the docstring of network.py shows."""

from __future__ import annotations

import os
import subprocess

import pytest

from emulator.host.desired import DesiredInterface, DesiredNetwork
from emulator.host.network import host_ruleset, inner_address, router_ruleset
from emulator.host.nsg import DEFAULT_RULES, NO_GROUP, NsgRule


def interface(name: str, address: str, **changes: object) -> DesiredInterface:
    values: dict[str, object] = {
        "id": name,
        "address": address,
        "prefix_length": 24,
        "gateway": "10.0.0.1",
        "public_address": None,
        "guards": (NO_GROUP,),
    }
    return DesiredInterface(**{**values, **changes})  # type: ignore[arg-type]


SSH = NsgRule("ssh", 100, "Inbound", allow=True, protocol="Tcp", destination_ports=("22",))
GUARDED = interface(
    "nic",
    "10.0.0.4",
    public_address="127.20.7.4",
    guards=((SSH, *DEFAULT_RULES), DEFAULT_RULES),
)
NETWORK = DesiredNetwork(
    "vnet", ("10.0.0.0/16",), ("10.0.0.1",), (GUARDED, interface("other", "10.0.0.5"))
)
CLOSED_IN = DesiredNetwork(
    "vnet", ("10.0.0.0/16",), ("10.0.0.1",), (interface("nic", "10.0.0.4", outbound=False),)
)
LINKS = dict(zip(("nic0", "nic1"), NETWORK.interfaces, strict=True))


@pytest.mark.skipif(os.geteuid() != 0, reason="nft asks the kernel, which takes root")
@pytest.mark.parametrize(
    "ruleset",
    [
        router_ruleset(NETWORK, LINKS),
        router_ruleset(CLOSED_IN, {"nic0": CLOSED_IN.interfaces[0]}),
        router_ruleset(DesiredNetwork("bare", ("10.0.0.0/16",), (), ()), {}),
        host_ruleset("olz-000000", "127.20.7.0/24", {"127.20.7.4": "198.18.7.4"}, ["olz-v0"]),
        host_ruleset("olz-000000", "127.20.7.0/24", {}, []),
    ],
)
def test_nftables_takes_the_ruleset_twice(ruleset: str) -> None:
    """Run a command in a network namespace that ends with it."""
    script = 'rules=$(cat) && echo "$rules" | nft -f - && echo "$rules" | nft -f -'
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", script],
        input=ruleset,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_subnet_and_interface_groups_are_asked_in_azures_order() -> None:
    ruleset = router_ruleset(NETWORK, LINKS)
    assert _chain(ruleset, "to_nic0") == ["jump to_nic0_0", "jump to_nic0_1"]
    assert _chain(ruleset, "from_nic0") == ["jump from_nic0_1", "jump from_nic0_0"]
    assert 'comment "ssh"' in _chain(ruleset, "to_nic0_0")[0]


def test_a_machine_can_only_send_from_its_own_address() -> None:
    assert 'iifname "nic0" ip saddr != 10.0.0.4 drop' in _chain(
        router_ruleset(NETWORK, LINKS), "forward"
    )


def test_a_public_address_leads_to_its_interface() -> None:
    assert inner_address("127.20.7.4") == "198.18.7.4"
    assert "ip daddr 198.18.7.4 dnat to 10.0.0.4" in _chain(
        router_ruleset(NETWORK, LINKS), "translate"
    )


def _chain(ruleset: str, name: str) -> list[str]:
    _, _, after = ruleset.partition(f"chain {name} {{\n")
    return [line.strip() for line in after.partition("\n  }")[0].splitlines()]

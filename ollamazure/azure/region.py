"""The VM sizes and quotas that Azure gives a subscription in a region."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ollamazure.azure.az import AzureCli
from ollamazure.azure.stack_file import StackFile


class Quota(NamedTuple):
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
        quotas: by family, and as "cores" the one of all families; keys in lower case.
        present: the size of the machine this stack already has, if any; its cores are in use.
    """

    name: str
    offers: Mapping[str, Any]
    quotas: Mapping[str, Quota]
    present: str | None

    @classmethod
    def query(cls, az: AzureCli, stack: StackFile, name: str) -> Region:
        """What Azure reports; raises AzError."""
        # Without --all, az hides the restricted sizes instead of listing their restrictions.
        offers = az.run(
            "vm", "list-skus", "--location", name, "--resource-type", "virtualMachines", "--all"
        )
        usage = az.run("vm", "list-usage", "--location", name) if offers else []
        present = [
            vm["hardwareProfile"]["vmSize"] for vm in az.run("vm", "list") if belongs_to(vm, stack)
        ]
        return cls(
            name,
            {offer["name"]: offer for offer in offers},
            # az spells a family in another case here, and writes the numbers as text.
            {
                item["name"]["value"].lower(): Quota(
                    item["name"]["localizedValue"], int(item["currentValue"]), int(item["limit"])
                )
                for item in usage
            },
            present[0] if present else None,
        )

    def refusal(self, size: str) -> str | None:
        """Why Azure refuses a size here; None when it does not.

        A restriction of availability zones does not matter: the machine is in none.
        """
        if size not in self.offers:
            return "not offered"
        for restriction in self.offers[size].get("restrictions") or ():
            if restriction["type"] == "Location":
                return f"restricted for this subscription ({restriction['reasonCode']})"
        return None

    def shortage(self, size: str) -> str | None:
        """Which quota is too small for an offered size; None when they suffice.

        Azure counts cores by the size's family and for all families together.
        """
        family = self.offers[size]["family"].lower()
        short = [
            f"{quota.used} of {quota.limit} {quota.title} are used"
            for key, quota in self.quotas.items()
            if key in (family, "cores")
            and quota.used - self._own(key) + self.cores(size) > quota.limit
        ]
        return " and ".join(short) or None

    def _own(self, key: str) -> int:
        """The cores of this stack's machine in a quota: they are free for its next size."""
        if self.present is None or self.present not in self.offers:
            return 0
        counted = (self.offers[self.present]["family"].lower(), "cores")
        return self.cores(self.present) if key in counted else 0

    def cores(self, size: str) -> int:
        """How many cores a size has, as Azure counts them."""
        capabilities = self.offers[size]["capabilities"]
        return int(next(item["value"] for item in capabilities if item["name"] == "vCPUs"))


def belongs_to(resource: Mapping[str, Any], stack: StackFile) -> bool:
    """Whether a resource is in the stack's own group; Azure changes the case of the name."""
    return f"/resourcegroups/{stack.groups.chat}/".lower() in resource["id"].lower()

"""What a month costs before and after, from the stack's output `monthlyCost`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ollamazure.preview.text import Text, fill


@dataclass(frozen=True)
class Cost:
    """Two estimates; None if unknown, or if there is no stack at that time.

    Attributes:
        before, after: amounts of `currency` a month.
        basis: a remark on the prices they are computed from; may be empty.
    """

    before: float | None
    after: float | None
    currency: str
    basis: Text

    @classmethod
    def read(cls, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> Cost:
        """From the output before and after (`cost_in_numbers` in components/outputs.py)."""
        latest = after or before
        return cls(
            before["amount"] if before else None,
            after["amount"] if after else None,
            latest["currency"] if latest else "",
            _describe_prices(latest) if latest else (),
        )

    @property
    def difference(self) -> float | None:
        """After minus before, of the whole amounts that are shown; None if one is unknown."""
        if self.before is None or self.after is None:
            return None
        return round(self.after) - round(self.before)


def _describe_prices(cost: Mapping[str, Any]) -> Text:
    trust = "" if cost["verified"] else ", not verified"
    return fill(f" (pay-as-you-go prices of {{region}} as of {{asOf}}{trust})", cost)

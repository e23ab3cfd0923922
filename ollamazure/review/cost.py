"""What a month costs before and after, from the estimate that a stack puts out."""

from __future__ import annotations

import re
from dataclasses import dataclass

_AMOUNT = re.compile(
    r"(?P<amount>\d+(?:\.\d+)?) (?P<currency>[A-Z]{3})\b(?:[^(]*\((?P<basis>.*)\))?"
)


@dataclass(frozen=True)
class Cost:
    """Two estimates; None is unknown or nothing there.

    Attributes:
        before, after: amounts of `currency` a month.
        basis: what they rest on.
    """

    before: float | None
    after: float | None
    currency: str
    basis: str

    @classmethod
    def read(cls, before: str | None, after: str | None) -> Cost:
        """From the output monthlyCostEstimate (ollamazure/sizing/__init__.py) before and after."""
        found = [_AMOUNT.search(text or "") for text in (before, after)]
        last = next((match for match in reversed(found) if match), None)
        amounts = [float(match["amount"]) if match else None for match in found]
        return cls(
            amounts[0],
            amounts[1],
            last["currency"] if last else "",
            (last["basis"] or "") if last else "",
        )

    @property
    def difference(self) -> float | None:
        """After less before; None when one of them is not known."""
        if self.before is None or self.after is None:
            return None
        return self.after - self.before

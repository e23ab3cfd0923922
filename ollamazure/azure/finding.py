"""What a check of Azure found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One result: what was checked, and for a problem the fixes, best first."""

    what: str
    fixes: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        return not self.fixes

    def __str__(self) -> str:
        lines = [f"{'ok     ' if self.good else 'PROBLEM'}  {self.what}"]
        return "\n".join([*lines, *(f"         -> {fix}" for fix in self.fixes)])

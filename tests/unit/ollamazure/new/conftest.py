"""Prices that do not change: those of the day must not change what these tests expect."""

from __future__ import annotations

import pytest

from ollamazure import catalog
from ollamazure.catalog import VmSize


@pytest.fixture(autouse=True)
def fixed_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    """About what Azure's sizes cost in 2026."""

    def price(size: VmSize) -> float:
        gpu = size.gpu.memory_gib if size.gpu else 0
        share = 0.9 if size.burstable else 1
        return share * (0.02 * size.vcpus + 0.0055 * size.memory_gib + 0.018 * gpu)

    hourly = {size.name: price(size) for size in catalog.vm_sizes().values()}
    fixed = catalog.prices().model_copy(update={"hourly": {"eastus": hourly}, "verified": False})
    monkeypatch.setattr(catalog, "prices", lambda: fixed)

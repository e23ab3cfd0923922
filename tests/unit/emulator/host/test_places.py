"""Numbers are kept, reused when free, and survive a restart of the emulator."""

from __future__ import annotations

from pathlib import Path

from emulator.host.places import Numbers, Places
from emulator.instance import Instance


def test_numbers(tmp_path: Path) -> None:
    places = Places(Instance(tmp_path, "abcdef", 7))
    numbers = Numbers(places)
    assert [numbers.of("network", name) for name in ("a", "b", "a")] == [0, 1, 0]
    assert numbers.of("interface", "a") == 0
    numbers.forget("network", "a")
    again = Numbers(places)
    assert again.of("network", "c") == 0
    assert again.known("network") == {"b": 1, "c": 0}


def test_link_names_fit_the_kernels_limit() -> None:
    assert len(Places(Instance(Path("/x"), "abcdef", 7)).host_link(63)) <= 15

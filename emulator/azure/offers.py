"""What Azure offers: regions, time zones, machine sizes, images (offers.yaml)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml


@dataclass(frozen=True)
class Size:
    """A machine size. Memory in GiB, temp disk in MiB (0: none).

    `architecture` is x64 or Arm64.
    """

    name: str
    family: str
    vcpus: int
    memory_gib: float
    max_data_disks: int
    max_nics: int
    temp_disk_mib: int
    accelerated_networking: bool
    premium_caching: bool
    trusted_launch: bool
    generations: tuple[int, ...]
    architecture: str


@dataclass(frozen=True)
class Image:
    """A marketplace image: its URN without the version, and its requirements. Disk size in GB."""

    urn: str
    versions: str
    latest: str
    generation: int
    architecture: str
    disk_size_gb: int

    def exact_version(self, version: str) -> str | None:
        """The version that `latest` or an explicit version names; None if it does not exist."""
        if version == "latest":
            return self.latest
        return version if re.fullmatch(self.versions, version) else None


@dataclass(frozen=True)
class Offers:
    regions: frozenset[str]
    time_zones: frozenset[str]
    sizes: dict[str, Size]
    images: dict[str, Image]


@cache
def offers() -> Offers:
    """All offers; sizes by lower-cased name, images by lower-cased URN."""
    raw = yaml.load((Path(__file__).parent / "offers.yaml").read_text(), yaml.CSafeLoader)
    sizes: dict[str, Size] = {}
    for family, entry in raw["families"].items():
        common = {name: value for name, value in entry.items() if name != "sizes"}
        common["generations"] = tuple(common["generations"])
        for name, own in entry["sizes"].items():
            shape = dict(zip(raw["columns"], own, strict=True))
            sizes[name.lower()] = Size(**{**common, **shape, "name": name, "family": family})
    images = {urn.lower(): Image(urn=urn, **entry) for urn, entry in raw["images"].items()}
    regions, zones = frozenset(raw["regions"]), frozenset(raw["time_zones"])
    return Offers(regions, zones, sizes, images)

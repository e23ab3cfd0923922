"""The project's data as typed, frozen objects, read from the YAML files in this folder.

What follows from the data, such as which model fits which size, is in ollamazure/sizing/.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

FOLDER = Path(__file__).parent


class Record(BaseModel):
    """A record of the catalog: camelCase in YAML, snake_case here; an unknown key is an error."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True
    )


class Pin(Record):
    """A pinned version, with the reason for it and its source."""

    version: str
    reason: str
    source: str


class Bundle(Pin):
    """A pinned release of several files below `<download>/v<version>/`."""

    download: str
    file: str
    checksums: str


class ContainerImage(Pin):
    """A pinned container image."""

    registry: str
    repository: str
    tag: str
    digests: Mapping[str, str]

    def reference(self, version: str) -> str:
        """The full reference for Podman of a version: `TAG`, or `TAG@DIGEST`.

        A tag alone gets the digest that the catalog has for it, if any.
        """
        tag, _, own = version.partition("@")
        digest = own or self.digests.get(tag)
        return f"{self.registry}/{self.repository}:{tag}" + (f"@{digest}" if digest else "")


class Versions(Record):
    """ollamazure/catalog/versions.yaml, with digests.yaml."""

    pulumi_cli: Bundle = Field(alias="pulumi-cli")
    ollama: Bundle
    open_webui: ContainerImage = Field(alias="open-webui")
    nginx: ContainerImage


class Licence(Record):
    """A licence of models.

    Attributes:
        name: what models.yaml calls it.
        restrictions: a sentence on what it demands of a team that uses the model; None: nothing.
        source: its text.
    """

    name: str
    restrictions: str | None = None
    source: str

    def __str__(self) -> str:
        return f"{self.name}. {self.restrictions}" if self.restrictions else self.name


Kind = Literal["chat", "embedding"]
Strength = Literal[
    "code",
    "conversation",
    "images",
    "reasoning",
    "search",
    "short texts",
    "summaries",
    "tools",
    "translation",
]


class SlidingWindow(Record):
    """Layers that only remember the last `window` tokens."""

    layers: int
    window: int


class Model(Record):
    """A model of Ollama's library; models.yaml explains the figures."""

    name: str
    kind: Kind
    aliases: tuple[str, ...] = ()
    latest: bool = False
    thinks: bool = False
    parameters: float
    active: float | None = None
    download_gb: float
    layers: int
    kv_heads: int
    key_length: int
    value_length: int
    sliding: SlidingWindow | None = None
    embedding: int
    vocabulary: int
    context_limit: int
    languages: tuple[str, ...]
    strengths: tuple[Strength, ...]
    card: str
    licence: str
    source: str
    unverified: frozenset[Literal["download", "dimensions", "languages"]]


class Gpu(Record):
    """The GPUs of a size, with the memory of all of them in GiB."""

    count: int
    memory_gib: float


class VmSize(Record):
    """A VM size as Microsoft documents it; memory and disks in GiB.

    `disk_mbps` is what its remote disks sustain together, in MB/s; None if it is not published.
    `gpu_bandwidth` is what one GPU reads from its memory, in GB/s. `unsupported` is the reason why
    the program refuses it.
    """

    name: str
    series: str
    use: str
    vcpus: int
    memory_gib: float
    temp_disk_gib: int
    max_data_disks: int
    disk_mbps: float | None = None
    gpu: Gpu | None = None
    gpu_bandwidth: float | None = None
    architecture: Literal["x64", "Arm64"]
    disk_controller: Literal["SCSI", "NVMe"]
    premium_caching: bool
    accelerated_networking: bool
    trusted_launch: bool
    retires: date | None = None
    unsupported: str | None = None
    source: str
    verified: bool

    @property
    def burstable(self) -> bool:
        """Whether the processors slow down when the credits of quiet times are used up."""
        return self.use.startswith("burstable")

    @property
    def machine_class(self) -> str:
        """What a running machine cannot change: a size of another class needs a new machine."""
        temp = "temp" if self.temp_disk_gib else "notemp"
        gpu = "-gpu" if self.gpu else ""
        return f"{self.architecture}-{self.disk_controller}-{temp}{gpu}".lower()


class MonthlyPrices(Record):
    """What is paid in addition to the machine, in dollars a month; `test_run` once for each."""

    public_address: float
    nat_gateway: float
    standard_ssd: dict[int, float]
    blob_gib: dict[str, float]
    alert_rule: float
    test_run: float


class Prices(Record):
    """ollamazure/catalog/prices.yaml: prices, their date, and whether they were verified."""

    currency: str
    date: date
    verified: bool
    source: str
    hourly: dict[str, dict[str, float]]
    monthly: MonthlyPrices


class ServicePrices(Record):
    """ollamazure/catalog/service_prices.yaml, in dollars a month."""

    aks: dict[Literal["Free", "Standard"], float]
    load_balancer: float
    private_endpoint: float
    database_gib: float
    databases: dict[str, float]
    caches: dict[str, float]


class Scale(Record):
    """A row of ollamazure/catalog/scales.yaml: a cluster for a number of people.

    `tier` is that of AKS; `database_standby` is whether another zone has a second server.
    """

    name: str
    people: int
    tier: Literal["Free", "Standard"]
    system_size: str
    system_nodes: int
    model_size: str
    model_nodes: int
    gpu_size: str | None = None
    gpu_nodes: int = 0
    webui_replicas: int
    most_webui_replicas: int
    database_size: str
    database_gib: int
    database_standby: bool
    cache_size: str


class WebuiPermissions(Record):
    """ollamazure/catalog/open-webui-permissions.yaml, with Open WebUI's names."""

    version: str
    defaults: dict[str, dict[str, bool]]
    features: dict[str, str]
    switches: dict[str, str]


def _read(name: str) -> Any:
    # Ten times as fast, where PyYAML was built with libyaml: every package on PyPI is.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load((FOLDER / name).read_text(encoding="utf-8"), loader)  # noqa: S506


@cache
def versions() -> Versions:
    """Every pinned version, the container images with the digests of digests.yaml."""
    pins = _read("versions.yaml")
    for name, digests in _read("digests.yaml").items():
        pins[name]["digests"] = digests
    return Versions.model_validate(pins)


@cache
def locations() -> tuple[str, ...]:
    """Azure's public regions, by their names in the API."""
    return tuple(_read("locations.yaml"))


@cache
def time_zones() -> Mapping[str, str]:
    """Windows' name, which Azure's schedules use, by IANA's name of a time zone."""
    return {zone: name for name, zones in _read("time_zones.yaml").items() for zone in zones}


@cache
def locales() -> tuple[str, ...]:
    """The locales of Open WebUI's interface, by its own names."""
    return tuple(_read("locales.yaml"))


def texts(purpose: str) -> Mapping[str, Mapping[str, str]]:
    """The texts of texts.yaml for one purpose, by language and name."""
    return _texts()[purpose]


@cache
def _texts() -> Mapping[str, Mapping[str, Mapping[str, str]]]:
    found: Mapping[str, Mapping[str, Mapping[str, str]]] = _read("texts.yaml")
    return found


def language_of_texts(locale: str | None) -> str:
    """The language of texts.yaml for a locale: fr for fr-CA, en if there are none in its own."""
    language = (locale or "").partition("-")[0]
    return language if language in texts("pages") else "en"


@cache
def countries() -> frozenset[str]:
    """The two-letter codes of ISO 3166, in capitals."""
    return frozenset(_read("countries.yaml")["codes"].split())


@cache
def countries_instead() -> Mapping[str, str]:
    """The right code by one that people write for the country."""
    found: Mapping[str, str] = _read("countries.yaml")["instead"]
    return found


@cache
def models() -> Mapping[str, Model]:
    """Models by name, and by each of their aliases."""
    listed = [
        Model.model_validate({"name": name, **entry})
        for name, entry in _read("models.yaml").items()
    ]
    return {name: model for model in listed for name in (model.name, *model.aliases)}


@cache
def licences() -> Mapping[str, Licence]:
    """The licences of the models, by name."""
    return {
        name: Licence.model_validate({"name": name, **entry})
        for name, entry in _read("licences.yaml").items()
    }


def describe_licence(name: str) -> str:
    """The licence of a model, with the restrictions on its use."""
    model = models().get(name)
    if model is None:
        return "not in the catalog; see the model's page in Ollama's library"
    return str(licences()[model.licence])


@cache
def languages() -> Mapping[str, tuple[str, ...]]:
    """The names of each language by its code: the English one first."""
    return {code: tuple(names) for code, names in _read("languages.yaml").items()}


def tags_of(name: str) -> tuple[Model, ...]:
    """The models of the catalog that differ from `name` in nothing but the tag."""
    family = name.partition(":")[0]
    found = {each.name: each for each in models().values() if each.name.startswith(f"{family}:")}
    return tuple(found.values())


def chat_models(names: Iterable[str], kinds: Mapping[str, Kind]) -> tuple[str, ...]:
    """Those of `names` that answer questions.

    Args:
        names: of models.
        kinds: those of models that the catalog does not know; chat, if it is not there either.
    """
    known = models()
    return tuple(
        name
        for name in names
        if (known[name].kind if name in known else kinds.get(name, "chat")) == "chat"
    )


def embedding_models() -> tuple[str, ...]:
    """The catalog's models that only turn text into numbers for the search in documents."""
    return tuple(name for name, model in models().items() if model.kind == "embedding")


@cache
def vm_sizes() -> Mapping[str, VmSize]:
    """VM sizes by name."""
    sizes: dict[str, VmSize] = {}
    for series, entry in _read("vm_sizes.yaml")["series"].items():
        common = {key: value for key, value in entry.items() if key not in ("sizes", "unverified")}
        for name, own in entry["sizes"].items():
            verified = name not in entry["unverified"]
            sizes[name] = VmSize.model_validate(
                {**common, **own, "name": name, "series": series, "verified": verified}
            )
    return sizes


@cache
def rank() -> tuple[VmSize, ...]:
    """The sizes that `vmSize: auto` tries, in this order."""
    return tuple(vm_sizes()[name] for name in _read("vm_sizes.yaml")["rank"])


@cache
def scales() -> Mapping[str, Scale]:
    """What each `scale` of a cluster means, by its name."""
    return {
        name: Scale.model_validate({"name": name, **entry})
        for name, entry in _read("scales.yaml").items()
    }


@cache
def service_prices() -> ServicePrices:
    """The prices of what Azure operates beside a cluster."""
    return ServicePrices.model_validate(_read("service_prices.yaml"))


@cache
def prices() -> Prices:
    """The prices for estimates."""
    return Prices.model_validate(_read("prices.yaml"))


@cache
def webui_permissions() -> WebuiPermissions:
    """What Open WebUI can allow its users, and what it allows unless the settings allow more."""
    return WebuiPermissions.model_validate(_read("open-webui-permissions.yaml"))

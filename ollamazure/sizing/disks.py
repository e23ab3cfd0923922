"""How large the machine's disks have to be."""

from __future__ import annotations

from ollamazure import catalog
from ollamazure.settings.stack import Settings
from ollamazure.sizing.memory import GIB

OS_DISK_GIB = 32

# Images of Open WebUI and Nginx, twice during an upgrade, and room for chats and files.
DATA_DISK_BASE_GIB = 16


def models_on_disk(settings: Settings) -> float:
    """GiB that the files of all models take."""
    return sum(model_on_disk(name, settings) for name in settings.models)


def model_on_disk(name: str, settings: Settings) -> float:
    """GiB that the files of a model take, at most."""
    return settings.model_memory_gib.get(name) or catalog.models()[name].download_gb * 1e9 / GIB


def data_disk_need(settings: Settings) -> float:
    """GiB that the data disk must have for these models."""
    return DATA_DISK_BASE_GIB + models_on_disk(settings)


def data_disk_fits(settings: Settings) -> bool:
    """Whether the data disk holds the models; an adopted disk's size is not known and passes."""
    return bool(settings.data_disk_id) or settings.data_disk_gib >= data_disk_need(settings)

"""How long the steps of a deployment may take, from the bytes that they move.

These limits only end what hangs without notice: on the machine itself, a download that stands still
or a program that does nothing ends much earlier. So they are what the slowest network and the disk
of the size allow, and twice as much.
"""

from __future__ import annotations

import math

from ollamazure.catalog import VmSize
from ollamazure.settings.stack import Settings
from ollamazure.sizing.disks import model_on_disk, models_on_disk
from ollamazure.sizing.memory import GIB

# The slowest network on which a deployment still succeeds: a tenth of the 200 Mbit/s that a small
# machine has, because a registry may slow down a client that downloads much.
NETWORK_SPEED = 2.5e6  # bytes a second
# A Standard SSD of up to 4 TiB, without its bursts:
# https://learn.microsoft.com/azure/virtual-machines/disks-types#standard-ssds
STANDARD_SSD_SPEED = 60e6  # bytes a second
MARGIN = 2
# Two models are pulled at once (components/ollama.py), and then have half of disk and network.
DOWNLOADS_AT_ONCE = 2

# Rounded up, from memory: the archive of Ollama's release, and what is unpacked of it with a GPU.
OLLAMA_DOWNLOAD, OLLAMA_UNPACKED = 2.0e9, 5.0e9
# Of the first boot: Debian's updates and packages; with a GPU also NVIDIA's, which are built here.
PACKAGES, GPU_PACKAGES = 0.5e9, 1.5e9
# Ollama's own limit, in which it has to see progress of a model that it loads.
OLLAMA_LOAD_SECONDS = 300
# One answer of a slow processor, after its model is in memory.
COMPUTE_SECONDS = 600


def disk_speed(size: VmSize) -> float:
    """Bytes a second that the machine reads from its data disk, or writes to it."""
    limits = [STANDARD_SSD_SPEED, *([size.disk_mbps * 1e6] if size.disk_mbps else [])]
    return min(limits)


def seconds(size: VmSize, *, download: float = 0, disk: float = 0) -> int:
    """Seconds in which a step has certainly ended.

    Args:
        size: the machine's.
        download: bytes from the network.
        disk: bytes that are read from a disk or written to one.
    """
    return math.ceil(MARGIN * (download / NETWORK_SPEED + disk / disk_speed(size)))


def load_seconds(size: VmSize) -> int:
    """To load any model that fits into the machine's memory: no other model changes it."""
    memory = size.gpu.memory_gib if size.gpu else size.memory_gib
    return max(OLLAMA_LOAD_SECONDS, seconds(size, disk=memory * GIB))


def answer_seconds(size: VmSize) -> int:
    """To load a model and to compute the first words of its answer."""
    return load_seconds(size) + COMPUTE_SECONDS


def packages_seconds(size: VmSize) -> int:
    """To install the packages of the first boot, which are written packed and unpacked."""
    packages = PACKAGES + (GPU_PACKAGES if size.gpu else 0)
    return seconds(size, download=packages, disk=5 * packages)


def ollama_seconds(size: VmSize, settings: Settings) -> int:
    """To install Ollama.

    The archive is written, read for its checksum and to unpack it. Another version then loads each
    model, for one that does not answer the former version does so as well, then the other again.
    """
    disk = 3 * OLLAMA_DOWNLOAD + OLLAMA_UNPACKED + 3 * models_on_disk(settings) * GIB
    computing = 3 * COMPUTE_SECONDS * len(settings.models)
    return seconds(size, download=OLLAMA_DOWNLOAD, disk=disk) + computing


def pull_seconds(size: VmSize, settings: Settings, model: str) -> int:
    """To download a model, and to read it again for its checksum, beside another one."""
    file = model_on_disk(model, settings) * GIB
    alone = seconds(size, download=file, disk=2 * file)
    return DOWNLOADS_AT_ONCE * alone


def questions_seconds(size: VmSize, settings: Settings) -> int:
    """To ask each model and each preset a question; each may load a model."""
    return answer_seconds(size) * (len(settings.chat_models) + len(settings.presets))

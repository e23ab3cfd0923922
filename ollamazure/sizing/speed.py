"""How fast models write on a size: estimates from the bandwidth of its memory.

Each token reads all weights in use once, so the bandwidth decides:

    on processors  a published measurement of llama.cpp on four vCPUs (Xeon 8171M) has 24.9 tokens/s
                   for 0.67 GB, 8.4 for 1.9 GB and 4.1 for 4.1 GB of weights: about 4 GB/s for each
                   vCPU
    on a GPU       llama.cpp reaches 60 percent of what the datasheet promises: its pull request
                   4766 has 56.8 tokens/s for 3.83 GB on a P40 of 346 GB/s. Several GPUs of one size
                   hold a layer each, one after the other, and are as fast as one.

No figure was measured on Azure.
"""

from __future__ import annotations

from ollamazure.catalog import Model, VmSize

GB_PER_SECOND_AND_VCPU = 4.0
USED_GPU_BANDWIDTH = 0.6
SLOW_TOKENS_PER_SECOND = 3.0  # slower than people read
# How much more a GPU writes in total when it writes several answers at once: llama.cpp's pull
# request 16894 has 79, 136 and 225 tokens/s for one, two and four. No such measurement is known for
# processors, so they are taken to gain nothing.
GAIN_ON_GPU = {4: 2.8, 2: 1.7, 1: 1.0}


def tokens_per_second(model: Model, size: VmSize) -> float | None:
    """Estimated speed of one answer; None on a GPU whose bandwidth is not known."""
    bandwidth: float | None = size.vcpus * GB_PER_SECOND_AND_VCPU
    if size.gpu:
        bandwidth = size.gpu_bandwidth and size.gpu_bandwidth * USED_GPU_BANDWIDTH
    if bandwidth is None:
        return None
    share = (model.active or model.parameters) / model.parameters
    return bandwidth / (model.download_gb * share)


def tokens_per_second_under_load(
    model: Model, size: VmSize, people: int, num_parallel: int
) -> float | None:
    """Estimated speed of each answer while so many people wait for one, on average.

    Args:
        model: of the catalog.
        size: of the machine.
        people: who ask at once.
        num_parallel: answers that the model writes at once; further ones wait in turn.
    """
    alone = tokens_per_second(model, size)
    if alone is None:
        return None
    at_once = min(people, num_parallel)
    gain = next(gain for least, gain in GAIN_ON_GPU.items() if at_once >= least)
    return alone * (gain if size.gpu else 1.0) / people

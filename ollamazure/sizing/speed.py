"""How fast models write on a size's processors."""

from __future__ import annotations

from ollamazure.catalog import Model, VmSize

# Each token reads all weights once, so memory bandwidth decides. A published measurement of
# llama.cpp on four vCPUs (Xeon 8171M) has 24.9 tokens/s for 0.67 GB, 8.4 for 1.9 GB and 4.1 for
# 4.1 GB of weights: about 4 GB/s for each vCPU.
GB_PER_SECOND_AND_VCPU = 4.0
SLOW_TOKENS_PER_SECOND = 3.0  # slower than people read


def tokens_per_second(model: Model, size: VmSize) -> float | None:
    """Estimated speed of one answer on the processors; None on a GPU."""
    if size.gpu:
        return None
    share = (model.active or model.parameters) / model.parameters
    return size.vcpus * GB_PER_SECOND_AND_VCPU / (model.download_gb * share)

"""The device and threads of a training process."""

from __future__ import annotations

import torch

from raydnn.errors import ClusterError
from raydnn.spec.resources import Resources


def claim_device(resources: Resources) -> torch.device:
    """Choose the device of this process and limit its threads to the cores it was given.

    Raises:
        ClusterError: A GPU was asked for and CUDA is not available here.
    """
    torch.set_num_threads(resources.cpus_per_worker)
    if resources.gpus_per_worker == 0:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise ClusterError(
            f"resources.gpus_per_worker: {resources.gpus_per_worker}, but this machine has no CUDA device"
        )
    # With its number, as each worker of a machine has a GPU of its own.
    return torch.device("cuda", torch.cuda.current_device())

"""A network's passes of training by torch's compiler, `train.compile`: kernels that are fused for one stack's shapes.

It takes seconds to minutes before the first step, and pays where one large network is trained for long. Only batches
of the first one's shape are compiled; another, an epoch's last, is computed as it is otherwise.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from shutil import which

import torch
from torch import Tensor, nn

from raydnn.stacking.context import Context

BACKEND = "inductor"
"""Torch's own compiler."""

Network = Callable[[Tensor, Context], Tensor]
"""(inputs, context) → outputs (N, B, K)."""


def compiled(module: nn.Module) -> Network:
    """What computes as the module does, for inputs of the shape that comes first by kernels that are compiled."""
    # Draws from a generator of one's own are computed between what is compiled.
    warnings.filterwarnings("ignore", "Dynamo does not know how to trace the builtin", UserWarning)
    fast = torch.compile(module, backend=BACKEND, dynamic=False)
    shapes: list[torch.Size] = []

    def network(inputs: Tensor, context: Context) -> Tensor:
        if not shapes:
            shapes.append(inputs.shape)
        outputs: Tensor = (fast if inputs.shape == shapes[0] else module)(inputs, context)
        return outputs

    return network


def lacking_compiler(device: torch.device) -> str:
    """What torch's compiler needs and does not find, in words; empty: nothing. Nothing is compiled to tell it.

    On a CPU it writes C++, for the compiler that $CXX names or that its platform has; on a CUDA device it needs Triton.
    """
    if device.type == "cuda":
        return (
            "" if find_spec("triton") else "torch's compiler needs the package triton, which is not installed"
        )
    name = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    return "" if which(name) else f"torch's compiler needs the C++ compiler {name} ($CXX), which is not there"

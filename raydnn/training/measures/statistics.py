"""The statistics of batch norm over the whole training set, in place of running averages."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from raydnn.data.examples import Examples
from raydnn.nn.layers.norm_layer import NormLayer
from raydnn.spec.axes.normalization import BatchNorm
from raydnn.training.faults.watchdog import beat
from raydnn.training.measures.evaluation import CHUNK
from raydnn.training.stack.stack import Stack


@torch.no_grad()
def set_exact_statistics(stack: Stack, examples: Examples, positions: Sequence[int]) -> None:
    """Give the members at `positions` that ask for it each unit's mean and variance over the training examples.

    Layer by layer, since what comes into one depends on the statistics of those before it; nothing is dropped.

    Args:
        stack: The members; their statistics are changed in place.
        examples: The training examples, on the stack's device.
        positions: Members whose parameters will not change any more.
    """
    chosen = [position for position in positions if _is_exact(stack, position)]
    if not chosen:
        return
    specs = [stack.members[position].spec for position in chosen]
    statistics = stack.statistics[chosen]
    module = stack.architecture.module(stack.parameters[chosen], specs, statistics)
    for norm in module.modules():
        if isinstance(norm, NormLayer):
            mean = _mean_input(stack, module, norm, examples)
            variance = _mean_input(stack, module, norm, examples, around=mean)
            norm.mean.copy_(mean.squeeze(1))
            norm.variance.copy_(variance.squeeze(1))
    stack.statistics[chosen] = statistics


def _is_exact(stack: Stack, position: int) -> bool:
    normalization = stack.members[position].spec.normalization
    return isinstance(normalization, BatchNorm) and normalization.exact_statistics


def _mean_input(
    stack: Stack, module: nn.Module, norm: NormLayer, examples: Examples, around: Tensor | None = None
) -> Tensor:
    """Mean of what comes into a layer, or of its squared distance from `around`: (N, 1, H), float64."""
    workers, size = stack.workers, CHUNK[stack.device.type] // stack.pieces
    total = torch.zeros(*norm.mean.shape, dtype=torch.float64, device=stack.device).unsqueeze(1)

    def add(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        z = arguments[0].double()
        total.add_((z if around is None else (z - around).square()).sum(dim=1, keepdim=True))

    hook = norm.register_forward_pre_hook(add)
    for inputs, _ in examples.chunks(size, workers.rank, workers.count):
        module(inputs.unsqueeze(0))
        beat()
    hook.remove()
    return workers.sum(total) / len(examples)

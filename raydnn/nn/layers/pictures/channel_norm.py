"""Normalization of a picture's channels, by torch's own kernels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributed.nn.functional import all_reduce
from torch.nn import functional

from raydnn.nn.features import by_feature
from raydnn.nn.layers.norm_layer import Normalization, NormLayer
from raydnn.nn.layers.pictures.folding import folded, in_turn, unfolded
from raydnn.stacking.context import Context


def batch_norm_of_channels(z: Tensor, layer: NormLayer, context: Context) -> Tensor:
    """Normalize every channel over the batch and all positions, or at evaluation by the running averages.

    Args:
        z: (N, B, C, H, W), B examples of this worker.
        layer: The layer, whose running averages are updated in place in training.
        context: Of the forward pass; the workers' statistics are summed, so that their number changes nothing.
    """
    if not context.trains:
        factor = layer.scale * torch.rsqrt(layer.variance + layer.eps.view(-1, 1))
        shift = torch.addcmul(layer.shift, layer.mean, factor, value=-1)
        return torch.addcmul(by_feature(shift, z), z, by_feature(factor, z))
    count = context.batch_size * z[0, 0, 0].numel()
    if context.workers > 1:
        mean = over_workers(z.sum(dim=(1, 3, 4)), context.workers) / count
        centred = z - by_feature(mean, z)
        variance = over_workers(centred.square().sum(dim=(1, 3, 4)), context.workers) / count
        layer.average(mean.detach(), variance.detach(), count)
        factor = layer.scale * torch.rsqrt(variance + layer.eps.view(-1, 1))
        return centred * by_feature(factor, z) + by_feature(layer.shift, z)
    # With the momentum 1 the kernel leaves the batch's own statistics, since the members' momenta may differ.
    mean, unbiased = layer.scale.new_zeros(layer.scale.shape), layer.scale.new_zeros(layer.scale.shape)

    def normalized(own: Tensor, members: slice, eps: float) -> Tensor:
        # Not torch.nn.functional's, which refuses the single number that a channel may have in a last small batch.
        return torch.batch_norm(
            own,
            layer.scale[members].flatten(),
            layer.shift[members].flatten(),
            mean[members].view(-1),
            unbiased[members].view(-1),
            training=True,
            momentum=1.0,
            eps=eps,
            cudnn_enabled=torch.backends.cudnn.enabled,
        )

    outputs = _by_kernels(normalized, z, layer)
    layer.move(mean, unbiased if count > 1 else None)
    return outputs


def group_norm_of_channels(z: Tensor, layer: NormLayer, _context: Context) -> Tensor:
    """Normalize every example over each group of channels and all positions; one group: over all channels."""

    def normalized(own: Tensor, members: slice, eps: float) -> Tensor:
        scale, shift = layer.scale[members].flatten(), layer.shift[members].flatten()
        return functional.group_norm(own, layer.groups * len(layer.scale[members]), scale, shift, eps)

    return _by_kernels(normalized, z, layer)


def _by_kernels(normalized: Callable[[Tensor, slice, float], Tensor], z: Tensor, layer: NormLayer) -> Tensor:
    """Apply torch's kernel to all members at once on a device, where they have one ε; else to one after another."""
    first, *others = layer.epsilons
    if len(z) == 1 or (not in_turn(z) and all(eps == first for eps in others)):
        return unfolded(normalized(folded(z), slice(None), first), len(z))
    own = zip(z.unbind(), layer.epsilons, strict=True)
    return torch.stack([normalized(each, slice(k, k + 1), eps) for k, (each, eps) in enumerate(own)])


def over_workers(values: Tensor, workers: int) -> Tensor:
    """The sum of all workers' values; its gradient is summed, too."""
    if workers == 1:
        return values
    summed: Tensor = all_reduce(values)  # type: ignore[no-untyped-call]
    return summed


CHANNEL_NORMALIZATIONS: dict[str, Normalization] = {
    "batch_norm": batch_norm_of_channels,
    "layer_norm": group_norm_of_channels,
    "group_norm": group_norm_of_channels,
}
"""Name → implementation for pictures; the names are those of raydnn.spec.axes.normalization without `none`."""

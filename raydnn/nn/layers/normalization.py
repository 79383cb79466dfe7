"""Normalization of a stack's layers: functions of z (N, B, H), with γ and β (N, H), one row a member.

In a sequence (N, B, T, H) every position is normalized as an example is; pictures: `pictures.channel_norm`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from raydnn.nn.features import features_of, is_picture
from raydnn.nn.layers.costs import Costs
from raydnn.nn.layers.layer import Row, Shape, Views, draw, row
from raydnn.nn.layers.members import Members, named_under
from raydnn.nn.layers.norm_layer import Normalization, NormLayer
from raydnn.nn.layers.pictures.channel_norm import CHANNEL_NORMALIZATIONS, over_workers
from raydnn.spec.axes.normalization import BatchNorm, NoNormalization
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.context import Context
from raydnn.stacking.layout import Layout
from raydnn.stacking.roles import Parameter, Role


def batch_norm(z: Tensor, layer: NormLayer, context: Context) -> Tensor:
    """Normalize every unit over the batch, or at evaluation by the running averages.

    Args:
        z: (N, B, H), B examples of this worker.
        layer: The layer, whose running averages are updated in place in training.
        context: Of the forward pass; the workers' statistics are summed, so that their number changes nothing.
    """
    batch_size, workers = context.batch_size, context.workers
    if context.trains and workers == 1:
        found: tuple[Tensor, Tensor, Tensor] = _Normalized.apply(  # type: ignore[no-untyped-call]
            z, layer.scale, layer.shift, layer.eps
        )
        normalized, means, variances = found
        layer.average(means, variances, batch_size)
        return normalized
    if not context.trains:
        centred, variance = z - layer.mean.unsqueeze(1), layer.variance.unsqueeze(1)
    else:
        mean = over_workers(z.sum(dim=1, keepdim=True), workers) / batch_size
        centred = z - mean
        variance = over_workers(centred.square().sum(dim=1, keepdim=True), workers) / batch_size
        layer.average(mean.detach().squeeze(1), variance.detach().squeeze(1), batch_size)
    return centred * (layer.scale.unsqueeze(1) * torch.rsqrt(variance + layer.eps)) + layer.shift.unsqueeze(1)


class _Normalized(Function):
    """y = γx + β, x = (z − mean)/√(variance + ε) over a batch, with its gradient in a third of autograd's kernels.

    With g = dy: dβ = Σ g, dγ = Σ g·x, dz = γ/√(variance + ε) · (g − dβ/B − x·dγ/B) (Ioffe and Szegedy 2015,
    arXiv:1502.03167).
    """

    @staticmethod
    def forward(
        ctx: Any, z: Tensor, scale: Tensor, shift: Tensor, eps: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """y (N, B, H), and the batch's mean and variance (N, H)."""
        mean, centred, variance = _moments(z)
        inverse = torch.rsqrt(variance + eps)
        factor = scale.unsqueeze(1) * inverse
        ctx.save_for_backward(centred, inverse, factor)
        mean, variance = mean.squeeze(1), variance.squeeze(1)
        ctx.mark_non_differentiable(mean, variance)
        return torch.addcmul(shift.unsqueeze(1), centred, factor), mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """dz, dγ, dβ."""
        centred, inverse, factor = ctx.saved_tensors
        examples = g.shape[1]
        of_shift = g.sum(dim=1, keepdim=True)
        of_scale = (g * centred).sum(dim=1, keepdim=True).mul_(inverse)
        of_z = torch.addcmul(g, centred, of_scale * inverse, value=-1 / examples)
        of_z.sub_(of_shift, alpha=1 / examples).mul_(factor)
        return of_z, of_scale.squeeze(1), of_shift.squeeze(1), None


SLOW_VARIANCE = frozenset({"cpu"})
"""Devices on which torch's variance over a batch takes twenty times as long as a sum of squares."""


def _moments(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (N, 1, H) over a batch, z less it, and variance."""
    if z.device.type not in SLOW_VARIANCE:
        variance, mean = torch.var_mean(z, dim=1, correction=0, keepdim=True)
        return mean, z - mean, variance
    mean = z.mean(dim=1, keepdim=True)
    centred = z - mean
    return mean, centred, centred.square().sum(dim=1, keepdim=True).div_(z.shape[1])


def group_norm(z: Tensor, layer: NormLayer, _context: Context) -> Tensor:
    """Normalize every example over each group of units; with one group this is layer norm."""
    # The size of a group is given, since a worker may have no example of a small batch.
    grouped = z.reshape(*z.shape[:-1], layer.groups, z.shape[-1] // layer.groups)
    variance, mean = torch.var_mean(grouped, dim=-1, correction=0, keepdim=True)
    normalized: Tensor = ((grouped - mean) * torch.rsqrt(variance + layer.eps.unsqueeze(-1))).flatten(-2)
    return normalized * layer.scale.unsqueeze(1) + layer.shift.unsqueeze(1)


NORMALIZATIONS: dict[str, Normalization] = {
    "batch_norm": batch_norm,
    "layer_norm": group_norm,
    "group_norm": group_norm,
}
"""Name → implementation; the names are those of raydnn.spec.axes.normalization without `none`."""


@dataclass(frozen=True)
class NormalizationLayer:
    """A normalization of units, or of a picture's channels, which all members of a stack have."""

    name: str
    shape: Shape
    """Of what comes in and out."""
    running: bool
    """Whether it keeps running averages."""
    ends_block: bool = False
    """Whether a residual block ends with it: where a member asks for it the block begins as the identity."""

    @property
    def layout(self) -> Layout:
        """`NAME.scale` and `NAME.shift`, and perhaps the averages `NAME.mean` and `NAME.variance`, one a feature."""
        return norm_layout(self.name, features_of(self.shape), self.running)

    def costs(self, _trial: TrialSpec) -> Costs:
        """It keeps what comes in, that less its mean, what comes out, and a gradient; three operations a unit.

        The gradient of batch norm over units is written out: it needs neither what came in nor what comes out.
        """
        units = prod(self.shape)
        by_hand = self.running and not is_picture(self.shape)
        return Costs((2 if by_hand else 4) * units, units, 0, 3 * units)

    def rows(self, trial: TrialSpec) -> tuple[Row, ...]:
        """One."""
        return row(self, trial)

    def start(self, trial: TrialSpec, parameters: Views, statistics: Views) -> None:
        """Scales 1 or 0, shifts 0, averages of mean 0 and variance 1."""
        draw(self.layout, trial, parameters)
        if self.ends_block and getattr(trial.model, "zero_init_last_norm", False):
            parameters[f"{self.name}.scale"].zero_()
        if self.running:
            statistics[f"{self.name}.variance"].fill_(1.0)

    def module(self, members: Members) -> NormLayer:
        """The normalization of N members."""
        parameters = named_under(self.name, members.parameters)
        statistics = named_under(self.name, members.statistics)
        of_shape = CHANNEL_NORMALIZATIONS if is_picture(self.shape) else NORMALIZATIONS
        return NormLayer(
            members.trials, parameters, statistics, of_shape[members.trials[0].normalization.name]
        )


def normalization_layer(
    trial: TrialSpec, name: str, shape: Shape, ends_block: bool = False
) -> NormalizationLayer | None:
    """The normalization of values of a shape that a trial asks for; None where it asks for none."""
    if isinstance(trial.normalization, NoNormalization):
        return None
    return NormalizationLayer(name, shape, isinstance(trial.normalization, BatchNorm), ends_block)


def input_normalization(trial: TrialSpec, shape: Shape) -> list[NormalizationLayer]:
    """The layer `input_norm` of a network whose trial wants its inputs normalized, else nothing."""
    wanted = isinstance(trial.normalization, BatchNorm) and trial.normalization.inputs
    return [NormalizationLayer("input_norm", shape, running=True)] if wanted else []


def norm_layout(prefix: str, width: int, running: bool) -> Layout:
    """The parameters `PREFIX.scale` and `PREFIX.shift`, and where `running` the averages `PREFIX.mean`, `.variance`."""
    averages = [f"{prefix}.mean", f"{prefix}.variance"] if running else []
    return Layout(
        {
            f"{prefix}.scale": Parameter((width,), Role.SCALE, prefix),
            f"{prefix}.shift": Parameter((width,), Role.SHIFT, prefix),
        },
        {name: Parameter((width,), Role.BUFFER, prefix) for name in averages},
    )

"""A normalization of N members as a module: its parameters, its running averages, and which function it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from raydnn.spec.axes.normalization import NoNormalization
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.context import EVALUATION, Context
from raydnn.stacking.groups import member_groups

SEQUENCE = 4
"""Dimensions of the values of sequences, (N, B, T, H)."""


Normalization = Callable[[Tensor, "NormLayer", Context], Tensor]
"""Makes of z (N, B, *shape), a layer and a forward pass the normalized values."""


class NormLayer(nn.Module):
    """One normalization of N members; they share its name, its place and its groups."""

    mean: Tensor
    """Running mean (N, H), a view of the stack's statistics, as is the running `variance`."""
    variance: Tensor

    def __init__(
        self,
        trials: Sequence[TrialSpec],
        parameters: Mapping[str, Tensor],
        statistics: Mapping[str, Tensor],
        normalization: Normalization,
    ) -> None:
        """Wrap parameters, which stay views of the stack's matrix.

        Args:
            trials: The members.
            parameters: `scale` γ and `shift` β, each (N, H).
            statistics: `mean` and `variance`, each (N, H); none where there are no running averages. They are no
                registered buffers, which data-parallel workers would send to each other before every step.
            normalization: Computes what it makes of z.
        """
        super().__init__()
        (run,) = member_groups([trial.normalization for trial in trials], parameters["scale"].device)
        dtype = parameters["scale"].dtype
        self.scale = nn.Parameter(parameters["scale"])
        self.shift = nn.Parameter(parameters["shift"])
        self.eps = run.vectors["eps"].to(dtype).view(-1, 1, 1)
        self.groups = int(run.vectors["groups"][0]) if "groups" in run.vectors else 1
        specs = [trial.normalization for trial in trials]
        self.epsilons = [spec.eps for spec in specs if not isinstance(spec, NoNormalization)]
        """The members' ε, as torch's kernels take them."""
        self._normalize = normalization
        if statistics:
            self.mean, self.variance = statistics["mean"], statistics["variance"]
            self.momentum = run.vectors["momentum"].to(dtype).unsqueeze(1)

    def forward(self, z: Tensor, context: Context = EVALUATION) -> Tensor:
        """Normalize z (N, B, *shape)."""
        # In its own precision, where the products before it have a lower one.
        own = z.to(self.scale.dtype)
        if z.dim() != SEQUENCE:
            return self._normalize(own, self, context)
        positions = replace(context, batch_size=context.batch_size * z.shape[2])
        return self._normalize(own.flatten(1, 2), self, positions).view(z.shape)

    @torch.no_grad()
    def average(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Move the running averages towards the mean and variance of `count` numbers; one number has no variance."""
        self.move(mean, variance * (count / (count - 1)) if count > 1 else None)

    @torch.no_grad()
    def move(self, mean: Tensor, unbiased: Tensor | None) -> None:
        """Move the running averages (N, H) towards a batch's mean, and its unbiased variance where it has one."""
        self.mean.lerp_(mean, self.momentum)
        if unbiased is not None:
            self.variance.lerp_(unbiased, self.momentum)


def normalize(norm: NormLayer | None, z: Tensor, context: Context) -> Tensor:
    """Apply a normalization, where there is one: by the batch in training, by running averages at evaluation."""
    if norm is None:
        return z
    normalized: Tensor = norm(z, context)
    return normalized

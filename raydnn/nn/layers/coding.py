"""What autoencoders have beside other networks' layers: corrupted inputs, sparse codes, and tied decoders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from raydnn.nn.features import uniform_of_shape
from raydnn.nn.layers.costs import Costs
from raydnn.nn.layers.dense import KEPT
from raydnn.nn.layers.dropout import Dropout
from raydnn.nn.layers.layer import Row, Shape, Views, WithoutParameters, row
from raydnn.nn.layers.members import Members, named_under
from raydnn.nn.layers.norm_layer import NormLayer
from raydnn.nn.layers.tail import (
    Tail,
    Tailed,
    TailLayer,
    start_with_tail,
    tail_of_members,
    with_tail,
)
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.context import EVALUATION, Context
from raydnn.stacking.layout import Layout
from raydnn.stacking.noise import normal
from raydnn.stacking.roles import Parameter, Role

CORRUPTED = 4
"""Numbers that are kept or passed for each input that is corrupted: the draws, the noise, and what comes out."""


@dataclass(frozen=True)
class CorruptionLayer(WithoutParameters):
    """In training x ← x + σn, n ~ N(0, 1), and dropout of inputs (Vincent et al. 2008, denoising autoencoders)."""

    name: str
    shape: Shape
    """Of what comes in and out."""

    def costs(self, trial: TrialSpec) -> Costs:
        """What comes out, where a member like this corrupts."""
        numbers = prod(self.shape)
        corrupts = getattr(trial.model, "noise", 0) or trial.regularization.input_dropout
        return Costs(CORRUPTED * numbers if corrupts else 0, numbers, 0, 0)

    def module(self, members: Members) -> Corruption:
        """The layer of N members."""
        return Corruption(_numbers(members, "noise"), members.dropout)


class Corruption(nn.Module):
    """The corrupted inputs of N members."""

    def __init__(self, deviations: Tensor | None, dropout: Dropout) -> None:
        """Take the deviations σ (N,) of the noise, None where all are 0, and what is dropped of inputs."""
        super().__init__()
        self._deviations, self._dropout = deviations, dropout

    def forward(self, inputs: Tensor, context: Context = EVALUATION) -> Tensor:
        """Corrupt inputs (N, B, *shape) in training; members without noise keep theirs to the bit."""
        if self._deviations is not None and context.trains:
            noise = normal(uniform_of_shape(context, tuple(inputs.shape[2:]), "corruption"))
            deviations = self._deviations.view(-1, *[1] * (inputs.dim() - 1))
            inputs = torch.addcmul(inputs, deviations.to(inputs.dtype), noise.to(inputs.dtype))
        return self._dropout.of_inputs(inputs, context)


@dataclass(frozen=True)
class SparsityLayer(WithoutParameters):
    """The code goes on as it is, and λ · mean |code| is added to the loss of each example in training."""

    name: str
    shape: Shape
    """Of the code."""

    def costs(self, trial: TrialSpec) -> Costs:
        """What its gradient needs, where a member like this penalizes its code."""
        numbers = prod(self.shape)
        return Costs(2 * numbers if getattr(trial.model, "sparsity", 0) else 0, numbers, 0, 0)

    def module(self, members: Members) -> Sparsity:
        """The layer of N members."""
        return Sparsity(_numbers(members, "sparsity"))


class Sparsity(nn.Module):
    """The penalty of N members' codes."""

    def __init__(self, coefficients: Tensor | None) -> None:
        """Take λ (N,); None where all are 0."""
        super().__init__()
        self._coefficients = coefficients

    def forward(self, code: Tensor, context: Context = EVALUATION) -> Tensor:
        """Give the code (N, B, *shape) back."""
        if self._coefficients is not None and context.trains:
            context.penalties.append(
                self._coefficients.view(-1, 1) * code.float().abs().flatten(2).mean(dim=2)
            )
        return code


def _numbers(members: Members, field: str) -> Tensor | None:
    """A field of the members' models (N,); None where all are 0."""
    values: Sequence[float] = [getattr(trial.model, field) for trial in members.trials]
    return torch.tensor(values, device=members.device) if any(values) else None


@dataclass(frozen=True)
class TiedLayer:
    """A dense layer with the transposed weights of another: y ← xW + b, W (inputs, units) being the other's."""

    name: str
    other: str
    """Name of the layer that has the weights."""
    inputs: int
    units: int
    bias: bool = True
    tail: TailLayer | None = None

    @property
    def layout(self) -> Layout:
        """`NAME.bias` (units) where wanted, and those of the tail."""
        return with_tail(self._layout, self.tail)

    @property
    def _layout(self) -> Layout:
        bias = Parameter((self.units,), Role.BIAS, self.name)
        return Layout({f"{self.name}.bias": bias} if self.bias else {})

    @property
    def shape(self) -> Shape:
        """(units,)."""
        return (self.units,)

    def costs(self, trial: TrialSpec) -> Costs:
        """As those of a dense layer, and what the tail keeps."""
        copies = 0 if self.tail is None else self.tail.copies(trial)
        return Costs((KEPT + copies) * self.units, self.units, self.units, self.inputs * self.units)

    def rows(self, trial: TrialSpec) -> tuple[Row, ...]:
        """One."""
        return row(self, trial)

    def start(self, trial: TrialSpec, parameters: Views, statistics: Views) -> None:
        """Biases are 0; the tail has its own."""
        start_with_tail(self._layout, self.tail, trial, parameters, statistics)

    def module(self, members: Members) -> Tied:
        """The layer of N members, still without the other's weights."""
        parameters = named_under(self.name, members.parameters)
        return Tied(parameters, *tail_of_members(self.tail, members))


class Tied(Tailed):
    """A dense layer of N members with the transposed weights of another, and its tail where it has one."""

    def __init__(
        self, parameters: Mapping[str, Tensor], norm: NormLayer | None = None, tail: Tail | None = None
    ) -> None:
        """Wrap parameters, which stay views of the stack's matrix.

        Args:
            parameters: Perhaps `bias` (N, units) and `alpha`, the slopes (N, units) of the activation.
            norm: The normalization of the tail.
            tail: What follows; None: nothing.
        """
        super().__init__()
        self.bias = nn.Parameter(parameters["bias"]) if "bias" in parameters else None
        self.take_tail(parameters, norm, tail)
        self._other: tuple[nn.Module, ...] = ()

    def tie(self, other: nn.Module) -> None:
        """Compute with the weights of another layer from now on."""
        # Inside a tuple torch does not take it for a part of this module.
        self._other = (other,)

    def forward(self, inputs: Tensor, context: Context = EVALUATION) -> Tensor:
        """Compute y (N, B, units) of inputs (N, B, fan_in)."""
        weight = self._other[0].get_parameter("weight").mT
        bias = None if self.bias is None else self.bias.unsqueeze(2)
        z = torch.bmm(weight, inputs.mT) if bias is None else torch.baddbmm(bias, weight, inputs.mT)
        return self.finish(z.mT, None, context)

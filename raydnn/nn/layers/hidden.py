"""A hidden dense layer of a stack: a dense layer, and the tail that makes activations of its pre-activations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from raydnn.nn.activations import BY_HAND
from raydnn.nn.layers.costs import Costs, in_all
from raydnn.nn.layers.dense import Dense, DenseLayer
from raydnn.nn.layers.dropout import Terms
from raydnn.nn.layers.layer import Row, Shape, Views, row
from raydnn.nn.layers.members import Members, named_under
from raydnn.nn.layers.norm_layer import NormLayer
from raydnn.nn.layers.tail import (
    Tail,
    Tailed,
    TailLayer,
    start_with_tail,
    tail_layer,
    tail_of_members,
    takes_bias,
    with_tail,
)
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.context import EVALUATION, Context
from raydnn.stacking.layout import Layout

ACTIVATED, MASKED, MASKED_BY_AUTOGRAD = 1, 1, 4
"""Numbers that are kept of each unit and example, as measured: by an activation that autograd differentiates, by
dropout by hand, and by dropout where autograd differentiates it."""


@dataclass(frozen=True)
class HiddenLayer:
    """A dense layer and its tail, whose activations and dropout differ from member to member."""

    dense: DenseLayer
    tail: TailLayer
    by_hand: bool = True
    """Whether the network's gradients are computed by hand where the tail's are written out."""

    @property
    def name(self) -> str:
        """Name of the dense layer."""
        return self.dense.name

    @property
    def layout(self) -> Layout:
        """The parameters of the dense layer, the slopes, and those of the normalization."""
        return with_tail(self.dense.layout, self.tail)

    @property
    def shape(self) -> Shape:
        """(units,)."""
        return self.dense.shape

    def costs(self, trial: TrialSpec) -> Costs:
        """Those of the dense layer and the normalization, and what the rest of the tail keeps."""
        units = self.dense.units
        by_hand = self.by_hand and self.tail.norm is None and trial.activation.name in BY_HAND
        copies = 0 if by_hand else ACTIVATED
        if trial.regularization.dropout:
            copies += MASKED if by_hand else MASKED_BY_AUTOGRAD
        norm = [] if self.tail.norm is None else [self.tail.norm.costs(trial)]
        return in_all([self.dense.costs(trial), *norm, Costs(copies * units, units, 0, 0)])

    def rows(self, trial: TrialSpec) -> tuple[Row, ...]:
        """One."""
        return row(self, trial)

    def start(self, trial: TrialSpec, parameters: Views, statistics: Views) -> None:
        """Draw the weights, give the slopes and the normalization theirs."""
        start_with_tail(self.dense.layout, self.tail, trial, parameters, statistics)

    def module(self, members: Members) -> Hidden:
        """The layer of N members."""
        return Hidden(named_under(self.name, members.parameters), *tail_of_members(self.tail, members))


def hidden_layer(
    trial: TrialSpec,
    name: str,
    inputs: int,
    units: int,
    *,
    ends_block: bool = False,
    starts_block: bool = False,
    is_last: bool = False,
    by_hand: bool = True,
) -> HiddenLayer:
    """The hidden dense layer that a trial's normalization and activation make; see `tail_layer`."""
    tail = tail_layer(
        trial, name, (units,), ends_block=ends_block, starts_block=starts_block, is_last=is_last
    )
    return HiddenLayer(DenseLayer(name, inputs, units, bias=takes_bias(trial)), tail, by_hand)


class Hidden(Tailed, Dense):
    """A hidden layer: h ← dropout(f(xWᵀ + b)), perhaps normalized or with a skip."""

    tail: Tail

    def __init__(self, parameters: Mapping[str, Tensor], norm: NormLayer | None, tail: Tail | None) -> None:
        """Wrap parameters, which stay views of the stack's matrix.

        Args:
            parameters: Those of the dense layer, and those that `take_tail` wants.
            norm: The normalization that follows, before or after the activation.
            tail: All else that follows.
        """
        Dense.__init__(self, parameters)
        self.take_tail(parameters, norm, tail)

    def forward(self, inputs: Tensor, context: Context = EVALUATION, skip: Tensor | None = None) -> Tensor:
        """Compute the activations (N, B, fan_out) of inputs (N, B, fan_in); `skip` is added where a block ends."""
        return self.finish(Dense.forward(self, inputs), skip, context)

    def dropped(self, context: Context) -> Terms | None:
        """What dropout does to this layer's activations; None: nothing."""
        return self.tail.dropped((self.weight.shape[1],), context)

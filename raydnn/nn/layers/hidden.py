"""A hidden layer of a stack: a dense layer, and the tail that makes activations of its pre-activations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from raydnn.nn.activations import BY_HAND, activate
from raydnn.nn.layers.costs import Costs, in_all
from raydnn.nn.layers.dense import Dense, DenseLayer
from raydnn.nn.layers.dropout import Dropout, Terms
from raydnn.nn.layers.layer import Row, Shape, Views, draw, row
from raydnn.nn.layers.members import Members, named_under
from raydnn.nn.layers.normalization import NormalizationLayer, NormLayer, normalize
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.context import Context
from raydnn.stacking.groups import MemberGroup
from raydnn.stacking.layout import Layout
from raydnn.stacking.roles import Parameter, Role

ACTIVATED, MASKED, MASKED_BY_AUTOGRAD = 1, 1, 4
"""Numbers that are kept of each unit and example, as measured: by an activation that autograd differentiates, by
dropout by hand, and by dropout where autograd differentiates it."""


@dataclass(frozen=True)
class Tail:
    """What follows a dense layer: normalization, skip, activation, normalization, dropout; most of it may be absent."""

    activations: Sequence[MemberGroup]
    """The members' activations."""
    dropout: Dropout
    normalizes_before: bool
    """Whether the normalization, where there is one, comes before the activation."""
    ends_block: bool
    """Whether the skip's values are added before the activation."""
    starts_block: bool
    """Whether the next skip begins at this layer's activations."""
    is_last: bool
    """Whether it is the last hidden layer."""


@dataclass(frozen=True)
class HiddenLayer:
    """A dense layer and its tail, whose activations and dropout differ from member to member."""

    dense: DenseLayer
    norm: NormalizationLayer | None
    slopes: bool
    """Whether the slopes of its activation are learned, `NAME.alpha`."""
    normalizes_before: bool
    ends_block: bool
    starts_block: bool
    is_last: bool
    """The four: as in `Tail`."""

    @property
    def name(self) -> str:
        """Name of the dense layer."""
        return self.dense.name

    @property
    def layout(self) -> Layout:
        """The parameters of the dense layer, the slopes, and those of the normalization."""
        layout = self.dense.layout
        if self.slopes:
            slopes = Parameter(self.shape, Role.SLOPE, self.name)
            layout = layout.followed_by(Layout({f"{self.name}.alpha": slopes}))
        return layout if self.norm is None else layout.followed_by(self.norm.layout)

    @property
    def shape(self) -> Shape:
        """(units,)."""
        return self.dense.shape

    def costs(self, trial: TrialSpec) -> Costs:
        """Those of the dense layer and the normalization, and what the rest of the tail keeps."""
        units = self.dense.units
        by_hand = self.norm is None and trial.activation.name in BY_HAND
        copies = 0 if by_hand else ACTIVATED
        if trial.regularization.dropout:
            copies += MASKED if by_hand else MASKED_BY_AUTOGRAD
        norm = [] if self.norm is None else [self.norm.costs(trial)]
        return in_all([self.dense.costs(trial), *norm, Costs(copies * units, units, 0, 0)])

    def rows(self, trial: TrialSpec) -> tuple[Row, ...]:
        """One."""
        return row(self, trial)

    def start(self, trial: TrialSpec, parameters: Views, statistics: Views) -> None:
        """Draw the weights, give the slopes and the normalization theirs."""
        draw(self.layout, trial, parameters)
        if self.norm is not None:
            self.norm.start(trial, parameters, statistics)

    def module(self, members: Members) -> Hidden:
        """The layer of N members."""
        tail = Tail(
            members.activations,
            members.dropout,
            normalizes_before=self.normalizes_before,
            ends_block=self.ends_block,
            starts_block=self.starts_block,
            is_last=self.is_last,
        )
        norm = None if self.norm is None else self.norm.module(members)
        return Hidden(named_under(self.name, members.parameters), norm, tail)


class Hidden(Dense):
    """A hidden layer: h ← dropout(f(xWᵀ + b)), perhaps normalized or with a skip."""

    def __init__(self, parameters: Mapping[str, Tensor], norm: NormLayer | None, tail: Tail) -> None:
        """Wrap parameters, which stay views of the stack's matrix.

        Args:
            parameters: Those of the dense layer, and `alpha`, the slopes (N, fan_out) of the activation, where it
                learns them.
            norm: The normalization that follows, before or after the activation.
            tail: All else that follows.
        """
        super().__init__(parameters)
        self.alpha = nn.Parameter(parameters["alpha"]) if "alpha" in parameters else None
        self.norm = norm
        self.tail = tail

    def finish(self, z: Tensor, skip: Tensor | None, context: Context) -> Tensor:
        """Compute the activations.

        Args:
            z: Pre-activations (N, B, H).
            skip: What the skip brings (N, B, H), where a block ends here.
            context: Of the forward pass.
        """
        tail = self.tail
        if tail.normalizes_before:
            z = normalize(self.norm, z, context)
        if skip is not None:
            z = z + skip
        hidden = activate(tail.activations, z, context, self.alpha)
        if not tail.normalizes_before:
            hidden = normalize(self.norm, hidden, context)
        dropped = self.dropped(context)
        return hidden if dropped is None else dropped.of(hidden)

    def dropped(self, context: Context) -> Terms | None:
        """What dropout does to this layer's activations; None: nothing."""
        return self.tail.dropout.of_hidden(self.weight.shape[1], context, self.tail.is_last)

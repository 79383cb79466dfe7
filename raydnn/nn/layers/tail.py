"""What follows a layer's weights: normalization, skip, activation, normalization, dropout; most of it may be absent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from raydnn.nn.activations import activate
from raydnn.nn.features import features_of
from raydnn.nn.layers.dropout import Dropout, Terms
from raydnn.nn.layers.layer import Shape, Views, draw
from raydnn.nn.layers.members import Members
from raydnn.nn.layers.norm_layer import NormLayer, normalize
from raydnn.nn.layers.normalization import NormalizationLayer, normalization_layer
from raydnn.spec.axes.activation import Prelu
from raydnn.spec.axes.normalization import BatchNorm, NoNormalization
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.context import Context
from raydnn.stacking.groups import MemberGroup
from raydnn.stacking.layout import Layout
from raydnn.stacking.roles import Parameter, Role

KEEPS_RESULT = frozenset({"relu", "tanh", "sigmoid"})
"""Activations whose derivative is computed from what they give, which the next layer keeps in any case."""


@dataclass(frozen=True)
class Tail:
    """What follows the weights of N members."""

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

    def finish(
        self, z: Tensor, skip: Tensor | None, norm: NormLayer | None, alpha: Tensor | None, context: Context
    ) -> Tensor:
        """Compute the activations.

        Args:
            z: Pre-activations (N, B, *shape).
            skip: What the skip brings, of the same shape, where a block ends here.
            norm: The normalization, where there is one.
            alpha: The slopes (N, features) of the activation, where it learns them.
            context: Of the forward pass.
        """
        if self.normalizes_before:
            z = normalize(norm, z, context)
        if skip is not None:
            z = z + skip
        hidden = activate(self.activations, z, context, alpha)
        if not self.normalizes_before:
            hidden = normalize(norm, hidden, context)
        dropped = self.dropped(tuple(z.shape[2:]), context)
        return hidden if dropped is None else dropped.of(hidden)

    def dropped(self, shape: Shape, context: Context) -> Terms | None:
        """What dropout does to this layer's activations; None: nothing."""
        return self.dropout.of_hidden(shape, context, self.is_last)


@dataclass(frozen=True)
class TailLayer:
    """The tail of a layer before it is trained; its parameters are the layer's."""

    name: str
    """Name of the layer."""
    shape: Shape
    """Of what comes in and out."""
    norm: NormalizationLayer | None
    slopes: bool
    """Whether the slopes of its activation are learned, `NAME.alpha`."""
    normalizes_before: bool
    ends_block: bool = False
    starts_block: bool = False
    is_last: bool = False
    """The four: as in `Tail`."""

    @property
    def layout(self) -> Layout:
        """The slopes, and the parameters of the normalization."""
        layout = Layout({})
        if self.slopes:
            slopes = Parameter((features_of(self.shape),), Role.SLOPE, self.name)
            layout = Layout({f"{self.name}.alpha": slopes})
        return layout if self.norm is None else layout.followed_by(self.norm.layout)

    def copies(self, trial: TrialSpec) -> int:
        """Numbers that autograd keeps of it for each that comes in: normalized, added, activated, and dropped."""
        drops = trial.regularization.dropout or trial.regularization.alpha_dropout
        keeps_input = trial.activation.name not in KEEPS_RESULT
        return 1 + (self.norm is not None) + self.ends_block + keeps_input + bool(drops)

    def start(self, trial: TrialSpec, parameters: Views, statistics: Views) -> None:
        """Give the slopes and the normalization theirs."""
        if self.slopes:
            draw(
                Layout({f"{self.name}.alpha": self.layout.parameters[f"{self.name}.alpha"]}),
                trial,
                parameters,
            )
        if self.norm is not None:
            self.norm.start(trial, parameters, statistics)

    def of_members(self, members: Members) -> Tail:
        """The tail of N members."""
        return Tail(
            members.activations,
            members.dropout,
            normalizes_before=self.normalizes_before,
            ends_block=self.ends_block,
            starts_block=self.starts_block,
            is_last=self.is_last,
        )


def tail_layer(
    trial: TrialSpec,
    name: str,
    shape: Shape,
    *,
    ends_block: bool = False,
    starts_block: bool = False,
    is_last: bool = False,
) -> TailLayer:
    """The tail that a trial's normalization and activation make of a layer.

    Args:
        trial: A member.
        name: Name of the layer.
        shape: Shape of what it computes.
        ends_block: Whether a residual block ends with it.
        starts_block: Whether a residual block begins after it.
        is_last: Whether it is the last hidden layer.
    """
    return TailLayer(
        name,
        shape,
        normalization_layer(trial, f"{name}.norm", shape, ends_block),
        slopes=isinstance(trial.activation, Prelu),
        normalizes_before=normalizes_before(trial),
        ends_block=ends_block,
        starts_block=starts_block,
        is_last=is_last,
    )


def with_tail(layout: Layout, tail: TailLayer | None) -> Layout:
    """The parameters of a layer's weights, and those of its tail where it has one."""
    return layout if tail is None else layout.followed_by(tail.layout)


def copies_of(tail: TailLayer | None, trial: TrialSpec) -> int:
    """Numbers that are kept for each that a layer's weights make: itself, or what its tail keeps of it."""
    return 1 if tail is None else tail.copies(trial)


def start_with_tail(
    layout: Layout, tail: TailLayer | None, trial: TrialSpec, parameters: Views, statistics: Views
) -> None:
    """Give the weights of a layer, and its tail where it has one, their first values."""
    draw(layout, trial, parameters)
    if tail is not None:
        tail.start(trial, parameters, statistics)


def tail_of_members(tail: TailLayer | None, members: Members) -> tuple[NormLayer | None, Tail | None]:
    """The normalization and the tail of N members, where the layer has them."""
    if tail is None:
        return None, None
    return None if tail.norm is None else tail.norm.module(members), tail.of_members(members)


class Tailed(nn.Module):
    """A module of N members whose weights may have a tail."""

    alpha: nn.Parameter | None
    norm: NormLayer | None
    tail: Tail | None

    def take_tail(self, parameters: Mapping[str, Tensor], norm: NormLayer | None, tail: Tail | None) -> None:
        """Have a tail.

        Args:
            parameters: Perhaps `alpha`, the slopes (N, features) of the activation, where it learns them.
            norm: The normalization, where there is one.
            tail: All else that follows; None: nothing.
        """
        self.alpha = nn.Parameter(parameters["alpha"]) if "alpha" in parameters else None
        self.norm, self.tail = norm, tail

    def finish(self, z: Tensor, skip: Tensor | None, context: Context) -> Tensor:
        """Compute the activations of pre-activations z (N, B, *shape); `skip` is added where a block ends."""
        return z if self.tail is None else self.tail.finish(z, skip, self.norm, self.alpha, context)


def normalizes_before(trial: TrialSpec) -> bool:
    """Whether a trial's layers are normalized before their activation, if they are."""
    normalization = trial.normalization
    return isinstance(normalization, NoNormalization) or normalization.position == "before_activation"


def takes_bias(trial: TrialSpec) -> bool:
    """Whether a layer has a bias: batch norm right after it would take it away again."""
    return not (isinstance(trial.normalization, BatchNorm) and normalizes_before(trial))

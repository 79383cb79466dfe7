"""The block of a transformer's encoder: self-attention and two dense layers, each added to what comes in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod

from torch import Tensor, nn

from raydnn.nn.activations import activate
from raydnn.nn.layers.costs import Costs, in_all
from raydnn.nn.layers.layer import Layer, Row, Shape, Views, draw
from raydnn.nn.layers.members import Members
from raydnn.nn.layers.norm_layer import NormLayer, normalize
from raydnn.nn.layers.normalization import NormalizationLayer
from raydnn.nn.layers.sequences.attention import AttentionLayer
from raydnn.nn.layers.sequences.projection import ProjectionLayer
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.context import EVALUATION, Context
from raydnn.stacking.layout import Layout
from raydnn.stacking.roles import Parameter, Role


@dataclass(frozen=True)
class EncoderLayer:
    """A block, as torch.nn.TransformerEncoderLayer has it (Vaswani et al. 2017, arXiv:1706.03762)."""

    name: str
    attention: AttentionLayer
    widening: ProjectionLayer
    narrowing: ProjectionLayer
    norms: tuple[NormalizationLayer, ...]
    """That of the attention and that of the dense layers; none without normalization."""
    first: bool
    """Whether it normalizes what it computes from, and not what it gives."""
    slopes: bool = False
    """Whether the slopes of its activation are learned, `NAME.linear1.alpha`."""

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All of them."""
        return self.attention, self.widening, self.narrowing, *self.norms

    @property
    def _slopes(self) -> Layout:
        if not self.slopes:
            return Layout({})
        name = self.widening.name
        return Layout({f"{name}.alpha": Parameter((self.widening.units,), Role.SLOPE, name)})

    @cached_property
    def layout(self) -> Layout:
        """`NAME.self_attn.*`, `NAME.linear1.*`, `NAME.linear2.*`, `NAME.norm1.*` and `NAME.norm2.*`."""
        layout = Layout({})
        for layer in self.layers:
            layout = layout.followed_by(layer.layout)
        return layout.followed_by(self._slopes)

    @property
    def shape(self) -> Shape:
        """(T, D)."""
        return self.attention.shape

    def costs(self, trial: TrialSpec) -> Costs:
        """Those of its layers, of the activation, of both sums, and of dropout at three places."""
        wide, narrow = prod(self.widening.shape), prod(self.shape)
        drops = trial.regularization.dropout + trial.regularization.alpha_dropout > 0
        numbers = wide + narrow + (2 * wide + 4 * narrow) * drops
        return in_all([*(layer.costs(trial) for layer in self.layers), Costs(numbers, wide, wide, 0)])

    def rows(self, trial: TrialSpec) -> tuple[Row, ...]:
        """Those of its layers."""
        return tuple(row for layer in self.layers for row in layer.rows(trial))

    def start(self, trial: TrialSpec, parameters: Views, statistics: Views) -> None:
        """As its layers do."""
        for layer in self.layers:
            layer.start(trial, parameters, statistics)
        draw(self._slopes, trial, parameters)

    def module(self, members: Members) -> Encoder:
        """The block of N members."""
        return Encoder(self, members)


class Encoder(nn.Module):
    """A block of N members."""

    def __init__(self, layer: EncoderLayer, members: Members) -> None:
        """Make its layers' modules, under the names that torch has for them."""
        super().__init__()
        self.self_attn = layer.attention.module(members)
        self.linear1, self.linear2 = layer.widening.module(members), layer.narrowing.module(members)
        norms: list[NormLayer | None] = [norm.module(members) for norm in layer.norms]
        self.norm1, self.norm2 = norms or [None, None]
        if layer.slopes:
            slopes = members.parameters[f"{layer.widening.name}.alpha"]
            self.linear1.register_parameter("alpha", nn.Parameter(slopes))
        self._layer, self._groups, self._dropout = layer, members.activations, members.dropout

    def forward(self, inputs: Tensor, context: Context = EVALUATION) -> Tensor:
        """Compute what it gives for sequences (N, B, T, D)."""
        values = inputs
        for part, norm in ((self._attended, self.norm1), (self._dense, self.norm2)):
            if self._layer.first:
                values = values + part(normalize(norm, values, context), context)
            else:
                values = normalize(norm, values + part(values, context), context)
        return values

    def _attended(self, values: Tensor, context: Context) -> Tensor:
        return self._dropped(self.self_attn(values, context), context)

    def _dense(self, values: Tensor, context: Context) -> Tensor:
        hidden = activate(self._groups, self.linear1(values), context, getattr(self.linear1, "alpha", None))
        return self._dropped(self.linear2(self._dropped(hidden, context)), context)

    def _dropped(self, values: Tensor, context: Context) -> Tensor:
        is_last = self._layer.attention.is_last
        terms = self._dropout.of_hidden(tuple(values.shape[2:]), context, is_last)
        return values if terms is None else terms.of(values)

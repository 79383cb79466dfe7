"""Multi-head self-attention of a stack along sequences (T, D)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from raydnn.nn.layers.costs import Costs
from raydnn.nn.layers.layer import Row, Shape, Views, drawn_weight, row
from raydnn.nn.layers.members import Members, named_under
from raydnn.nn.layers.sequences.projection import Projection, projected
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.context import EVALUATION, Context
from raydnn.stacking.layout import Layout
from raydnn.stacking.roles import Parameter, Role

OF_STEP = 7
"""Numbers kept of each number of a step: queries, keys, values, what the heads give, what comes out, and gradients."""
OF_PAIR = 4
"""Numbers kept of each pair of steps and head where attention drops: scores, weights, factors, what is left."""


@dataclass(frozen=True)
class AttentionLayer:
    """softmax(QKᵀ/√d)V in each head, as torch.nn.MultiheadAttention has it, and what mixes the heads."""

    name: str
    shape: Shape
    """(T, D), of what comes in and out."""
    heads: int
    causal: bool = False
    """Whether a step sees only those before it, and itself."""
    is_last: bool = False
    """Whether it is in the last block."""

    @property
    def layout(self) -> Layout:
        """`NAME.in_proj_weight` (3D, D), queries, keys and values one below the other, `in_proj_bias`, `out_proj.*`."""
        width = self.shape[1]
        # The fans are those of one of the three.
        return Layout(
            {
                f"{self.name}.in_proj_weight": Parameter(
                    (3 * width, width), Role.WEIGHT, self.name, width, width
                ),
                f"{self.name}.in_proj_bias": Parameter((3 * width,), Role.BIAS, self.name),
                f"{self.name}.out_proj.weight": Parameter(
                    (width, width), Role.WEIGHT, f"{self.name}.out_proj", width, width
                ),
                f"{self.name}.out_proj.bias": Parameter((width,), Role.BIAS, f"{self.name}.out_proj"),
            }
        )

    def costs(self, trial: TrialSpec) -> Costs:
        """What the projections and the heads give; where it drops, what it does with every pair of steps."""
        steps, width = self.shape
        numbers, pairs = steps * width, self.heads * steps**2
        kept = OF_STEP * numbers + (OF_PAIR * pairs if trial.regularization.dropout else 0)
        operations = 4 * numbers * width + 2 * steps**2 * width
        return Costs(kept, 3 * numbers, 5 * numbers, operations, passing=4 * numbers)

    def rows(self, trial: TrialSpec) -> tuple[Row, ...]:
        """One."""
        return row(self, trial)

    def start(self, trial: TrialSpec, parameters: Views, _statistics: Views) -> None:
        """Draw the four matrices, each as that of a layer of its own; biases are 0."""
        width = self.shape[1]
        for name, weight in self.layout.having(Role.WEIGHT).items():
            of_one = replace(weight, shape=(width, width))
            for number, place in enumerate(parameters[name].view(-1, width, width)):
                place.copy_(drawn_weight(trial, f"{name}.{number}", of_one))

    def module(self, members: Members) -> Attention:
        """The attention of N members."""
        return Attention(self, members)


class Attention(nn.Module):
    """Self-attention of N members."""

    def __init__(self, layer: AttentionLayer, members: Members) -> None:
        """Wrap parameters, which stay views of the stack's matrix."""
        super().__init__()
        own = named_under(layer.name, members.parameters)
        mixing = named_under(f"{layer.name}.out_proj", members.parameters)
        self.in_proj_weight = nn.Parameter(own["in_proj_weight"])
        self.in_proj_bias = nn.Parameter(own["in_proj_bias"])
        self.out_proj = Projection(mixing["weight"], mixing["bias"])
        self._layer, self._dropout = layer, members.dropout

    def forward(self, inputs: Tensor, context: Context = EVALUATION) -> Tensor:
        """Compute it for sequences (N, B, T, D), whose padding nothing sees."""
        members, examples, steps, width = inputs.shape
        every = projected(inputs, self.in_proj_weight, self.in_proj_bias)
        split = every.view(members * examples, steps, 3, self._layer.heads, -1)
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind()
        mixed = self._attended(query, key, value, members, context)
        together = mixed.transpose(1, 2).reshape(members, examples, steps, width)
        outputs: Tensor = self.out_proj(together)
        return outputs

    def _attended(self, query: Tensor, key: Tensor, value: Tensor, members: int, context: Context) -> Tensor:
        """What each head gives, (N · B, heads, T, d)."""
        causal, steps = self._layer.causal, query.shape[2]
        seen = None if context.present is None else context.present.view(-1, 1, 1, steps)
        pairs = (self._layer.heads, steps, steps)
        dropped = self._dropout.of_attention(pairs, context, self._layer.is_last)
        if seen is None and dropped is None:
            return functional.scaled_dot_product_attention(query, key, value, is_causal=causal)
        if causal:
            before = torch.ones(steps, steps, dtype=torch.bool, device=query.device).tril()
            seen = before if seen is None else seen & before
        if dropped is None:
            return functional.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        scores = query @ key.mT / sqrt(query.shape[-1])
        if seen is not None:
            scores = scores.masked_fill(~seen, float("-inf"))
        weights = scores.softmax(dim=-1).view(members, -1, *pairs)
        return dropped.of(weights).flatten(0, 1) @ value

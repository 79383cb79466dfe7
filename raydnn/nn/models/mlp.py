"""The multi-layer perceptron as a stack: N members, every weight with a leading member dimension."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TypeVar

from torch import Tensor, nn

from raydnn.nn.layers.dense import Dense, dense_layout
from raydnn.nn.layers.dropout import Dropout
from raydnn.nn.layers.hidden import Hidden, Tail
from raydnn.nn.layers.normalization import NormLayer, norm_layout, normalize
from raydnn.spec.axes.activation import Prelu
from raydnn.spec.axes.model import ResidualMlp
from raydnn.spec.axes.normalization import BatchNorm, NoNormalization
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.context import EVALUATION, Context
from raydnn.stacking.groups import member_groups
from raydnn.stacking.layout import Layout
from raydnn.stacking.roles import Parameter, Role

T = TypeVar("T")


def mlp_layout(trial: TrialSpec, inputs: int, outputs: int) -> Layout:
    """Names and shapes of one member's parameters: `layers.0.weight` (widths[0], inputs), `layers.0.bias`, ...

    Weights are stored (fan_out, fan_in), as in torch.nn.Linear. With `prelu` every hidden layer has
    the slopes of its units, `layers.0.alpha`, too; with a normalization it has `layers.0.norm.scale` and
    `layers.0.norm.shift`, and no bias where batch norm would take it away again. `input_norm` normalizes inputs.
    """
    normalization = trial.normalization
    batch = isinstance(normalization, BatchNorm)
    biased = not (isinstance(normalization, BatchNorm) and normalization.position == "before_activation")
    widths = trial.model.hidden_widths
    layout = Layout({})
    if isinstance(normalization, BatchNorm) and normalization.inputs:
        layout = layout.followed_by(norm_layout("input_norm", inputs, batch))
    for layer, (fan_in, fan_out) in enumerate(pairwise((inputs, *widths, outputs))):
        name = f"layers.{layer}"
        hidden = layer < len(widths)
        layout = layout.followed_by(dense_layout(name, fan_in, fan_out, bias=biased or not hidden))
        if hidden and isinstance(trial.activation, Prelu):
            layout = layout.followed_by(Layout({f"{name}.alpha": Parameter((fan_out,), Role.SLOPE, name)}))
        if hidden and not isinstance(normalization, NoNormalization):
            layout = layout.followed_by(norm_layout(f"{name}.norm", fan_out, batch))
    return layout


def zero_scales(trial: TrialSpec) -> set[str]:
    """Names of the scales that start at 0: those of the normalization that ends a residual block, where asked for."""
    model = trial.model
    if isinstance(model, ResidualMlp) and model.zero_init_last_norm:
        return {f"layers.{layer}.norm.scale" for layer in model.block_ends}
    return set()


class Mlp(nn.Module):
    """N perceptrons at once: hidden layers, then a dense layer for the outputs."""

    def __init__(
        self, layout: Layout, flat: Tensor, trials: Sequence[TrialSpec], statistics: Tensor | None = None
    ) -> None:
        """Wrap parameters.

        Args:
            layout: From `mlp_layout`.
            flat: The parameters (N, P) of all members; the module's parameters are views of it.
            trials: The members.
            statistics: The running averages (N, S) of all members; None where the layout has none.
        """
        super().__init__()
        views = layout.views(flat)
        running = {} if statistics is None else layout.statistics_views(statistics)

        def norm(prefix: str) -> NormLayer | None:
            own = named_under(prefix, views)
            return NormLayer(trials, own, named_under(prefix, running)) if own else None

        first = trials[0]
        activations = member_groups([trial.activation for trial in trials], flat.device)
        dropout = Dropout(trials, flat.device)
        depth = sum(name.endswith(".weight") for name in views) - 1
        ends = frozenset(first.model.block_ends)
        hidden = []
        for number in range(depth):
            tail = Tail(
                activations,
                dropout,
                normalizes_before=isinstance(first.normalization, NoNormalization)
                or first.normalization.position == "before_activation",
                ends_block=number in ends,
                starts_block=bool(ends) and (number == 0 or number in ends),
                is_last=number == depth - 1,
            )
            name = f"layers.{number}"
            hidden.append(Hidden(named_under(name, views), norm(f"{name}.norm"), tail))
        output = Dense(named_under(f"layers.{depth}", views))
        self.input_norm = norm("input_norm")
        # Registered first, so that the names of the parameters are those of the layout.
        self.layers = nn.ModuleList([*hidden, output])
        self.hidden, self.output = tuple(hidden), output
        self.dropout = dropout
        self.members = len(trials)

    def forward(self, inputs: Tensor, context: Context = EVALUATION) -> Tensor:
        """Compute the outputs.

        Args:
            inputs: (1, B, *features), shared by all members, or (N, B, *features); rows (B, F) are shared, too.
            context: Of the forward pass.

        Returns:
            Outputs (N, B, K).
        """
        hidden = self.begin(inputs, context)
        skip = None
        for layer in self.hidden:
            hidden = layer.finish(layer(hidden), skip if layer.tail.ends_block else None, context)
            if layer.tail.starts_block:
                skip = hidden
        outputs: Tensor = self.output(hidden)
        return outputs

    def begin(self, inputs: Tensor, context: Context) -> Tensor:
        """What the first layer gets (N, B, F): the inputs as rows, normalized and dropped where asked for."""
        rows = inputs.flatten(2) if inputs.dim() > 3 else inputs
        hidden = rows.expand(self.members, *rows.shape[-2:])
        hidden = normalize(self.input_norm, hidden, context)
        return self.dropout.of_inputs(hidden, context)


def named_under(prefix: str, named: Mapping[str, T]) -> dict[str, T]:
    """What is named `PREFIX.x`, by x."""
    return {
        name.removeprefix(f"{prefix}."): value
        for name, value in named.items()
        if name.rpartition(".")[0] == prefix
    }

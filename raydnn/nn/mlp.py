"""The multi-layer perceptron as a stack: N members, every weight with a leading member dimension."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from torch import Tensor, nn

from raydnn.nn.activations import activate
from raydnn.nn.dense import Dense
from raydnn.nn.dropout import Dropout
from raydnn.nn.layout import Layout
from raydnn.nn.noise import Noise
from raydnn.nn.normalization import NormLayer, norm_layout
from raydnn.optim.runs import find_runs
from raydnn.spec.activation import Prelu
from raydnn.spec.model import ResidualMlp
from raydnn.spec.normalization import BatchNorm, NoNormalization
from raydnn.spec.trial import TrialSpec


def mlp_layout(trial: TrialSpec, inputs: int, outputs: int) -> Layout:
    """Names and shapes of one member's parameters: `layers.0.weight` (inputs, widths[0]), `layers.0.bias`, ...

    Weights are stored (fan_in, fan_out), the transpose of torch.nn.Linear. With `prelu` every hidden layer has
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
        shapes: dict[str, tuple[int, ...]] = {f"{name}.weight": (fan_in, fan_out)}
        if biased or not hidden:
            shapes[f"{name}.bias"] = (fan_out,)
        if hidden and isinstance(trial.activation, Prelu):
            shapes[f"{name}.alpha"] = (fan_out,)
        layout = layout.followed_by(Layout(shapes))
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
    """N perceptrons at once: hidden layers h ← dropout(f(hW + b)), perhaps normalized or with skips, output hW + b."""

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
            own = _below(prefix, views)
            return NormLayer(trials, own, _below(prefix, running)) if own else None

        self.input_norm = norm("input_norm")
        dense: list[Dense] = []
        for layer in range(sum(name.endswith(".weight") for name in views)):
            dense.append(Dense(_below(f"layers.{layer}", views), norm(f"layers.{layer}.norm")))
        self.layers = nn.ModuleList(dense)
        self._hidden, self._output = dense[:-1], dense[-1]
        first = trials[0]
        self._members = len(trials)
        self._after = not isinstance(first.normalization, NoNormalization) and (
            first.normalization.position == "after_activation"
        )
        self._block_ends = frozenset(first.model.block_ends)
        self._activations = find_runs([trial.activation for trial in trials], flat.device)
        self._dropout = Dropout(trials, flat.device)

    def forward(self, inputs: Tensor, noise: Noise | None = None, batch_size: int = 0) -> Tensor:
        """Compute the outputs.

        Args:
            inputs: (B, features), shared by all members, or (N, B, features).
            noise: The step's noise in training; None at evaluation.
            batch_size: Examples of the whole batch over all workers, needed with `noise`.

        Returns:
            Outputs (N, B, K).
        """
        hidden = inputs.expand(self._members, *inputs.shape[-2:])
        if self.input_norm is not None:
            hidden = self._normalize(self.input_norm, hidden, noise, batch_size)
        if noise is not None:
            hidden = self._dropout.of_inputs(hidden, noise, batch_size)
        skip = hidden
        for number, layer in enumerate(self._hidden):
            hidden = layer(hidden)
            if not self._after:
                hidden = self._normalize(layer.norm, hidden, noise, batch_size)
            if number in self._block_ends:
                hidden = hidden + skip
            hidden = activate(self._activations, hidden, noise, batch_size, layer.alpha)
            if self._after:
                hidden = self._normalize(layer.norm, hidden, noise, batch_size)
            if noise is not None:
                hidden = self._dropout.of_hidden(hidden, noise, batch_size, number == len(self._hidden) - 1)
            if number == 0 or number in self._block_ends:
                skip = hidden
        outputs: Tensor = self._output(hidden)
        return outputs

    def _normalize(
        self, norm: nn.Module | None, hidden: Tensor, noise: Noise | None, batch_size: int
    ) -> Tensor:
        if norm is None:
            return hidden
        normalized: Tensor = norm(hidden) if noise is None else norm(hidden, batch_size, noise.workers)
        return normalized


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors named `PREFIX.x`, by x."""
    return {
        name.removeprefix(f"{prefix}."): tensor
        for name, tensor in tensors.items()
        if name.rpartition(".")[0] == prefix
    }

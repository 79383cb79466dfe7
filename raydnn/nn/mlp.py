"""The multi-layer perceptron as a stack: N members, every weight with a leading member dimension."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from raydnn.nn.activations import activate
from raydnn.nn.layout import Layout
from raydnn.nn.noise import Noise
from raydnn.optim.runs import find_runs
from raydnn.spec.activation import Prelu
from raydnn.spec.trial import TrialSpec


def mlp_layout(trial: TrialSpec, inputs: int, outputs: int) -> Layout:
    """Names and shapes of one member's parameters: `layers.0.weight` (inputs, widths[0]), `layers.0.bias`, ...

    Weights are stored (fan_in, fan_out), the transpose of torch.nn.Linear. With `prelu` every hidden layer has
    the slopes of its units, `layers.0.alpha`, too.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    widths = trial.model.widths
    for layer, (fan_in, fan_out) in enumerate(pairwise((inputs, *widths, outputs))):
        shapes[f"layers.{layer}.weight"] = (fan_in, fan_out)
        shapes[f"layers.{layer}.bias"] = (fan_out,)
        if layer < len(widths) and isinstance(trial.activation, Prelu):
            shapes[f"layers.{layer}.alpha"] = (fan_out,)
    return Layout(shapes)


class Dense(nn.Module):
    """A dense layer of N members: y ← xW + b, x (N, B, fan_in), y (N, B, fan_out)."""

    def __init__(self, weight: Tensor, bias: Tensor, alpha: Tensor | None) -> None:
        """Wrap parameters, which stay views of the stack's matrix.

        Args:
            weight: (N, fan_in, fan_out).
            bias: (N, fan_out).
            alpha: Slopes (N, fan_out) of the activation that follows, where it learns them.
        """
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(bias)
        self.alpha = None if alpha is None else nn.Parameter(alpha)

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute y."""
        return torch.baddbmm(self.bias.unsqueeze(1), inputs, self.weight)


class Mlp(nn.Module):
    """N perceptrons at once: hidden layers h ← dropout(f(hW + b)), output hW + b."""

    def __init__(self, layout: Layout, flat: Tensor, trials: Sequence[TrialSpec]) -> None:
        """Wrap parameters.

        Args:
            layout: From `mlp_layout`.
            flat: The parameters (N, P) of all members; the module's parameters are views of it.
            trials: The members.
        """
        super().__init__()
        self.layers = nn.ModuleList()
        views = layout.views(flat)
        for layer in range(sum(name.endswith(".weight") for name in views)):
            name = f"layers.{layer}"
            self.layers.append(
                Dense(views[f"{name}.weight"], views[f"{name}.bias"], views.get(f"{name}.alpha"))
            )
        self._alphas = [layer.alpha for layer in self.layers if isinstance(layer, Dense)]
        self._activations = find_runs([trial.activation for trial in trials], flat.device)
        rates = [trial.regularization.dropout for trial in trials]
        self._drops = any(rates)
        self._rates = torch.tensor(rates, device=flat.device).view(-1, 1, 1)

    def forward(self, inputs: Tensor, noise: Noise | None = None, batch_size: int = 0) -> Tensor:
        """Compute the outputs.

        Args:
            inputs: (B, features), shared by all members, or (N, B, features).
            noise: The step's noise in training; None at evaluation.
            batch_size: Examples of the whole batch over all workers, needed with `noise`.

        Returns:
            Outputs (N, B, K).
        """
        hidden: Tensor = self.layers[0](inputs.expand(len(self._rates), *inputs.shape[-2:]))
        for alpha, layer in zip(self._alphas, self.layers[1:], strict=False):
            hidden = activate(self._activations, hidden, noise, batch_size, alpha)
            if noise is not None and self._drops:
                hidden = hidden * self._dropout_factors(noise, batch_size, hidden)
            hidden = layer(hidden)
        return hidden

    def _dropout_factors(self, noise: Noise, batch_size: int, hidden: Tensor) -> Tensor:
        """Zero a share of the units and scale the others by 1/(1 − rate): (N, B, H)."""
        kept = noise.uniform(batch_size, hidden.shape[-1]) >= self._rates
        return kept / (1 - self._rates)

"""The multi-layer perceptron as a stack: N members, every weight with a leading member dimension."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from raydnn.nn.activations import activate
from raydnn.nn.dense import Dense
from raydnn.nn.layout import Layout
from raydnn.nn.noise import Noise
from raydnn.optim.runs import find_runs
from raydnn.spec.model import Mlp as MlpSpec
from raydnn.spec.trial import TrialSpec


def mlp_layout(spec: MlpSpec, inputs: int, outputs: int) -> Layout:
    """Names and shapes of one member's parameters: `layers.0.weight` (inputs, widths[0]), `layers.0.bias`, ...

    Weights are stored (fan_in, fan_out), the transpose of torch.nn.Linear.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, (fan_in, fan_out) in enumerate(pairwise((inputs, *spec.widths, outputs))):
        shapes[f"layers.{layer}.weight"] = (fan_in, fan_out)
        shapes[f"layers.{layer}.bias"] = (fan_out,)
    return Layout(shapes)


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
        for layer in range(len(views) // 2):
            self.layers.append(Dense(views[f"layers.{layer}.weight"], views[f"layers.{layer}.bias"]))
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
        for layer in self.layers[1:]:
            hidden = activate(self._activations, hidden)
            if noise is not None and self._drops:
                hidden = hidden * self._dropout_factors(noise, batch_size, hidden)
            hidden = layer(hidden)
        return hidden

    def _dropout_factors(self, noise: Noise, batch_size: int, hidden: Tensor) -> Tensor:
        """Zero a share of the units and scale the others by 1/(1 − rate): (N, B, H)."""
        kept = noise.uniform(batch_size, hidden.shape[-1]) >= self._rates
        return kept / (1 - self._rates)

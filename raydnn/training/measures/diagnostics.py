"""What becomes of a stack's layers in training: their gradients, updates and activations, epoch by epoch."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, isfinite
from typing import Any

import torch
from torch import Tensor, nn

from raydnn.data.examples import Examples
from raydnn.nn.layers.sequences.encoder import Encoder
from raydnn.nn.layers.tail import Tailed
from raydnn.training.stack.stack import Stack

PROBE_EXAMPLES = 1024
"""Activations are looked at for so many of the first training examples."""

LayerRow = dict[str, Any]
"""Columns of one layer's row of the table `layers`."""


class Diagnostics:
    """Watches a stack, which may lose members meanwhile.

    An epoch costs a copy of the parameters and a forward pass of the probe examples; nothing where no member asks
    for it with `train.diagnostics`, nor on data-parallel workers other than rank 0.
    """

    def __init__(self, stack: Stack) -> None:
        """Begin to watch.

        Args:
            stack: The members.
        """
        self._stack = stack
        self._gradient_norms = self._before = torch.empty(0)

    @property
    def _wanted(self) -> bool:
        stack = self._stack
        return stack.workers.rank == 0 and any(m.spec.train.diagnostics for m in stack.members)

    def before_last_step(self, gradients: Tensor) -> None:
        """Note an epoch's last gradients, and the parameters as they are before the step.

        Args:
            gradients: (N, P), not yet clipped.
        """
        if self._wanted:
            self._gradient_norms = self._stack.layout.layer_norms(gradients)
            self._before = self._stack.parameters.clone()

    def rows(self, epoch: int, examples: Examples) -> list[LayerRow]:
        """A row for every layer of every member that asks for it.

        Args:
            epoch: The epoch that was trained just now.
            examples: The training examples, on the stack's device.
        """
        if not self._wanted:
            return []
        stack = self._stack
        layout = stack.layout
        norms = (
            self._gradient_norms,
            layout.layer_norms(stack.parameters),
            layout.layer_norms(stack.parameters - self._before),
            layout.layer_norms(self._before),
        )
        gradients, weights, changes, before = torch.stack(norms).mT.tolist()
        activations = activation_statistics(stack, examples)
        return [
            {
                "trial_id": member.trial_id,
                "epoch": epoch,
                "layer": layer,
                "depth": depth,
                "gradient_norm": gradients[position][depth],
                "weight_norm": weights[position][depth],
                "update_ratio": changes[position][depth] / before[position][depth]
                if before[position][depth]
                else None,
                **(activations[layer][position] if layer in activations else {}),
            }
            for position, member in enumerate(stack.members)
            if member.spec.train.diagnostics
            for depth, layer in enumerate(layout.layers)
        ]


@torch.no_grad()
def activation_statistics(stack: Stack, examples: Examples) -> dict[str, list[LayerRow]]:
    """What the activations of each hidden layer are like, without dropout or other noise.

    Args:
        stack: The members.
        examples: Their training examples, of which the first `PROBE_EXAMPLES` are looked at.

    Returns:
        Hidden layer → for each member activation_mean, activation_std, dead_fraction, saturated_fraction. The last
        two are None where the member's activation has no flat end, or only one, and where values are not finite.
    """
    ends = [member.spec.activation.flat_ends for member in stack.members]
    flat_at = [[-inf if low is None else low, inf if high is None else high] for low, high in ends]
    limits = torch.tensor(flat_at, device=stack.device)
    seen: dict[str, Tensor] = {}

    def looking_at(layer: str, at: Callable[..., Tensor]) -> Callable[..., None]:
        def look(*call: object) -> None:
            seen[layer] = _statistics(at(*call), limits)

        return look

    hooks = []
    for layer, (module, gets_them) in _activated(stack).items():
        if gets_them:
            hooks.append(module.register_forward_pre_hook(looking_at(layer, lambda _, given: given[0])))
        else:
            hooks.append(module.register_forward_hook(looking_at(layer, lambda _, __, made: made)))
    inputs, _ = next(examples.chunks(PROBE_EXAMPLES))
    stack.module(inputs.unsqueeze(0))
    for hook in hooks:
        hook.remove()
    found = torch.stack(list(seen.values())).tolist() if seen else []
    return {
        layer: [_columns(values, *of_member) for values, of_member in zip(of_layer, ends, strict=True)]
        for layer, of_layer in zip(seen, found, strict=True)
    }


def _statistics(values: Tensor, limits: Tensor) -> Tensor:
    """Mean, deviation, dead and saturated share (N, 4) of activations.

    Args:
        values: (N, B, units), (N, B, T, units), or (N, B, channels, H, W), whose channels are units.
        limits: Where the activation is flat below and above, (N, 2).
    """
    every = tuple(range(1, values.dim()))
    axis = 2 if values.dim() == 5 else every[-1]
    low, high = (limit.view(-1, *(1 for _ in every)) for limit in limits.unbind(1))
    mean = values.mean(dim=every, keepdim=True)
    deviations = torch.linalg.vector_norm(values - mean, dim=every) / values[0].numel() ** 0.5
    flat = ((values <= low) | (values >= high)).sum(dim=[other for other in every if other != axis])
    count = values[0].numel() // values.shape[axis]
    dead, saturated = (flat == count).float().mean(dim=1), flat.float().mean(dim=1) / count
    return torch.stack([mean.flatten(), deviations, dead, saturated], dim=1)


def _activated(stack: Stack) -> dict[str, tuple[nn.Module, bool]]:
    """Hidden layer → a module that gets its activations, or (False) that makes them."""
    modules = dict(stack.module.named_modules())
    normalization = stack.members[0].spec.normalization
    after = getattr(normalization, "position", None) == "after_activation"
    found: dict[str, tuple[nn.Module, bool]] = {}
    for layer in stack.layout.layers:
        module = modules.get(layer)
        block = modules.get(layer.rpartition(".")[0])
        if isinstance(module, Tailed) and module.tail is not None:
            found[layer] = (modules[f"{layer}.norm"], True) if after else (module, False)
        elif isinstance(block, Encoder) and module is block.linear1:
            found[layer] = (block.linear2, True)
    return found


def _columns(values: list[float], low: float | None, high: float | None) -> LayerRow:
    mean, std, dead, flat = values
    return {
        "activation_mean": mean,
        "activation_std": std,
        "dead_fraction": dead if low is not None and isfinite(mean) else None,
        "saturated_fraction": flat if high is not None and isfinite(mean) else None,
    }

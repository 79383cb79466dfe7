"""Scaling of inputs, fitted on the training part and applied to every part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from raydnn.spec.data import Scaling


@dataclass(frozen=True, eq=False)
class ScalingState:
    """A fitted scaling: x → (x - shift) / scale."""

    name: Scaling
    shift: torch.Tensor
    """float32, of the features' shape, or of shape () when it is the same for all."""
    scale: torch.Tensor
    """Like `shift`; never 0."""

    def apply(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return scaled inputs of the same shape (n, *features); the given ones are not changed."""
        return inputs if self.name == "none" else inputs.sub(self.shift).div_(self.scale)

    def to(self, device: torch.device | str) -> ScalingState:
        """Return the same scaling on a device."""
        return ScalingState(self.name, self.shift.to(device), self.scale.to(device))


def fit(name: Scaling, inputs: torch.Tensor) -> ScalingState:
    """Fit a scaling to training inputs.

    Args:
        name: Which scaling.
        inputs: float32, (n, *features) with n ≥ 1.
    """
    shift, scale = _FITS[name](inputs)
    return ScalingState(name, shift, scale)


def _none(inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.zeros(()), torch.ones(())


def _unit(inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    span = inputs.max() - inputs.min()
    return torch.zeros(()), torch.where(span > 0, span, 1.0)


def _center(inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    mean = inputs.mean(0, dtype=torch.float64).float()
    return mean, torch.ones_like(mean)


def _standardize(inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    mean, _ = _center(inputs)
    low, high = inputs.amin(0), inputs.amax(0)
    # Rounding may leave a constant feature with a mean beside its value and a tiny deviation.
    shift = torch.where(low == high, low, mean)
    centered = inputs.sub(shift)
    # Squares of numbers up to 1 neither overflow nor vanish, whatever the feature's unit.
    peak = centered.abs().amax(0)
    peak = torch.where(peak > 0, peak, 1.0)
    deviation = peak * centered.div_(peak).square_().mean(0, dtype=torch.float64).sqrt().float()
    return shift, torch.where(deviation > 0, deviation, 1.0)


_FITS: dict[Scaling, Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]] = {
    "none": _none,
    "unit": _unit,
    "center": _center,
    "standardize": _standardize,
}

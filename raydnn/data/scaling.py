"""Scaling of inputs, fitted on the training part and applied to every part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

from raydnn.errors import job_error
from raydnn.spec.scaling import Fitted, Scaling, Whiten

CHUNK = 4096
"""Examples whose float64 copy is made at once."""


@dataclass(frozen=True, eq=False)
class ScalingState:
    """A fitted scaling: x → (x - shift) / scale, then the product with `matrix` where there is one."""

    name: str
    shift: Tensor
    """Of the features' shape, of shape (C, 1, 1) or (1, 1) where it is a channel's, or () where it is the same for all;
    float32, or float64 as the inputs were."""
    scale: Tensor
    """Like `shift`; never 0."""
    matrix: Tensor | None = None
    """(features, *shape of a scaled input), float32 or float64."""

    def apply(self, inputs: Tensor) -> Tensor:
        """Return scaled inputs (n, *features) as float32; the given ones are not changed.

        They keep their shape, but for whitening to principal components, which are a plain list.

        Args:
            inputs: float32, or float64 where float32 would lose digits that the scaling brings out.
        """
        if self.name == "none":
            return inputs.float()
        scaled = (
            inputs.to(torch.promote_types(inputs.dtype, self.shift.dtype)).sub(self.shift).div_(self.scale)
        )
        if self.matrix is not None:
            scaled = torch.tensordot(scaled.flatten(1), self.matrix.to(scaled.dtype), dims=1)
        return scaled.float()

    def undone(self, scaled: Tensor) -> Tensor:
        """Return inputs (n, *features) as they were before they were scaled; there is no matrix."""
        assert self.matrix is None, "what was mixed is not taken apart"
        return scaled if self.name == "none" else scaled * self.scale + self.shift

    def to(self, device: torch.device | str) -> ScalingState:
        """Return the same scaling on a device."""
        return ScalingState(self.name, **{name: t.to(device) for name, t in self.tensors().items()})

    def tensors(self) -> dict[str, Tensor]:
        """Return its tensors by name, as a checkpoint keeps them; with `name` they make it again."""
        matrix = {} if self.matrix is None else {"matrix": self.matrix}
        return {"shift": self.shift, "scale": self.scale, **matrix}


def fit(spec: Scaling, inputs: Tensor) -> ScalingState:
    """Fit a scaling to training inputs.

    Args:
        spec: Which scaling.
        inputs: float32 or float64, (n, *features) with n ≥ 1.

    Raises:
        JobError: More components are asked for than there are features, or channels where there are none.
    """
    return ScalingState(spec.name, *FITS[spec.name](spec, inputs))


def fit_some(spec: Scaling, inputs: Tensor, scaled: Tensor) -> ScalingState:
    """Fit a scaling to some columns of training inputs; the others stay as they are.

    Args:
        spec: Which scaling; it does not mix columns.
        inputs: float32 or float64, (n, columns).
        scaled: Which columns, (columns,).

    Raises:
        JobError: Channels are asked for.
    """
    shift, scale = torch.zeros_like(inputs[0]), torch.ones_like(inputs[0])
    if scaled.any():
        fitted = fit(spec, inputs[:, scaled])
        shift[scaled], scale[scaled] = fitted.shift, fitted.scale
    return ScalingState(spec.name, shift, scale)


def _none(_spec: Any, _inputs: Tensor) -> tuple[Tensor, Tensor]:
    return torch.zeros(()), torch.ones(())


def _unit(_spec: Any, inputs: Tensor) -> tuple[Tensor, Tensor]:
    span = inputs.max() - inputs.min()
    return torch.zeros((), dtype=inputs.dtype), torch.where(span > 0, span, 1.0)


def _alike(spec: Scaling, inputs: Tensor) -> tuple[int, ...]:
    """The dimensions of inputs (n, *features) over which numbers are fitted: those of examples, perhaps of pixels."""
    if not isinstance(spec, Fitted) or spec.per == "feature":
        return (0,)
    if inputs.dim() not in (3, 4):
        shape = " × ".join(map(str, inputs.shape[1:]))
        message = f"channel with examples of {shape} numbers, which have no channels; allowed: feature"
        raise job_error("data.scaling.per", message)
    return (0, inputs.dim() - 2, inputs.dim() - 1)


def _extremes(spec: Any, inputs: Tensor) -> tuple[Tensor, Tensor]:
    alike = _alike(spec, inputs)
    return inputs.amin(alike, keepdim=True)[0], inputs.amax(alike, keepdim=True)[0]


def _minmax(spec: Any, inputs: Tensor) -> tuple[Tensor, Tensor]:
    low, high = _extremes(spec, inputs)
    return low, torch.where(high > low, high - low, 1.0)


def _center(spec: Any, inputs: Tensor) -> tuple[Tensor, Tensor]:
    mean = inputs.mean(_alike(spec, inputs), keepdim=True, dtype=torch.float64)[0].to(inputs.dtype)
    return mean, torch.ones_like(mean)


def _standardize(spec: Any, inputs: Tensor) -> tuple[Tensor, Tensor]:
    mean, _ = _center(spec, inputs)
    low, high = _extremes(spec, inputs)
    # Rounding may leave a constant feature with a mean beside its value and a tiny deviation.
    shift = torch.where(low == high, low, mean)
    centered = inputs.sub(shift)
    # Squares of numbers up to 1 neither overflow nor vanish, whatever the feature's unit.
    alike = _alike(spec, inputs)
    peak = centered.abs().amax(alike, keepdim=True)[0]
    peak = torch.where(peak > 0, peak, 1.0)
    squares = centered.div_(peak).square_().mean(alike, keepdim=True, dtype=torch.float64)[0]
    deviation = peak * squares.sqrt().to(inputs.dtype)
    return shift, torch.where(deviation > 0, deviation, 1.0)


def _whiten(spec: Whiten, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    features = inputs.shape[1:]
    width = prod(features)
    if spec.n_components is not None and spec.n_components > width:
        message = f"{spec.n_components} is given; the inputs have {width} features"
        raise job_error("data.scaling.n_components", message)
    shift, scale = _center(spec, inputs)
    covariance = torch.zeros(width, width, dtype=torch.float64)
    for rows in torch.split(inputs, CHUNK):
        centered = rows.sub(shift).flatten(1).double()
        covariance += centered.T @ centered
    variances, axes = torch.linalg.eigh(covariance / max(len(inputs) - 1, 1))
    kept = spec.n_components or width
    variances, axes = variances.flip(0)[:kept].clamp(min=0), axes.flip(1)[:, :kept]
    # An eigenvector's sign is arbitrary: its largest entry decides, as in scikit-learn.
    axes = axes * axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
    matrix = axes / (variances + spec.eps).sqrt()
    if spec.method == "zca":
        matrix = (matrix @ axes.T).unflatten(1, features)
    # As it lies in memory when it is read back: products round by that.
    return shift, scale, matrix.to(inputs.dtype).contiguous()


FITS: dict[str, Callable[[Any, Tensor], tuple[Tensor, ...]]] = {
    "none": _none,
    "unit": _unit,
    "minmax": _minmax,
    "center": _center,
    "standardize": _standardize,
    "whiten": _whiten,
}
"""Name of a spec class of `raydnn.spec.scaling` → function to shift, scale and perhaps matrix."""

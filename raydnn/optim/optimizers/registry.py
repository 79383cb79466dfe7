"""The optimizers by name: one in-place update each, for any number of members at once.

Every update changes `parameters` (n, P) of n members, given `gradients` (n, P), which it may overwrite. A member's
row never touches another's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from raydnn.optim.optimizers.adam import (
    adam,
    adam_coefficients,
    adamax,
    adamax_coefficients,
    adamw,
    adamw_coefficients,
    nadam,
    nadam_coefficients,
    radam,
    radam_coefficients,
)
from raydnn.optim.optimizers.adaptive import (
    adadelta,
    adadelta_coefficients,
    adagrad,
    adagrad_coefficients,
    rmsprop,
    rmsprop_coefficients,
)
from raydnn.optim.optimizers.fused import fused_adam, fused_adamw, fused_coefficients
from raydnn.optim.optimizers.muon import muon, muon_coefficients
from raydnn.optim.optimizers.sgd import lion, lion_coefficients, sgd, sgd_coefficients
from raydnn.optim.optimizers.step import Coefficients, Horizon, State, Step
from raydnn.spec.base import Component


@dataclass(frozen=True)
class Family:
    """An optimizer's two halves, and what it remembers from step to step; everything begins at 0."""

    coefficients: Callable[[Horizon], Coefficients]
    update: Callable[[Tensor, Tensor, State, Step], None]
    buffers: tuple[str, ...] = ()
    """Names of buffers (n, P)."""
    buffers_if: tuple[tuple[str, str], ...] = ()
    """Hyperparameter and buffer (n, P) that is kept only where some member's hyperparameter is not zero."""
    columns: tuple[str, ...] = ()
    """Names of columns (n, 1), float64."""
    exact: bool = False
    """Whether the coefficients stay float64, instead of being rounded to the parameters' precision."""

    def remembered(self, spec: Component) -> tuple[str, ...]:
        """Names of all that one optimizer keeps, by its hyperparameters."""
        kept = (buffer for name, buffer in self.buffers_if if getattr(spec, name))
        return (*self.buffers, *kept, *self.columns)


OPTIMIZERS: dict[str, Family] = {
    "sgd": Family(sgd_coefficients, sgd, buffers_if=(("momentum", "velocity"),)),
    "rmsprop": Family(
        rmsprop_coefficients,
        rmsprop,
        buffers=("square",),
        buffers_if=(("centered", "mean"), ("momentum", "velocity")),
    ),
    "adagrad": Family(adagrad_coefficients, adagrad, buffers=("square_sum",)),
    "adadelta": Family(adadelta_coefficients, adadelta, buffers=("square", "square_distance")),
    "adam": Family(
        adam_coefficients, adam, buffers=("mean", "square"), buffers_if=(("amsgrad", "largest_square"),)
    ),
    "adamax": Family(adamax_coefficients, adamax, buffers=("mean", "largest")),
    "nadam": Family(nadam_coefficients, nadam, buffers=("mean", "square"), columns=("log_product",)),
    "adamw": Family(adamw_coefficients, adamw, buffers=("mean", "square")),
    "radam": Family(radam_coefficients, radam, buffers=("mean", "square")),
    "lion": Family(lion_coefficients, lion, buffers=("mean",)),
    "muon": Family(muon_coefficients, muon, buffers=("mean", "square")),
}
"""Name → implementation; the names are those of raydnn.spec.axes.optimizer."""

ON_CPU: dict[str, Family] = {
    "adam": replace(OPTIMIZERS["adam"], coefficients=fused_coefficients, update=fused_adam, exact=True),
    "adamw": replace(OPTIMIZERS["adamw"], coefficients=fused_coefficients, update=fused_adamw, exact=True),
}
"""Those that a CPU has a kernel of its own for; they remember the same."""


def family_of(name: str, device: torch.device) -> Family:
    """An optimizer's implementation on a device."""
    return ON_CPU.get(name, OPTIMIZERS[name]) if device.type == "cpu" else OPTIMIZERS[name]

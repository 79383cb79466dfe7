"""The optimizers by name: one in-place update each, for any number of members at once.

Every update changes `parameters` (n, P) of n members, given `gradients` (n, P), which it may overwrite. A member's
row never touches another's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from raydnn.optim.adam import adam, adamax, adamw, nadam, radam
from raydnn.optim.adaptive import adadelta, adagrad, rmsprop
from raydnn.optim.muon import muon
from raydnn.optim.sgd import lion, sgd
from raydnn.optim.step import State, Step


@dataclass(frozen=True)
class Family:
    """An optimizer's update, and what it remembers from step to step; everything begins at 0."""

    update: Callable[[Tensor, Tensor, State, Step], None]
    buffers: tuple[str, ...] = ()
    """Names of buffers (n, P)."""
    buffers_if: tuple[tuple[str, str], ...] = ()
    """Hyperparameter and buffer (n, P) that is kept only where some member's hyperparameter is not zero."""
    columns: tuple[str, ...] = ()
    """Names of columns (n, 1), float64."""


OPTIMIZERS: dict[str, Family] = {
    "sgd": Family(sgd, buffers_if=(("momentum", "velocity"),)),
    "rmsprop": Family(
        rmsprop, buffers=("square",), buffers_if=(("centered", "mean"), ("momentum", "velocity"))
    ),
    "adagrad": Family(adagrad, buffers=("square_sum",)),
    "adadelta": Family(adadelta, buffers=("square", "square_distance")),
    "adam": Family(adam, buffers=("mean", "square"), buffers_if=(("amsgrad", "largest_square"),)),
    "adamax": Family(adamax, buffers=("mean", "largest")),
    "nadam": Family(nadam, buffers=("mean", "square"), columns=("log_product",)),
    "adamw": Family(adamw, buffers=("mean", "square")),
    "radam": Family(radam, buffers=("mean", "square")),
    "lion": Family(lion, buffers=("mean",)),
    "muon": Family(muon, buffers=("mean", "square")),
}
"""Name → implementation; the names are those of raydnn.spec.optimizer."""

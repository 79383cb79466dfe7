"""Regularization: every field is one technique, off by default."""

from __future__ import annotations

from raydnn.spec.base import Spec, parameter


class Regularization(Spec):
    """What keeps the network from fitting noise."""

    dropout: float = parameter(
        0.0, "share of hidden units dropped in each training step", ge=0, lt=1, search="uniform(0, 0.5)"
    )

"""Losses: outputs (N, B, K) of N members against targets (B, ...) or (N, B, ...) → per-example losses (N, B)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """−log softmax(z)_y for integer targets y; stable for logits of any size."""
    picked = targets.expand(outputs.shape[:-1]).unsqueeze(-1)
    return -torch.log_softmax(outputs, dim=-1).gather(-1, picked).squeeze(-1)


def mse(outputs: Tensor, targets: Tensor) -> Tensor:
    """mean_k (z_k − y_k)²; integer targets are classes and become one-hot."""
    if not targets.is_floating_point():
        targets = functional.one_hot(targets, outputs.shape[-1]).to(outputs.dtype)
    return (outputs - targets).square().mean(dim=-1)


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"cross_entropy": cross_entropy, "mse": mse}
"""Name → implementation; the names are those of raydnn.spec.loss without `auto`."""

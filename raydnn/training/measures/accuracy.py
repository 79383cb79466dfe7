"""Which examples a network gets right."""

from __future__ import annotations

from torch import Tensor

from raydnn.spec.data import Task


def hits(task: Task, outputs: Tensor, targets: Tensor) -> Tensor:
    """How right every example is: 1 or 0; with several labels the share of labels that are right.

    One output, and each of several labels, decides by its sign; several outputs decide by the largest.

    Args:
        task: What is learned; a task with an accuracy.
        outputs: (N, B, K).
        targets: (B, ...) or (N, B, ...).

    Returns:
        (N, B).
    """
    if task == "multi_label":
        return ((outputs > 0) == (targets > 0.5)).to(outputs.dtype).mean(dim=-1)
    if targets.is_floating_point():
        targets = targets.argmax(dim=-1)
    # The largest's index comes with the largest ten times faster than from argmax.
    decided = (outputs[..., 0] > 0).long() if outputs.shape[-1] == 1 else outputs.max(dim=-1).indices
    return (decided == targets).to(outputs.dtype)

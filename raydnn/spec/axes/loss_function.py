"""What every loss says of itself: the tasks it belongs to, the output layer that fits, and how it is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from raydnn.spec.base import Component
from raydnn.spec.data import Task

NUMBERS: dict[Task, str] = {
    "regression": "linear",
    "classification": "linear",
    "binary": "linear",
    "multi_label": "linear",
    "distribution": "linear",
    "reconstruction": "linear",
}
PROBABILITIES: dict[Task, str] = {
    "classification": "softmax",
    "binary": "softmax",
    "distribution": "softmax",
}
LABELS: dict[Task, str] = {"binary": "sigmoid", "multi_label": "sigmoid"}


class LossFunction(Component):
    """What every loss says of itself."""

    outputs: ClassVar[Mapping[Task, str]] = {}
    """Task it fits → activation of the output layer that goes with it. One that is neither linear nor a number's
    is part of the loss, which takes logits because that is the stable form."""
    takes_values: ClassVar[bool] = False
    """Whether it compares what the output layer's activation gives, instead of logits or scores."""
    single: ClassVar[bool] = False
    """Whether a binary task needs one output, decided by its sign, instead of one a class."""
    decides: ClassVar[bool] = True
    """Whether the outputs decide for a class, so that there is an accuracy."""
    unit: ClassVar[int | None] = None
    """Power of the target's unit that it has; None: it has none, or cannot be told in it."""
    smooths: ClassVar[bool] = False
    """Whether `regularization.label_smoothing` applies."""

    def units(self, task: Task, outputs: int) -> int:
        """Units of the output layer.

        Args:
            task: What is learned.
            outputs: Number of classes, labels or target numbers.
        """
        return 1 if self.single and task == "binary" else outputs

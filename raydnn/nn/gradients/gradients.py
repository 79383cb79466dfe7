"""How a batch's gradients are computed: what every way to them is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from torch import Tensor

from raydnn.stacking.context import Context


class Criterion(Protocol):
    """What the outputs for a batch are compared with."""

    def losses(self, outputs: Tensor) -> Tensor:
        """The losses (N, B) that are minimized, of outputs (N, B, K)."""

    def gradient(self, outputs: Tensor) -> Tensor | None:
        """The gradient (N, B, K) of the losses' sums by the outputs; None where it is not written out."""

    @property
    def told_by_outputs(self) -> bool:
        """Whether the losses can as well be computed later, of outputs and targets."""


class Gradients(Protocol):
    """One way to the gradients of N members, forward and backward; they are written where it was told when made."""

    @property
    def descending(self) -> Sequence[slice]:
        """Members whose parameters the backward pass itself moves in `descent`, ascending slices of neighbours."""

    @property
    def moved(self) -> Sequence[Tensor]:
        """What a backward pass changes beside the gradients: where the parameters are that it moves now."""

    @property
    def why_eager(self) -> str:
        """Why its kernels cannot be captured; empty where they can."""

    def descent(self) -> AbstractContextManager[None]:
        """Where a backward pass moves the members that descend, instead of giving them gradients."""

    def of_batch(
        self,
        inputs: Tensor,
        context: Context,
        criterion: Criterion,
        scale: Tensor,
        *,
        first: bool,
        last: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """Add a batch's share to the gradients of its step.

        Args:
            inputs: (1, B, *features), shared by all members, or (N, B, *features).
            context: Of the forward pass, one of training.
            criterion: What the outputs are compared with.
            scale: What the gradients of a member's summed losses are multiplied by, a column (N, 1, 1).
            first: Whether the step begins with this batch; what gradients there were is forgotten.
            last: Whether it ends with it; the gradients of all workers' examples are then complete.

        Returns:
            Outputs (N, B, K), and the losses (N, B), or None where the criterion says that they can wait.
        """

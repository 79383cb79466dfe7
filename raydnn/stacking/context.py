"""The context of a forward pass: whether it is one of training, and what a training pass draws from."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from raydnn.stacking.noise import Noise


@dataclass(frozen=True)
class Context:
    """What a forward pass depends on besides its inputs and the members' parameters."""

    noise: Noise | None = None
    """The epoch's draws in training; None at evaluation."""
    batch_size: int = 0
    """Examples of the whole batch, over all workers, in training; 0 at evaluation."""
    present: Tensor | None = None
    """Of padded sequences, which of their steps are there, bool (N, B, T), which the network tells its layers."""
    penalties: list[Tensor] = field(default_factory=list, compare=False)
    """What layers add to the losses that are minimized in this pass of training, (N, B) each."""

    @property
    def trains(self) -> bool:
        """Whether it is a pass of training: units are dropped, batches normalized by themselves."""
        return self.noise is not None

    @property
    def workers(self) -> int:
        """Number of data-parallel workers that share the batch."""
        return 1 if self.noise is None else self.noise.workers

    def uniform(self, width: int, stream: str = "noise") -> Tensor:
        """Draw U[0, 1) in training.

        Args:
            width: Draws an example.
            stream: What the draws are for; dropout has the default one.

        Returns:
            (1 or N, examples of this worker, width).
        """
        assert self.noise is not None, "nothing is drawn at evaluation"
        return self.noise.uniform(self.batch_size, width, stream)


EVALUATION = Context()
"""The context of all passes but those of training."""

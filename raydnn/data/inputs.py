"""What the inputs of a network are: all that its builder is told of the data."""

from __future__ import annotations

from dataclasses import dataclass

from raydnn.data.named import Named


@dataclass(frozen=True)
class Inputs:
    """What a network gets of each example."""

    shape: tuple[int, ...]
    vocabulary: int | None = None
    """Where they may be taken for tokens, whole numbers from 0 on as the data have them: how many the training data
    know, the largest one + 1."""
    padded: bool = False
    """Whether a sequence may have steps at its end that are none, whose numbers are NaN."""
    is_picture: bool = False
    """Whether the data set says that they are pictures."""
    named: Named = ()
    """Several inputs that lie side by side in a row; none: they are one without a name."""

    @property
    def told(self) -> str:
        """Their shape, for messages."""
        return " × ".join(map(str, self.shape))

"""Algorithms that learn from results: what every one of them offers, and what it is told.

A sweep goes from generation to generation. One is asked for at once, is packed into stacks by shape as all
trials are, and is trained; when the last of its trials has ended, all its results are told, in the order of the
proposals, and the next generation is asked for. So what is proposed is a function of the space, the seed and the
results alone, never of time or of the number of slots, and a sweep is resumed by asking and telling again what
the store holds. The price is that slots idle while a generation's last stacks end: a generation should hold at
least as many trials as can be trained at once, and one smaller than `search.stack` makes smaller stacks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from raydnn.space.space import Assignment


@dataclass(frozen=True)
class Evaluation:
    """What became of one assignment."""

    asked: int | None
    """Which of the searcher's own proposals it is, counted from 0; None: another's, such as a given start."""
    assignment: Assignment
    score: float | None
    """The metric's best value in `epochs` epochs, turned so that less is better; None: it diverged or failed."""
    epochs: int
    finished: bool
    """Whether it was trained to its end; False: a scheduler stopped it, or it diverged or failed."""
    at: Mapping[int, float] = field(default_factory=dict)
    """Rung in epochs → score at this very epoch, where the sweep's scheduler makes use of it."""

    @property
    def rank(self) -> tuple[int, int, float]:
        """What evaluations are sorted by, best first.

        Finished ones come before stopped ones, and of those the ones that a scheduler let train longer come
        first, as in Optuna's TPE: scores after different numbers of epochs cannot be compared. What diverged or
        failed comes last.
        """
        if self.score is None:
            return 2, 0, 0.0
        return (0, 0, self.score) if self.finished else (1, -self.epochs, self.score)


class Searcher(Protocol):
    """An algorithm that proposes assignments and learns from what became of them."""

    @property
    def batch(self) -> int:
        """Proposals of the next generation."""

    def ask(self, count: int) -> list[Assignment]:
        """Propose a generation, distinct from one another where the algorithm can choose.

        Args:
            count: Number of proposals, at most `batch`; fewer only in a sweep's last generation.
        """

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Learn what became of the whole last generation, in the order of its proposals, and of others' trials."""


def stream(seed: int, asked: int) -> np.random.Generator:
    """The random draws of a generation, by the number of proposals before it; no trial of `random` has them."""
    return np.random.Generator(np.random.PCG64(_sequence(seed, asked)))


def integer_seed(seed: int, asked: int) -> int:
    """A seed below 2³² for a library's own random numbers, from the same sequence as `stream`."""
    return int(_sequence(seed, asked).generate_state(1)[0])


def inside(point: np.ndarray | Sequence[float]) -> list[float]:
    """A point moved into the unit cube, whose upper faces are outside."""
    return [float(u) for u in np.clip(point, 0.0, np.nextafter(1.0, 0.0))]


def _sequence(seed: int, asked: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed, spawn_key=(asked, 0))

"""What a sweep has proposed so far and what became of it, over all of its segments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from raydnn.spec.trial import TrialSpec

Identity = tuple[str, int]
"""Hash of a configuration and its seed."""


@dataclass(frozen=True)
class Result:
    """How a trial ended."""

    value: float | None
    """Best value of the metric, or None where it diverged or failed."""
    epochs: int
    finished: bool
    """Whether it was trained to its end."""
    at: Mapping[int, float] = field(default_factory=dict)
    """Rung in epochs → value there; only where `Generations.by_rung` asks for it."""


class History:
    """The trials of a sweep in the order of their numbers, none of them twice."""

    def __init__(self) -> None:
        self.trials: list[TrialSpec] = []
        self.results: dict[int, Result] = {}
        """Trial → how it ended."""
        self._numbers: dict[Identity, int] = {}

    def __len__(self) -> int:
        return len(self.trials)

    def __contains__(self, trial: TrialSpec) -> bool:
        """Whether a trial's configuration was proposed before."""
        return _identity(trial) in self._numbers

    def number(self, trial: TrialSpec) -> int:
        """The number of a trial, which is noted if it is new."""
        number = self._numbers.setdefault(_identity(trial), len(self.trials))
        if number == len(self.trials):
            self.trials.append(trial)
        return number


def _identity(trial: TrialSpec) -> Identity:
    return trial.config_hash, trial.seed

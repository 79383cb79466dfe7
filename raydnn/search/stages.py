"""Stages of a sweep: the search, and the confirmation of its best configurations with seeds of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from raydnn.spec.trial import TrialSpec


@dataclass(frozen=True)
class Stage:
    """How the configurations of a generation are trained."""

    name: Literal["search", "confirm"]
    seeds: int = 1
    """Trials of each configuration; nothing but their seeds differs, which follow one another."""
    offset: int = 0
    """How far the first one's seed is above the configuration's own."""
    judged: bool = True
    """Whether the scheduler may stop them."""
    scheduler: int = 0
    """Which scheduler: the first segment of the sweep that has it; an extension may bring another one."""

    @property
    def together(self) -> int:
        """Trials of a configuration that must be in one stack, because they are judged as one."""
        return self.seeds if self.judged else 1


SEARCH = Stage("search")


def seeded(configurations: Sequence[TrialSpec], stage: Stage) -> list[TrialSpec]:
    """The trials of configurations in a stage: those of a configuration side by side, by rising seed."""
    return [
        configuration.with_seed(configuration.seed + stage.offset + repeat)
        for configuration in configurations
        for repeat in range(stage.seeds)
    ]

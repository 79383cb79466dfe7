"""Configurations of a sweep: trials that differ in their seeds alone, ranked by their mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from raydnn.store.states import FINISHED

COLUMNS = ("number", "trial_id", "state", "best_value", "config_hash", "seed", "stage", "repeat")
"""What of a trial's row is needed here."""

_Row = Mapping[str, Any]


@dataclass(frozen=True)
class Spread:
    """What a configuration's trials of one stage came to."""

    values: tuple[float, ...]
    """Best value of each finished one."""
    lacking: int
    """Trials that have none: not finished, or not finite."""

    @property
    def mean(self) -> float | None:
        """Their mean; None without any."""
        return fmean(self.values) if self.values else None

    @property
    def std(self) -> float | None:
        """Their sample standard deviation; None for less than two."""
        return stdev(self.values) if len(self.values) > 1 else None


@dataclass(frozen=True)
class Configuration:
    """A configuration with the stage that it is ranked by."""

    trial_id: str
    """The first of its trials."""
    number: int
    """That one's number."""
    stage: str
    first: int
    """Number of its first trial of that stage."""
    mean: float
    spread: Spread


def has_seeds(rows: Sequence[_Row]) -> bool:
    """Whether the trials of a run are several a configuration."""
    return any(row["repeat"] or _stage(row) == "confirm" for row in rows)


def can_rank(row: _Row) -> bool:
    """Whether a trial is finished and has a finite value."""
    return row["state"] in FINISHED and row["best_value"] is not None and math.isfinite(row["best_value"])


def spreads(rows: Sequence[_Row]) -> dict[tuple[str, str], Spread]:
    """(config_hash, stage) → what its trials came to."""
    groups: dict[tuple[str, str], list[_Row]] = {}
    for row in rows:
        groups.setdefault((row["config_hash"], _stage(row)), []).append(row)
    return {key: _spread(group) for key, group in groups.items()}


def ranked(rows: Sequence[_Row], mode: str) -> list[Configuration]:
    """The configurations that have a value, best first.

    Confirmed ones come first, by the mean over their confirming seeds alone: by the values of the search they were
    selected, so these are too good. Of each kind those whose seeds were all trained to an end come before those
    that lack some; of equal ones the lower number comes first.

    Args:
        rows: Trials, with at least COLUMNS.
        mode: min or max.
    """
    # Without further seeds every trial stands for itself, also where the space searches the seed.
    name = "config_hash" if has_seeds(rows) else "trial_id"
    groups: dict[str, list[_Row]] = {}
    for row in sorted(rows, key=lambda row: int(row["number"])):
        groups.setdefault(row[name], []).append(row)
    sign = -1 if mode == "max" else 1
    return sorted(
        filter(None, map(_configuration, groups.values())),
        key=lambda one: (one.stage != "confirm", one.spread.lacking > 0, sign * one.mean, one.number),
    )


def _configuration(rows: Sequence[_Row]) -> Configuration | None:
    """One configuration by the last stage in which a trial of it has a value; None without any."""
    for stage in ("confirm", "search"):
        own = [row for row in rows if _stage(row) == stage]
        spread = _spread(own)
        if spread.mean is not None:
            leader = rows[0]
            return Configuration(
                leader["trial_id"], leader["number"], stage, own[0]["number"], spread.mean, spread
            )
    return None


def _spread(rows: Sequence[_Row]) -> Spread:
    of_seed: dict[int, float | None] = {}
    for row in rows:
        # A seed that was trained twice counts once.
        of_seed[row["seed"]] = float(row["best_value"]) if can_rank(row) else of_seed.get(row["seed"])
    values = tuple(of_seed[seed] for seed in sorted(of_seed))
    trained = tuple(value for value in values if value is not None)
    return Spread(trained, len(values) - len(trained))


def _stage(row: _Row) -> str:
    """Runs of earlier versions have no stages."""
    return row["stage"] or "search"

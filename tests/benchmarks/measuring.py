"""What the benchmarks share: a comparison with a peer, measuring by turns, and what the machine is."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from os import cpu_count, getloadavg
from pathlib import Path
from statistics import fmean, median
from typing import Any

import torch

ROOT = Path(__file__).parents[2]
LESS_IS_BETTER = ("s", "MB", "epochs", "loss", "kernels")
SUMMARIES: dict[str, Callable[[Sequence[float]], float]] = {
    "median": median,
    "mean": fmean,
    "wins": lambda ratios: fmean(ratio > 1 for ratio in ratios),
}
"""Name → what becomes of the ratios of all repeats."""


@dataclass(frozen=True)
class Comparison:
    """The same work done by raydnn and by a peer, side by side in one run on one machine."""

    key: str
    """Its name in targets.toml: PART/WORK/PEER."""
    what: str
    peer: str
    unit: str
    """One of LESS_IS_BETTER, or `steps/s`, `trial-steps/s` and `GFLOP/s`, where more is better."""
    ours: tuple[float, ...] = ()
    theirs: tuple[float, ...] = ()
    """What the peer measured in the same repeat; empty where it is `absent`."""
    absent: str = ""
    """Why nothing was measured: `not installed`, `no GPU`."""
    share: bool = False
    """Whether the ratio is raydnn's part of the peer's number, and no comparison of speeds."""
    of: str = "median"
    """What the ratio is of the repeats' ratios: `median`, `mean`, or `wins`, the share in which raydnn is better."""
    notes: str = ""

    @property
    def ratios(self) -> tuple[float, ...]:
        """How many times better raydnn is (or its share), repeat by repeat."""
        pairs = list(zip(self.ours, self.theirs, strict=False))
        if self.unit in LESS_IS_BETTER and not self.share:
            return tuple(theirs / ours for ours, theirs in pairs)
        return tuple(ours / theirs for ours, theirs in pairs)

    def to_json(self) -> dict[str, Any]:
        """Everything, with medians and ratios; null where nothing was measured."""
        return {
            **vars(self),
            "ours_median": median(self.ours) if self.ours else None,
            "theirs_median": median(self.theirs) if self.theirs else None,
            "ratios": self.ratios,
            "ratio": SUMMARIES[self.of](self.ratios) if self.ratios else None,
        }


def by_turns(repeats: int, measures: Mapping[str, Callable[[], float]]) -> dict[str, tuple[float, ...]]:
    """Measure every program `repeats` times, one after the other within a repeat, after a turn to warm up.

    Who begins changes from repeat to repeat, so that none always finds the warmer machine.

    Args:
        repeats: Measurements of each program that count.
        measures: Name → function that measures once.
    """
    found: dict[str, list[float]] = {name: [] for name in measures}
    for measure in measures.values():
        measure()
    for repeat in range(repeats):
        names = list(measures)
        first = repeat % len(names)
        for name in names[first:] + names[:first]:
            found[name].append(measures[name]())
    return {name: tuple(values) for name, values in found.items()}


def machine() -> dict[str, Any]:
    """What the numbers are measured on; `load` is the load average before the measuring begins."""
    return {
        "cpu": _cpu_model(),
        "cores": cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{package: version(package) for package in ("torch", "ray", "raydnn")},
        "load": getloadavg()[0],
        "measured_at": datetime.now(UTC).isoformat(timespec="minutes"),
    }


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()

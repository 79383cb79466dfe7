"""What the benchmarks share: a comparison with a peer, the machine's name, the table."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from os import cpu_count, getloadavg
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Comparison:
    """The same work done by raydnn and by a peer, side by side in one run on one machine."""

    what: str
    peer: str
    unit: str
    """`s`, where less is better, or `steps/s`, where more is better."""
    ours: tuple[float, ...]
    theirs: tuple[float, ...]
    notes: str = ""

    @property
    def ratio(self) -> float:
        """How many times faster raydnn is, by the medians."""
        ours, theirs = median(self.ours), median(self.theirs)
        return theirs / ours if self.unit == "s" else ours / theirs

    def to_json(self) -> dict[str, Any]:
        """Everything, with the medians and the ratio."""
        medians = {"ours_median": median(self.ours), "theirs_median": median(self.theirs)}
        return {**vars(self), **medians, "ratio": self.ratio}


def machine() -> dict[str, Any]:
    """What the numbers are measured on; `load` is the load average before the measuring begins."""
    return {
        "cpu": _cpu_model(),
        "cores": cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{package: version(package) for package in ("torch", "ray", "raydnn")},
        "load": getloadavg()[0],
        "measured_at": datetime.now(UTC).isoformat(timespec="minutes"),
    }


def about(machine: dict[str, Any]) -> str:
    """One line on where and when `machine` measured."""
    where = f"Medians on {machine['cpu']}, {machine['cores']} cores, Python {machine['python']}, "
    when = f"torch {machine['torch']}, ray {machine['ray']}, {machine['measured_at'][:10]}."
    busy = (
        " Other programs kept the machine busy meanwhile." if machine["load"] > machine["cores"] / 2 else ""
    )
    return f"{where}{when}{busy}"


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The table of comparisons as `to_json` gives them."""
    lines = ["| what | raydnn | peer | peer's | times faster | repeats |", "|---|--:|---|--:|--:|--:|"]
    for row in rows:
        ours, theirs = (f"{_rounded(row[f'{side}_median'])} {row['unit']}" for side in ("ours", "theirs"))
        ratio = f"{row['ratio']:.1f}" if row["ratio"] >= 10 else f"{row['ratio']:.2f}"
        lines.append(f"| {row['what']} | {ours} | {row['peer']} | {theirs} | {ratio} | {len(row['ours'])} |")
    return "\n".join(lines)


def _rounded(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()

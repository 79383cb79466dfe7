"""The tables of what was measured, for the terminal and README.md: ratios beside their targets."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

TARGETS = Path(__file__).parent / "targets.toml"
HEADS = ("what", "raydnn", "peer", "peer's", "ratio", "repeats", "target")


def report(parts: Mapping[str, Mapping[str, Any]]) -> str:
    """All tables: a heading and a table a part, and the machine where it changes.

    Args:
        parts: Title → `machine` and `rows`, as measured.json has them.
    """
    targets = tomllib.loads(TARGETS.read_text())
    pieces, told = [], ""
    for title, part in parts.items():
        where = about(part["machine"])
        pieces += [f"**{title}**"] + ([where] if where != told else []) + [_table(part["rows"], targets)]
        told = where
    return "\n\n".join(pieces)


def about(machine: Mapping[str, Any]) -> str:
    """One line on where and when `machine` measured."""
    gpu = f", {machine['gpu']}" if machine.get("gpu") else ", no GPU"
    busy = machine["load"] > machine["cores"] / 2
    return (
        f"{machine['cpu']}, {machine['cores']} cores{gpu}, Python {machine['python']}, torch {machine['torch']}, "
        f"ray {machine['ray']}, {machine['measured_at'][:10]}."
        + (" Other programs kept the machine busy meanwhile." if busy else "")
    )


def _table(rows: Sequence[Mapping[str, Any]], targets: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [HEADS, ("---", "--:", "---", "--:", "--:", "--:", "---")]
    lines += [_cells(row, targets.get(row["key"], {})) for row in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _cells(row: Mapping[str, Any], target: Mapping[str, Any]) -> tuple[str, ...]:
    ours = _number(row["ours_median"], row["unit"])
    theirs = row["absent"] or _number(row["theirs_median"], row["unit"])
    repeats = str(len(row["ratios"])) if row["ratios"] else ""
    return row["what"], ours, row["peer"], theirs, _ratio(row), repeats, _verdict(row, target)


def _ratio(row: Mapping[str, Any]) -> str:
    if row["ratio"] is None:
        return ""
    if row.get("of") == "wins":
        return f"better in {sum(ratio > 1 for ratio in row['ratios'])} of {len(row['ratios'])}"
    low, middle, high = (
        _scaled(v, row["share"]) for v in (min(row["ratios"]), row["ratio"], max(row["ratios"]))
    )
    return middle if len(row["ratios"]) == 1 else f"{middle} [{low}..{high}]"


def _verdict(row: Mapping[str, Any], target: Mapping[str, Any]) -> str:
    """The target, and whether it is met; the reason where it is not."""
    bounds = [(word, target[word]) for word in ("at_least", "at_most") if word in target]
    if not bounds:
        return ""
    word, bound = bounds[0]
    percent = row["share"] or row.get("of") == "wins"
    told = f"{word.replace('_', ' ')} {f'{bound:.0%}' if percent else f'{bound:g}'}"
    if row["ratio"] is None:
        return f"{told}: not measured"
    if row["ratio"] >= bound if word == "at_least" else row["ratio"] <= bound:
        return f"{told}: met"
    return f"{told}: **missed**" + (f". {target['reason']}" if "reason" in target else "")


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    digits = 0 if value >= 100 else 1 if value >= 1 else 4
    return f"{value:,.{digits}f} {unit}"


def _scaled(ratio: float, share: bool) -> str:
    if share:
        return f"{ratio:.0%}" if ratio >= 0.1 else f"{ratio:.1%}"
    return f"{ratio:.1f}" if ratio >= 10 else f"{ratio:.2f}"

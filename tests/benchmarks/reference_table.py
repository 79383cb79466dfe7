"""The numbers of the reference training, for the terminal and README.md."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import Any

PUBLISHED = {
    "train_loss": 0.3323,
    "train_accuracy": 0.8811,
    "validation_loss": 0.3382,
    "validation_accuracy": 0.8832,
    "test_loss": 0.3748,
    "test_accuracy": 0.8652,
}
"""Metric → value after 10 epochs, as published for this configuration."""


def numbers(measured: Mapping[str, Any]) -> str:
    """A table of the metrics at the end: means over the seeds, with the least and the greatest.

    Args:
        measured: As reference.json has it.
    """
    lines = ["| metric | examples | raydnn | plain PyTorch | published |", "| --- | --: | --: | --: | --: |"]
    for metric, published in PUBLISHED.items():
        part, _, what = metric.partition("_")
        cells = [_spread(measured[program], metric) for program in ("raydnn", "torch")]
        count = f"{measured['examples'][part]:,}"
        lines.append(f"| {part} {what} | {count} | {cells[0]} | {cells[1]} | {published:.4f} |")
    return "\n".join(lines)


def _spread(runs: list[Mapping[str, Any]], metric: str) -> str:
    values = [_last(run[metric]) for run in runs if metric in run]
    return f"{fmean(values):.4f} [{min(values):.4f}..{max(values):.4f}]" if values else ""


def _last(value: float | list[float]) -> float:
    return value[-1] if isinstance(value, list) else value

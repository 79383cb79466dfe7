"""The picture of the reference training: validation beside plain PyTorch, test beside the published accuracy, too."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from reference_table import PUBLISHED

from raydnn.analysis.verdict.intervals import wilson

PICTURE = Path(__file__).parent / "pictures" / "fashion-mlp.png"
COLOURS = {"raydnn": "#4477aa", "torch": "#cc6633", "published": "#555555"}
NAMES = {"raydnn": "raydnn", "torch": "plain PyTorch", "published": "published"}


def draw(measured: Mapping[str, Any], picture: Path) -> None:
    """Draw validation accuracy by epoch, and test accuracy at the end.

    Args:
        measured: As reference.json has it.
        picture: The file to write.
    """
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(7.6, 3.2), layout="constrained", width_ratios=(1.2, 1)
    )
    _draw_course(left, measured)
    _draw_ends(right, measured)
    figure.suptitle(
        "One reference network trained by raydnn, by plain PyTorch, and as published", fontsize=10.5
    )
    picture.parent.mkdir(exist_ok=True)
    figure.savefig(picture, dpi=120)
    plt.close(figure)


def _draw_course(panel: Axes, measured: Mapping[str, Any]) -> None:
    styles: dict[str, dict[str, Any]] = {
        "torch": {"linestyle": "--", "linewidth": 1.2},
        "raydnn": {"marker": ".", "linewidth": 1.4},
    }
    for program, style in styles.items():
        for number, run in enumerate(measured[program]):
            course = run["validation_accuracy"]
            label = f"{NAMES[program]}, {len(measured[program])} seeds" if number == 0 else None
            panel.plot(range(1, len(course) + 1), course, color=COLOURS[program], label=label, **style)
    panel.set_xticks(range(1, len(course) + 1))
    panel.set(xlabel="epoch", title="Validation accuracy, the same examples for both")
    panel.title.set_size(9)
    panel.legend(frameon=False, loc="lower right")
    panel.grid(axis="y", color="#dddddd", linewidth=0.6)


def _draw_ends(panel: Axes, measured: Mapping[str, Any]) -> None:
    known, examples = PUBLISHED["test_accuracy"], measured["examples"]["test"]
    low, high = wilson(known, examples)
    for row, program in enumerate(("published", "torch", "raydnn")):
        runs = [{"test_accuracy": known}] if program == "published" else measured[program]
        values = [run["test_accuracy"] for run in runs]
        panel.plot(values, [row] * len(values), "o", color=COLOURS[program], markersize=6, alpha=0.8)
        panel.annotate(
            f"{sum(values) / len(values):.1%}", (max(values), row), (8, 4), textcoords="offset points"
        )
    panel.hlines(0, low, high, color=COLOURS["published"], linewidth=1)
    panel.text(
        0.87,
        -0.35,
        f"bar: 95 % of draws of {examples:,} examples;\nthe published ones are not those of the others",
        ha="center",
        va="top",
        fontsize=8,
        color="#555555",
    )
    panel.set_yticks(range(3), [NAMES[program] for program in ("published", "torch", "raydnn")])
    panel.set_ylim(-1.0, 2.5)
    panel.set_xlim(0.845, 0.895)
    panel.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    panel.set_title("Test accuracy after 10 epochs", fontsize=9)
    panel.grid(axis="x", color="#dddddd", linewidth=0.6)
    panel.set_axisbelow(True)

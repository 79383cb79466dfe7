"""The README's picture of stacks: what a stack is, and how many times faster than its trials one after another."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch, Rectangle

PICTURE = Path(__file__).parent / "pictures" / "stacks.png"
LINES = {
    "digits-one-optimizer": ("64-64-10, one optimizer", "#4477aa", 6),
    "digits-mixed": ("64-64-10, mixed optimizers,\nschedules, activations", "#228833", -15),
    "reference-one-optimizer": ("784-300-100-10, one optimizer", "#cc6633", 6),
}
"""Beginning of the keys → label and colour of a line, and how far above it, in points, its ratio is written."""
TOLD = 64
"""The number of trials at which a ratio is written."""
TRIALS = ("#332288", "#88ccee", "#ddcc77", "#aa4499")
GREY = "#555555"


def draw(rows: Sequence[Mapping[str, Any]], picture: Path) -> None:
    """Draw a stack and the ratios of the part `stacks`.

    Args:
        rows: The part's rows, as measured.json has them.
        picture: The file to write.
    """
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(8.2, 3.7), layout="constrained", width_ratios=(1, 1.05)
    )
    _draw_stack(left)
    _draw_ratios(right, rows)
    picture.parent.mkdir(exist_ok=True)
    figure.savefig(picture, dpi=120)
    plt.close(figure)


def _draw_stack(panel: Axes) -> None:
    """Above, trials as modules of their own; below, the same trials as slices of one module's tensors."""
    panel.set(xlim=(0, 10), ylim=(0, 10))
    panel.axis("off")
    panel.set_title("One after another: N modules, N steps", fontsize=10)
    for number, colour in enumerate(TRIALS):
        x = 0.2 + 2.5 * number
        panel.add_patch(
            FancyBboxPatch((x, 7.2), 2.0, 2.2, boxstyle="round,pad=0.05", fc="none", ec="#aaaaaa")
        )
        panel.add_patch(Rectangle((x + 0.15, 7.75), 1.1, 1.5, fc=colour, ec="white"))
        panel.add_patch(Rectangle((x + 1.5, 8.3), 0.35, 0.4, fc=colour, ec="white"))
        panel.text(x + 0.7, 7.45, "weights", ha="center", va="center", fontsize=7, color=GREY)
        panel.text(x + 1.68, 7.95, "lr", ha="center", va="center", fontsize=7, color=GREY)
    panel.text(5, 6.0, "A stack: one module, one step for all N", ha="center", fontsize=10)
    panel.add_patch(FancyBboxPatch((0.2, 1.0), 9.5, 4.5, boxstyle="round,pad=0.05", fc="none", ec="#aaaaaa"))
    for number, colour in reversed(list(enumerate(TRIALS))):
        x, y = 0.6 + 0.4 * number, 2.2 + 0.45 * number
        panel.add_patch(Rectangle((x, y), 1.5, 1.6, fc=colour, ec="white"))
    panel.text(2.0, 1.5, "weights\n(N, 64, 64)", ha="center", va="center", fontsize=7.5, color=GREY)
    for column, name in enumerate(("lr", "momentum", "dropout")):
        x = 4.4 + 1.95 * column
        for number, colour in enumerate(TRIALS):
            panel.add_patch(Rectangle((x, 2.3 + 0.62 * number), 0.62, 0.62, fc=colour, ec="white"))
        panel.text(x + 0.31, 1.5, f"{name}\n(N)", ha="center", va="center", fontsize=7.5, color=GREY)
    told = "A batched product a layer, a vector a hyperparameter;\n"
    told += "but for rounding, a trial has the numbers that it has alone."
    panel.text(5, 0.1, told, ha="center", va="center", fontsize=8, color=GREY)


def _draw_ratios(panel: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    counts: set[int] = set()
    for beginning, (label, colour, above) in LINES.items():
        pattern = re.compile(rf"stacks/{beginning}-(\d+)/torch")
        found = [(pattern.fullmatch(row["key"]), row["ratio"]) for row in rows]
        ratios = {int(key[1]): ratio for key, ratio in sorted(found, key=_count) if key}
        panel.plot(list(ratios), list(ratios.values()), color=colour, marker=".", label=label)
        if TOLD in ratios:
            panel.annotate(
                f"{ratios[TOLD]:.1f}×",
                (TOLD, ratios[TOLD]),
                (4, above),
                textcoords="offset points",
                ha="center",
                color=colour,
                fontsize=11,
            )
        counts |= set(ratios)
    panel.axhline(1, color=GREY, linewidth=0.8, linestyle="--")
    panel.text(max(counts), 0.85, "one after another", ha="right", va="top", fontsize=8, color=GREY)
    panel.set(xscale="log", ylim=(0, 14.5), xlabel="trials in the stack, N")
    panel.set_title("Times faster than plain PyTorch,\none trial after another, on one core", fontsize=10)
    panel.set_xticks(sorted(counts), [str(count) for count in sorted(counts)])
    panel.minorticks_off()
    panel.grid(axis="y", color="#dddddd", linewidth=0.6)
    panel.legend(frameon=False, fontsize=8, loc="upper left")


def _count(found: tuple[re.Match[str] | None, float]) -> int:
    return int(found[0][1]) if found[0] else 0

"""The README's picture of stacks: trial-steps a second over the number of trials."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

PICTURE = Path(__file__).parent / "pictures" / "stacks.png"
PANELS = {
    "64-64-10, batch 32": {"one optimizer": "digits-one-optimizer", "mixed": "digits-mixed"},
    "784-300-100-10, batch 32": {"one optimizer": "reference-one-optimizer"},
}
"""Title → label and beginning of the keys of each line."""
COLOURS = {"one optimizer": "#4477aa", "mixed": "#cc6633"}


def draw(rows: Sequence[Mapping[str, Any]], picture: Path) -> None:
    """Draw the rows of the part `stacks`: lines are raydnn's stacks, broken lines the sequential runs."""
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    figure, panels = plt.subplots(1, 2, figsize=(7.6, 3.1), layout="constrained")
    for panel, (title, lines) in zip(panels, PANELS.items(), strict=True):
        for label, beginning in lines.items():
            pattern = re.compile(rf"stacks/{beginning}-(\d+)/torch")
            found = [
                (pattern.fullmatch(row["key"]), row["ours_median"], row["theirs_median"]) for row in rows
            ]
            points = sorted((int(key[1]), ours, theirs) for key, ours, theirs in found if key)
            counts, ours, theirs = zip(*points, strict=True)
            panel.plot(counts, ours, color=COLOURS[label], marker=".", label=f"stack, {label}")
            panel.plot(counts, theirs, color=COLOURS[label], linestyle="--", label=f"sequential, {label}")
        panel.set(xscale="log", xlabel="trials N", title=title)
        panel.set_ylim(0, 1.4 * max(line.get_ydata().max() for line in panel.lines))
        panel.set_xticks(counts, [str(count) for count in counts], minor=False)
        panel.minorticks_off()
        panel.grid(axis="y", color="#dddddd", linewidth=0.6)
        panel.legend(frameon=False, fontsize=8, loc="upper left")
    panels[0].set_ylabel("trial-steps/s, one thread")
    picture.parent.mkdir(exist_ok=True)
    figure.savefig(picture, dpi=110)
    plt.close(figure)

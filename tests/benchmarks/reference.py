"""The README's picture: the reference training's curve beside the published one.

python tests/benchmarks/reference.py FOLDER          trains jobs/fashion-mlp.yaml on FOLDER's IDX files, then draws
python tests/benchmarks/reference.py --run RUN       draws a run that is there already
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

import raydnn

ROOT = Path(__file__).parents[2]
JOB = ROOT / "jobs" / "fashion-mlp.yaml"
PICTURE = Path(__file__).parent / "pictures" / "fashion-mlp.png"

PUBLISHED = {
    "train_loss": {1: 0.7229, 10: 0.3323},
    "validation_loss": {1: 0.5097, 10: 0.3382},
    "train_accuracy": {1: 0.7646, 10: 0.8811},
    "validation_accuracy": {1: 0.8288, 10: 0.8832},
    "test_loss": {10: 0.3748},
    "test_accuracy": {10: 0.8652},
}
"""Metric → epoch → value, as published for this configuration."""

COLOURS = {"train": "#4477aa", "validation": "#cc6633", "test": "#228833"}


def train(data: Path, storage: str) -> Path:
    """Train the reference job and return its run's folder."""
    command = [sys.executable, "-m", "raydnn", "train", str(JOB), f"data.path={data}", f"storage={storage}"]
    subprocess.run(command, check=True)
    (run,) = (path for path in Path(storage).iterdir() if (path / "resolved.json").is_file())
    return run


def draw(run: Path, picture: Path) -> None:
    """Draw loss and accuracy by epoch: lines are the run's, rings the published values."""
    epochs = raydnn.load(run, "epochs").to_pydict()
    trial = raydnn.load(run).to_pylist()[0]
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    figure, panels = plt.subplots(1, 2, figsize=(7.6, 3.1), layout="constrained")
    for panel, what in zip(panels, ("loss", "accuracy"), strict=True):
        _draw_panel(panel, what, epochs, trial)
    handles, names = panels[0].get_legend_handles_labels()
    panels[0].legend(handles, names, frameon=False, fontsize=8, handlelength=1.6)
    figure.suptitle("Fashion-MNIST, 784-300-100-10, SGD, lr 0.01, batch 32", fontsize=10)
    picture.parent.mkdir(exist_ok=True)
    figure.savefig(picture, dpi=130)
    plt.close(figure)


def _draw_panel(panel: Axes, what: str, epochs: dict[str, list[Any]], trial: dict[str, Any]) -> None:
    last = epochs["epoch"][-1]
    at_test = last + 1
    for part in ("train", "validation"):
        metric = f"{part}_{what}"
        colour = COLOURS[part]
        panel.plot(epochs["epoch"], epochs[metric], color=colour, marker=".", label=f"{part}, raydnn")
        known = PUBLISHED[metric]
        panel.plot(list(known), list(known.values()), "o", **_ring(colour), label=f"{part}, published")
    measured, known = trial[f"m_test_{what}"], PUBLISHED[f"test_{what}"]
    panel.plot(at_test, measured, "D", color=COLOURS["test"], markersize=5, label="test, raydnn")
    panel.plot(at_test, known[last], "o", **_ring(COLOURS["test"]), label="test, published")
    panel.set_xticks([*range(1, last + 1), at_test], [*map(str, range(1, last + 1)), "test"])
    panel.set_xlabel("epoch")
    panel.set_title(what, fontsize=9)
    panel.grid(axis="y", color="#dddddd", linewidth=0.6)
    panel.set_axisbelow(True)


def _ring(colour: str) -> dict[str, Any]:
    return {"markerfacecolor": "none", "markeredgecolor": colour, "markersize": 9, "markeredgewidth": 1.4}


def report(run: Path) -> None:
    """Print the numbers beside the published ones."""
    trial = raydnn.load(run).to_pylist()[0]
    last = raydnn.load(run, "epochs").to_pylist()[-1]
    print(f"{trial['parameters']:,} parameters, {last['step'] // last['epoch']:,} steps an epoch")
    print(f"{'':<22}{'raydnn':>8}{'published':>11}")
    for metric, known in PUBLISHED.items():
        measured = trial[f"m_{metric}"] if metric.startswith("test") else last[metric]
        print(f"{metric:<22}{measured:>8.4f}{known[10]:>11.4f}")


def main() -> None:
    """Train if no run is given, print the numbers and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="folder with Fashion-MNIST's four IDX files")
    parser.add_argument("--run", type=Path, help="a run of jobs/fashion-mlp.yaml to draw instead")
    given = parser.parse_args()
    if (given.folder is None) == (given.run is None):
        parser.error("give FOLDER or --run RUN")
    with tempfile.TemporaryDirectory() as storage:
        run = given.run or train(given.folder.resolve(), storage)
        report(run)
        draw(run, PICTURE)
    print(f"wrote {PICTURE} ({PICTURE.stat().st_size / 1000:.0f} kB)")


if __name__ == "__main__":
    main()

"""A picture of a replay: every trial's curve, as far as each scheduler would have let it be trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from raydnn.analysis.replay import Recorded, Replayed
from raydnn.errors import StoreError, UsageError
from raydnn.training.stack.member import trial_id

WIDTH_INCHES, HEIGHT_INCHES, DPI = 5.0, 4.0, 120


def plot(sweep: Recorded, replayed: Sequence[Replayed], path: Path) -> None:
    """Draw one panel a scheduler: trained epochs in blue, saved ones in grey, the picked trial in red.

    Args:
        sweep: The curves.
        replayed: What each scheduler makes of them.
        path: The PNG file to write.

    Raises:
        UsageError: Matplotlib is not installed, or the file is no PNG.
        StoreError: The file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError("--plot needs matplotlib; `pip install matplotlib`") from error
    if path.suffix != ".png":
        raise UsageError(f"--plot {path}: a file that ends in .png is needed")
    figure = Figure(figsize=(WIDTH_INCHES * len(replayed), HEIGHT_INCHES), dpi=DPI, layout="constrained")
    panels = figure.subplots(1, len(replayed), sharey=True, squeeze=False)[0]
    for panel, each in zip(panels, replayed, strict=True):
        for trial, curve in sweep.curves.items():
            trained = each.stopped_at.get(trial, len(curve))
            epochs = range(1, len(curve) + 1)
            panel.plot(epochs[trained - 1 :], curve[trained - 1 :], color="0.85", linewidth=0.8, zorder=1)
            picked = trial == each.picked
            panel.plot(
                epochs[:trained],
                curve[:trained],
                color="tab:red" if picked else "tab:blue",
                linewidth=2.0 if picked else 0.8,
                alpha=1.0 if picked else 0.6,
                label=trial_id(trial) if picked else None,
                marker="." if trained == 1 else None,
                zorder=3 if picked else 2,
            )
        told = "" if each.regret is None else f", regret {each.regret:.3g}"
        panel.set_title(f"{each.scheduler}: {each.epochs} epochs ({each.saved:.0%} saved){told}", fontsize=9)
        panel.set_xlabel("epoch")
        if each.picked is not None:
            panel.legend(title="picked", fontsize=8)
    panels[0].set_ylabel(sweep.metric)
    panels[0].set_ylim(*_limits(sweep))
    try:
        figure.savefig(path)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error}") from error


def _limits(sweep: Recorded) -> tuple[float, float]:
    """Values between which the curves are drawn: all but the worst tenth, and a margin."""
    values = sorted(sweep.sign * value for curve in sweep.curves.values() for value in curve)
    best, worst = values[0], values[int(0.9 * (len(values) - 1))]
    margin = 0.05 * (worst - best) or 1.0
    low, high = sorted((sweep.sign * (best - margin), sweep.sign * (worst + margin)))
    return low, high

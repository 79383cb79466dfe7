"""Scaling of a regression's targets, fitted in float64 on the training part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

NEAR_ONE = (0.1, 10.0)
"""Deviations that a network's first outputs and usual steps are of a size with; so are means up to the larger."""


@dataclass(frozen=True)
class TargetScale:
    """y → (y − mean) / deviation, each target number by its own."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    """Never 0."""

    def apply(self, targets: NDArray[Any]) -> NDArray[np.float32]:
        """Return scaled targets (n, outputs); what is small beside the mean is not lost."""
        scaled = (targets.astype(np.float64) - self.mean) / self.deviation
        return scaled.astype(np.float32)

    def unit(self, power: int | None) -> float:
        """What a loss of scaled numbers is multiplied by to be in the target's own unit.

        Args:
            power: Of the unit, in the loss; None: it has no unit. Several targets have no common one.
        """
        return 1.0 if power is None or len(self.deviation) > 1 else self.deviation[0] ** power

    def to_json(self) -> dict[str, list[float]]:
        """Return it as JSON values."""
        return {"mean": list(self.mean), "deviation": list(self.deviation)}

    def __str__(self) -> str:
        """Say it in one line, for people."""
        if len(self.mean) > 1:
            return (
                f"the {len(self.mean)} targets are standardized by their training means and deviations; "
                "losses are of the scaled targets"
            )
        return (
            f"target: standardized (mean {self.mean[0]:,.6g}, deviation {self.deviation[0]:,.6g}, of the training "
            "examples); losses are in its own unit"
        )


def fit_targets(chosen: str, targets: NDArray[Any]) -> TargetScale | None:
    """Fit the scaling of training targets.

    Args:
        chosen: `standardize`, `none`, or `auto`: where mean or deviation of a target is far from 1.
        targets: (n, outputs).

    Returns:
        None where they stay as they are.
    """
    if chosen == "none":
        return None
    values = targets.astype(np.float64)
    low, high = values.min(axis=0), values.max(axis=0)
    # Rounding may leave a constant target with a mean beside its value and a tiny deviation.
    mean = np.where(low == high, low, values.mean(axis=0))
    deviation = np.where(low == high, 1.0, values.std(axis=0))
    least, most = NEAR_ONE
    if chosen == "auto" and ((abs(mean) <= most) & (least <= deviation) & (deviation <= most)).all():
        return None
    return TargetScale(tuple(mean.tolist()), tuple(deviation.tolist()))

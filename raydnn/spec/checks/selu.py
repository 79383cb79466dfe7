"""The conditions under which SELU keeps mean 0 and variance 1, and which of them a trial breaks."""

from __future__ import annotations

from raydnn.spec.axes.init import LecunNormal, LecunUniform, VarianceScaling
from raydnn.spec.job import Training

PLAIN_MODELS = ("perceptron", "mlp", "cnn", "autoencoder")
"""Models without skip connections, whose sums would double the variance."""


def selu_warnings(trial: Training) -> list[str]:
    """One line for each broken condition; none for another activation.

    The conditions are those of Klambauer et al. 2017, arXiv:1706.02515.

    Args:
        trial: A configuration whose `init` is resolved.
    """
    if trial.activation.name != "selu":
        return []
    broken = []
    if trial.data.scaling.name not in ("standardize", "whiten"):
        broken.append(f"data.scaling: {trial.data.scaling.name}, but SELU needs standardize")
    if not _keeps_variance(trial):
        broken.append(f"init: {trial.init.name}, but SELU needs lecun_normal")
    if str(trial.model.name) not in PLAIN_MODELS:
        broken.append(f"model: {trial.model.name} has skip connections, but SELU needs a plain mlp")
    given = trial.regularization
    if given.dropout:
        broken.append(f"regularization.dropout: {given.dropout:g}, but SELU needs alpha_dropout instead")
    if given.input_dropout:
        broken.append(
            f"regularization.input_dropout: {given.input_dropout:g}, but SELU needs inputs of variance 1"
        )
    return broken


def _keeps_variance(trial: Training) -> bool:
    """Whether weights have the variance 1/fan_in."""
    init = trial.init
    if isinstance(init, VarianceScaling):
        return init.mode == "fan_in" and init.scale == 1
    return isinstance(init, LecunNormal | LecunUniform)

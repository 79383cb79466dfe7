"""What a stack minimizes: every member's output activation, loss, label smoothing and class weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from raydnn.errors import job_error
from raydnn.nn.activations import activate
from raydnn.nn.losses import GRADIENTS, LOSSES, OF_SETS, has_own
from raydnn.spec.axes.class_weights import Balanced, GivenWeights
from raydnn.spec.checks.compatibility import loss_of
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.groups import member_groups


class Objective:
    """The losses of N members; they share its name, and so the number of outputs."""

    def __init__(
        self, trials: Sequence[TrialSpec], class_counts: Tensor | None, device: torch.device
    ) -> None:
        """Prepare the members' parameters.

        Args:
            trials: The members.
            class_counts: Training examples of each class (K,); None where the targets are no classes.
            device: Where the outputs are.
        """
        losses = [loss_of(trial) for trial in trials]
        self._losses = member_groups(losses, device)
        self._outputs = member_groups([trial.output for trial in trials], device)
        self._activates = losses[0].takes_values and any(
            trial.output.name not in ("auto", "linear") for trial in trials
        )
        self._smoothing = None
        if losses[0].smooths and any(trial.regularization.label_smoothing for trial in trials):
            smoothing = [trial.regularization.label_smoothing for trial in trials]
            self._smoothing = torch.tensor(smoothing, device=device).unsqueeze(1)
        self._class_weights = None
        if class_counts is not None and any(trial.train.class_weights.name != "none" for trial in trials):
            rows = [class_weights(trial, class_counts.cpu()) for trial in trials]
            self._class_weights = torch.stack(rows).to(device)
        self._gradient = GRADIENTS.get(losses[0].name)

    @property
    def has_gradient(self) -> bool:
        """Whether `gradient` can be called."""
        return self._gradient is not None

    def gradient(self, outputs: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
        """The gradient (N, B, K) of `training` by the outputs, where it is written out."""
        assert self._gradient is not None
        found = self._gradient(outputs, targets, self._smoothing)
        weighing = self._weights(found[..., 0], targets, weights)
        return found if weighing is None else found * weighing.unsqueeze(-1)

    def training(self, outputs: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
        """Losses as they are minimized: with label smoothing, class weights and the examples' weights.

        Args:
            outputs: (N, B, K).
            targets: Shared or with a leading N.
            weights: Weights of the examples (B,) or (N, B), or None.

        Returns:
            (N, B).
        """
        losses = self._per_example(outputs, targets, self._smoothing)
        weighing = self._weights(losses, targets, weights)
        return losses if weighing is None else losses * weighing

    def evaluation(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Plain losses (N, B), comparable between members that smooth or weigh differently."""
        return self._per_example(outputs, targets, None)

    def averaged(self, outputs: Tensor, others: Tensor) -> Tensor:
        """Outputs whose probabilities are the mean of those of two others; where there are none, the mean of these.

        Args:
            outputs: (N, B, K), before the output activation.
            others: Alike.
        """
        means = (
            AVERAGES.get(group.name, _mean)(group.of(outputs), group.of(others)) for group in self._outputs
        )
        return torch.cat(list(means))

    @property
    def compares(self) -> bool:
        """Whether an example's loss depends on those it is measured with, so that a set is evaluated as a whole."""
        return self._losses[0].name in OF_SETS

    def evaluation_of_set(self, outputs: Tensor, targets: Tensor, rows: slice) -> Tensor:
        """Plain losses (N, rows) of the examples at `rows`, compared with all of the set's (N, B, K)."""
        parts = []
        for group in self._losses:
            of_group = group.of(outputs)
            parts.append(
                OF_SETS[group.name](
                    of_group, targets, rows, **group.columns(of_group[..., 0]), **group.settings
                )
            )
        return torch.cat(parts)

    def _weights(self, losses: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor | None:
        """What the losses (N, B) are multiplied by: the weights of their classes and of their examples."""
        if self._class_weights is None:
            return weights
        of_classes = self._class_weights.gather(1, targets.expand(losses.shape))
        return of_classes if weights is None else of_classes * weights

    def _per_example(self, outputs: Tensor, targets: Tensor, smoothing: Tensor | None) -> Tensor:
        if self._activates:
            outputs = activate(self._outputs, outputs)
        own = has_own(targets)
        parts = []
        for group in self._losses:
            of_group = group.of(outputs)
            settings = group.columns(outputs[..., 0]) | group.settings
            if smoothing is not None:
                settings["smoothing"] = group.of(smoothing)
            parts.append(LOSSES[group.name](of_group, group.of(targets) if own else targets, **settings))
        return parts[0] if len(parts) == 1 else torch.cat(parts)


def _mean(outputs: Tensor, others: Tensor) -> Tensor:
    return (outputs + others) / 2


def _mean_softmax(outputs: Tensor, others: Tensor) -> Tensor:
    """log p̄, of which the softmax is p̄."""
    return torch.logaddexp(outputs.log_softmax(-1), others.log_softmax(-1)) - log(2)


def _mean_sigmoid(outputs: Tensor, others: Tensor) -> Tensor:
    """log p̄ − log (1 − p̄), of which the sigmoid is p̄."""
    right, wrong = (
        torch.logaddexp(logsigmoid(sign * outputs), logsigmoid(sign * others)) for sign in (1, -1)
    )
    return right - wrong


AVERAGES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "softmax": _mean_softmax,
    "sigmoid": _mean_sigmoid,
}
"""Output activation that gives probabilities → the outputs of the mean of two predictions."""


def class_weights(trial: TrialSpec, class_counts: Tensor) -> Tensor:
    """The weight of each class in the training loss (K,).

    Args:
        trial: The member.
        class_counts: Training examples of each class (K,).

    Raises:
        JobError: There are not as many weights as classes.
    """
    chosen = trial.train.class_weights
    if isinstance(chosen, Balanced):
        return class_counts.sum() / (len(class_counts) * class_counts.clamp(min=1).float())
    if isinstance(chosen, GivenWeights):
        if len(chosen.weights) != len(class_counts):
            message = f"{len(chosen.weights)} weights are given; {len(class_counts)} are needed, one a class"
            raise job_error("train.class_weights", message)
        return torch.tensor(chosen.weights)
    return torch.ones(len(class_counts))

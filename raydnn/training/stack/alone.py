"""A network read back, as a stack of one: what computes and evaluates it is what trained it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from raydnn.data.preparation import Preparation
from raydnn.nn.models.registry import architecture
from raydnn.nn.models.unstacked import unstacked
from raydnn.nn.objective import Objective
from raydnn.spec.checks.compatibility import loss_of
from raydnn.spec.data import WITHOUT_ACCURACY, Task
from raydnn.training.stack.member import Member
from raydnn.training.stack.precision import in_precision
from raydnn.training.workers import Workers


class StackOfOne:
    """One member with its final weights, and nothing of what only training needs."""

    def __init__(
        self,
        member: Member,
        features: tuple[int, ...],
        outputs: int,
        preparation: Preparation,
        weights: Mapping[str, Tensor],
        device: torch.device,
    ) -> None:
        """Put weights where the configuration's network has them.

        Args:
            member: The trial.
            features: Shape of one input as the network gets it.
            outputs: Units of the output layer.
            preparation: What its inputs and targets went through.
            weights: Parameters and running averages by name, without the member dimension.
            device: Where it is to compute.

        Raises:
            ValueError: The weights are not those of such a network; says which.
            JobError: A user's class cannot be built any more.
        """
        spec = member.spec
        self.members = (member,)
        self.outputs, self.device = outputs, device
        self.workers, self.pieces = Workers(), 1
        self.task: Task = preparation.task
        self.has_accuracy = self.task not in WITHOUT_ACCURACY and loss_of(spec).decides
        scale = preparation.target_scale
        self.loss_unit = 1.0 if scale is None else scale.unit(loss_of(spec).unit)
        """What losses are multiplied by to be told in the target's unit."""
        self.architecture = architecture(spec, preparation.described(features), outputs)
        layout = self.architecture.layout
        parameters, statistics = torch.zeros(1, layout.size), torch.zeros(1, layout.statistics_size)
        _fill(layout.views(parameters) | layout.statistics_views(statistics), weights)
        self.parameters, self.statistics = parameters.to(device), statistics.to(device)
        self.module: nn.Module = self.architecture.module(self.parameters, [spec], self.statistics)
        self.objective = Objective([spec], None, device)

    def in_precision(self) -> AbstractContextManager[None]:
        """Where the network is to compute in the precision that it was trained in."""
        return in_precision(self.members[0].spec.train.precision, self.device)

    def unstacked(self) -> nn.Module:
        """The same network without the member dimension, as `raydnn.nn.models.unstacked` says."""
        return unstacked(self.architecture, self.parameters, self.members[0].spec, self.statistics)


def _fill(views: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> None:
    """Copy weights into views (1, ...), where both have the same names and shapes."""
    for name, view in views.items():
        if name not in weights:
            raise ValueError(f"'{name}' is missing, which the network of the configuration has")
        given, needed = tuple(weights[name].shape), tuple(view.shape[1:])
        if given != needed:
            raise ValueError(
                f"'{name}' has the shape {given}; the network of the configuration needs {needed}"
            )
        view[0].copy_(weights[name])
    for name in weights:
        if name not in views:
            raise ValueError(f"'{name}' is there, which the network of the configuration has not")

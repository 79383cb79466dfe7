"""The stack: N trials trained at once. All their parameters lie in one matrix, a row a member."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from raydnn.data.augmentation.augment import Augmenter
from raydnn.data.dataset import Dataset
from raydnn.nn.gradients.registry import gradients_of
from raydnn.nn.models.architecture import Architecture
from raydnn.nn.models.registry import architecture
from raydnn.nn.models.sequences import check_inputs
from raydnn.nn.models.users.module import Modules
from raydnn.nn.objective import Objective
from raydnn.optim.optimizers.descent import descending
from raydnn.optim.optimizers.stacked import StackOptimizer
from raydnn.optim.penalties import penalties
from raydnn.optim.schedules import with_cycled_momentum
from raydnn.spec.base import Component
from raydnn.spec.checks.compatibility import loss_of
from raydnn.spec.data import WITHOUT_ACCURACY
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.groups import member_groups
from raydnn.training.stack.loss_scale import LossScale
from raydnn.training.stack.member import Member
from raydnn.training.stack.precision import LOWERED, check_device, in_precision
from raydnn.training.workers import Workers


class Stack:
    """N members that share shapes, data, batch size and the loss's name, and differ in everything else."""

    def __init__(
        self,
        members: Sequence[Member],
        dataset: Dataset,
        workers: Workers,
        device: torch.device,
        pieces: int = 1,
    ) -> None:
        """Draw every member's first parameters.

        Args:
            members: The trials; equal activations and optimizers should be neighbours.
            dataset: The data, on `device`.
            workers: This process among the data-parallel workers.
            device: Where the stack is trained.
            pieces: How many pieces each batch is computed in; several where memory ran out.

        Raises:
            JobError: The device lacks what the members' precision, or their compilation, needs.
        """
        first = members[0].spec
        check_device(first.train, device)
        for member in members[1:]:
            check_inputs(member.spec, dataset)
        self.members = list(members)
        self.workers = workers
        self.device = device
        self.pieces = pieces
        self.outputs = loss_of(first).units(dataset.task, dataset.outputs)
        self.architecture = architecture_of(first, dataset)
        self.layout = self.architecture.layout
        scale = dataset.target_scale
        self.loss_unit = 1.0 if scale is None else scale.unit(loss_of(first).unit)
        """What losses are multiplied by to be told in the target's unit; the members share the loss's name."""
        self.class_counts = dataset.class_counts
        self.features = dataset.features
        self._shades = lambda: dataset.shades
        self.task = dataset.task
        self.has_accuracy = dataset.task not in WITHOUT_ACCURACY and loss_of(first).decides
        initial = [self.architecture.start(m.spec) for m in members]
        self.parameters = torch.stack([parameters for parameters, _ in initial]).to(device)
        self.statistics = torch.stack([statistics for _, statistics in initial]).to(device)
        """Running averages (N, S) of the normalization layers, a row a member like the parameters."""
        self.optimizer = StackOptimizer(optimizers_of(members), self.layout, device, self.parameters.dtype)
        self.precision = first.train.precision
        """The members' precision."""
        scales = self.precision == "float16"
        self.loss_scale = LossScale(len(members), device) if scales else None
        """What their losses are multiplied by before they are differentiated; None: nothing."""
        self.best: Tensor | None = None
        """Parameters (N, P) at each member's best epoch; None where none ends with them."""
        if any(member.spec.train.keeps_best for member in members):
            self.best = self.parameters.clone()
        self.best_statistics = None if self.best is None else self.statistics.clone()
        self._wire()

    def _wire(self) -> None:
        """(Re)build all that follows from the members and their parameters."""
        specs = [member.spec for member in self.members]
        clips = member_groups([spec.train.clip for spec in specs], self.device)
        self.clips = [run for run in clips if run.name != "none"]
        augmentations = [spec.train.augmentation for spec in specs]
        self.augmenter = Augmenter(augmentations, self.device, self._shades)
        self.objective = Objective(specs, self.class_counts, self.device)
        self.module: nn.Module = self.architecture.module(self.parameters, specs, self.statistics)
        self.gradients = torch.zeros_like(self.parameters)
        self.penalties = penalties([spec.regularization for spec in specs], self.layout, self.device)
        self.weights = self.layout.views(self.parameters)
        self.backprop = gradients_of(
            self.module,
            self.weights,
            self.layout.views(self.gradients),
            # What moves with the first piece of a batch is not what the others are to be computed with.
            descending(specs) if self.pieces == 1 else [],
            self.in_precision if self.precision in LOWERED else None,
            self.workers.count,
            self.members[0].spec.train.recompute,
            self.members[0].spec.train.compile,
        )
        """Forward and backward of a step's batches."""

    def in_precision(self) -> AbstractContextManager[None]:
        """Where the network is to compute in the members' precision."""
        return in_precision(self.precision, self.device)

    @property
    def fused(self) -> bool:
        """Whether all members share every kernel; a user's module that does not vectorize computes them in turn."""
        return getattr(self.module, "vectorizes", True)

    def remembered_by_users(self) -> object:
        """What the user's module, where there is one, remembers beside its tensors, for comparison."""
        return self.module.remembered() if isinstance(self.module, Modules) else None

    def keep(self, kept: Sequence[int]) -> None:
        """Drop all members but those at the ascending positions `kept`; the others' numbers do not change."""
        if len(kept) == len(self.members):
            return
        rows = torch.tensor(list(kept), dtype=torch.long, device=self.device)
        self.members = [self.members[position] for position in kept]
        self.parameters = self.parameters[rows]
        self.statistics = self.statistics[rows]
        if self.best is not None and self.best_statistics is not None:
            self.best = self.best[rows]
            self.best_statistics = self.best_statistics[rows]
        self.optimizer.keep(kept)
        if self.loss_scale is not None:
            self.loss_scale.keep(rows)
        if self.members:
            self._wire()

    def copy(self, copies: Mapping[int, Mapping[str, Tensor]]) -> None:
        """Put others' states to members that have their new configurations already.

        Args:
            copies: Position → the copied member's row of every tensor that it needs of `state_tensors`; the
                others begin at 0. The weights of a member's own best epoch stay.
        """
        self.optimizer.change(optimizers_of(self.members))
        for name, tensor in self.state_tensors().items():
            if name not in ("best", "best_statistics"):
                for position, rows in copies.items():
                    tensor[position] = rows.get(name, 0)
        self._wire()

    def remember_best(self, positions: Sequence[int]) -> None:
        """Note the present parameters of the members at `positions` as their best."""
        if self.best is None or self.best_statistics is None or not positions:
            return
        if len(positions) == len(self.members):
            self.best.copy_(self.parameters)
            self.best_statistics.copy_(self.statistics)
        else:
            # One copy to the device for all that is indexed there.
            rows = torch.tensor(list(positions), device=self.device)
            self.best.index_copy_(0, rows, self.parameters.index_select(0, rows))
            self.best_statistics.index_copy_(0, rows, self.statistics.index_select(0, rows))

    def restore_best(self, positions: Sequence[int]) -> None:
        """Put the best parameters of those at `positions` back, and the configurations they were trained with."""
        if self.best is None or self.best_statistics is None:
            return
        for position in positions:
            self.parameters[position] = self.best[position]
            self.statistics[position] = self.best_statistics[position]
        others = [self.members[position] for position in positions if self.members[position].ranked_spec]
        for member in others:
            member.spec, member.ranked_spec = member.ranked_spec or member.spec, None
        if others:
            self._wire()

    def member_parameters(self, position: int) -> dict[str, Tensor]:
        """One member's parameters and running averages by name, without the member dimension."""
        return self.on_host([position])[0]

    def on_host(self, positions: Sequence[int]) -> list[dict[str, Tensor]]:
        """The same of several members, which leave the device together."""
        rows = torch.tensor(list(positions), device=self.device)
        parameters, statistics = self.parameters[rows].cpu(), self.statistics[rows].cpu()
        views = self.layout.views(parameters) | self.layout.statistics_views(statistics)
        return [{name: view[k].clone() for name, view in views.items()} for k in range(len(rows))]

    def state_tensors(self) -> dict[str, Tensor]:
        """Everything that changes in training, by name, as it is saved."""
        tensors = {"parameters": self.parameters}
        tensors |= {f"optimizer.{name}": t for name, t in self.optimizer.state_tensors().items()}
        if self.best is not None:
            tensors["best"] = self.best
        if self.layout.statistics:
            tensors["statistics"] = self.statistics
            if self.best_statistics is not None:
                tensors["best_statistics"] = self.best_statistics
        if self.loss_scale is not None:
            tensors |= self.loss_scale.state_tensors()
        return tensors

    def load_state_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Take over the state of a stack of the same members.

        Raises:
            KeyError: A tensor is missing.
        """
        for name, tensor in self.state_tensors().items():
            tensor.copy_(tensors[name])


def optimizers_of(members: Sequence[Member]) -> list[Component]:
    """The members' optimizers, as their schedules need them."""
    return [with_cycled_momentum(member.spec.optimizer, member.spec.schedule) for member in members]


def architecture_of(trial: TrialSpec, dataset: Dataset) -> Architecture:
    """The architecture of a trial's network on a data set.

    Raises:
        JobError: The model does not take such inputs.
        DataError: The inputs hold a token that the network does not know.
    """
    check_inputs(trial, dataset)
    outputs = loss_of(trial).units(dataset.task, dataset.outputs)
    return architecture(trial, dataset.inputs, outputs)

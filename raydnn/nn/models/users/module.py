"""A user's own torch.nn.Module as a stack: its N members computed at once by torch.func, or in turn.

All that a module learns or keeps is in its parameters and buffers; they lie in the stack's matrices as those of every
model do, in float32, and the class's code is called with them.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from typing import NoReturn

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from raydnn.data.inputs import Inputs
from raydnn.data.named import split
from raydnn.errors import UserCodeError, job_error
from raydnn.nn.layers.costs import Costs
from raydnn.nn.layers.layer import Row, Shape, Views
from raydnn.nn.layers.members import Members
from raydnn.nn.layers.naming import parent_of
from raydnn.nn.models.architecture import Architecture, of_members
from raydnn.nn.models.users.examples import (
    Examples,
    arguments,
    by_member,
    count_of,
    shapes_of,
)
from raydnn.nn.models.users.module_roles import parameters_of
from raydnn.nn.models.users.user_class import (
    STREAM,
    Tensors,
    UserClass,
    computed,
    given,
    measured,
    tensors_of,
    why_in_turn,
)
from raydnn.nn.user_code import leave_if_copied, line_of_code
from raydnn.spec.axes.networks.model import UserModule
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.context import EVALUATION, Context
from raydnn.stacking.layout import Layout
from raydnn.stacking.random import drawing_from, generator
from raydnn.stacking.roles import Role

_OF_TORCH = frozenset(vars(nn.Module()))
"""Attributes that every module has."""


@dataclass(frozen=True)
class UserLayer:
    """A user's module, the one layer of its network."""

    users: UserClass
    layout: Layout
    """Of what the module learns, and as statistics that of its buffers and frozen parameters."""
    name: str = ""

    @property
    def shape(self) -> Shape:
        """(outputs,)."""
        return (self.users.outputs,)

    def costs(self, _trial: TrialSpec) -> Costs:
        """As measured on examples."""
        return measured(self.users)[0]

    def rows(self, _trial: TrialSpec) -> tuple[Row, ...]:
        """A row for each part with parameters, as measured on examples."""
        return measured(self.users)[1]

    def start(self, trial: TrialSpec, parameters: Views, statistics: Views) -> None:
        """The module's own first values, drawn by the trial's seed."""
        learned, kept = tensors_of(self.users.build(trial.seed))
        for name, view in (parameters | statistics).items():
            view.copy_((learned | kept)[name])

    def module(self, members: Members) -> Modules:
        """N networks of the class."""
        return Modules(self, members)


def user_class(trial: TrialSpec, inputs: Inputs, outputs: int) -> UserClass | None:
    """The class that a trial's model names; None where it is a model of raydnn's own."""
    spec = trial.model
    if not isinstance(spec, UserModule):
        return None
    return UserClass(spec.path, spec.arguments, inputs.shape, outputs, inputs.named)


def user_module(trial: TrialSpec, inputs: Inputs, outputs: int) -> Architecture:
    """The network of a user's class.

    Args:
        trial: A member.
        inputs: What the data are.
        outputs: What the class is to give for each.

    Raises:
        JobError: There is no such class, or what it builds cannot be trained.
    """
    users = user_class(trial, inputs, outputs)
    assert users is not None, "it is the builder of users' models"
    module = users.build(trial.seed)
    learned, kept = tensors_of(module)
    if not learned:
        raise job_error("model.path", f"{users.path} has no parameter to learn; at least one is needed")
    found = parameters_of(module)
    frozen = {name: replace(found[name], role=Role.BUFFER) for name in kept}
    layer = UserLayer(users, Layout({name: found[name] for name in learned}, frozen))
    return Architecture(
        inputs.shape, (layer,), lambda _, members: layer.module(members), _output_layer(users, layer.layout)
    )


def _output_layer(users: UserClass, layout: Layout) -> str:
    """The part with weights that is computed last, as parameters call it; empty where no part is known to have any."""
    with_weights = {weight.layer for weight in layout.having(Role.WEIGHT).values()}
    if len(with_weights) < 2:
        return next(iter(with_weights), "")
    why_in_turn(users, "cpu")  # refuses in words what cannot be computed
    parts = (name.partition(".parametrizations")[0] for name in reversed(computed(users)))
    return next((name for name in parts if name in with_weights), "")


class Modules(nn.Module):
    """N networks of a user's class; the names of its parameters are those of the class's own."""

    def __init__(self, layer: UserLayer, members: Members) -> None:
        """Wrap parameters.

        Args:
            layer: The class, and what it was built for.
            members: All of one class with the same arguments.
        """
        super().__init__()
        trials, device = members.trials, members.device
        users = layer.users.build(trials[0].seed).to(device)
        # Inside a tuple torch does not take it for a part of this module, whose parameters are others.
        self._users = (users,)
        self._class = layer.users
        self._types = {name: tensor.dtype for name, tensor in tensors_of(users)[1].items()}
        self._buffers_of_users = [name for name, _ in users.named_buffers()]
        self._seeds = [trial.seed for trial in trials]
        self._statistics = members.flat_statistics
        self._kept = members.statistics
        for name, view in members.parameters.items():
            parent, last = parent_of(self, name)
            parent.register_parameter(last, nn.Parameter(view))
        self._learned = dict(self.named_parameters())
        self.why_in_turn = why_in_turn(layer.users, device.type)
        """Why the members are not computed at once; empty where they are."""

    @property
    def vectorizes(self) -> bool:
        """Whether all members are computed at once."""
        return not self.why_in_turn

    def remembered(self) -> object:
        """What the class keeps in its attributes beside parameters and buffers, for comparison."""
        kept = [
            {name: value for name, value in vars(module).items() if name not in _OF_TORCH}
            for module in self._users[0].modules()
        ]
        try:
            return pickle.dumps(kept)
        except Exception:  # Whatever they keep; only which objects these are can be told.
            return [{name: id(value) for name, value in own.items()} for own in kept]

    def forward(self, inputs: Tensor, context: Context = EVALUATION) -> Tensor:
        """Compute the outputs.

        Args:
            inputs: (B, *shape) or (1, B, *shape), shared by all members, or (N, B, *shape); most classes get rows.
            context: Of the forward pass; the class is told only whether it is one of training.

        Returns:
            Outputs (N, B, K).
        """
        self._users[0].train(context.trains)
        own = self._own(inputs)
        outputs = self._at_once(own) if self.vectorizes else self._in_turn(own, context)
        leave_if_copied()
        if context.trains and torch.is_grad_enabled() and not outputs.requires_grad:
            self._refuse("outputs without a gradient; compute them by torch, without detach, item or argmax")
        return outputs

    def _own(self, inputs: Tensor) -> Examples:
        """Inputs as the class gets them, of each member, (N, B, ...).

        Shared ones are spread, too: one wide product of all members would round otherwise than a member alone.
        """
        users, members = self._class, len(self._seeds)
        if users.named:
            parts = split(inputs, users.named)
            return {one.name: of_members(parts[one.name], one.shape, members) for one in users.named}
        spread = of_members(inputs, users.shape, members)
        return spread.reshape(*spread.shape[:2], *users.inputs)

    @torch.no_grad()
    def member(self, position: int) -> nn.Module:
        """A member as an instance of the user's class, in evaluation mode: the one that this stack computes with."""
        users = self._users[0].train(False)
        kept = {name: view[position] for name, view in self._kept.items()}
        own = {name: rows[position] for name, rows in self._learned.items()} | kept
        for name, tensor in (dict(users.named_parameters()) | dict(users.named_buffers())).items():
            tensor.copy_(own[name])
        return users

    def _at_once(self, inputs: Examples) -> Tensor:
        kept = {name: view.to(self._types[name]) for name, view in self._kept.items()}
        outputs: Tensor = vmap(self._one, randomness="error")(self._learned | kept, inputs)
        return outputs

    def _one(self, tensors: Tensors, inputs: Examples) -> Tensor:
        outputs = functional_call(self._users[0], tensors, *arguments(inputs))
        needed = (count_of(inputs), self._class.outputs)
        if not isinstance(outputs, Tensor) or outputs.shape != needed:
            self._refuse(f"{given(outputs)} of inputs {shapes_of(inputs)}; {needed} is needed")
        return outputs

    def _refuse(self, what: str) -> NoReturn:
        users = type(self._users[0])
        raise UserCodeError(f"{line_of_code(users.forward)}model.path: {users.__name__} makes {what}")

    def _in_turn(self, inputs: Examples, context: Context) -> Tensor:
        learned = {name: parameter.unbind() for name, parameter in self._learned.items()}
        device = next(iter(self._learned.values())).device
        draws = (
            [generator(STREAM, seed, device=device) for seed in self._seeds]
            if context.noise is None
            else context.noise.own(STREAM)
        )
        outputs = []
        for member, (stream, examples) in enumerate(zip(draws, by_member(inputs), strict=True)):
            # A copy, since a buffer may be replaced, or change after something was computed with it.
            kept = {name: view[member].to(self._types[name], copy=True) for name, view in self._kept.items()}
            tensors = {name: rows[member] for name, rows in learned.items()} | kept
            with drawing_from(stream):
                outputs.append(self._one(tensors, examples))
            if context.trains:
                for name in self._buffers_of_users:
                    self._kept[name][member].copy_(tensors[name].detach())
        if context.workers > 1 and self._buffers_of_users and self._statistics is not None:
            # Each worker sees a share of the batch; the buffers of one of them count, as torch's own wrapper has it.
            torch.distributed.broadcast(self._statistics, 0)
        return torch.stack(outputs)

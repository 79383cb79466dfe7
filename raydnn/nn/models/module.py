"""A user's own torch.nn.Module as a stack: its N members computed at once by torch.func, or in turn.

All that a module learns or keeps is in its parameters and buffers; they lie in the stack's matrices as those of every
model do, in float32, and the class's code is called with them.
"""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass, replace
from functools import cache
from inspect import Parameter, signature
from math import prod
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from raydnn.errors import JobError, Problem, UserCodeError, one_of
from raydnn.nn.imported import imported
from raydnn.nn.layers.costs import Costs
from raydnn.nn.layers.layer import Shape, Views
from raydnn.nn.layers.members import Members
from raydnn.nn.models.architecture import Architecture, parent_of
from raydnn.nn.models.module_costs import EXAMPLES, costs_of
from raydnn.nn.models.module_roles import parameters_of
from raydnn.nn.user_code import described, is_interrupt, leave_if_copied, line_of, line_of_code
from raydnn.secrets import revealed
from raydnn.spec.axes.model import UserModule
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.context import EVALUATION, Context
from raydnn.stacking.layout import Layout
from raydnn.stacking.random import drawing_from, generator
from raydnn.stacking.roles import Role

Tensors = dict[str, Tensor]

_OF_TORCH = frozenset(vars(nn.Module()))
"""Attributes that every module has."""

STREAM = "module"
"""The stream of what modules draw."""


@dataclass(frozen=True)
class UserLayer:
    """A user's module, the one layer of its network."""

    spec: UserModule
    inputs: int
    """Features of an example."""
    outputs: int
    layout: Layout
    """Of what the module learns, and as statistics that of its buffers and frozen parameters."""
    name: str = ""

    @property
    def shape(self) -> Shape:
        """(outputs,)."""
        return (self.outputs,)

    def costs(self, _trial: TrialSpec) -> Costs:
        """As measured; how its members are computed is found by trying, too."""
        given = self.spec.path, self.spec.arguments, self.inputs, self.outputs
        return replace(_costs(*given), in_turn=bool(why_in_turn(*given, "cpu")))

    def start(self, trial: TrialSpec, parameters: Views, statistics: Views) -> None:
        """The module's own first values, drawn by the trial's seed."""
        learned, kept = _tensors(_build(self.spec, self.inputs, self.outputs, trial.seed))
        for name, view in (parameters | statistics).items():
            view.copy_((learned | kept)[name])

    def module(self, members: Members) -> Modules:
        """N networks of the class."""
        return Modules(self, members)


def user_module(trial: TrialSpec, shape: Shape, outputs: int) -> Architecture:
    """The network of a user's class.

    Args:
        trial: A member.
        shape: Shape of an example.
        outputs: What the class is to give for each.

    Raises:
        JobError: There is no such class, or what it builds cannot be trained.
    """
    spec = trial.model
    assert isinstance(spec, UserModule)
    inputs = prod(shape)
    module = _build(spec, inputs, outputs, trial.seed)
    learned, kept = _tensors(module)
    if not learned:
        raise _problem("model.path", f"{spec.path} has no parameter to learn; at least one is needed")
    found = parameters_of(module)
    frozen = {name: replace(found[name], role=Role.BUFFER) for name in kept}
    layout = Layout({name: found[name] for name in learned}, frozen)
    layer = UserLayer(spec, inputs, outputs, layout)
    return Architecture(shape, (layer,), lambda _, members: layer.module(members))


class Modules(nn.Module):
    """N networks of a user's class; the names of its parameters are those of the class's own."""

    def __init__(self, layer: UserLayer, members: Members) -> None:
        """Wrap parameters.

        Args:
            layer: The class, and what it was built for.
            members: All of one class with the same arguments.
        """
        super().__init__()
        spec, trials, device = layer.spec, members.trials, members.device
        users = _build(spec, layer.inputs, layer.outputs, trials[0].seed).to(device)
        # Inside a tuple torch does not take it for a part of this module, whose parameters are others.
        self._users = (users,)
        self._outputs = layer.outputs
        self._types = {name: tensor.dtype for name, tensor in _tensors(users)[1].items()}
        self._buffers_of_users = [name for name, _ in users.named_buffers()]
        self._seeds = [trial.seed for trial in trials]
        self._statistics = members.flat_statistics
        self._kept = members.statistics
        for name, view in members.parameters.items():
            parent, last = parent_of(self, name)
            parent.register_parameter(last, nn.Parameter(view))
        self._learned = dict(self.named_parameters())
        self.why_in_turn = why_in_turn(spec.path, spec.arguments, layer.inputs, layer.outputs, device.type)
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
            inputs: (1, B, *features), shared by all members, or (N, B, *features); rows (B, F) are shared, too.
                The class gets rows.
            context: Of the forward pass; the class is told only whether it is one of training.

        Returns:
            Outputs (N, B, K).
        """
        self._users[0].train(context.trains)
        # Spread shared inputs, too: one wide product of all members would round otherwise than a member alone.
        rows = inputs.flatten(2) if inputs.dim() > 3 else inputs
        own = rows.expand(len(self._seeds), *rows.shape[-2:])
        outputs = self._at_once(own) if self.vectorizes else self._in_turn(own, context)
        leave_if_copied()
        if context.trains and torch.is_grad_enabled() and not outputs.requires_grad:
            self._refuse("outputs without a gradient; compute them by torch, without detach, item or argmax")
        return outputs

    def _at_once(self, inputs: Tensor) -> Tensor:
        kept = {name: view.to(self._types[name]) for name, view in self._kept.items()}
        outputs: Tensor = vmap(self._one, randomness="error")(self._learned | kept, inputs)
        return outputs

    def _one(self, tensors: Tensors, inputs: Tensor) -> Tensor:
        outputs = functional_call(self._users[0], tensors, (inputs,))
        needed = (len(inputs), self._outputs)
        if not isinstance(outputs, Tensor) or outputs.shape != needed:
            self._refuse(f"{_given(outputs)} of inputs {tuple(inputs.shape)}; {needed} is needed")
        return outputs

    def _refuse(self, what: str) -> NoReturn:
        users = type(self._users[0])
        raise UserCodeError(f"{line_of_code(users.forward)}model.path: {users.__name__} makes {what}")

    def _in_turn(self, inputs: Tensor, context: Context) -> Tensor:
        learned = {name: parameter.unbind() for name, parameter in self._learned.items()}
        draws = (
            [generator(STREAM, seed, device=inputs.device) for seed in self._seeds]
            if context.noise is None
            else context.noise.own(STREAM)
        )
        outputs = []
        for member, (stream, examples) in enumerate(zip(draws, inputs, strict=True)):
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


@cache
def _costs(path: str, arguments: str, inputs: int, outputs: int) -> Costs:
    module = _build(UserModule(path=path, arguments=arguments), inputs, outputs, 0)
    with drawing_from(generator(STREAM, 0)):
        return costs_of(module, torch.randn(EXAMPLES, inputs))


@cache
def why_in_turn(path: str, arguments: str, inputs: int, outputs: int, device: str) -> str:
    """Why members of a class cannot be computed at once, found by trying two of them on two examples each.

    Args:
        path: The class.
        arguments: Its arguments, as JSON.
        inputs: Features of an example.
        outputs: Units of the output layer.
        device: Kind of the device, `cpu` or `cuda`.

    Returns:
        One line; empty if they can.

    Raises:
        JobError: The class cannot be computed at all.
    """
    spec = UserModule(path=path, arguments=arguments)
    module = _build(spec, inputs, outputs, 0).to(device)
    learned, kept = _tensors(module)
    pair = {name: torch.stack([tensor, tensor]) for name, tensor in (learned | kept).items()}
    examples = torch.randn(2, 2, inputs, generator=generator(STREAM, 0)).to(device)
    for trains in (True, False):
        module.train(trains)
        with torch.set_grad_enabled(trains):
            reason = _differs_at_once(spec, module, pair, kept, examples)
        if reason:
            return reason
    return ""


def told_strategy(spec: UserModule, inputs: int, outputs: int) -> str:
    """How the members of a stack are computed, as one line."""
    reason = why_in_turn(spec.path, spec.arguments, inputs, outputs, "cpu")
    how = (
        f"one after another, since torch.func.vmap cannot: {reason}"
        if reason
        else "at once, by torch.func.vmap"
    )
    return f"{spec.path}: the members of a stack are computed {how}"


def _differs_at_once(
    spec: UserModule, module: nn.Module, pair: Tensors, kept: Tensors, examples: Tensor
) -> str:
    def one(tensors: Tensors, inputs: Tensor) -> Tensor:
        outputs: Tensor = functional_call(module, tensors, (inputs,))
        return outputs

    found = []
    for member, inputs in enumerate(examples):
        own = {name: tensor[member].clone() for name, tensor in pair.items()}
        with drawing_from(generator(STREAM, 0, device=examples.device)):
            try:
                found.append(one(own, inputs))
            except BaseException as error:
                raise _failure("model.path", f"{spec.path} fails on two examples", error) from error
        for name, tensor in kept.items():
            if not torch.equal(own[name], tensor):
                return f"its buffer {name} changes in training"
    try:
        at_once = vmap(one, randomness="error")(pair, examples)
    except Exception as error:  # Whatever the class does that torch.func cannot.
        return described(error)
    same = torch.allclose(at_once, torch.stack(found), rtol=1e-3, atol=1e-5, equal_nan=True)
    return "" if same else "its outputs differ under torch.func.vmap"


def _build(spec: UserModule, inputs: int, outputs: int, seed: int) -> nn.Module:
    """An instance of the class, initialized by a seed, and tried on two examples, which also sizes lazy layers."""
    users = imported(spec.path, "model.path", "class")
    arguments = json.loads(spec.arguments)
    if not issubclass(users, nn.Module):
        raise _problem("model.path", f"{spec.path} is no torch.nn.Module; allowed: a subclass of it")
    _check_arguments(users, spec.path, arguments)
    written = ", ".join(
        [str(inputs), str(outputs), *(f"{name}={value!r}" for name, value in arguments.items())]
    )
    revealing = {name: revealed(value, f"model.arguments.{name}") for name, value in arguments.items()}
    with drawing_from(generator("init", seed)):
        try:
            module: nn.Module = users(inputs, outputs, **revealing).float().train(False)
            with torch.no_grad():
                found = module(torch.zeros(2, inputs))
        except BaseException as error:
            raise _failure("model", f"{spec.path}({written}) fails", error) from error
    leave_if_copied()
    if not isinstance(found, Tensor) or found.shape != (2, outputs):
        message = (
            f"{spec.path}({written}) makes {_given(found)} of inputs (2, {inputs}); (2, {outputs}) is needed"
        )
        raise _problem("model.path", message)
    return module


def _check_arguments(users: type[nn.Module], path: str, arguments: dict[str, Any]) -> None:
    parameters = list(signature(users).parameters.values())
    if any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters):
        return
    names = [
        parameter.name
        for parameter in parameters[2:]
        if parameter.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    ]
    for name in arguments:
        if name not in names:
            raise _problem("model.arguments", f"unknown argument {name!r} of {path}; {one_of(name, names)}")


def _tensors(module: nn.Module) -> tuple[Tensors, Tensors]:
    """What gradients move, and what is kept beside it: frozen parameters and buffers."""
    parameters = dict(module.named_parameters())
    learned = {name: tensor.detach() for name, tensor in parameters.items() if tensor.requires_grad}
    frozen = {name: tensor.detach() for name, tensor in parameters.items() if not tensor.requires_grad}
    return learned, frozen | dict(module.named_buffers())


def _given(found: object) -> str:
    return f"a tensor of shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__


def _failure(field: str, what: str, error: BaseException) -> JobError:
    """What to raise for an error of the user's code; an interrupt is no error of it."""
    leave_if_copied()
    if is_interrupt(error):
        raise error
    return JobError([Problem(line_of(error) or "", field, f"{what}: {described(error)}")])


def _problem(field: str, message: str) -> JobError:
    return JobError([Problem("", field, message)])

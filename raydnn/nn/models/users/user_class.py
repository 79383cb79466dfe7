"""A user's own torch.nn.Module: found, built by a trial's seed, tried, and measured."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache
from inspect import Parameter, signature
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from raydnn.data.named import Named, split, with_whole_numbers
from raydnn.errors import JobError, Problem, job_error, one_of
from raydnn.nn.imported import imported
from raydnn.nn.layers.costs import Costs
from raydnn.nn.layers.layer import Row, Shape
from raydnn.nn.models.users.examples import (
    Examples,
    arguments,
    by_member,
    called,
    check_forward,
    shapes_of,
)
from raydnn.nn.models.users.module_costs import EXAMPLES, computed_parts, costs_of, rows_of
from raydnn.nn.user_code import described, is_interrupt, leave_if_copied, line_of
from raydnn.secrets import revealed
from raydnn.stacking.random import drawing_from, generator

Tensors = dict[str, Tensor]

STREAM = "module"
"""The stream of what modules draw."""
SHAPE = "shape"
"""A class whose first argument has this name is told the shape of an example, and gets examples in it."""


@dataclass(frozen=True)
class UserClass:
    """A class of the user's own, and what its networks are built for."""

    path: str
    arguments: str
    """Its further arguments, as JSON."""
    shape: Shape
    """Of an example of the data."""
    outputs: int
    named: Named = ()
    """Several inputs that lie side by side in an example; none: they are one without a name."""

    @property
    def takes_shape(self) -> bool:
        """Whether it gets examples in their shape, (B, *shape), and not as rows, (B, features)."""
        return next(iter(signature(self.found()).parameters), "") == SHAPE

    @property
    def inputs(self) -> Shape:
        """Shape in which it gets an example."""
        return self.shape if self.takes_shape else (prod(self.shape),)

    @property
    def told(self) -> Any:
        """What it is told of an example: its shape, of several inputs that of each by name, or how many numbers."""
        if self.named:
            return {one.name: one.shape for one in self.named}
        return self.shape if self.takes_shape else prod(self.shape)

    def taken(self, rows: Tensor) -> Examples:
        """Examples (..., *inputs) as it gets them."""
        return split(rows, self.named) if self.named else rows

    def tried(self, numbers: Tensor) -> Examples:
        """Examples (..., 2, *inputs) to try it on, whole numbers among them as the data have them."""
        return self.taken(with_whole_numbers(numbers, self.named))

    def found(self) -> type[nn.Module]:
        """The class itself.

        Raises:
            JobError: There is none, or it is no module.
        """
        users: type[nn.Module] = imported(self.path, "model.path", "class")
        if not issubclass(users, nn.Module):
            raise job_error("model.path", f"{self.path} is no torch.nn.Module; allowed: a subclass of it")
        return users

    def build(self, seed: int) -> nn.Module:
        """A network, initialized by a seed, and tried on two examples, which also sizes lazy layers.

        Raises:
            JobError: It cannot be built, or gives something else than outputs (2, K) for two examples.
        """
        users, further = self.found(), json.loads(self.arguments)
        _check_arguments(users, self.path, further)
        if self.named:
            check_forward(users, self.path, self.named)
        first, examples = self.told, self.tried(torch.zeros(2, *self.inputs))
        named = [f"{name}={value!r}" for name, value in further.items()]
        written = f"{self.path}({', '.join([str(first), str(self.outputs), *named])})"
        revealing = {name: revealed(value, f"model.arguments.{name}") for name, value in further.items()}
        with drawing_from(generator("init", seed)):
            try:
                module = users(first, self.outputs, **revealing).float().train(False)
                with torch.no_grad():
                    found = called(module, examples)
            except BaseException as error:
                which = f" on {shapes_of(examples)}" if self.named else ""
                raise _failure("model", f"{written} fails{which}", error) from error
        leave_if_copied()
        if not isinstance(found, Tensor) or found.shape != (2, self.outputs):
            needed = f"of inputs {shapes_of(examples)}; {(2, self.outputs)} is needed"
            raise job_error("model.path", f"{written} makes {given(found)} {needed}")
        return module


def tensors_of(module: nn.Module) -> tuple[Tensors, Tensors]:
    """What gradients move, and what is kept beside it: frozen parameters and buffers."""
    parameters = dict(module.named_parameters())
    learned = {name: tensor.detach() for name, tensor in parameters.items() if tensor.requires_grad}
    frozen = {name: tensor.detach() for name, tensor in parameters.items() if not tensor.requires_grad}
    return learned, frozen | dict(module.named_buffers())


@cache
def measured(users: UserClass) -> tuple[Costs, tuple[Row, ...]]:
    """What a class's network costs, as measured on examples, and the rows of its parts."""
    module = users.build(0)
    with drawing_from(generator(STREAM, 0)):
        examples = users.tried(torch.randn(EXAMPLES, *users.inputs))
        costs, rows = costs_of(module, examples), rows_of(module, examples)
    # How its members are computed decides what is there for all of them at once.
    return replace(costs, in_turn=bool(why_in_turn(users, "cpu"))), rows


@cache
def computed(users: UserClass) -> tuple[str, ...]:
    """The parts of a class's network that have parameters, in the order in which they are computed."""
    module = users.build(0)
    with drawing_from(generator(STREAM, 0)):
        return computed_parts(module, users.tried(torch.randn(EXAMPLES, *users.inputs)))


@cache
def why_in_turn(users: UserClass, device: str) -> str:
    """Why members of a class cannot be computed at once, found by trying two of them on two examples each.

    Args:
        users: The class.
        device: Kind of the device, `cpu` or `cuda`.

    Returns:
        One line; empty if they can.

    Raises:
        JobError: The class cannot be computed at all.
    """
    module = users.build(0).to(device)
    learned, kept = tensors_of(module)
    pair = {name: torch.stack([tensor, tensor]) for name, tensor in (learned | kept).items()}
    numbers = torch.randn(2, 2, *users.inputs, generator=generator(STREAM, 0))
    examples = users.tried(numbers.to(device))
    for trains in (True, False):
        module.train(trains)
        with torch.set_grad_enabled(trains):
            reason = _differs_at_once(users.path, module, pair, kept, examples)
        if reason:
            return reason
    return ""


def told_strategy(users: UserClass) -> str:
    """How the members of a stack are computed, as one line."""
    reason = why_in_turn(users, "cpu")
    how = (
        f"one after another, since torch.func.vmap cannot: {reason}"
        if reason
        else "at once, by torch.func.vmap"
    )
    return f"{users.path}: the members of a stack are computed {how}"


def given(found: object) -> str:
    """What a user's code has given, in words."""
    return f"a tensor of shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__


def _differs_at_once(path: str, module: nn.Module, pair: Tensors, kept: Tensors, examples: Examples) -> str:
    def one(tensors: Tensors, inputs: Examples) -> Tensor:
        outputs: Tensor = functional_call(module, tensors, *arguments(inputs))
        return outputs

    found = []
    device = next(iter(pair.values())).device
    for member, inputs in enumerate(by_member(examples)):
        own = {name: tensor[member].clone() for name, tensor in pair.items()}
        with drawing_from(generator(STREAM, 0, device=device)):
            try:
                found.append(one(own, inputs))
            except BaseException as error:
                raise _failure("model.path", f"{path} fails on two examples", error) from error
        for name, tensor in kept.items():
            if not torch.equal(own[name], tensor):
                return f"its buffer {name} changes in training"
    try:
        at_once = vmap(one, randomness="error")(pair, examples)
    except Exception as error:  # Whatever the class does that torch.func cannot.
        return described(error)
    same = torch.allclose(at_once, torch.stack(found), rtol=1e-3, atol=1e-5, equal_nan=True)
    return "" if same else "its outputs differ under torch.func.vmap"


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
            raise job_error("model.arguments", f"unknown argument {name!r} of {path}; {one_of(name, names)}")


def _failure(field: str, what: str, error: BaseException) -> JobError:
    """What to raise for an error of the user's code; an interrupt is no error of it."""
    leave_if_copied()
    if is_interrupt(error):
        raise error
    return JobError([Problem(line_of(error) or "", field, f"{what}: {described(error)}")])

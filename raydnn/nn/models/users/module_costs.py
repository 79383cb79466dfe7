"""What a user's module keeps and computes, measured once on two examples: nobody else knows what is in it."""

from __future__ import annotations

from math import ceil

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.hooks import RemovableHandle

from raydnn.nn.layers.costs import Costs
from raydnn.nn.layers.layer import Row
from raydnn.nn.models.users.examples import Examples, called, count_of

EXAMPLES = 2
PASSING = 2
"""The gradients of what comes in and out of the widest part are there at once."""


def costs_of(module: nn.Module, inputs: Examples) -> Costs:
    """Measure a module on some examples, in training.

    Args:
        module: It is not changed but for the buffers that a forward pass changes.
        inputs: (examples, *shape), or several by name.
    """
    parameters = {tensor.untyped_storage().data_ptr() for tensor in module.parameters()}
    saved: dict[int, int] = {}
    given: dict[nn.Module, int] = {}

    def note_saved(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            # In float32 numbers: a mask takes a byte each.
            saved[storage.data_ptr()] = ceil(storage.nbytes() / 4)
        return tensor

    def note_given(part: nn.Module, _: object, outputs: object) -> None:
        tensors = outputs if isinstance(outputs, tuple) else (outputs,)
        found = [tensor.numel() for tensor in tensors if isinstance(tensor, Tensor)]
        given[part] = given.get(part, 0) + sum(found)

    leaves = [part for part in module.modules() if not list(part.children())]
    hooks = [part.register_forward_hook(note_given) for part in {*leaves, module}]
    was_training = module.training
    counter = FlopCounterMode(display=False)
    try:
        module.train()
        with torch.enable_grad(), saved_tensors_hooks(note_saved, lambda tensor: tensor), counter:
            # What is kept lives as long as the outputs do, so that no memory is counted for another's.
            outputs = called(module, inputs)
        del outputs
    finally:
        module.train(was_training)
        for hook in hooks:
            hook.remove()
    n = count_of(inputs)
    with_parameters = {part for part in given if list(part.parameters(recurse=False))}
    return Costs(
        kept=ceil(sum(saved.values()) / n),
        passing=PASSING * ceil(max(given.values()) / n),
        widest=ceil(max(given.values()) / n),
        activations=ceil(sum(given[part] for part in with_parameters) / n),
        operations=counter.get_total_flops() // (2 * n),
    )


def computed_parts(module: nn.Module, inputs: Examples) -> tuple[str, ...]:
    """The names of the parts of a module that have parameters of their own, in the order in which they are computed.

    Args:
        module: As in `costs_of`.
        inputs: (examples, *shape), or several by name.
    """
    found: list[str] = []
    handles = [
        part.register_forward_pre_hook(lambda _, __, name=name: found.append(name))
        for name, part in module.named_modules()
        if list(part.parameters(recurse=False))
    ]
    try:
        with torch.no_grad():
            called(module, inputs)
    finally:
        for handle in handles:
            handle.remove()
    return tuple(found)


def rows_of(module: nn.Module, inputs: Examples) -> tuple[Row, ...]:
    """A row for each part of a module that has parameters of its own, in the order in which they are computed.

    Args:
        module: As in `costs_of`.
        inputs: (examples, *shape), or several by name.
    """
    found: dict[str, Row] = {}
    counter = FlopCounterMode(display=False)

    def hook(name: str, part: nn.Module) -> RemovableHandle:
        own = sum(
            parameter.numel() for parameter in part.parameters(recurse=False) if parameter.requires_grad
        )
        before = [0]

        def begin(_: nn.Module, __: object) -> None:
            before[0] = counter.get_total_flops()

        def end(_: nn.Module, __: object, outputs: object) -> None:
            first = outputs[0] if isinstance(outputs, tuple) else outputs
            shape = tuple(first.shape[1:]) if isinstance(first, Tensor) else ()
            operations = (counter.get_total_flops() - before[0]) // (2 * count_of(inputs))
            found[name] = Row(name or type(part).__name__, shape, own, operations)

        handles.append(part.register_forward_pre_hook(begin))
        return part.register_forward_hook(end)

    handles: list[RemovableHandle] = []
    parts = [(name, part) for name, part in module.named_modules() if list(part.parameters(recurse=False))]
    handles += [hook(name, part) for name, part in parts]
    try:
        with torch.no_grad(), counter:
            called(module, inputs)
    finally:
        for handle in handles:
            handle.remove()
    return tuple(found.values())

"""A tape of kernel calls: what torch calls while a function runs once, to be called again without the function.

On a CPU the Python between the kernels is a tenth of a large step and more than half of a small one. The tape is to a
CPU what a CUDA graph is to a GPU: the same kernels on the same memory, without what led to them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_aten = torch.ops.aten
_EMPTY = {_aten.empty, _aten.empty_like, _aten.empty_strided, _aten.new_empty, _aten.new_empty_strided}
"""What they give holds nothing yet."""
_OWN_MEMORY = {_aten.mkldnn_rnn_layer, _aten.mkldnn_rnn_layer_backward}
"""Kernels of whole layers; the bytes that one keeps for its backward pass cannot be there before it."""
_COPIES = {_aten.clone, _aten._to_copy}
_SAME = {_aten.relu: lambda values, out: torch.clamp_min(values, 0, out=out)}
"""What writes a kernel's very results where they are; its own variant for that computes elsewhere and copies."""
_DEPENDS = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
_OF_RESULT = ("dtype", "layout", "device", "pin_memory")
"""Arguments that say what a result is like, which an existing one is already."""

T = TypeVar("T")
Call = tuple[Callable[..., Any], Sequence[Any], dict[str, Any]]


def record(function: Callable[[], T]) -> tuple[T, Callable[[], T] | str]:
    """Run a function once, and note its calls.

    Args:
        function: Works on tensors that stay where they are. Numbers that it takes out of Python stay as they were.

    Returns:
        What it returned, and what makes the calls again and returns the same: every tensor that the function made is
        written again, in place. Or why they cannot be made again, as `Watch.obstacle` has it.
    """
    tape = _Tape()
    with tape:
        result = function()
    if tape.obstacle:
        return result, tape.obstacle
    calls = tape.calls

    @torch.no_grad()
    def replay() -> T:
        for call, arguments, options in calls:
            call(*arguments, **options)
        return result

    return result, replay


class Watch(TorchDispatchMode):
    """Looks for what a function does that no capture repeats."""

    def __init__(self) -> None:
        """Begin without an obstacle."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.obstacle = ""
        """One line; empty where there is none."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Nothing is compiled here, and importing the compiler to tell it so would take a second.
        return False

    def __torch_dispatch__(
        self, kernel: OpOverload, _types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        found = kernel(*args, **kwargs)
        self.obstacle = self.obstacle or _obstacle(kernel, args, kwargs)
        if not self.obstacle:
            self.see(kernel, args, kwargs, found)
        return found

    def see(self, kernel: OpOverload, args: Sequence[Any], kwargs: dict[str, Any], found: Any) -> None:
        """Take notice of a call that can be repeated."""


class _Tape(Watch):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []

    def see(self, kernel: OpOverload, args: Sequence[Any], kwargs: dict[str, Any], found: Any) -> None:
        if kernel._schema.is_mutable:
            self.calls.append((_in_place(kernel), args, kwargs))
        elif kernel.overloadpacket not in _EMPTY:
            results = [found] if isinstance(found, Tensor) else list(found)
            given = {_storage(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
            # What shares the memory of an argument is a view, and stays one.
            if not all(_storage(result) in given for result in results if isinstance(result, Tensor)):
                self._note(kernel, args, kwargs, results)

    def _note(
        self, kernel: OpOverload, args: Sequence[Any], kwargs: dict[str, Any], results: list[Any]
    ) -> None:
        """Note the call that writes a kernel's results to where they are."""
        if kernel.overloadpacket in _COPIES:
            self.calls.append((Tensor.copy_, (results[0], args[0]), {}))
            return
        if kernel.overloadpacket in _OWN_MEMORY:
            self.calls.append((_of_layer(kernel, results), [_detached(each) for each in args], kwargs))
            return
        if kernel.overloadpacket in _SAME:
            self.calls.append((_SAME[kernel.overloadpacket], args, {"out": results[0]}))
            return
        misread = kernel.overloadpacket is _aten.native_batch_norm and not _is_dense(args[0])
        if misread or not all(isinstance(result, Tensor) for result in results):
            self.calls.append((_copying(kernel, results), args, kwargs))
            return
        options = {name: value for name, value in kwargs.items() if name not in _OF_RESULT}
        fast = getattr(torch, kernel.overloadpacket.__name__, None)
        if fast is not None and torch.Tag.nondeterministic_seeded not in kernel.tags:
            out = {"out": results[0] if len(results) == 1 else tuple(results)}
            try:
                with torch.no_grad():
                    # Called to see whether it can be: it writes what is there.
                    fast(*args, **options, **out)
                self.calls.append((fast, args, options | out))
                return
            except (TypeError, RuntimeError):
                pass  # torch's function is not the kernel's
        variant = _with_results(kernel)
        if variant is None:
            self.calls.append((_copying(kernel, results), args, kwargs))
            return
        names = [argument.name for argument in variant._schema.arguments if argument.is_out]
        self.calls.append((variant, args, options | dict(zip(names, results, strict=True))))


def _obstacle(kernel: OpOverload, args: Sequence[Any], kwargs: dict[str, Any]) -> str:
    """Why a call would not be the same if it was made again."""
    if _depends(kernel, args):
        return f"{kernel} depends on the values of a tensor"
    if torch.Tag.nondeterministic_seeded in kernel.tags and kwargs.get("generator") is None:
        given = (
            dict(zip((argument.name for argument in kernel._schema.arguments), args, strict=False)) | kwargs
        )
        if given.get("generator") is None and given.get("dropout_p") != 0.0:
            return f"{kernel} draws from torch's global generator"
    return ""


def _depends(kernel: OpOverload, args: Sequence[Any]) -> bool:
    """Whether the values of a tensor decide what a kernel gives, or the shape of it."""
    if kernel.overloadpacket is _aten.index:
        return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1])
    return bool(_DEPENDS & set(kernel.tags))


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _in_place(kernel: OpOverload) -> Callable[..., Any]:
    """What to call for a kernel that changes its arguments: torch's own binding is twice as fast."""
    name = kernel.overloadpacket.__name__
    if name.endswith("_"):
        return getattr(Tensor, name, kernel)
    has_out = any(argument.is_out and argument.name == "out" for argument in kernel._schema.arguments)
    return getattr(torch, name, kernel) if has_out else kernel


def _with_results(kernel: OpOverload) -> OpOverload | None:
    """The variant of a kernel that is given its results."""
    wanted = _arguments(kernel)
    for name in kernel.overloadpacket.overloads():
        variant: OpOverload = getattr(kernel.overloadpacket, name)
        if any(argument.is_out for argument in variant._schema.arguments) and _arguments(variant) == wanted:
            return variant
    return None


def _is_dense(tensor: Tensor) -> bool:
    """Whether numbers lie side by side, as torch 2.13's batch norm takes for granted where it is given its results."""
    return tensor.is_contiguous() or (
        tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    )


def _copying(kernel: OpOverload, results: list[Any]) -> Callable[..., None]:
    """A kernel without such a variant, and copies of what it gives."""

    def call(*args: Any, **kwargs: Any) -> None:
        found = kernel(*args, **kwargs)
        for result, new in zip(results, [found] if isinstance(found, Tensor) else found, strict=True):
            if isinstance(result, Tensor):
                result.copy_(new)

    return call


def _of_layer(kernel: OpOverload, results: list[Any]) -> Callable[..., None]:
    """A kernel of `_OWN_MEMORY`, and copies of what it gives; the bytes that it keeps are handed over."""

    def call(*args: Any, **kwargs: Any) -> None:
        with torch.enable_grad():  # Else it keeps nothing for its backward pass; no argument has a gradient.
            found = kernel(*args, **kwargs)
        for result, new in zip(results, found, strict=True):
            if isinstance(result, Tensor) and result.dtype == torch.uint8:
                result.set_(new)
            elif isinstance(result, Tensor):
                result.copy_(new)

    return call


def _detached(argument: Any) -> Any:
    return argument.detach() if isinstance(argument, Tensor) and argument.requires_grad else argument


def _arguments(kernel: OpOverload) -> list[tuple[str, str]]:
    """Names and types of what a kernel computes with."""
    return [
        (argument.name, str(argument.type))
        for argument in kernel._schema.arguments
        if not argument.is_out and argument.name not in _OF_RESULT
    ]

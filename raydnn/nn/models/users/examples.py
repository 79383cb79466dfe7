"""What a user's module is called with: one tensor, or several by name."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import Parameter, signature
from typing import Any

from torch import Tensor, nn

from raydnn.data.named import Named
from raydnn.errors import JobError, Problem
from raydnn.nn.user_code import line_of_code

Examples = Tensor | dict[str, Tensor]
"""(B, *shape), or each of several by the name of an argument of the module's forward."""


def arguments(examples: Examples) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
    """Arguments by place and by name."""
    return ((), examples) if isinstance(examples, dict) else ((examples,), {})


def called(module: nn.Module, examples: Examples) -> Any:
    """What a module gives for examples."""
    by_place, by_name = arguments(examples)
    return module(*by_place, **by_name)


def count_of(examples: Examples) -> int:
    """How many examples they are; of members' own, (N, B, ...), how many members."""
    return len(next(iter(examples.values())) if isinstance(examples, dict) else examples)


def by_member(examples: Examples) -> Sequence[Examples]:
    """Those of each member, (B, ...), of (N, B, ...)."""
    if not isinstance(examples, dict):
        return list(examples)
    return [dict(zip(examples, own, strict=True)) for own in zip(*examples.values(), strict=True)]


def shapes_of(examples: Examples) -> str:
    """Their shapes, and the type of whole numbers, for messages."""
    if not isinstance(examples, dict):
        return str(tuple(examples.shape))
    whole = {name: "" if tensor.is_floating_point() else " int64" for name, tensor in examples.items()}
    return ", ".join(f"{name} {tuple(tensor.shape)}{whole[name]}" for name, tensor in examples.items())


def check_forward(users: type[nn.Module], path: str, named: Named) -> None:
    """Refuse a class whose forward does not take the inputs by their names, or asks for others.

    Raises:
        JobError: It does; names the argument.
    """
    try:
        # The first one is the module itself.
        taken = list(signature(users.forward).parameters.values())[1:]
    except (TypeError, ValueError):  # It is not written in Python: the call will tell.
        return
    by_name = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    any_name = any(one.kind is Parameter.VAR_KEYWORD for one in taken)
    names, allowed = [one.name for one in named], [one.name for one in taken if one.kind in by_name]
    optional = (Parameter.VAR_KEYWORD, Parameter.VAR_POSITIONAL)
    needed = [one.name for one in taken if one.default is Parameter.empty and one.kind not in optional]
    problems = [
        *(f"takes no input {name!r}" for name in names if name not in allowed and not any_name),
        *(f"needs {name!r}, which the data do not have" for name in needed if name not in names),
    ]
    if problems:
        message = (
            f"{path}: its forward {problems[0]}; its arguments: {', '.join(one.name for one in taken) or 'none'}; "
            f"inputs by name: {', '.join(names)}"
        )
        raise JobError([Problem(line_of_code(users.forward).removesuffix(": "), "model.path", message)])

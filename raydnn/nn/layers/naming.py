"""Where layers stand in a network, by their dotted names."""

from __future__ import annotations

from torch import nn


def parent_of(root: nn.Module, name: str) -> tuple[nn.Module, str]:
    """Where what has a dotted name belongs, in empty modules for what is before the dots, and its last part."""
    *parts, last = name.split(".")
    parent = root
    for part in parts:
        if part not in dict(parent.named_children()):
            parent.add_module(part, nn.Module())
        parent = parent.get_submodule(part)
    return parent, last


def register(root: nn.Module, name: str, module: nn.Module) -> None:
    """Let a module have a dotted name in another one, so that its parameters are found under it."""
    parent, last = parent_of(root, name)
    parent.add_module(last, module)

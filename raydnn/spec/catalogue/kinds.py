"""The catalogue: every kind of component and its members, read from the axes' unions.

A kind's module is imported when it is asked for, so that looking one kind up stays quick.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module

from raydnn.spec.base import Component
from raydnn.spec.catalogue.fields import component_classes

KINDS: dict[str, tuple[str, str]] = {
    "optimizer": ("raydnn.spec.axes.optimizer", "Optimizer"),
    "schedule": ("raydnn.spec.axes.schedule", "Schedule"),
    "init": ("raydnn.spec.axes.init", "Init"),
    "activation": ("raydnn.spec.axes.activation", "Activation"),
    "normalization": ("raydnn.spec.axes.normalization", "Normalization"),
    "output": ("raydnn.spec.axes.output", "Output"),
    "loss": ("raydnn.spec.axes.loss", "Loss"),
    "model": ("raydnn.spec.axes.networks.model", "Model"),
    "clip": ("raydnn.spec.axes.clip", "Clip"),
    "class_weights": ("raydnn.spec.axes.class_weights", "ClassWeights"),
    "data": ("raydnn.spec.data", "Data"),
    "scaling": ("raydnn.spec.scaling", "Scaling"),
    "algorithm": ("raydnn.spec.search", "Algorithm"),
    "scheduler": ("raydnn.spec.search", "Scheduler"),
}
"""Kind → module and name of the union of its spec classes."""


@cache
def components(kind: str) -> Mapping[str, type[Component]]:
    """Name → spec class of every component of a kind."""
    module, union = KINDS[kind]
    return component_classes(getattr(import_module(module), union))

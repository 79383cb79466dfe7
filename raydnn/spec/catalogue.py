"""The catalogue: every kind of component and its members, read from the axes' unions."""

from __future__ import annotations

from typing import Any

from raydnn.spec.activation import Activation
from raydnn.spec.base import Component
from raydnn.spec.class_weights import ClassWeights
from raydnn.spec.clip import Clip
from raydnn.spec.data import Data
from raydnn.spec.fields import component_classes
from raydnn.spec.init import Init
from raydnn.spec.loss import Loss
from raydnn.spec.model import Model
from raydnn.spec.normalization import Normalization
from raydnn.spec.optimizer import Optimizer
from raydnn.spec.output import Output
from raydnn.spec.scaling import Scaling
from raydnn.spec.schedule import Schedule
from raydnn.spec.search import Algorithm, Scheduler

KINDS: dict[str, Any] = {
    "optimizer": Optimizer,
    "schedule": Schedule,
    "init": Init,
    "activation": Activation,
    "normalization": Normalization,
    "output": Output,
    "loss": Loss,
    "model": Model,
    "clip": Clip,
    "class_weights": ClassWeights,
    "data": Data,
    "scaling": Scaling,
    "algorithm": Algorithm,
    "scheduler": Scheduler,
}
"""Kind → the union of its spec classes."""


def components(kind: str) -> dict[str, type[Component]]:
    """Name → spec class of every component of a kind."""
    return component_classes(KINDS[kind])

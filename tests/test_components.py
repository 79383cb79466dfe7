"""The two halves of every component: spec classes and implementations have the same names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from raydnn.data.scaling import FITS
from raydnn.data.sources.registry import SOURCES
from raydnn.launch.tuning.judging import SCHEDULERS
from raydnn.nn.activations import ACTIVATIONS
from raydnn.nn.initializers import INITIALIZERS
from raydnn.nn.layers.normalization import NORMALIZATIONS
from raydnn.nn.losses import LOSSES
from raydnn.nn.models.registry import MODELS
from raydnn.optim.clipping import CLIPS
from raydnn.optim.optimizers.registry import OPTIMIZERS
from raydnn.optim.schedules import SCHEDULES
from raydnn.search.algorithms.registry import ALGORITHMS
from raydnn.spec.catalogue.kinds import KINDS, components

IMPLEMENTATIONS: dict[str, Mapping[str, Any]] = {
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "init": INITIALIZERS,
    "activation": ACTIVATIONS,
    "loss": LOSSES,
    "model": MODELS,
    "normalization": {"none": None, **NORMALIZATIONS},
    "clip": CLIPS,
    "data": SOURCES,
    "scaling": FITS,
    "algorithm": ALGORITHMS,
    "scheduler": SCHEDULERS,
}


def test_every_kind_has_implementations() -> None:
    # An output is one of the activations; class weights are a field's three forms.
    assert set(IMPLEMENTATIONS) == set(KINDS) - {"output", "class_weights"}
    assert set(components("output")) - {"auto"} <= set(ACTIVATIONS)


@pytest.mark.parametrize("kind", IMPLEMENTATIONS)
def test_names_are_those_of_the_catalogue(kind: str) -> None:
    assert set(IMPLEMENTATIONS[kind]) == set(components(kind)) - {"auto"}


def test_every_epsilon_is_placed() -> None:
    for name, cls in components("optimizer").items():
        assert ("eps" in cls.model_fields) == ("ε" in cls.note), name

"""The catalogue: every component is described, named once, and searchable within its bounds."""

from __future__ import annotations

import inspect
import re

import pytest

from raydnn.space.domains.domain import parse
from raydnn.spec.base import Component
from raydnn.spec.catalogue.fields import component_name, search_range
from raydnn.spec.catalogue.kinds import KINDS, components
from raydnn.spec.job import Job

ALL = [(kind, cls) for kind in KINDS for cls in components(kind).values()]
IDS = [f"{kind}-{component_name(cls)}" for kind, cls in ALL]


def test_the_axes_of_a_job_are_kinds() -> None:
    axes = {"data", "model", "activation", "init", "normalization", "loss", "optimizer", "schedule"}
    assert axes <= set(KINDS) & set(Job.model_fields)


def test_names_a_job_file_may_use() -> None:
    optimizers = "sgd rmsprop adagrad adadelta adam adamax nadam adamw radam lion muon"
    assert set(optimizers.split()) <= set(components("optimizer"))
    schedules = "constant annealing piecewise exponential power polynomial performance cosine cosine_restarts"
    assert {*schedules.split(), "one_cycle", "wsd"} <= set(components("schedule"))
    assert {"none", "value", "norm", "per_layer"} <= set(components("clip"))
    assert list(components("algorithm"))[:3] == ["random", "grid", "sobol"]
    assert list(components("scheduler")) == ["none", "asha", "hyperband", "bohb", "median"]
    assert {"perceptron", "mlp", "residual_mlp"} <= set(components("model"))


@pytest.mark.parametrize(("kind", "cls"), ALL, ids=IDS)
def test_a_component_is_described(kind: str, cls: type[Component]) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*", component_name(cls))
    assert cls.model_fields["name"].default == component_name(cls)
    assert inspect.getdoc(cls) != inspect.getdoc(Component)
    assert (inspect.getdoc(cls) or "").splitlines()[0].endswith(".")
    for name, field in cls.model_fields.items():
        assert name == "name" or field.description, name


@pytest.mark.parametrize(("kind", "cls"), ALL, ids=IDS)
def test_a_search_range_parses(kind: str, cls: type[Component]) -> None:
    for field in cls.model_fields.values():
        text = search_range(field)
        assert text is None or parse(text) is not None


def test_an_unknown_kind_is_an_error() -> None:
    with pytest.raises(KeyError):
        components("optimiser")

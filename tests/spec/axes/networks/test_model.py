"""The shapes of models: the widths they stand for, and the one-line errors of shapes that contradict."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import ValidationError

from raydnn.spec.axes.networks.model import Model
from raydnn.spec.checks.contradictions import cross_field_problems
from raydnn.spec.job import Job
from raydnn.spec.reading.positions import Positions
from raydnn.spec.trial import TrialSpec, trial_of_job


def _job(**fields: Any) -> Job:
    return Job.model_validate({"name": "a", "data": "digits", "optimizer": "sgd", **fields})


def _model(value: Any) -> Model:
    return _job(model=value).model


@pytest.mark.parametrize(
    ("model", "widths"),
    [
        ("perceptron", ()),
        ("mlp", (64, 64)),
        ({"widths": [300, 100]}, (300, 100)),
        ({"layers": 3, "width": 20}, (20, 20, 20)),
        ({"widths": None, "layers": 1, "width": 20}, (20,)),
        ({"name": "mlp", "layers": 3, "width": 400, "last_width": 100}, (400, 200, 100)),
        ({"layers": 4, "width": 8, "last_width": 64}, (8, 16, 32, 64)),
        ({"layers": 1, "width": 8, "last_width": 8}, (8,)),
        ({"name": "residual_mlp", "blocks": 2, "width": 8}, (8,) * 5),
        ({"name": "cnn", "channels": [4, 6], "convolutions": 2, "widths": [9]}, (4, 4, 6, 6, 9)),
        ({"name": "resnet", "depth": 14, "width": 4}, (4, *(4,) * 4, *(8,) * 4, *(16,) * 4)),
    ],
)
def test_hidden_widths(model: Any, widths: tuple[int, ...]) -> None:
    job = _job(model=model)
    assert job.model.hidden_widths == widths
    trial = trial_of_job(job)
    again = TrialSpec.from_json(trial.config_json)
    assert again == trial
    assert again.config_hash == trial.config_hash


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"depth": 21}, "depth: 21; allowed: 6n + 2, such as 20 and 26"),
        ({"skip": False, "shortcut": "B"}, "shortcut: B with skip: False; allowed: null"),
        ({"shortcut": None}, "shortcut: None with skip: True; allowed: A, B"),
    ],
)
def test_a_residual_network_that_contradicts_itself(more: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(told)):
        _model({"name": "resnet", **more})


def test_a_shortcut_is_there_only_where_something_is_skipped() -> None:
    assert _model({"name": "resnet", "skip": False}).shortcut is None
    assert _model({"name": "resnet", "skip": True}).shortcut == "A"


def test_blocks_end_at_every_second_layer() -> None:
    assert _model({"name": "residual_mlp", "blocks": 3}).block_ends == (2, 4, 6)
    assert _model("mlp").block_ends == ()


MODULE = {"name": "module", "path": "their.networks:Net", "arguments": {"width": 8}}


@pytest.mark.parametrize(
    "arguments", [{"b": [1, 2], "a": None, "c": "x"}, ' {"c": "x", "b": [1, 2], "a": null}']
)
def test_arguments_of_a_module_are_recorded_as_one_text(arguments: Any) -> None:
    job = _job(model={**MODULE, "arguments": arguments})
    assert job.model.arguments == '{"a": null, "b": [1, 2], "c": "x"}'
    trial = trial_of_job(job)
    assert trial.parameters()["model.arguments"] == job.model.arguments
    assert trial.parameters()["init.name"] == "auto"
    again = TrialSpec.from_json(trial.config_json)
    assert (again, again.config_hash) == (trial, trial.config_hash)
    assert cross_field_problems(job, Positions({})) == []
    assert (
        cross_field_problems(_job(**{n: getattr(trial, n) for n in ("model", "init")}), Positions({})) == []
    )


@pytest.mark.parametrize("arguments", ["[1]", "{", [1], {"a b": 1}, {"a": float("nan")}, {1: 2}])
def test_arguments_of_a_module_have_names(arguments: Any) -> None:
    with pytest.raises(ValidationError, match="; allowed: a mapping of names to numbers, texts"):
        _model({**MODULE, "arguments": arguments})


ALLOWED = "allowed: widths, or layers and width, or layers, width and last_width"


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"widths": [8], "layers": 2, "width": 8}, f"widths together with layers, width; {ALLOWED}"),
        ({"layers": 2}, f"layers without the rest of the shape; {ALLOWED}"),
        ({"width": 8, "last_width": 4}, f"width, last_width without the rest of the shape; {ALLOWED}"),
        ({"widths": None}, f"no widths without the rest of the shape; {ALLOWED}"),
        (
            {"layers": 1, "width": 8, "last_width": 4},
            "last_width with a single layer; allowed: at least 2 layers in a funnel",
        ),
    ],
)
def test_a_shape_is_given_in_one_way(model: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as raised:
        _model(model)
    assert [error["msg"] for error in raised.value.errors()] == [f"Value error, {message}"]


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        (
            {"model": {"widths": [12, 18]}, "normalization": "group_norm"},
            "normalization.groups: 4 groups of a hidden layer with 18 units; allowed: 1, 2, 3, 6",
        ),
        (
            {"model": {"name": "residual_mlp", "zero_init_last_norm": True}},
            "model.zero_init_last_norm: true with no normalization before the activation; "
            "allowed with batch_norm, layer_norm, group_norm, else false",
        ),
        (
            {"model": MODULE, "activation": "elu"},
            "activation: elu with the model module, whose layers are its own; allowed: relu, or nothing given",
        ),
        (
            {"model": MODULE, "init": "he_normal"},
            "init: he_normal with the model module, whose layers are its own; allowed: auto, or nothing given",
        ),
        (
            {"model": MODULE, "regularization": {"dropout": 0.5, "l2": 0.1}},
            "regularization.dropout: 0.5 with the model module, whose layers are its own; "
            "allowed: 0, or nothing given",
        ),
        (
            {"regularization": {"dropout": 0.5, "alpha_dropout": 0.1}},
            "regularization.alpha_dropout: 0.1 together with dropout: 0.5; allowed: one of the two",
        ),
    ],
)
def test_fields_that_contradict_one_another(fields: dict[str, Any], line: str) -> None:
    (problem,) = cross_field_problems(_job(**fields), Positions({}))
    assert str(problem).endswith(line)


def test_fields_that_agree() -> None:
    for fields in (
        {"model": {"widths": [12, 16]}, "normalization": "group_norm"},
        {"model": "perceptron", "normalization": "group_norm"},
        {"model": {"name": "residual_mlp", "zero_init_last_norm": True}, "normalization": "layer_norm"},
        {"regularization": {"input_dropout": 0.5, "alpha_dropout": 0.1}},
    ):
        assert cross_field_problems(_job(**fields), Positions({})) == []

"""The rules: contradictory draws are impossible, and a fixed value that breaks a rule is still an error."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raydnn.errors import JobError
from raydnn.space.rules import KINDS
from raydnn.space.space import Assignment, Space, build_space, make_trial
from raydnn.spec.checks.compatibility import compatible
from raydnn.spec.checks.contradictions import cross_field_problems
from raydnn.spec.checks.selu import selu_warnings
from raydnn.spec.job import Job, Training
from raydnn.spec.reading.load import load_job
from raydnn.spec.reading.positions import Positions
from raydnn.spec.trial import TrialSpec

FULL_SPACE = Path(__file__).parents[2] / "jobs" / "full-space.yaml"
AXES = ("optimizer", "schedule", "init", "activation", "normalization", "loss", "output")
ALL = dict.fromkeys((*AXES, "regularization", "train.clip"), "all")


def job(space: dict[str, Any], search: dict[str, Any] | None = None, **fields: Any) -> Job:
    given = {"name": "job", "data": "digits", "optimizer": "sgd"} | fields
    return Job.model_validate(given | {"search": {"trials": 1, "space": space} | (search or {})})


def built(given: Job) -> Space:
    return build_space(given, Positions({}))


def draws(space: Space, count: int = 400, seed: int = 0) -> Iterator[Assignment]:
    rng = np.random.default_rng(seed)
    return (space.draw(rng) for _ in range(count))


def invalid(given: Job, trial: TrialSpec) -> list[str]:
    values = {name: getattr(trial, name) for name in Training.model_fields}
    return [str(problem) for problem in cross_field_problems(given.model_copy(update=values), Positions({}))]


def refusal(given: Job) -> str:
    with pytest.raises(JobError) as caught:
        built(given)
    return str(caught.value)


def texts(space: Space) -> str:
    return "\n".join(map(str, space.rules))


@pytest.mark.parametrize("count", [3_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_the_full_space_has_no_invalid_draw_and_every_component(count: int) -> None:
    loaded = load_job(FULL_SPACE)
    given, space = loaded.job, build_space(loaded.job, loaded.positions)
    seen: set[tuple[str, str]] = set()
    assert list(draws(space, 1000)) == list(draws(space, 1000))
    for assignment in draws(space, count):
        trial = make_trial(given, assignment)
        assert invalid(given, trial) == []
        assert selu_warnings(trial) == []
        seen |= {(path, str(value)) for path, value in assignment.items() if path.endswith(".name")}
    for axis in AXES:
        found = {name for path, name in seen if path == f"{axis}.name"}
        expected = {name for name in compatible(axis, given.data.learns) if name not in ("auto", "function")}
        assert found == expected - ({"triplet"} if axis == "loss" else set()), axis


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"activation": "selu"},
        {"activation": "relu"},
        {"loss": "mse"},
        {"model": {"name": "mlp", "widths": [30]}},
        {"data": {"name": "csv", "path": "a.csv", "target": "y", "kind": "regression"}},
        {"data": {"name": "csv", "path": "a.csv", "target": "y", "kind": "binary"}},
        {"data": {"name": "npz", "path": "a.npz", "kind": "multi_label"}},
    ],
    ids=str,
)
def test_all_of_everything_is_valid_over_any_fixed_values(fields: dict[str, Any]) -> None:
    everything = (*ALL, "train.class_weights", "data.scaling", "model")
    space = {axis: "all" for axis in everything if axis not in fields}
    given = job(space, **fields)
    for assignment in draws(built(given)):
        assert invalid(given, make_trial(given, assignment)) == []


def test_the_two_dropouts_exclude_each_other() -> None:
    both = dict.fromkeys(("regularization.dropout", "regularization.alpha_dropout"), "uniform(0.1, 0.2)")
    space = built(job({"activation": ["relu", "selu"]} | both))
    for assignment in draws(space):
        selu = assignment["activation.name"] == "selu"
        assert ("regularization.alpha_dropout" in assignment) == selu
        assert ("regularization.dropout" in assignment) != selu
    assert "alpha_dropout exists only where activation is selu" in texts(space)


def test_one_dropout_alone_is_left_as_it_is() -> None:
    space = built(job({"activation": ["relu", "selu"], "regularization.dropout": "uniform(0.1, 0.2)"}))
    assert space.rules == ()
    assert all("regularization.dropout" in assignment for assignment in draws(space))


@pytest.mark.parametrize(
    ("activation", "kept", "gone"),
    [("selu", "alpha_dropout", "dropout"), ("relu", "dropout", "alpha_dropout")],
)
def test_all_regularization_of_a_fixed_activation_has_one_dropout(
    activation: str, kept: str, gone: str
) -> None:
    space = built(job({"regularization": "all"}, activation=activation))
    paths = {parameter.path for parameter in space.parameters}
    assert f"regularization.{kept}" in paths
    assert f"regularization.{gone}" not in paths


def test_a_fixed_dropout_that_breaks_the_rule_is_an_error() -> None:
    given = job({"regularization.alpha_dropout": "uniform(0.1, 0.2)"}, regularization={"dropout": 0.3})
    assert "together with dropout: 0.3; allowed: one of the two" in refusal(given)


def test_label_smoothing_exists_only_where_the_loss_smooths() -> None:
    smoothing = {"regularization.label_smoothing": "uniform(0.1, 0.2)"}
    space = built(job({"loss": ["mse", "cross_entropy", "focal", "auto"]} | smoothing))
    for assignment in draws(space):
        smooths = assignment["loss.name"] in ("cross_entropy", "auto")
        assert ("regularization.label_smoothing" in assignment) == smooths
    assert "label_smoothing" in texts(space)
    assert "label_smoothing" in refusal(job(smoothing, loss="mse"))
    assert "label_smoothing" in refusal(job({"loss": "all"}, regularization={"label_smoothing": 0.1}))
    left = built(job({"regularization": "all"}, loss="mse"))
    assert "regularization.label_smoothing" not in {parameter.path for parameter in left.parameters}


def test_the_output_goes_with_the_loss() -> None:
    space = built(job({"output": ["softmax", "tanh", "linear"], "loss": ["cross_entropy", "mse"]}))
    assert {(draw["loss.name"], draw["output.name"]) for draw in draws(space)} == {
        ("cross_entropy", "softmax"),
        ("cross_entropy", "linear"),
        ("mse", "softmax"),
        ("mse", "linear"),
        ("mse", "tanh"),
    }
    assert space.size() == len(list(space.grid())) == 5
    fixed = built(job({"output": "all"}, loss="cross_entropy"))
    assert {draw["output.name"] for draw in draws(fixed)} == {"softmax", "linear"}
    assert "output" in refusal(job({"loss": "all"}, output="tanh"))
    assert "output" in refusal(job({"output": ["tanh", "linear"]}, loss="cross_entropy"))


def test_selu_brings_its_conditions() -> None:
    axes = ("activation", "init", "data.scaling", "regularization", "model")
    given = job(dict.fromkeys(axes, "all"))
    space = built(given)
    others = set()
    for assignment in draws(space, 2000):
        if assignment.get("activation.name") == "selu":
            assert (assignment["init.name"], assignment["data.scaling.name"]) == (
                "lecun_normal",
                "standardize",
            )
            assert selu_warnings(make_trial(given, assignment)) == []
        else:
            others |= {assignment["init.name"], assignment["data.scaling.name"]}
            others |= {assignment["model.name"]}
            assert "regularization.input_dropout" in assignment
    assert {"he_normal", "lecun_normal", "none", "standardize", "residual_mlp"} <= others


def test_models_with_an_activation_and_a_norm_of_their_own_are_searched_beside_others() -> None:
    given = job({"model": ["mlp", "lstm", "resnet"]}).as_sweep()
    assert given is not None
    own = {
        (trial.model.name, trial.activation.name, trial.normalization.name)
        for trial in (make_trial(given, assignment) for assignment in draws(built(given)))
    }
    assert own == {("mlp", "relu", "none"), ("lstm", "tanh", "none"), ("resnet", "relu", "batch_norm")}


def test_a_given_activation_leaves_gated_models_out_of_all() -> None:
    def models(activation: str) -> set[Any]:
        return {draw["model.name"] for draw in draws(built(job({"model": "all"}, activation=activation)))}

    assert models("tanh") - models("relu") == {"lstm", "gru"}


def test_what_has_no_gradient_is_offered_only_where_none_is_needed() -> None:
    def outputs(kind: str, **fields: Any) -> set[tuple[Any, Any]]:
        data = {"name": "csv", "path": "a.csv", "target": "y", "kind": kind}
        space = built(job({"output": "all", "loss": "all", "activation": "all"}, data=data, **fields))
        drawn = list(draws(space, 4000))
        assert not {draw["activation.name"] for draw in drawn} & {"heaviside", "sign", "softmax"}
        return {(draw["output.name"], draw["loss.name"]) for draw in drawn}

    assert not {"heaviside", "sign"} & {output for output, _ in outputs("regression")}
    # These losses take the score itself, and the step decides for a class afterwards.
    steps = {loss for output, loss in outputs("binary") if output in ("heaviside", "sign")}
    assert steps == {"binary_cross_entropy", "hinge", "focal", "perceptron", "dice"}


def test_selu_is_left_alone_where_its_init_is_compared_or_not_on_the_list() -> None:
    compared = built(job({"init": ["lecun_normal", "he_normal"]}, activation="selu"))
    assert compared.rules == ()
    assert compared.size() == 2
    assert built(job({"activation": ["relu", "selu"], "init": ["auto", "he_normal"]})).size() == 4


def test_groups_divide_the_widths_that_are_drawn() -> None:
    space = built(
        job({"normalization": "all", "model.widths": "choice([12, 8], [6], [7])"}, search={"trials": 3})
    )
    found: dict[Any, set[Any]] = {}
    for assignment in draws(space, 2000):
        if "normalization.groups" in assignment:
            found.setdefault(assignment["model.widths"], set()).add(assignment["normalization.groups"])
    assert found == {(12, 8): {1, 2, 4}, (6,): {1, 2}, (7,): {1}}
    fixed = job({"normalization": ["group_norm"], "normalization.groups": [4, 5]})
    assert "5 groups of a hidden layer with 64 units" in refusal(fixed)
    none = job({"model.widths": "choice([12], [7])", "normalization.groups": [4]}, normalization="group_norm")
    assert "4 groups of a hidden layer with 7 units" in refusal(none)


def test_blocks_begin_as_identities_only_after_a_normalization() -> None:
    given = job(
        {"normalization": ["none", "batch_norm"], "model.zero_init_last_norm": [False, True]},
        model="residual_mlp",
    )
    space = built(given)
    assert space.size() == len(list(space.grid())) == 3


def test_a_shortcut_is_searched_only_where_something_is_skipped() -> None:
    space = built(job({"model.skip": [False, True], "model.shortcut": ["A", "B"]}, model="resnet"))
    assert space.size() == len(list(space.grid())) == 3


def test_a_loss_without_accuracy_is_left_out_where_accuracy_is_watched() -> None:
    def losses(metric: str, **train: Any) -> set[Any]:
        space = built(job({"loss": "all"}, search={"metric": metric}, train=train))
        return {draw["loss.name"] for draw in draws(space)}

    everything = losses("validation_loss")
    assert everything - losses("validation_accuracy") == {"triplet"}
    assert everything - losses("validation_loss", early_stopping={"monitor": "validation_accuracy"}) == {
        "triplet"
    }
    listed = job({"loss": ["mse", "triplet"]}, search={"metric": "validation_accuracy"})
    assert "triplet" in refusal(listed)
    watched = built(job({"loss": "all"}, search={"metric": "validation_accuracy"}))
    assert "triplet" not in "\n".join(watched.tree())


def test_the_size_of_a_space_with_rules_is_the_length_of_its_grid() -> None:
    written = {
        "init": ["lecun_normal", "he_normal", "zeros"],
        "activation": ["relu", "selu", "tanh"],
        "regularization.dropout": [0.1, 0.2],
        "regularization.alpha_dropout": [0.1, 0.2, 0.3],
        "loss": ["cross_entropy", "mse", "kl_divergence"],
        "regularization.label_smoothing": [0.0, 0.1],
        "optimizer": ["sgd", "adam"],
        "optimizer.sgd.momentum": [0.0, 0.9],
    }
    given = job(written)
    space = built(given)
    everything = list(space.grid())
    # (relu, tanh: 3 inits · 2 rates; selu: 1 init · 3 rates) · (smoothed twice + 2 losses) · (2 sgd + adam)
    assert space.size() == len(everything) == (2 * 3 * 2 + 3) * 4 * 3
    assert len({repr(sorted(assignment.items())) for assignment in everything}) == len(everything)
    assert all(invalid(given, make_trial(given, assignment)) == [] for assignment in everything[::7])


def test_a_parameter_comes_after_all_that_decides_on_it() -> None:
    space = built(job({"init": "all", "output": "all"} | ALL))
    place = {parameter.path: place for place, parameter in reversed(list(enumerate(space.parameters)))}
    for parameter in space.parameters:
        assert all(
            place[path] < place[parameter.path] or path == parameter.path for path in space.needs(parameter)
        )


def test_rules_that_do_not_apply_are_not_shown() -> None:
    assert built(job({"optimizer": "all", "activation": "all"})).rules == ()
    shown = {rule.text for rule in built(job(ALL)).rules}
    assert {kind.text for kind in KINDS if kind.path.startswith("regularization")} <= shown


def test_without_the_rules_draws_contradict_themselves() -> None:
    given = job(ALL)
    free = replace(built(given), rules=())
    problems = [p for draw in draws(free, 100) for p in invalid(given, make_trial(given, draw))]
    fields = {"output", "regularization.label_smoothing", "regularization.alpha_dropout"}
    assert fields <= {problem.split(":")[0] for problem in problems}


OF_NETWORKS = {"activation": "all", "init": "all", "normalization": "all", "regularization": "all"}
MODULE = {"name": "module", "path": "their:Net", "arguments": {"width": 8}}


def test_a_module_goes_without_what_stands_inside_raydnns_own_networks() -> None:
    written = {"model": ["mlp", "module"], "model.module.path": "their:Net"}
    given = job(written | {"model.module.arguments": ['{"width": 8}', '{"width": 9}']} | OF_NETWORKS)
    space = built(given)
    models = set()
    for assignment in draws(space):
        models.add(assignment["model.name"])
        assert invalid(given, make_trial(given, assignment)) == []
        inside = {path.split(".")[0] for path in assignment} & {"activation", "init", "normalization"}
        assert bool(inside) == (assignment["model.name"] == "mlp")
        assert assignment["model.name"] == "mlp" or "regularization.l2" in assignment
    assert models == {"mlp", "module"}
    assert "activation exists only where model is not module" in texts(space)
    assert "module" not in texts(built(job(OF_NETWORKS)))


def test_all_around_a_fixed_module_is_all_that_fits() -> None:
    paths = {parameter.path for parameter in built(job(OF_NETWORKS, model=MODULE)).parameters}
    assert "regularization.l2" in paths
    assert not paths & {"activation.name", "activation.alpha", "init.name", "regularization.dropout"}
    assert "activation: " in refusal(job({"activation": ["tanh", "elu"]}, model=MODULE))


@pytest.mark.parametrize("name", ["color_jitter", "randaugment"])
def test_colors_are_searched_only_where_they_are_left(name: str) -> None:
    path, scalings = f"train.augmentation.{name}", ["standardize", "whiten"]
    domain = "uniform(0.1, 0.5)" if name == "color_jitter" else "randint(1, 4)"
    given = job({"data.scaling": scalings, path: domain})
    space = built(given)
    drawn = list(draws(space, 50))
    assert {assignment["data.scaling.name"] for assignment in drawn} == set(scalings)
    for assignment in drawn:
        assert (path in assignment) == (assignment["data.scaling.name"] != "whiten")
        assert not invalid(given, make_trial(given, assignment))
    assert f"{path} exists only where data.scaling is not whiten" in texts(space)


def test_a_magnitude_is_searched_only_where_it_acts() -> None:
    path = "train.augmentation.randaugment"
    space = built(job({path: "randint(0, 3)", f"{path}_magnitude": "randint(3, 16)"}))
    drawn = list(draws(space, 50))
    assert {assignment[path] for assignment in drawn} == {0, 1, 2}
    for assignment in drawn:
        assert (f"{path}_magnitude" in assignment) == (assignment[path] != 0)

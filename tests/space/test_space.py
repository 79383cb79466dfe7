"""The space: keys, branches, conditions, draws, and every error at once with its place."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raydnn.errors import JobError
from raydnn.space.domains.domain import parse
from raydnn.space.domains.fit import fit
from raydnn.space.space import Space, build_space, make_trial
from raydnn.spec.catalogue.fields import leaves, search_range
from raydnn.spec.catalogue.kinds import KINDS, components
from raydnn.spec.job import Job, Training
from raydnn.spec.reading.load import load_job
from raydnn.spec.reading.positions import Positions
from raydnn.spec.trial import TrialSpec

AXES = ("optimizer", "schedule", "init", "activation", "normalization")

FULL = {
    "optimizer": "all",
    "optimizer.sgd.momentum": "uniform(0.5, 0.99)",
    "optimizer.*.weight_decay": "loguniform(1e-7, 1e-1)",
    "schedule": ["constant", "cosine", "performance"],
    "init": "all",
    "activation": ["relu", "elu", "selu", "tanh"],
    "normalization": "all",
    "regularization.dropout": "uniform(0, 0.5)",
    "train.batch_size": "choice(32, 128)",
    "train.clip": "all",
    "model.widths": "choice([64], [64, 64])",
    "seed": "randint(0, 100)",
}


def job(space: dict[str, Any], search: dict[str, Any] | None = None, **fields: Any) -> Job:
    given = {"name": "job", "data": "digits", "optimizer": {"name": "sgd", "nesterov": True}} | fields
    return Job.model_validate(given | {"search": {"trials": 1, "space": space} | (search or {})})


def space_of(space: dict[str, Any], **fields: Any) -> Space:
    return build_space(job(space, **fields), Positions({}))


def domains_of(space: Space) -> dict[str, str]:
    return {parameter.key: str(parameter.domain) for parameter in space.parameters}


def problems_of(given: Job) -> list[str]:
    with pytest.raises(JobError) as caught:
        build_space(given, Positions({"search.space": "job.yaml:7"}))
    return [str(problem) for problem in caught.value.problems]


def test_ten_thousand_draws_are_valid_conditional_and_reproducible() -> None:
    given = job(FULL)
    space = build_space(given, Positions({}))
    fields = {name: set(cls.model_fields) for name, cls in components("optimizer").items()}
    first, second = np.random.default_rng(3), np.random.default_rng(3)
    seen: set[tuple[str, str]] = set()
    for number in range(10_000):
        assignment = space.draw(first)
        assert assignment == space.draw(second)
        name = str(assignment["optimizer.name"])
        assert {path.split(".")[1] for path in assignment if path.startswith("optimizer.")} <= fields[name]
        assert ("optimizer.momentum" in assignment) == ("momentum" in fields[name])
        assert ("train.clip.max_grad_norm" in assignment) == (
            assignment["train.clip.name"] in ("norm", "per_layer")
        )
        seen |= {(path, str(value)) for path, value in assignment.items() if path.endswith(".name")}
        if number % 10 == 0:
            trial = make_trial(given, assignment)
            back = TrialSpec.from_json(trial.config_json)
            assert back == trial
            assert back.config_hash == trial.config_hash
            values = {"seed": trial.seed, **trial.parameters()}
            assert {path: values[path] for path in assignment} == assignment
    for axis in ("optimizer", "init", "normalization"):
        assert {v for path, v in seen if path == f"{axis}.name"} == set(components(axis)) - {"auto"}


@pytest.mark.parametrize("axis", AXES)
def test_all_searches_every_declared_range_and_nothing_else(axis: str) -> None:
    declared = {
        f"{axis}.{name}.{field}": search_range(info)
        for name, cls in components(axis).items()
        for field, info in cls.model_fields.items()
        if search_range(info)
    }
    found = domains_of(space_of({axis: "all"}))
    assert found.pop(axis)
    assert found == {key: str(parse(text)) for key, text in declared.items()}


def test_every_declared_range_fits_its_field() -> None:
    for path, field in leaves(Training):
        text = search_range(field)
        if text is not None:
            domain = parse(text)
            assert domain is not None, path
            fit(domain, field)


def test_no_component_has_the_name_of_a_field_of_its_axis() -> None:
    for kind in KINDS:
        names = components(kind)
        assert not set(names) & {field for cls in names.values() for field in cls.model_fields}, kind


def test_a_list_of_names_searches_only_what_is_written() -> None:
    assert domains_of(space_of({"optimizer": ["sgd", "adamw"]})) == {"optimizer": "choice(sgd, adamw)"}


def test_the_most_specific_key_counts() -> None:
    found = domains_of(
        space_of(
            {
                "optimizer.sgd.lr": "uniform(0.1, 0.2)",
                "optimizer.lr": "uniform(0.3, 0.4)",
                "optimizer": "all",
            }
        )
    )
    assert found["optimizer.sgd.lr"] == "uniform(0.1, 0.2)"
    assert found["optimizer.adam.lr"] == found["optimizer.adamw.lr"] == "uniform(0.3, 0.4)"
    assert found["optimizer.adam.beta1"] == "one_minus(loguniform(0.02, 0.5))"


def test_a_key_without_a_branch_reaches_the_chosen_components_that_have_it() -> None:
    found = domains_of(space_of({"optimizer": ["sgd", "adam"], "optimizer.momentum": [0, 0.9]}))
    assert found == {"optimizer": "choice(sgd, adam)", "optimizer.sgd.momentum": "choice(0.0, 0.9)"}


def test_a_fixed_component_needs_no_axis() -> None:
    space = space_of({"optimizer.lr": "loguniform(1e-3, 1)", "optimizer.sgd.momentum": 0.5})
    assert set(space.draw(np.random.default_rng(0))) == {"optimizer.lr", "optimizer.momentum"}


def test_what_the_job_fixes_holds_in_its_branch_only() -> None:
    given = job({"optimizer": ["sgd", "adam"]})
    sgd = make_trial(given, {"optimizer.name": "sgd", "optimizer.lr": 0.5}).optimizer
    assert sgd.model_dump()["nesterov"] is True
    assert sgd.lr == 0.5
    assert make_trial(given, {"optimizer.name": "adam"}).optimizer == components("optimizer")["adam"]()


def test_a_schedulers_budget_replaces_the_epochs() -> None:
    asha = {"scheduler": {"name": "asha", "max_epochs": 27}}
    assert make_trial(job({"seed": [0, 1]}, asha), {"seed": 1}).train.epochs == 27
    assert make_trial(job({"seed": [0, 1]}, {"scheduler": "asha"}), {"seed": 1}).train.epochs == 10
    assert make_trial(job({"train.epochs": [3, 4]}), {"train.epochs": 4}).train.epochs == 4


def test_auto_is_resolved_by_the_drawn_activation() -> None:
    assert make_trial(job({"activation": "all"}), {"activation.name": "selu"}).init.name == "lecun_normal"


def test_searching_a_field_of_something_that_is_off_turns_it_on() -> None:
    trial = make_trial(job({"train.early_stopping.patience": [2]}), {"train.early_stopping.patience": 2})
    assert trial.train.early_stopping is not None
    assert trial.train.early_stopping.patience == 2


def test_a_count_can_be_searched_where_the_fraction_is_a_default() -> None:
    trial = make_trial(job({"data.validation": [100, 200]}), {"data.validation": 200})
    assert (trial.data.validation, trial.data.validation_fraction) == (200, None)


SMALL = {
    "optimizer": ["sgd", "adam"],
    "optimizer.sgd.momentum": "choice(0, 0.5, 0.9)",
    "optimizer.sgd.nesterov": [True, False],
    "optimizer.adam.beta1": "quniform(0.8, 0.9, 0.1)",
    "train.batch_size": [16, 32],
}


def test_a_grid_is_every_combination_once() -> None:
    space = space_of(SMALL)
    points = list(space.grid())
    assert space.size() == len(points) == (3 * 2 + 2) * 2
    assert len({json.dumps(point, sort_keys=True) for point in points}) == len(points)
    assert points == list(space.grid())
    rng = np.random.default_rng(0)
    drawn = [space.draw(rng) for _ in range(2000)]
    assert all(point in drawn for point in points)
    assert all(draw in points for draw in drawn)


def test_a_continuous_space_has_no_grid() -> None:
    space = space_of({"optimizer.lr": "uniform(0.1, 1)", "train.batch_size": [1, 2]})
    assert space.size() is None
    with pytest.raises(ValueError, match="continuous"):
        space.grid()


def test_the_tree_shows_branches_and_conditions() -> None:
    assert space_of(SMALL).tree() == [
        "optimizer: choice(sgd, adam)",
        "  if optimizer = sgd:",
        "    optimizer.momentum: choice(0.0, 0.5, 0.9)",
        "    optimizer.nesterov: choice(true, false)",
        "  if optimizer = adam:",
        "    optimizer.beta1: quniform(0.8, 0.9, 0.1)",
        "train.batch_size: choice(16, 32)",
    ]


CSV = {"name": "csv", "path": "a.csv", "target": "y", "kind": "regression"}


def test_all_leaves_out_what_does_not_fit_the_task() -> None:
    numbers = "mse, mae, huber, log_cosh"
    assert domains_of(space_of({"loss": "all"}, data=CSV))["loss"] == f"choice({numbers})"
    of_classes = (
        "cross_entropy, categorical_cross_entropy, categorical_hinge, focal, kl_divergence, perceptron"
    )
    found = domains_of(space_of({"loss": "all"}))["loss"]
    assert found == f"choice({numbers}, {of_classes}, dice, triplet)"
    hidden = domains_of(space_of({"activation": "all"}))["activation"]
    assert not {"heaviside", "sign", "softmax"} & set(hidden[len("choice(") : -1].split(", "))


BAD: list[tuple[dict[str, Any], str]] = [
    ({"optimizr": "all"}, "unknown field 'optimizr'; allowed: seed, data, .* Did you mean 'optimizer'"),
    (
        {"optimizer.momentun": [0]},
        "unknown field 'momentun' of optimizer; allowed: .* Did you mean 'momentum'",
    ),
    ({"optimizer.adamm.lr": [1]}, "unknown field 'adamm' of optimizer; .* Did you mean 'adam'"),
    ({"optimizer.sgd.mu": [0]}, "unknown field 'mu' of optimizer.sgd; allowed: lr, momentum"),
    ({"optimizer.name": ["sgd"]}, "unknown field 'name'"),
    ({"storage": ["a"]}, "unknown field 'storage'"),
    ({"": ["a"]}, "unknown field ''"),
    ({"optimizer.lr.x": [1]}, "'optimizer.lr' has no fields"),
    ({"optimizer.*": [1]}, "names no field"),
    ({"optimizer.sgd": "all"}, "names no field"),
    (
        {"optimizer": ["sgd", "adamv"]},
        "unknown component adamv; allowed: sgd, .*adamw.*. Did you mean 'adam",
    ),
    ({"optimizer": {"sgd": {}}}, "allowed: `all`, a name, or a list of names"),
    ({"optimizer": []}, "at least one"),
    ({"optimizer": None}, "nothing is given"),
    ({"optimizer": "uniform(0, 1)"}, "allowed: `all`, a name"),
    (
        {"optimizer.beta1": [0.9]},
        "no trial has 'beta1': the axis optimizer holds sgd; adam, .*adamw.* have it",
    ),
    ({"optimizer.adam.lr": [0.1]}, "no trial has 'adam'"),
    ({"optimizer.lr": "uniform(0, 1)"}, "begins at 0; allowed: float, above 0"),
    ({"optimizer.momentum": "uniform(0, 2)"}, "reaches 2; allowed: float, at least 0, below 1"),
    ({"optimizer.momentum": "choice(0.5, 1)"}, "1; allowed: float, at least 0, below 1"),
    ({"optimizer.momentum": "normal(5, 0.1)"}, "next to nothing that is allowed"),
    ({"optimizer.lr": "fast"}, "fast; allowed: float, above 0"),
    ({"optimizer.lr": None}, "nothing is given"),
    ({"optimizer.lr": "all"}, "'all'; allowed: a domain"),
    ({"optimizer.lr": [float("nan")]}, "allowed: float"),
    ({"optimizer.nesterov": [0, 1]}, "0; allowed: bool"),
    (
        {"train.batch_size": "uniform(1, 64)"},
        "draws fractions; allowed: int or null, at least 1, for instance by randint",
    ),
    ({"train.batch_size": [16, 32.0]}, "32; allowed: int"),
    ({"train.batch_size": []}, "at least one"),
    ({"model.widths": [[64], 64]}, "64; allowed: list of int"),
    ({"model.widths": "uniform(0, 1)"}, "allowed: list of int"),
    ({"regularization": ["dropout"]}, "allowed: `all`, or domains for its fields: regularization.dropout"),
    ({"optimizer.lr": [1], "optimizer.*.lr": [2]}, "searched twice: 'optimizer.lr' stands for it, too"),
    ({"data": ["digits", "mnist"]}, "one data set"),
    ({"data.validation": [10], "data.validation_fraction": [0.1]}, "both given"),
    ({"schedule.warmup_epochs": [10]}, "leaves nothing of the 10 epochs"),
    ({"model": "all", "model.mlp.widths": [[8], [9]]}, "space.model: .* model: widths together with layers"),
    ({"train.class_weights": ["none", "given"]}, "train.class_weights.weights: missing; allowed: list"),
    ({"activation": ["relu", "sign"]}, "sign has no gradient, .*; allowed: linear, sigmoid"),
    ({"output": ["auto", "sign"]}, "sign goes with no loss of a classification task; allowed: auto, linear"),
    (
        {"output": ["tanh"]},
        "space.output: a trial would be invalid: output: tanh with the loss cross_entropy",
    ),
]


@pytest.mark.parametrize(("space", "said"), BAD, ids=[str(space) for space, _ in BAD])
def test_what_is_wrong_is_said_with_its_place(space: dict[str, Any], said: str) -> None:
    (problem,) = problems_of(job(space))
    assert problem.startswith("job.yaml:7: search.space")
    assert "\n" not in problem
    assert re.search(said, problem), problem


def test_every_problem_is_reported_at_once_in_the_order_written() -> None:
    space = {"optimizer.sgd.momentum": "uniform(0, 2)", "optimizer": ["sgd", "x"], "seed": [], "init": "all"}
    fields = [problem.split(": ")[1] for problem in problems_of(job(space))]
    assert fields == ["search.space.optimizer.sgd.momentum", "search.space.optimizer", "search.space.seed"]


def test_the_algorithm_and_the_scheduler_must_fit_the_space() -> None:
    grid = {"algorithm": "grid"}
    assert "continuous; a grid needs" in problems_of(job({"optimizer.lr": "uniform(0.1, 1)"}, grid))[0]
    assert "continuous; a grid needs" in problems_of(job({"optimizer": "all"}, grid))[0]
    asha = {"scheduler": "asha"}
    assert "one budget" in problems_of(job({"train.epochs": [1, 2]}, asha))[0]
    assert "8; allowed: at most 2" in problems_of(job({"seed": [1, 2]}, {"trials": 8}))[0]
    for field, value in (("repeats", 2), ("confirm", 1)):
        (problem,) = problems_of(job({"seed": [1, 2]}, {field: value}))
        assert (
            "search.space.seed: seed is searched, but search.repeats and search.confirm give each" in problem
        )
        assert build_space(job({"seed": [1]}, {field: value}), Positions({})).size() == 1


def test_a_component_that_does_not_fit_the_task_is_refused() -> None:
    assert (
        "does not fit a regression task; allowed: auto, mse, mae, huber, log_cosh"
        in problems_of(job({"loss": ["cross_entropy", "mse"]}, data=CSV))[0]
    )


def test_a_job_without_search_has_no_space() -> None:
    with pytest.raises(JobError, match="search: is not given"):
        build_space(Job.model_validate({"name": "a", "data": "digits", "optimizer": "sgd"}), Positions({}))


def test_a_coordinate_belongs_to_its_parameter_whatever_the_branch() -> None:
    space = space_of(SMALL)
    last = len(space.parameters) - 1
    for first in (0.0, 0.9):
        point = [first, *[0.5] * (last - 1), 0.7]
        assert space.from_unit(point)["train.batch_size"] == 32


def test_a_searched_job_file_reports_the_line_of_the_key(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(
        "name: a\ndata: digits\noptimizer: sgd\nsearch:\n  trials: 4\n  space:\n"
        "    optimizer: [sgd, adam]\n    optimizer.sgd.momentum: uniform(0.5, 2)\n"
    )
    loaded = load_job(file, ["search.space.optimizer.*.lr=loguniform(0, 1)"])
    with pytest.raises(JobError) as caught:
        build_space(loaded.job, loaded.positions)
    first, second = map(str, caught.value.problems)
    assert "job.yaml:8: search.space.optimizer.sgd.momentum: uniform(0.5, 2) reaches 2" in first
    assert second.startswith("command line: search.space.optimizer.*.lr: loguniform(0, 1) begins at 0")


@pytest.mark.parametrize(
    ("stopping", "expected"),
    [({"patience": 3}, "validation_accuracy"), ({"monitor": "train_loss"}, "train_loss"), (None, None)],
)
def test_early_stopping_watches_what_ranks_trials_unless_it_is_told_otherwise(
    stopping: dict[str, Any] | None, expected: str | None
) -> None:
    fields = {
        "name": "watched",
        "data": "digits",
        "optimizer": "sgd",
        "train": {"early_stopping": stopping},
        "search": {
            "metric": "validation_accuracy",
            "space": {"optimizer.lr": "uniform(0.1, 0.2)"},
            "trials": 1,
        },
    }
    found = make_trial(Job.model_validate(fields), {"optimizer.lr": 0.1}).train.early_stopping
    assert (found.monitor if found else None) == expected
    searched = make_trial(
        Job.model_validate(fields), {"train.early_stopping.patience": 2}
    ).train.early_stopping
    assert searched is not None
    assert searched.monitor == (expected or "validation_accuracy")

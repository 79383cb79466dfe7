"""Which components fit a task and one another, through the one-line errors of a job."""

from __future__ import annotations

from itertools import product
from typing import Any, get_args

import pytest

from raydnn.spec.axes.loss import AUTO
from raydnn.spec.axes.loss_function import LossFunction
from raydnn.spec.catalogue.kinds import components
from raydnn.spec.checks.compatibility import allowed_outputs, compatible, loss_of
from raydnn.spec.checks.contradictions import cross_field_problems
from raydnn.spec.data import Task
from raydnn.spec.job import Job
from raydnn.spec.reading.positions import Positions
from raydnn.spec.trial import trial_of_job

TASKS: tuple[Task, ...] = get_args(Task)
LOSSES = [name for name in components("loss") if name not in ("auto", "function")]


def job(task: Task = "classification", **fields: Any) -> Job:
    learned = {"reconstruct": True} if task == "reconstruction" else {"kind": task}
    data = {"name": "npz", "path": "a.npz", **learned}
    return Job.model_validate({"name": "a", "data": data, "optimizer": "sgd", **fields})


def problems(task: Task = "classification", **fields: Any) -> list[str]:
    return [str(problem) for problem in cross_field_problems(job(task, **fields), Positions({}))]


@pytest.mark.parametrize(
    ("task", "loss", "output", "units"),
    [
        ("classification", "cross_entropy", "softmax", 10),
        ("regression", "mse", "linear", 10),
        ("binary", "binary_cross_entropy", "sigmoid", 1),
        ("multi_label", "binary_cross_entropy", "sigmoid", 10),
        ("distribution", "categorical_cross_entropy", "softmax", 10),
    ],
)
def test_loss_and_output_layer_follow_the_task(task: Task, loss: str, output: str, units: int) -> None:
    trial = trial_of_job(job(task))
    assert (trial.loss.name, trial.output.name) == (loss, output)
    assert loss_of(trial).units(task, 10) == units
    assert problems(task) == []


@pytest.mark.parametrize(
    ("loss", "output", "units"),
    [
        ("cross_entropy", "softmax", 2),
        ("hinge", "linear", 1),
        ("perceptron", "heaviside", 1),
        ("mse", "linear", 2),
        ("dice", "sigmoid", 1),
        ({"name": "triplet", "embedding": 5}, "linear", 5),
    ],
)
def test_outputs_of_a_binary_task(loss: Any, output: str, units: int) -> None:
    trial = trial_of_job(job("binary", loss=loss))
    assert trial.output.name == output
    assert loss_of(trial).units("binary", 2) == units


@pytest.mark.parametrize(("name", "task"), list(product(LOSSES, TASKS)))
def test_a_loss_is_refused_where_it_does_not_fit(name: str, task: Task) -> None:
    field = "data.reconstruct" if task == "reconstruction" else "data.kind"
    cls = components("loss")[name]
    assert issubclass(cls, LossFunction)
    found = problems(task, loss=name)
    if task in cls.outputs:
        assert found == []
        assert cls.outputs[task] in allowed_outputs(job(task, loss=name))
    else:
        (line,) = found
        assert line.startswith(f"loss: {name} with a {task} task ({field}); allowed: auto, mse, ")
        assert name not in line.partition("allowed: ")[2].split(", ")


def test_every_task_has_its_auto_loss_and_every_loss_a_task() -> None:
    assert set(AUTO) == set(TASKS)
    assert all(AUTO[task]().name in compatible("loss", task) for task in TASKS)
    assert set(LOSSES) <= {name for task in TASKS for name in compatible("loss", task)}


@pytest.mark.parametrize("name", ["heaviside", "sign", "softmax"])
def test_hidden_layers_need_a_gradient(name: str) -> None:
    (line,) = problems(activation=name)
    assert line.startswith(f"activation: {name} ")
    assert "; allowed in hidden layers: linear, sigmoid, tanh, relu, leaky_relu, rrelu, prelu, elu" in line


@pytest.mark.parametrize(
    ("task", "loss", "output", "line"),
    [
        ("classification", "cross_entropy", "sigmoid", "cross_entropy; allowed: auto, linear, softmax"),
        (
            "binary",
            "auto",
            "softmax",
            "binary_cross_entropy; allowed: auto, linear, sigmoid, heaviside, sign",
        ),
        ("regression", "mse", "sign", "mse; allowed: auto, linear, sigmoid, tanh, relu, softplus, softmax"),
        ("multi_label", "hinge", "heaviside", "hinge; allowed: auto, linear"),
    ],
)
def test_an_output_layer_must_fit_the_loss(task: Task, loss: str, output: str, line: str) -> None:
    assert problems(task, loss=loss, output=output) == [f"output: {output} with the loss {line}"]


@pytest.mark.parametrize(
    ("task", "loss", "output"),
    [
        ("classification", "cross_entropy", "softmax"),
        ("classification", "mse", "sigmoid"),
        ("regression", "huber", "softplus"),
        ("binary", "perceptron", "sign"),
        ("binary", "hinge", "heaviside"),
    ],
)
def test_an_output_layer_that_fits(task: Task, loss: str, output: str) -> None:
    assert problems(task, loss=loss, output=output) == []
    assert trial_of_job(job(task, loss=loss, output=output)).output.name == output


def test_label_smoothing_is_for_the_cross_entropies() -> None:
    smoothing = {"label_smoothing": 0.1}
    crossed = "cross_entropy, categorical_cross_entropy, binary_cross_entropy"
    expected = f"regularization.label_smoothing: 0.1 with the loss mse; allowed with {crossed}, else 0"
    assert problems(loss="mse", regularization=smoothing) == [expected]
    assert problems("regression", regularization=smoothing) == [expected]
    assert problems(regularization=smoothing) == []
    assert problems("multi_label", regularization=smoothing) == []


@pytest.mark.parametrize("weights", ["balanced", [1, 2.5]])
def test_class_weights_are_for_classes(weights: Any) -> None:
    assert problems(train={"class_weights": weights}) == []
    (line,) = problems("multi_label", train={"class_weights": weights})
    assert line.endswith("with a multi_label task (data.kind), which has no classes; allowed: none")


def test_a_loss_that_decides_nothing_has_no_accuracy() -> None:
    stopping = {"early_stopping": {"monitor": "validation_accuracy"}}
    (line,) = problems(loss="triplet", train=stopping)
    assert line.startswith(
        "train.early_stopping.monitor: 'validation_accuracy' with the loss triplet, which has no"
    )

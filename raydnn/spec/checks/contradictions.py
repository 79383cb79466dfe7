"""What no field can know alone: fields of a job that contradict one another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from typing import Any

from pydantic import ValidationError

from raydnn.errors import Problem
from raydnn.spec.algorithm import Pbt, Tpe
from raydnn.spec.axes.schedule import Performance
from raydnn.spec.checks.compatibility import (
    Found,
    activation_fits_hidden_layers,
    class_weights_have_classes,
    colors_are_left,
    compiles_what_is_kept,
    flips_keep_targets,
    gates_have_their_own_activations,
    groups_divide_widths,
    loss_fits_task,
    loss_of,
    mixing_has_partners,
    model_fits_task,
    one_dropout_of_hidden_units,
    output_fits_loss,
    recomputation_has_layers,
    smoothing_has_classes,
    task_field,
    user_modules_have_their_own_layers,
    zero_init_has_normalization,
)
from raydnn.spec.data import WITHOUT_ACCURACY
from raydnn.spec.job import Job
from raydnn.spec.reading.positions import Positions
from raydnn.spec.scheduler import Asha, Bohb, Hyperband, Median, Stopping


def cross_field_problems(job: Job | None, where: Positions, broken: Set[str] = frozenset()) -> list[Problem]:
    """Every contradiction between the fields of a job.

    Args:
        job: The job; None if too little of it is valid.
        where: Places of its fields.
        broken: Top-level fields that are invalid by themselves; what needs them is not checked.
    """
    if job is None:
        return []
    return [
        Problem(where.of(field), field, message)
        for check, reads in CHECKS.items()
        if not broken & reads
        for field, message in check(job)
    ]


def salvage(data: Any, broken: Set[str]) -> Job | None:
    """The valid part of an invalid job, with stand-ins for required fields; None if even that is no job."""
    if not isinstance(data, Mapping):
        return None
    stand_ins = {"name": "job", "data": "digits", "optimizer": "sgd"}
    kept = {key: value for key, value in data.items() if key in Job.model_fields and key not in broken}
    try:
        return Job.model_validate(stand_ins | kept)
    except ValidationError:
        return None


def epochs_of(job: Job) -> int:
    """A trial's whole budget in epochs: the scheduler's, or else the training's own."""
    scheduler = job.search.scheduler if job.search else None
    if isinstance(scheduler, Stopping) and scheduler.max_epochs is not None:
        return scheduler.max_epochs
    return job.train.epochs


def _rungs_within_budget(job: Job) -> Found:
    scheduler = job.search.scheduler if job.search else None
    if not isinstance(scheduler, Stopping):
        return
    epochs = epochs_of(job)
    budget = "max_epochs" if scheduler.max_epochs is not None else "train.epochs"
    if isinstance(scheduler, Asha | Median) and scheduler.min_epochs > epochs:
        message = f"min_epochs: {scheduler.min_epochs} is above {budget}: {epochs}"
        yield "search.scheduler.min_epochs", f"{message}; allowed: at most {epochs}"
    elif isinstance(scheduler, Asha):
        below = [
            s for s in range(1, scheduler.brackets) if scheduler.min_epochs * scheduler.eta**s <= epochs - 1
        ]
        if len(below) + 1 < scheduler.brackets:
            message = f"{scheduler.brackets}, but with {budget}: {epochs} the last ones have no rung"
            yield "search.scheduler.brackets", f"{message}; allowed: at most {len(below) + 1}"
    if isinstance(scheduler, Hyperband | Bohb) and epochs < 2:
        message = f"{epochs}, but a rung of {scheduler.name} needs at least 2 epochs; allowed: at least 2"
        yield "search.scheduler.max_epochs" if budget == "max_epochs" else budget, message
    elif isinstance(scheduler, Hyperband | Bohb) and epochs < scheduler.eta:
        message = f"{epochs} epochs ({budget}) are too few for a rung of {scheduler.name} with this eta"
        yield "search.scheduler.eta", f"{scheduler.eta:g}, but {message}; allowed: above 1, at most {epochs}"


def _bohb_has_its_model(job: Job) -> Found:
    if job.search is None or not isinstance(job.search.scheduler, Bohb):
        return
    algorithm = job.search.algorithm
    if not isinstance(algorithm, Tpe):
        yield (
            "search.scheduler",
            f"bohb, but the algorithm is {algorithm.name}; allowed with bohb: algorithm tpe",
        )
        return
    for field in ("batch", "startup"):
        if getattr(algorithm, field) != Tpe.model_fields[field].default:
            yield f"search.algorithm.{field}", "bohb proposes a bracket at a time; leave it out"


def _population_is_trained_together(job: Job) -> Found:
    search = job.search
    if search is None or not isinstance(search.algorithm, Pbt):
        return
    if search.scheduler.name != "none":
        message = "but pbt decides itself which trials go on"
        yield "search.scheduler", f"{search.scheduler.name}, {message}; allowed with pbt: none"
    if search.algorithm.interval_epochs >= epochs_of(job):
        message = (
            f"{search.algorithm.interval_epochs}, but a trial has {epochs_of(job)} epochs and copies none"
        )
        yield "search.algorithm.interval_epochs", f"{message} after its last; allowed: below {epochs_of(job)}"
    if search.trials == 1:
        yield "search.trials", "1, but the trials of pbt copy one another; allowed: at least 2"
    for field, one in (("repeats", 1), ("confirm", 0)):
        if getattr(search, field) > one:
            message = "but a trial of pbt is no single configuration that other seeds could be trained with"
            yield f"search.{field}", f"{getattr(search, field)}, {message}; allowed with pbt: {one}"


def _search_has_an_end(job: Job) -> Found:
    if job.search and not job.search.algorithm.ends and job.search.trials is None:
        yield "search.trials", f"missing; algorithm: {job.search.algorithm.name} needs it: int, at least 1"


def _seeds_are_there(job: Job) -> Found:
    search = job.search
    if search is None:
        return
    if search.repeats > search.stack:
        message = f"{search.repeats}, but the seeds of a configuration share a stack, and search.stack is"
        yield "search.repeats", f"{message} {search.stack}; allowed: at most {search.stack}"
    if search.trials is not None and search.confirm > search.trials:
        message = f"{search.confirm}, but search.trials is {search.trials}"
        yield "search.confirm", f"{message}; allowed: at most {search.trials}"
    last = 2**63 - search.repeats - (search.confirm_seeds if search.confirm else 0)
    if job.seed > last:
        yield "seed", f"{job.seed}, but further seeds follow it; allowed: at most {last}"


def _sweep_in_one_process(job: Job) -> Found:
    if job.search and job.resources.workers > 1:
        yield (
            "resources.workers",
            f"{job.resources.workers}, but a sweep trains each stack in one process; allowed: 1",
        )


def _compiled_in_one_process(job: Job) -> Found:
    if job.train.compile and job.resources.workers > 1:
        message = f"true, but resources.workers is {job.resources.workers}, whose passes are not compiled"
        yield "train.compile", f"{message}; allowed: false, or one worker"


def _warm_up_within_training(job: Job) -> Found:
    warmup_epochs = job.schedule.warmup_epochs
    if warmup_epochs >= epochs_of(job):
        message = f"{warmup_epochs:g} leaves nothing of the {epochs_of(job)} epochs of the training"
        yield "schedule.warmup_epochs", f"{message}; allowed: below {epochs_of(job)}"


def _metrics_fit_task(job: Job) -> Found:
    task = job.data.learns
    if task in WITHOUT_ACCURACY:
        why = f"with a {task} task ({task_field(task)})"
    elif not loss_of(job).decides:
        why = f"with the loss {job.loss.name}"
    else:
        return
    watched = {
        "search.metric": job.search.metric if job.search else None,
        "schedule.monitor": job.schedule.monitor if isinstance(job.schedule, Performance) else None,
        "train.early_stopping.monitor": job.train.early_stopping.monitor
        if job.train.early_stopping
        else None,
    }
    for field, metric in watched.items():
        if metric and metric.endswith("accuracy"):
            message = f"'{metric}' {why}, which has no accuracy"
            yield field, f"{message}; allowed: train_loss, validation_loss"


CHECKS: dict[Callable[[Job], Found], frozenset[str]] = {
    _rungs_within_budget: frozenset({"search", "train"}),
    _bohb_has_its_model: frozenset({"search"}),
    _population_is_trained_together: frozenset({"search", "train"}),
    _search_has_an_end: frozenset({"search"}),
    _seeds_are_there: frozenset({"search", "seed"}),
    _sweep_in_one_process: frozenset({"search", "resources"}),
    _warm_up_within_training: frozenset({"search", "train", "schedule"}),
    loss_fits_task: frozenset({"data", "loss"}),
    model_fits_task: frozenset({"data", "model"}),
    activation_fits_hidden_layers: frozenset({"activation", "data", "model"}),
    output_fits_loss: frozenset({"data", "loss", "output"}),
    smoothing_has_classes: frozenset({"data", "loss", "regularization"}),
    groups_divide_widths: frozenset({"model", "normalization"}),
    zero_init_has_normalization: frozenset({"model", "normalization"}),
    user_modules_have_their_own_layers: frozenset(
        {"activation", "init", "model", "normalization", "regularization"}
    ),
    gates_have_their_own_activations: frozenset({"activation", "model"}),
    one_dropout_of_hidden_units: frozenset({"regularization"}),
    recomputation_has_layers: frozenset({"model", "train"}),
    compiles_what_is_kept: frozenset({"train"}),
    _compiled_in_one_process: frozenset({"train", "resources"}),
    mixing_has_partners: frozenset({"train"}),
    colors_are_left: frozenset({"data", "train"}),
    flips_keep_targets: frozenset({"data", "train"}),
    class_weights_have_classes: frozenset({"data", "train"}),
    _metrics_fit_task: frozenset({"data", "loss", "search", "schedule", "train"}),
}
"""Check → the top-level fields it reads."""

"""The job with which a sweep is extended: what its run has, and what may change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from raydnn.errors import JobError, Problem
from raydnn.spec.checks.contradictions import epochs_of
from raydnn.spec.job import Job, SweepJob
from raydnn.spec.reading.load import JobLike, LoadedJob, job_over, load_job, require_sweep
from raydnn.spec.reading.merge import RELATIVE, is_relative
from raydnn.spec.reading.problems import show
from raydnn.spec.reading.source import COMMAND_LINE

MAY_CHANGE = (
    *("search.trials", "search.space", "search.algorithm", "search.scheduler", "search.start"),
    "train.epochs",
)
"""All that an extension may change: with anything else its trials could not be compared with the run's."""


def extended_job(
    job: SweepJob, trials: int, given: JobLike | None, overrides: Sequence[str], place: str
) -> LoadedJob:
    """The job of an extension.

    Args:
        job: The run's job.
        trials: Configurations that the run has, or will have once it has ended.
        given: A job that takes its place; None: the run's own.
        overrides: `dotted.path=value` each; those of RELATIVE also `dotted.path=+amount`, which adds to what the
            run has.
        place: What to call the run's job in messages.

    Raises:
        JobError: Anything is wrong with it, or it changes what must stay.
    """
    absolute = [_absolute(override, job, trials) for override in overrides]
    loaded = load_job(given, absolute) if given is not None else job_over(job, absolute, place)
    if given is not None:
        # The run stays where it is, whatever another job's storage is.
        loaded = replace(loaded, job=loaded.job.model_copy(update={"storage": job.storage}))
    extension = require_sweep(loaded)
    problems = [
        Problem(loaded.positions.of(field), field, message)
        for field, message in _misfits(job, extension, trials)
    ]
    if problems:
        raise JobError(problems)
    return loaded


def _absolute(override: str, job: Job, trials: int) -> str:
    """An override with the sum in place of `+amount`."""
    field, _, text = override.partition("=")
    if field not in RELATIVE or not is_relative(text):
        return override
    scheduler = job.search.scheduler if job.search else None
    has = {
        "search.trials": trials,
        "train.epochs": job.train.epochs,
        "search.scheduler.max_epochs": getattr(scheduler, "max_epochs", None),
    }[field]
    amount = text.strip()[1:]
    if has is None:
        message = f"{text}, but the run's scheduler has no max_epochs; allowed: train.epochs=+{amount}"
        raise JobError([Problem(COMMAND_LINE, field, message)])
    if not amount.isdecimal():
        raise JobError([Problem(COMMAND_LINE, field, f"{text}; allowed: +N, N a whole number")])
    return f"{field}={has + int(amount)}"


def _misfits(old: SweepJob, new: SweepJob, trials: int) -> Iterator[tuple[str, str]]:
    before, after = (dict(_leaves(job.model_dump(mode="json"), "")) for job in (old, new))
    for field in dict.fromkeys([*before, *after]):
        if before.get(field) != after.get(field) and not any(_below(field, name) for name in MAY_CHANGE):
            message = f"{show(after.get(field))}, but the run has {show(before.get(field))}"
            yield field, f"{message}; an extension may change: {', '.join(MAY_CHANGE)}"
    for job, of in ((old, "the run's algorithm"), (new, "an extension's algorithm")):
        if job.search.algorithm.name == "pbt":
            yield "search.algorithm", f"pbt as {of}: its trials are trained together; begin a sweep instead"
            return
    if new.search.trials is None or new.search.trials <= trials:
        given = show(new.search.trials)
        message = f"{given}, but the run has {trials} already; allowed: above {trials}, such as search.trials=+{trials}"
        again = (
            " (trials that are trained longer count as new ones)" if epochs_of(new) > epochs_of(old) else ""
        )
        yield "search.trials", f"{message}{again}"
    budget = getattr(new.search.scheduler, "max_epochs", None)
    if new.train.epochs != old.train.epochs and budget is not None:
        message = f"{new.train.epochs}, but search.scheduler.max_epochs: {budget} is every trial's budget"
        yield "train.epochs", f"{message}; change that"
    if epochs_of(new) < epochs_of(old):
        field = "train.epochs" if budget is None else "search.scheduler.max_epochs"
        yield field, f"{epochs_of(new)}, but the run has {epochs_of(old)}; allowed: as many or more"


def _leaves(values: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _below(field: str, name: str) -> bool:
    return field == name or field.startswith(f"{name}.")

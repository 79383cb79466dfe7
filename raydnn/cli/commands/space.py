"""`raydnn space`: what a sweep would search, before it does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from raydnn.cli.options import job_argument, output_option, overrides_argument
from raydnn.cli.printing.output import print_record, print_table
from raydnn.cli.printing.terminal import tell
from raydnn.cli.printing.trials import parts, too_wide

if TYPE_CHECKING:
    from raydnn.space.space import Space
    from raydnn.spec.job import Job
    from raydnn.spec.reading.load import LoadedJob
    from raydnn.spec.trial import TrialSpec


@click.command()
@job_argument
@overrides_argument
@click.option(
    "--sample", type=click.IntRange(min=1), metavar="N", help="Show the first N trials the sweep would train."
)
@click.option(
    "--resolved",
    is_flag=True,
    help="Show every field of a training, `auto` resolved; of a sweep, with what the job fixes.",
)
@output_option
def space(job: Path, overrides: tuple[str, ...], sample: int | None, resolved: bool, output: str) -> None:
    """Show the search space that JOB spans: every parameter, its domain, and when it exists.

    \b
    Example:
      raydnn space jobs/digits-asha.yaml
      raydnn space jobs/digits-asha.yaml search.trials=20 --sample 5
      raydnn space jobs/digits.yaml --resolved
    """
    from raydnn.spec.reading.load import load_job

    if sample is not None and resolved:
        raise click.UsageError(
            "--sample shows trials, --resolved what the job fixes; allowed: one of the two"
        )
    loaded = load_job(job, overrides)
    if resolved:
        _print_resolved(loaded.job, output)
    else:
        _print_space(loaded, sample, output)


def _print_resolved(job: Job, output: str) -> None:
    from raydnn.space.trial import make_trial

    print_record(make_trial(job, {}).model_dump(), output)


def _print_space(loaded: LoadedJob, sample: int | None, output: str) -> None:
    from raydnn.errors import JobError, Problem
    from raydnn.search.algorithms.registry import propose
    from raydnn.space.space import build_space

    job = loaded.job.as_sweep()
    if job is None:
        message = "missing, so that the job spans no space; --resolved shows the training that it is"
        raise JobError([Problem(loaded.positions.of("search"), "search", message)])
    search, spanned = job.search, build_space(job, loaded.positions)
    if sample is not None:
        search = search.model_copy(update={"trials": sample})
        trials = propose(spanned, job.model_copy(update={"search": search}))
        _print_sample(job, spanned, trials, output)
        if len(trials) < sample and not search.algorithm.ends:
            tell(f"what {search.algorithm.name} tries next depends on the results of these", err=True)
    elif output == "table":
        _print_tree(spanned)
    else:
        rows = [
            (parameter.key, str(parameter.domain), " and ".join(map(str, parameter.conditions)))
            for parameter in spanned.parameters
        ]
        print_table(("parameter", "domain", "when"), rows, output)


def _print_tree(spanned: Space) -> None:
    for line in spanned.tree():
        tell(line)
    if spanned.rules:
        tell()
    for rule in spanned.rules:
        tell(f"rule: {rule}")
    size = spanned.size()
    tell(f"\nparameters: {len(spanned.parameters)}")
    tell("configurations: " + ("unlimited (a range is continuous)" if size is None else f"{size:,}"))


def _print_sample(job: Job, spanned: Space, trials: Sequence[TrialSpec], output: str) -> None:
    paths = list(dict.fromkeys([*(parameter.path for parameter in spanned.parameters), *_autos(job)]))
    rows: list[tuple[Any, ...]] = []
    for number, trial in enumerate(trials):
        values = {"seed": trial.seed, **trial.parameters()}
        rows.append((number, *(values.get(path) for path in paths)))
    columns = ("number", *(path.removesuffix(".name") for path in paths))
    if output == "table" and too_wide(columns, rows):
        for number, *drawn in rows:
            tell(f"trial {number}")
            for part in parts(dict(zip(paths, drawn, strict=True))):
                tell(f"  {part}")
    else:
        print_table(columns, rows, output)


def _autos(job: Job) -> list[str]:
    """The axes whose component the job leaves to `auto`, so that each trial says what that is."""
    return [
        f"{name}.name" for name in type(job).model_fields if getattr(getattr(job, name), "name", "") == "auto"
    ]

"""`raydnn space`: what a sweep would search, before it does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from raydnn.cli.options import job_argument, output_option, overrides_argument
from raydnn.cli.output import print_table
from raydnn.cli.trials import print_trials

if TYPE_CHECKING:
    from raydnn.space.space import Space
    from raydnn.spec.trial import TrialSpec


@click.command()
@job_argument
@overrides_argument
@click.option(
    "--sample", type=click.IntRange(min=1), metavar="N", help="Show the first N trials the sweep would train."
)
@output_option
def space(job: Path, overrides: tuple[str, ...], sample: int | None, output: str) -> None:
    """Show the search space that JOB spans: every parameter, its domain, and when it exists.

    \b
    Example:
      raydnn space jobs/digits-asha.yaml
      raydnn space jobs/digits-asha.yaml search.trials=20 --sample 5
    """
    from raydnn.search.algorithms import propose
    from raydnn.space.space import build_space
    from raydnn.spec.load import load_job, require_sweep

    loaded = load_job(job, overrides)
    require_sweep(loaded)
    spanned = build_space(loaded.job, loaded.places)
    if sample is not None:
        assert loaded.job.search is not None
        search = loaded.job.search.model_copy(update={"trials": sample})
        trials = propose(spanned, loaded.job.model_copy(update={"search": search}))
        _print_sample(spanned, trials, output)
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
        click.echo(line)
    for rule in spanned.rules:
        click.echo(f"rule: {rule}")
    size = spanned.size()
    click.echo("\nconfigurations: " + ("unlimited (a range is continuous)" if size is None else f"{size:,}"))


def _print_sample(spanned: Space, trials: Sequence[TrialSpec], output: str) -> None:
    paths = list(dict.fromkeys(parameter.path for parameter in spanned.parameters))
    rows = []
    for number, trial in enumerate(trials):
        values = {"seed": trial.seed, **trial.parameters()}
        rows.append((number, *(values.get(path) for path in paths)))
    print_trials(("number", *(path.removesuffix(".name") for path in paths)), rows, paths, output)

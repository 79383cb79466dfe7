"""What a user is told around a run: how to go on with it, and what its trials ask for that cannot work well."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from raydnn import shell
from raydnn.errors import ClusterError, HungError, InterruptedRunError, StoreError, UsageError
from raydnn.launch.request import RETRY_FAILED
from raydnn.store.states import ENDED

if TYPE_CHECKING:
    from raydnn.launch.observer import Observer
    from raydnn.search.packing import StackPlan
    from raydnn.spec.trial import TrialSpec
    from raydnn.store.run import Run


@contextmanager
def resumable(kind: str, run: Run, address: str | None, observer: Observer) -> Iterator[None]:
    """Say how to go on with a run that ended early, or where its failure is told.

    Args:
        kind: `train` or `sweep`.
        run: The run.
        address: The Ray cluster it runs on; None: an embedded Ray.
        observer: Is told.
    """
    resume = ["--resume", run.uri, *(["--address", address] if address else [])]
    try:
        yield
    except UsageError:  # another process drives it
        raise
    except Exception as error:
        mine = not isinstance(error, InterruptedRunError | ClusterError | HungError | StoreError)
        if mine and _has_ended(run):
            observer.note(f"what failed, and where: {shell.command('logs', run.uri, '--errors')}")
            observer.note(f"once that is mended: {shell.command(kind, *resume, RETRY_FAILED)}")
        else:
            observer.note(f"resume with: {shell.command(kind, *resume)}")
        raise


def retry(run: Run, generations: Sequence[Sequence[StackPlan]], observer: Observer) -> None:
    """Let the failed trials of a run be trained again, and say how many there are."""
    from raydnn.launch.runs.reopening import reopen

    observer.note(f"trains {reopen(run, generations)} failed trial(s) again")


def _has_ended(run: Run) -> bool:
    """Whether every trial of a run has ended, as far as its store can tell."""
    from raydnn.store.read import read

    try:
        return set(read(run.location, "trials", ["state"])["state"].to_pylist()) <= set(ENDED)
    except StoreError:
        return False


def trial_warnings(trials: Sequence[TrialSpec], examples: int) -> list[str]:
    """What trials ask for that cannot work well: one line a field, the first trial's, and in how many trials.

    Args:
        trials: The trials.
        examples: Number of training examples.
    """
    from raydnn.spec.checks.lone import lone_example_warnings
    from raydnn.spec.checks.selu import selu_warnings

    broken: dict[str, list[str]] = {}
    for trial in trials:
        for warning in (*selu_warnings(trial), *lone_example_warnings(trial, examples)):
            broken.setdefault(warning.partition(":")[0], []).append(warning)
    lines = []
    for warnings in broken.values():
        share = f" ({len(warnings)} of {len(trials)} trials)" if len(trials) > 1 else ""
        lines.append(f"warning: {warnings[0]}{share}")
    return lines

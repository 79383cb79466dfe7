"""Training the one trial of a run, in each of its workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from raydnn.launch.worker.device import claim_device
from raydnn.search.packing import StackPlan
from raydnn.spec.resources import Resources
from raydnn.spec.trial import TrialSpec
from raydnn.store.run import Run
from raydnn.training.session import run_stack
from raydnn.training.stack.member import Member
from raydnn.training.verdict import Verdict
from raydnn.training.workers import Workers


def train_trial(
    run: Run, trial: TrialSpec, resources: Resources, workers: Workers, report: Callable[[int], None]
) -> None:
    """Train a run's one trial to its end: a stack of one that nobody judges.

    Args:
        run: The run.
        trial: Its trial.
        resources: What each worker takes.
        workers: This process among the workers.
        report: Takes each epoch when its rows are in the store.

    Raises:
        RaydnnError: The training failed.
    """

    def judge(epoch: int, members: Sequence[Member]) -> Mapping[int, Verdict]:
        report(epoch)
        return {}

    run_stack(
        run,
        StackPlan(0, ((0, trial),)),
        scheduler="none",
        judge=judge,
        workers=workers,
        device=claim_device(resources),
        timeout_seconds=resources.timeout_seconds,
    )

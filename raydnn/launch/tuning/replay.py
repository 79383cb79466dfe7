"""A sweep's judging, as its store has it: a resumed sweep goes on with the verdicts that it had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from math import isfinite

from raydnn.launch.schedulers.registry import RayScheduler
from raydnn.launch.tuning.judging import Answer, Judging, Noted
from raydnn.search.packing import StackPlan
from raydnn.store.read import read
from raydnn.store.run import Run
from raydnn.training.stack.member import MUST_BE_FINITE, trial_id

VERDICTS = ("stopped", "promoted", "exploited")
"""Kinds of events."""


def noted_verdicts(run: Run) -> set[Noted]:
    """The verdicts in the table of events, and the rungs that were reached."""
    rows = read(run.location, "events", ["kind", "trial_id", "bracket", "epoch"]).to_pylist()
    return {
        (row["trial_id"], row["bracket"], row["epoch"]) for row in rows if row["kind"] in (*VERDICTS, "rung")
    }


def replay(
    run: Run,
    generations: Sequence[Sequence[StackPlan]],
    done: Set[int],
    scheduler: RayScheduler,
    judging: Judging,
    metric: str,
    known_until: Mapping[int, int] | None = None,
) -> list[Answer]:
    """Put all stacks and their results in the store to a fresh scheduler: it then decides as the first one did.

    What was judged stands in `events`, and counts also where rows of `epochs` are lost.

    Args:
        run: The run.
        generations: Its stacks.
        done: Those that have ended.
        scheduler: The scheduler.
        judging: What puts results to it.
        metric: What is judged.
        known_until: Stack → the last epoch of which it is told; None: all in the store.

    Returns:
        The verdicts.
    """
    table = read(run.location, "epochs", ["trial_id", "epoch", metric, *MUST_BE_FINITE])
    results: dict[tuple[str, int], float] = {
        (row["trial_id"], row["epoch"]): row[metric]
        for row in table.to_pylist()
        if row["epoch"] in scheduler.rungs and all(isfinite(row[loss]) for loss in MUST_BE_FINITE)
    }
    judged = _judged_values(run)
    answers: list[Answer] = []
    for generation in generations:
        judging.expect(generation)
        for epoch in scheduler.rungs:
            for plan in generation:
                if not plan.stage.judged or (known_until and known_until[plan.number] < epoch):
                    continue
                keys = {number: (trial_id(number), epoch) for number, _ in plan.trials}
                values = {number: results[key] for number, key in keys.items() if key in results}
                own = ((leader, judged.get((trial_id(leader), epoch))) for leader in plan.leaders)
                means = plan.means(values) | {leader: value for leader, value in own if value is not None}
                if means:
                    of_leaders = {leader: means[leader] for leader in plan.leaders if leader in means}
                    answers += judging.result(plan.number, epoch, of_leaders)
        for plan in generation:
            if plan.number in done:
                answers += judging.ended(plan.number)
    return answers


def judged_by(scheduler: int, generations: Sequence[Sequence[StackPlan]]) -> list[list[StackPlan]]:
    """The generations as one of the sweep's schedulers sees them: it judges none that another one has judged."""
    return [
        [
            plan
            if plan.stage.scheduler == scheduler
            else replace(plan, stage=replace(plan.stage, judged=False))
            for plan in generation
        ]
        for generation in generations
    ]


def _judged_values(run: Run) -> dict[tuple[str, int], float]:
    """(trial id, epoch) → the value that was judged there, in the table of events."""
    rows = read(run.location, "events", ["kind", "trial_id", "epoch", "value"]).to_pylist()
    return {
        (row["trial_id"], row["epoch"]): row["value"]
        for row in rows
        if row["kind"] in VERDICTS and row["value"] is not None
    }

"""A sweep in this very process, on one slot and without Ray's processes.

Stacks, turns, judging with Ray's scheduler classes, training and store are a sweep's own. Verdicts do not depend on
the number of slots, so what is trained is what `raydnn sweep` trains, and on one slot the order is always the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from loops import CPU

from raydnn.launch.runs.runs import begin
from raydnn.launch.runs.stacks import Stacks
from raydnn.launch.tuning.judging import Judging, ray_scheduler
from raydnn.launch.tuning.queue import StackQueue
from raydnn.search.algorithms.registry import generations
from raydnn.space.space import build_space
from raydnn.spec.reading.load import load_job
from raydnn.store.commit import EventLog
from raydnn.store.run import Run
from raydnn.training.session import run_stack
from raydnn.training.stack.member import Member
from raydnn.training.verdict import Verdict
from raydnn.training.workers import Workers


class Enough(KeyboardInterrupt):
    """Ends a sweep as Ctrl-C does."""


def sweep(
    job: Path, overrides: Sequence[str], name: str, see: Callable[[Sequence[Member]], None] = lambda _: None
) -> Run:
    """Train a job's sweep to its end.

    Args:
        job: A job file with a search.
        overrides: Overrides of its fields.
        name: The run's id.
        see: Called with a stack's members after each of its epochs, once it is committed; may raise Enough.
    """
    torch.set_num_threads(1)
    loaded = load_job(job, list(overrides))
    search = loaded.job.search
    assert search is not None
    space = build_space(loaded.job, loaded.positions)
    stacks = Stacks(generations(space, loaded.job), search.stack)
    run = begin(loaded.job, loaded.text, name, "sweep", stacks.plans, space.tree(), stacks.expected)
    answers: dict[tuple[int, int], Mapping[int, Verdict] | None] = {}

    def follow() -> list[int]:
        following = stacks.follow(run)
        if judging is not None and following:
            judging.expect(following)
        return [plan.number for plan in following]

    def answer(stack: int, epoch: int, verdicts: Mapping[int, Verdict] | None) -> None:
        answers[stack, epoch] = verdicts

    epochs = stacks.plans[0].trials[0][1].train.epochs
    scheduler = ray_scheduler(search, epochs, loaded.job.seed)
    judging = None if scheduler is None else Judging(scheduler, EventLog(run), set())
    if judging is not None:
        judging.expect(stacks.plans)
    numbers = [plan.number for plan in stacks.plans]
    turns = StackQueue(numbers, lambda: 1, follow, lambda: stacks.over, answer, judging)
    while (stack := turns.next()) is not None:
        turns.started(stack)

        def judge(epoch: int, members: Sequence[Member], stack: int = stack) -> Mapping[int, Verdict] | None:
            see(members)
            if scheduler is None or epoch not in scheduler.rungs or not members:
                return {}
            turns.result(
                stack, epoch, {member.number: member.history[search.metric][-1] for member in members}
            )
            return answers[stack, epoch]

        members = run_stack(
            run,
            stacks.plans[stack],
            scheduler=search.scheduler.name,
            judge=judge,
            workers=Workers(),
            device=CPU,
        )
        turns.gave_way(stack) if any(member.running for member in members) else turns.ended(stack)
    return run

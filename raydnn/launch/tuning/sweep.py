"""A sweep, whatever engine trains its stacks: the queue hands them out, the scheduler judges every member of them."""

from __future__ import annotations

from collections.abc import Sequence

from raydnn.launch.engine.engine import Engine
from raydnn.launch.runs.runs import ended_stacks
from raydnn.launch.runs.seed_spread import note_spread
from raydnn.launch.runs.stacks import Stacks
from raydnn.launch.schedulers.population import ray_population
from raydnn.launch.tuning.budget import FailureBudget
from raydnn.launch.tuning.dispatcher import SweepDispatcher
from raydnn.launch.tuning.judging import Judging, ray_scheduler
from raydnn.launch.tuning.queue import StackQueue
from raydnn.launch.tuning.replay import judged_by, noted_verdicts, replay
from raydnn.launch.tuning.slots import Slots
from raydnn.launch.worker.mailbox import Mailbox
from raydnn.launch.worker.shared_dataset import SharedDataset
from raydnn.launch.worker.stack_training import StackTask
from raydnn.search.packing import StackPlan
from raydnn.spec.algorithm import Pbt
from raydnn.spec.checks.contradictions import epochs_of
from raydnn.spec.job import SweepJob
from raydnn.store.commit import EventLog
from raydnn.store.run import Run
from raydnn.store.storage import files
from raydnn.training.checkpoint import newest_epoch
from raydnn.training.record import states_of


def sweep_run(
    run: Run, jobs: Sequence[SweepJob], stacks: Stacks, shared: SharedDataset | None, engine: Engine
) -> None:
    """Train every stack that has not ended yet, of all generations; what is measured is in the store.

    Args:
        run: The run.
        jobs: Its job, and those of its extensions.
        stacks: Its stacks.
        shared: A data set, for the stacks that train on it; the others read theirs themselves.
        engine: What trains them.

    Raises:
        ClusterError: The engine cannot be reached or is too small for one stack.
        StoreError: A machine of it does not see the storage.
        DataError: A machine of it does not see the data.
    """
    if not all_ended(run, stacks):
        read = (trial.data for plan in stacks.plans for _, trial in plan.trials)
        most = len(stacks.plans) if stacks.over else stacks.expected
        with engine.running(
            run,
            (spec for spec in read if shared is None or spec != shared.spec),
            most * jobs[0].resources.cpus_per_worker,
        ):
            scheduler = None
            while scheduler != stacks.scheduler and not all_ended(run, stacks):
                scheduler = stacks.scheduler
                search_on(engine, run, jobs[scheduler], stacks, shared)
    job = jobs[-1]
    if isinstance(job.search.algorithm, Pbt):
        for plan in stacks.plans:
            # Kept so far, because the members of other stacks could copy them.
            files.remove_tree(states_of(run, plan.number))
    note_spread(run, stacks.plans)


def all_ended(run: Run, stacks: Stacks) -> bool:
    """Whether a sweep has ended, by the store; proposes again what it had proposed before."""
    while len(ended_stacks(run, stacks.plans)) == len(stacks.plans):
        if not stacks.follow(run):
            return True
    return False


def search_on(engine: Engine, run: Run, job: SweepJob, stacks: Stacks, shared: SharedDataset | None) -> None:
    """Train the stacks of a sweep that have not ended, to where its scheduler changes.

    Args:
        engine: What trains them; it runs.
        run: The run.
        job: The job whose scheduler judges the last generation.
        stacks: Its stacks.
        shared: A data set, for the stacks that train on it.

    Raises:
        ClusterError: The engine is too small for one stack.
        StoreError: Something cannot be committed.
    """
    plans = stacks.plans
    done = ended_stacks(run, plans)
    events, mailbox = EventLog(run), Mailbox(engine.values(), run.run_id)
    slots = Slots(job.resources, engine.nodes)
    todo = [plan for plan in plans if plan.number not in done]
    number = stacks.scheduler
    population = ray_population(job, plans)
    scheduler = population or ray_scheduler(job.search, epochs_of(job), job.seed)
    judging = None if scheduler is None else Judging(scheduler, events, noted_verdicts(run))

    def follow() -> list[int]:
        following: Sequence[StackPlan] = stacks.follow(run)
        if stacks.scheduler != number:
            return []
        if judging is not None and following:
            judging.expect(following)
        mailbox.hand_out(following)
        return [plan.number for plan in following]

    queue = StackQueue(
        [plan.number for plan in todo],
        slots,
        follow,
        lambda: stacks.over or stacks.scheduler != number,
        mailbox.answer,
        judging,
    )
    if scheduler is not None and judging is not None:
        # What others may copy must be there: a stack whose process died before its state was saved reports again.
        saved = {plan.number: newest_epoch(states_of(run, plan.number)) for plan in plans if population}
        generations = judged_by(number, stacks.generations)
        queue.answer(replay(run, generations, done, scheduler, judging, job.search.metric, saved or None))
    mailbox.hand_out(todo)
    task = StackTask(
        run_uri=run.uri,
        resources=job.resources,
        scheduler=job.search.scheduler.name,
        metric=job.search.metric,
        rungs=scheduler.rungs if scheduler else (),
        copied_after=population.rungs if population else (),
        shared=shared,
    )
    engine.train_stacks(run, task, SweepDispatcher(queue, events, FailureBudget(run, plans).renewed))
    events.commit()
    mailbox.clear()

"""A sweep with Ray Tune: one Tune trial trains one stack, Ray's scheduler judges every member of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence, Set
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import replace
from math import isfinite
from typing import TYPE_CHECKING

from raydnn.launch.engine.connecting import PRELOADED, cluster_nodes, per_worker, ray_running
from raydnn.launch.engine.embedded import idle_processes_used
from raydnn.launch.engine.machines import Machines, data_paths
from raydnn.launch.runs.failures import our_error
from raydnn.launch.runs.runs import ended_stacks, ray_files
from raydnn.launch.runs.seed_spread import note_spread
from raydnn.launch.runs.stacks import Stacks
from raydnn.launch.schedulers.population import RayPopulation, ray_population
from raydnn.launch.schedulers.registry import RayScheduler
from raydnn.launch.sweep.budget import FailureBudget
from raydnn.launch.sweep.judging import Judging, Noted, ray_scheduler
from raydnn.launch.sweep.queue import Turns
from raydnn.launch.sweep.slots import Room
from raydnn.launch.sweep.verdicts import forget, give_way, publish
from raydnn.launch.worker.importing import collector_resting
from raydnn.launch.worker.mailbox import hand_out, take_back
from raydnn.search.packing import StackPlan
from raydnn.spec.algorithm import Pbt
from raydnn.spec.checks.contradictions import epochs_of
from raydnn.spec.job import Job
from raydnn.store import files
from raydnn.store.commit import EventLog
from raydnn.store.read import read
from raydnn.store.run import Run
from raydnn.train.checkpoint import newest_epoch
from raydnn.train.record import states_of
from raydnn.train.stack.member import MUST_BE_FINITE, trial_id

if TYPE_CHECKING:
    from raydnn.launch.worker.shared_dataset import Prepared

MAX_FAILURES = 3
"""How often a stack whose process died is taken up again from its checkpoint before it has trained an epoch more."""
MOST_AT_ONCE = 100_000
"""More stacks than any cluster trains at once."""


def sweep_run(
    run: Run,
    jobs: Sequence[Job],
    stacks: Stacks,
    prepared: Prepared | None,
    address: str | None,
    verbose: bool,
    ahead: Future[None] | None = None,
) -> None:
    """Train every stack that has not ended yet, of all generations; what is measured is in the store.

    Args:
        run: The run.
        jobs: Its job, and those of its extensions.
        stacks: Its stacks.
        prepared: A data set, for the stacks that train on it; the others read theirs themselves.
        address: A cluster's address, or None for an embedded Ray.
        verbose: Whether Ray may print.
        ahead: The start of the embedded Ray, where it was begun.

    Raises:
        ClusterError: The cluster cannot be reached or is too small for one stack.
        StoreError: A machine of it does not see the storage.
        DataError: A machine of it does not see the data.
    """
    if not all_ended(run, stacks):
        if ahead is not None:
            with collector_resting():  # while Ray starts
                import raydnn.launch.sweep.adapters
                import raydnn.launch.worker.stack_training  # noqa: F401
        most = len(stacks.plans) if stacks.over else stacks.expected
        cpus = most * jobs[0].resources.cpus_per_worker
        with ray_running(address, verbose, cpus, PRELOADED, ahead):
            nodes = cluster_nodes if address is None else _checked(run, stacks, prepared)
            scheduler = None
            while scheduler != stacks.scheduler and not all_ended(run, stacks):
                scheduler = stacks.scheduler
                search_on_ray(run, jobs[scheduler], stacks, prepared, nodes, embedded=address is None)
    job = jobs[-1]
    assert job.search is not None
    if isinstance(job.search.algorithm, Pbt):
        for plan in stacks.plans:
            # Kept so far, because the members of other stacks could copy them.
            files.remove_tree(states_of(run, plan.number))
    note_spread(run, stacks.plans)


def _checked(run: Run, stacks: Stacks, prepared: Prepared | None) -> Machines:
    """The machines of a cluster, all of which see the run and the data that is not handed to them."""
    specs = [trial.data for plan in stacks.plans for _, trial in plan.trials]
    machines = Machines(run, data_paths(spec for spec in specs if not prepared or spec != prepared.spec))
    machines.check()
    return machines


def all_ended(run: Run, stacks: Stacks) -> bool:
    """Whether a sweep has ended, by the store; proposes again what it had proposed before."""
    while len(ended_stacks(run, stacks.plans)) == len(stacks.plans):
        if not stacks.follow(run):
            return True
    return False


def search_on_ray(
    run: Run,
    job: Job,
    stacks: Stacks,
    prepared: Prepared | None = None,
    nodes: Callable[[], Sequence[Mapping[str, float]]] = cluster_nodes,
    *,
    embedded: bool = False,
) -> None:
    """Train the stacks of a sweep that have not ended, on the Ray that is connected, to where its scheduler changes.

    Args:
        run: The run.
        job: The job whose scheduler judges the last generation.
        stacks: Its stacks.
        prepared: A data set, for the stacks that train on it.
        nodes: Gives what each machine has that may train them.
        embedded: Whether Ray was started by this process.

    Raises:
        ClusterError: It is too small for one stack.
        StoreError: Something cannot be committed.
    """
    assert job.search is not None
    plans = stacks.plans
    done = ended_stacks(run, plans)
    events = EventLog(run)
    room = Room(job.resources, nodes)
    todo = [plan for plan in plans if plan.number not in done]
    judging: Judging | None = None
    number = stacks.scheduler

    def follow() -> list[int]:
        following = stacks.follow(run)
        if stacks.scheduler != number:
            return []
        if judging is not None and following:
            judging.expect(following)
        hand_out(run.run_id, following)
        return [plan.number for plan in following]

    turns = Turns(
        [plan.number for plan in todo],
        room,
        follow,
        lambda: stacks.over or stacks.scheduler != number,
        lambda stack, epoch: give_way(run.run_id, stack, epoch),
        lambda stack, epoch, verdicts: publish(run.run_id, stack, epoch, verdicts),
    )
    population = ray_population(job, plans)
    scheduler = population or ray_scheduler(job.search, epochs_of(job), job.seed)
    if scheduler is not None:
        judging = turns.judging = Judging(scheduler, events, _noted_verdicts(run), turns.answer)
        # What others may copy must be there: a stack whose process died before its state was saved reports again.
        saved = {plan.number: newest_epoch(states_of(run, plan.number)) for plan in plans if population}
        _replay(
            run,
            _judged_by(number, stacks.generations),
            done,
            scheduler,
            judging,
            job.search.metric,
            saved or None,
        )
    hand_out(run.run_id, todo)
    from raydnn.launch.sweep.controller import stack_controller

    with (
        idle_processes_used() if embedded else nullcontext(),
        stack_controller(FailureBudget(run, plans).renewed),
    ):
        _tune(run, job, turns, scheduler, events, prepared)
    events.commit()
    forget(run.run_id)
    take_back(run.run_id)


def _tune(
    run: Run,
    job: Job,
    turns: Turns,
    scheduler: RayScheduler | None,
    events: EventLog,
    prepared: Prepared | None,
) -> None:
    """Let Ray Tune train the stacks in their turn."""
    from ray import tune

    from raydnn.launch.sweep.adapters import Silence, StackCallback, StackScheduler, StackSearcher
    from raydnn.launch.worker.stack_training import train_stack

    for name in ("ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    assert job.search is not None
    metric = job.search.metric
    trainable = tune.with_parameters(
        train_stack,
        run_uri=run.uri,
        resources=job.resources.model_dump_json(),
        scheduler=job.search.scheduler.name,
        metric=metric,
        rungs=scheduler.rungs if scheduler else (),
        copied_after=scheduler.rungs if isinstance(scheduler, RayPopulation) else (),
        prepared=prepared,
    )
    bundle = tune.PlacementGroupFactory([per_worker(job.resources)])
    tuner = tune.Tuner(
        tune.with_resources(trainable, bundle),
        tune_config=tune.TuneConfig(
            search_alg=StackSearcher(turns),
            scheduler=StackScheduler(turns, events),
            num_samples=-1,  # as many as the searcher hands out
            # Turns hand out no more than fit at once; this is also how many Tune starts at a time.
            max_concurrent_trials=MOST_AT_ONCE,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=ray_files(run).uri,
            failure_config=tune.FailureConfig(max_failures=MAX_FAILURES),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            callbacks=[StackCallback(events, turns), Silence()],
            verbose=0,
        ),
    )
    try:
        tuner.fit()
    except tune.TuneError as error:
        raise our_error(error) or error from error


def _noted_verdicts(run: Run) -> set[Noted]:
    """The verdicts in the table of events, and the rungs that were reached."""
    rows = read(run.location, "events", ["kind", "trial_id", "bracket", "epoch"]).to_pylist()
    kinds = ("stopped", "promoted", "exploited", "rung")
    return {(row["trial_id"], row["bracket"], row["epoch"]) for row in rows if row["kind"] in kinds}


def _judged_values(run: Run) -> dict[tuple[str, int], float]:
    """(trial id, epoch) → the value that was judged there, in the table of events."""
    rows = read(run.location, "events", ["kind", "trial_id", "epoch", "value"]).to_pylist()
    kinds = ("stopped", "promoted", "exploited")
    return {
        (row["trial_id"], row["epoch"]): row["value"]
        for row in rows
        if row["kind"] in kinds and row["value"] is not None
    }


def _judged_by(scheduler: int, generations: Sequence[Sequence[StackPlan]]) -> list[list[StackPlan]]:
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


def _replay(
    run: Run,
    generations: Sequence[Sequence[StackPlan]],
    done: Set[int],
    scheduler: RayScheduler,
    judging: Judging,
    metric: str,
    known_until: Mapping[int, int] | None = None,
) -> None:
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
    """
    table = read(run.location, "epochs", ["trial_id", "epoch", metric, *MUST_BE_FINITE])
    results: dict[tuple[str, int], float] = {
        (row["trial_id"], row["epoch"]): row[metric]
        for row in table.to_pylist()
        if row["epoch"] in scheduler.rungs and all(isfinite(row[loss]) for loss in MUST_BE_FINITE)
    }
    judged = _judged_values(run)
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
                    judging.result(plan.number, epoch, of_leaders)
        for plan in generation:
            if plan.number in done:
                judging.ended(plan.number)

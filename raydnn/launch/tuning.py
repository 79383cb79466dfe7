"""A sweep with Ray Tune: one Tune trial trains one stack, Ray's scheduler judges every member of it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence, Set
from math import isfinite
from typing import TYPE_CHECKING, Any

from raydnn.errors import ClusterError, StoreError
from raydnn.launch.failures import our_error
from raydnn.launch.judging import Judging, RayScheduler, ray_scheduler
from raydnn.launch.local import cluster_nodes, per_worker, ray_running, slots
from raydnn.launch.runs import ended_stacks, ray_files
from raydnn.launch.stacks import Stacks, hand_out, handed_out, take_back
from raydnn.launch.verdicts import forget, publish, wait_for
from raydnn.search.packing import Stack as Plan
from raydnn.spec.job import Job
from raydnn.spec.resources import Resources
from raydnn.store.commit import EventLog
from raydnn.store.files import locate
from raydnn.store.read import read
from raydnn.store.run import Run, run_at
from raydnn.train.member import MUST_BE_FINITE, Member, trial_id
from raydnn.train.verdict import Verdict

if TYPE_CHECKING:
    from raydnn.launch.adapters import StackSearcher

MAX_FAILURES = 3
"""How often a stack whose process died is taken up again from its checkpoint."""


def sweep_run(run: Run, job: Job, stacks: Stacks, address: str | None, verbose: bool) -> None:
    """Train every stack that has not ended yet, of all generations; what is measured is in the store.

    Args:
        run: The run.
        job: Its job.
        stacks: Its stacks.
        address: A cluster's address, or None for an embedded Ray.
        verbose: Whether Ray may print.

    Raises:
        ClusterError: The cluster cannot be reached or is too small for one stack.
    """
    if not all_ended(run, stacks):
        with ray_running(address, verbose):
            search_on_ray(run, job, stacks)


def all_ended(run: Run, stacks: Stacks) -> bool:
    """Whether a sweep has ended, by the store; proposes again what it had proposed before."""
    while len(ended_stacks(run, stacks.plans)) == len(stacks.plans):
        if not stacks.follow(run):
            return True
    return False


def search_on_ray(run: Run, job: Job, stacks: Stacks) -> None:
    """Train the stacks of a sweep that have not ended, on the Ray that is connected.

    Raises:
        ClusterError: It is too small for one stack.
        StoreError: Something cannot be committed.
    """
    from raydnn.launch.adapters import StackSearcher

    assert job.search is not None
    plans = stacks.plans
    done = ended_stacks(run, plans)
    events = EventLog(run)
    epochs = plans[0].trials[0][1].train.epochs
    scheduler = ray_scheduler(job.search, epochs)
    judging = None
    if scheduler is not None:
        judging = Judging(
            scheduler,
            job.search.metric,
            len(plans),
            events,
            _noted_verdicts(run),
            lambda stack, epoch, verdicts: publish(run.run_id, stack, epoch, verdicts),
        )
        _replay(run, plans, done, scheduler, judging, job.search.metric)
    todo = [plan for plan in plans if plan.number not in done]
    hand_out(run.run_id, todo)

    def follow() -> list[int]:
        following = stacks.follow(run)
        if judging is not None:
            judging.expect(len(following))
        hand_out(run.run_id, following)
        return [plan.number for plan in following]

    searcher = StackSearcher([plan.number for plan in todo], follow, lambda: stacks.over)
    _tune(run, job, searcher, scheduler, judging, events)
    events.commit()
    forget(run.run_id)
    take_back(run.run_id)


def _tune(
    run: Run,
    job: Job,
    searcher: StackSearcher,
    scheduler: RayScheduler | None,
    judging: Judging | None,
    events: EventLog,
) -> None:
    """Let Ray Tune train what the searcher hands out."""
    from ray import tune

    from raydnn.launch.adapters import Silence, StackCallback, StackScheduler

    for name in ("ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    assert job.search is not None
    metric = job.search.metric
    trainable = tune.with_parameters(
        _train_stack,
        run_uri=run.uri,
        resources=job.resources.model_dump_json(),
        scheduler=job.search.scheduler.name,
        metric=metric,
        rungs=scheduler.rungs if scheduler else (),
    )
    bundle = tune.PlacementGroupFactory([per_worker(job.resources)])
    tuner = tune.Tuner(
        tune.with_resources(trainable, bundle),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=StackScheduler(judging),
            num_samples=-1,  # as many as the searcher hands out
            # No more than fit at once: a stack that must start again then always finds its slot, and those
            # that wait for its verdicts cannot hold it up.
            max_concurrent_trials=slots(job.resources, cluster_nodes()),
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=ray_files(run).uri,
            failure_config=tune.FailureConfig(max_failures=MAX_FAILURES),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            callbacks=[StackCallback(events), Silence()],
            verbose=0,
        ),
    )
    try:
        tuner.fit()
    except tune.TuneError as error:
        raise our_error(error) or error from error


def _train_stack(
    config: dict[str, Any],
    *,
    run_uri: str,
    resources: str,
    scheduler: str,
    metric: str,
    rungs: Sequence[int],
) -> None:
    """The Tune trainable: train stack number `config["stack"]`; tell Tune at the rungs and at the end.

    A failure of the training itself is in the store and would only happen again, so Tune is not told of it;
    Tune starts a stack again when its process dies.
    """
    from ray import tune

    from raydnn.launch.device import claim_device
    from raydnn.train.session import run_stack
    from raydnn.train.workers import Workers

    run = run_at(locate(run_uri))
    plan = handed_out(run.run_id, config["stack"])

    def judge(epoch: int, members: Sequence[Member]) -> Mapping[int, Verdict]:
        if epoch not in rungs or not members:
            return {}
        # Pairs, because Tune takes nested mappings apart.
        values = [(member.number, member.history[metric][-1]) for member in members]
        tune.report({"stack": plan.number, "epoch": epoch, "values": values})
        return wait_for(run.run_id, plan.number, epoch)

    try:
        run_stack(
            run,
            plan,
            scheduler=scheduler,
            judge=judge,
            workers=Workers(),
            device=claim_device(Resources.model_validate(json.loads(resources))),
        )
    except (ClusterError, StoreError) as error:
        # It ends the sweep: another start would find the same disk or device.
        tune.report({"stack": plan.number, "error": error})
    except Exception:
        # run_stack has noted the failure and its traceback in the store.
        return


def _noted_verdicts(run: Run) -> set[tuple[str, int]]:
    """(trial id, epoch) of every verdict in the table of events."""
    rows = read(run.location, "events").select(["kind", "trial_id", "epoch"]).to_pylist()
    return {(row["trial_id"], row["epoch"]) for row in rows if row["kind"] in ("stopped", "promoted")}


def _replay(
    run: Run,
    plans: Sequence[Plan],
    done: Set[int],
    scheduler: RayScheduler,
    judging: Judging,
    metric: str,
) -> None:
    """Put the results that are in the store to a fresh scheduler, so that a resumed sweep decides as the first did."""
    table = read(run.location, "epochs").select(["trial_id", "epoch", metric, *MUST_BE_FINITE])
    stack_of = {trial_id(number): (plan.number, number) for plan in plans for number, _ in plan.trials}
    results: dict[tuple[int, int], dict[int, float]] = {}
    for row in table.to_pylist():
        if row["epoch"] in scheduler.rungs and all(isfinite(row[loss]) for loss in MUST_BE_FINITE):
            stack, number = stack_of[row["trial_id"]]
            results.setdefault((row["epoch"], stack), {})[number] = row[metric]
    for (epoch, stack), values in sorted(results.items()):
        plan = next(plan for plan in plans if plan.number == stack)
        judging.result(stack, epoch, {n: values[n] for n, _ in plan.trials if n in values})
    for stack in sorted(done):
        judging.ended(stack)

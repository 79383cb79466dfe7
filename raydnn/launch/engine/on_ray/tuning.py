"""The stacks of a sweep with Ray Tune: one Tune trial trains one stack."""

from __future__ import annotations

import logging

from ray import tune

from raydnn.launch.engine.capacity import per_worker
from raydnn.launch.engine.engine import MAX_FAILURES, Dispatcher
from raydnn.launch.engine.on_ray.adapters import Silence, StackCallback, StackScheduler, StackSearcher
from raydnn.launch.engine.on_ray.controller import stack_controller
from raydnn.launch.engine.on_ray.trainable import trainable
from raydnn.launch.runs.failures import our_error
from raydnn.launch.runs.runs import ray_files
from raydnn.launch.worker.stack_training import StackTask
from raydnn.store.run import Run

MOST_AT_ONCE = 100_000
"""More stacks than any cluster trains at once."""


def tune_stacks(run: Run, task: StackTask, dispatcher: Dispatcher) -> None:
    """Let Ray Tune train stacks in their turn, on the Ray that is connected.

    Args:
        run: The sweep.
        task: What its stacks share.
        dispatcher: Hands them out and hears of them.

    Raises:
        RaydnnError: A stack's process reports that it cannot go on.
        TuneError: Ray Tune failed.
    """
    for name in ("ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    bundle = tune.PlacementGroupFactory([per_worker(task.resources)])
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(trainable, task=task), bundle),
        tune_config=tune.TuneConfig(
            search_alg=StackSearcher(dispatcher),
            scheduler=StackScheduler(dispatcher),
            num_samples=-1,  # as many as the searcher hands out
            # No more are handed out than fit at once; this is also how many Tune starts at a time.
            max_concurrent_trials=MOST_AT_ONCE,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=ray_files(run).uri,
            failure_config=tune.FailureConfig(max_failures=MAX_FAILURES),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            callbacks=[StackCallback(dispatcher), Silence()],
            verbose=0,
        ),
    )
    with stack_controller(dispatcher.progressed):
        try:
            tuner.fit()
        except tune.TuneError as error:
            raise our_error(error) or error from error

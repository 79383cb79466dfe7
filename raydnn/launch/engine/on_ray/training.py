"""The one trial of a run with Ray Train: data-parallel workers that share every batch, or one in this process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from math import ceil
from typing import Any

import ray.train
from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
from ray.train.torch import TorchTrainer

from raydnn.errors import ClusterError
from raydnn.launch.engine.capacity import per_worker, require_slots
from raydnn.launch.engine.engine import MAX_FAILURES
from raydnn.launch.engine.on_ray.process_group import GroupConfig
from raydnn.launch.engine.on_ray.train_failures import Failures
from raydnn.launch.runs.failures import failure_of_training
from raydnn.launch.runs.runs import ray_files
from raydnn.launch.worker.trial_training import train_trial
from raydnn.spec.resources import Resources
from raydnn.spec.trial import TrialSpec
from raydnn.store.read import read
from raydnn.store.run import Run, run_at
from raydnn.store.storage.files import locate
from raydnn.training.workers import Workers


def fit(
    run: Run,
    trial: TrialSpec,
    resources: Resources,
    workers: int,
    nodes: Callable[[], Sequence[Mapping[str, float]]] | None = None,
) -> None:
    """Run Ray Train on the Ray that is connected.

    Args:
        run: The run.
        trial: Its trial.
        resources: What each worker takes.
        workers: Processes; 0 is Ray Train's local mode, in this process and without Ray.
        nodes: Gives what each machine has; None in local mode.

    Raises:
        ClusterError: Workers were lost too often, or machines for good.
        RaydnnError: The training failed.
    """
    config = {"run": run.uri, "trial": trial.config_json, "resources": resources.model_dump_json()}
    for name in ("ray.train", "ray.train.v2"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    takes = per_worker(resources)
    for start in count():
        trainer = TorchTrainer(
            _worker,
            train_loop_config=config,
            scaling_config=ScalingConfig(
                num_workers=workers, use_gpu=resources.gpus_per_worker > 0, resources_per_worker=takes
            ),
            run_config=RunConfig(
                name=f"train-{start}",
                storage_path=ray_files(run).uri,
                failure_config=FailureConfig(max_failures=MAX_FAILURES, controller_failure_limit=1),
                callbacks=[Failures(run.uri)],
            ),
            torch_config=GroupConfig(
                backend="nccl" if resources.gpus_per_worker else "gloo",
                # The watchdog, which tells where a worker stands, is the first to lose patience.
                timeout_s=ceil(2 * resources.timeout_seconds),
            ),
        )
        # Ray Train's own handler swallows Ctrl-C; here it ends the run like any other.
        trainer._register_sigint_handler = lambda _controller: None
        before = _epochs(run)
        try:
            trainer.fit()
        except TrainingFailedError as error:
            failure = failure_of_training(error)
            if isinstance(failure, ClusterError) and nodes is not None:
                require_slots(
                    resources, nodes()
                )  # A machine that is lost for good is not waited for once more.
            if not isinstance(failure, ClusterError) or _epochs(run) == before:
                raise failure from error
        else:
            return


def _epochs(run: Run) -> int:
    """Epochs that the training has committed."""
    return max(read(run.location, "epochs", ["epoch"])["epoch"].to_pylist(), default=0)


def _worker(config: dict[str, Any]) -> None:
    """What every worker runs."""
    context = ray.train.get_context()
    train_trial(
        run_at(locate(config["run"])),
        TrialSpec.from_json(config["trial"]),
        Resources.model_validate_json(config["resources"]),
        Workers(context.get_world_rank(), context.get_world_size()),
        # Its rows are in the store already.
        lambda epoch: ray.train.report({"epoch": epoch}),
    )

"""One run with Ray Train: data-parallel workers that share every batch, or one in this process."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from itertools import count
from math import ceil
from typing import Any

from raydnn.errors import ClusterError, HungError, RaydnnError
from raydnn.launch.engine.connecting import cluster_nodes, prepare_environment, ray_running, slots
from raydnn.launch.engine.machines import Machines, data_paths
from raydnn.launch.runs.failures import described, innermost, is_rays, of_user, our_error
from raydnn.launch.runs.runs import ray_files
from raydnn.launch.worker.device import claim_device
from raydnn.search.packing import StackPlan
from raydnn.spec.resources import Resources
from raydnn.spec.trial import TrialSpec
from raydnn.store.files import locate
from raydnn.store.read import read
from raydnn.store.run import Run, run_at
from raydnn.train.checkpoint import newest_epoch
from raydnn.train.faults.incidents import committing
from raydnn.train.record import states_of
from raydnn.train.session import run_stack
from raydnn.train.stack.member import Member
from raydnn.train.verdict import Verdict
from raydnn.train.workers import Workers

MAX_FAILURES = 3
"""How often a training whose worker died is taken up again from its checkpoint before it has trained an epoch more."""


def train_run(run: Run, trial: TrialSpec, resources: Resources, address: str | None, verbose: bool) -> None:
    """Train a run's one trial to its end; what it measures is in the store.

    One worker on this machine runs in Ray Train's local mode, in this very process.

    Args:
        run: The run.
        trial: Its trial.
        resources: Workers and what each of them gets.
        address: A cluster's address, or None for this machine.
        verbose: Whether Ray may print.

    Raises:
        ClusterError: The cluster cannot be reached or is too small, or workers were lost too often.
        StoreError: A machine of it does not see the storage.
        DataError: A machine of it does not see the data.
        RaydnnError: The training failed.
    """
    config = {
        "run": run.uri,
        "trial": trial.config_json,
        "resources": resources.model_dump_json(),
    }
    if address is None and resources.workers == 1:
        prepare_environment(verbose)
        _fit_here(run, config, resources)
        return
    with ray_running(address, verbose, resources.workers * resources.cpus_per_worker):
        slots(resources, cluster_nodes())
        if address is not None:
            Machines(run, data_paths([trial.data])).check()
        _fit(run, config, resources, workers=resources.workers)


def _fit_here(run: Run, config: dict[str, Any], resources: Resources) -> None:
    """Train in this process; what hangs goes on from its last checkpoint, a few times without a new one."""
    hangs, reached = 0, 0
    while True:
        try:
            _fit(run, config, resources, workers=0)
            return
        except HungError as error:
            epoch = newest_epoch(states_of(run, 0))
            hangs, reached = (hangs + 1 if epoch == reached else 1), epoch
            if hangs > MAX_FAILURES:
                raise
            warnings.warn(f"{error}; it goes on after epoch {epoch}", stacklevel=2)
            committing(run)("retried", {"stack": 0})


def _fit(run: Run, config: dict[str, Any], resources: Resources, workers: int) -> None:
    """Run Ray Train with `workers` processes; 0 is its local mode."""
    import logging

    from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchTrainer

    from raydnn.launch.engine.train_failures import Failures
    from raydnn.launch.worker.process_group import GroupConfig

    for name in ("ray.train", "ray.train.v2"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    per_worker = {"CPU": float(resources.cpus_per_worker)}
    if resources.gpus_per_worker:
        per_worker["GPU"] = float(resources.gpus_per_worker)
    for start in count():
        trainer = TorchTrainer(
            _worker,
            train_loop_config=config,
            scaling_config=ScalingConfig(
                num_workers=workers, use_gpu=resources.gpus_per_worker > 0, resources_per_worker=per_worker
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
            failure = _failure(error)
            if isinstance(failure, ClusterError) and workers:
                slots(
                    resources, cluster_nodes()
                )  # A machine that is lost for good is not waited for once more.
            if not isinstance(failure, ClusterError) or _epochs(run) == before:
                raise failure from error
        else:
            return


def _failure(error: Exception) -> RaydnnError:
    """Why a training failed: it is a ClusterError unless the training itself is to blame."""
    failures = list(getattr(error, "worker_failures", {}).values())
    lost = next(filter(is_rays, map(innermost, failures)), error)
    of_ray = ClusterError(f"Ray lost the training, which is not to blame: {described(lost)}")
    return our_error(error) or of_user(failures) or of_ray


def _epochs(run: Run) -> int:
    """Epochs that the training has committed."""
    return max(read(run.location, "epochs", ["epoch"])["epoch"].to_pylist(), default=0)


def _worker(config: dict[str, Any]) -> None:
    """What every worker runs."""
    import ray.train

    context = ray.train.get_context()
    resources = Resources.model_validate(json.loads(config["resources"]))
    plan = StackPlan(0, ((0, TrialSpec.from_json(config["trial"])),))
    run_stack(
        run_at(locate(config["run"])),
        plan,
        scheduler="none",
        judge=_report,
        workers=Workers(context.get_world_rank(), context.get_world_size()),
        device=claim_device(resources),
        timeout_seconds=resources.timeout_seconds,
    )


def _report(epoch: int, members: Sequence[Member]) -> Mapping[int, Verdict]:
    """Tell Ray Train that an epoch is done; its rows are in the store already. Nothing is stopped."""
    import ray.train

    ray.train.report({"epoch": epoch})
    return {}

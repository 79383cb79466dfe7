"""`raydnn plan`: what a job would take, before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from raydnn.cli.options import find_run, job_argument, output_option, overrides_argument
from raydnn.cli.printing.output import print_record
from raydnn.cli.printing.terminal import tell

if TYPE_CHECKING:
    from raydnn.procedures.plan import SweepPlan
    from raydnn.spec.job import Job

GIB = 2**30


@click.command()
@job_argument
@overrides_argument
@click.option(
    "--slots",
    type=click.IntRange(min=1),
    metavar="K",
    help="Plan for K stacks at once, as on a cluster; without it, for as many as this machine can train.",
)
@output_option
def plan(job: Path, overrides: tuple[str, ...], slots: int | None, output: str) -> None:
    """Say what JOB would take: trials, stacks, rungs, steps, time, memory, disk. Nothing is run or written.

    A few steps of a stack of each shape are timed in this process; the sweep is then simulated with the
    scheduler's own rule over made-up results. What cannot fit is refused.

    \b
    Example:
      raydnn plan jobs/digits-asha.yaml
      raydnn plan jobs/digits-asha.yaml search.trials=1000 --slots 16
    """
    from raydnn.launch.runs.segments import begun
    from raydnn.spec.reading.load import load_job
    from raydnn.spec.reading.placing import placed

    loaded = load_job(job, overrides)
    first = begun(loaded, lambda name: find_run(name, loaded.job.storage)) if loaded.job.search else None
    tell(f"preparing {job} ...", err=True)  # what follows takes seconds

    from raydnn.launch.engine.capacity import slots_here

    at_once = slots or slots_here(loaded.job.resources)
    import_seconds = _import_torch()

    from raydnn.launch.worker.device import claim_device
    from raydnn.procedures.plan import plan_run

    tell("timing a few steps of a stack of each shape ...", err=True)
    given = loaded.job
    with placed(loaded.positions):
        expected = plan_run(
            given,
            first.space if first else None,
            at_once if given.search else 1,
            claim_device(given.resources),
            import_seconds,
            lambda process_bytes, processes: _check_memory(given, process_bytes, 1 if slots else processes),
            first.start if first else (),
        )
    _check_disk(given.storage, expected.disk_bytes)
    print_record(told(expected) if output == "table" else record(expected), output)


def record(plan: SweepPlan) -> dict[str, Any]:
    """A plan's fields, seconds and bytes as numbers."""
    from dataclasses import asdict

    return asdict(plan)


def told(plan: SweepPlan) -> dict[str, Any]:
    """A plan for people."""
    shortest, longest = plan.seconds_between
    fields = {
        "trials": plan.trials,
        "generations": plan.generations,
        "stacks": f"{plan.stacks}, {plan.slots} at once",
        "epochs": f"about {plan.epochs} of at most {plan.epochs_at_most}",
        "steps": f"about {plan.steps}, each of a whole stack",
        "time": f"about {duration(plan.seconds)}, of which training {duration(plan.training_seconds)}",
        "between": f"{duration(shortest)} and {duration(longest)}, as the results fall",
        "load": f"{plan.load:.2g} (1: nothing else runs here)",
        "memory": f"{plan.memory_bytes / GIB:.2g} GiB, {plan.stack_memory_bytes / GIB:.2g} GiB a training process",
        "disk": f"{plan.disk_bytes / 2**20:.3g} MiB",
        "assumed": ", ".join(
            f"{name.removesuffix('_seconds')} {s:.2g} s" for name, s in vars(plan.overhead).items()
        ),
    }
    return {**fields, "shapes": plan.shapes, **({"rungs": plan.rungs} if plan.rungs else {})}


def duration(seconds: float) -> str:
    """`85 s`, `12 min`, `3.4 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _import_torch() -> float | None:
    """CPU seconds of torch's import; None where it was imported before."""
    import sys
    from time import thread_time

    if "torch" in sys.modules:
        return None
    begun = thread_time()
    import torch  # noqa: F401

    return thread_time() - begun


def _check_memory(job: Job, process_bytes: int, at_once: int) -> None:
    from raydnn.errors import ClusterError
    from raydnn.machine import free_memory_bytes

    free = free_memory_bytes()
    needed = at_once * process_bytes
    if job.resources.gpus_per_worker == 0 and free is not None and needed > free:
        smaller = "; a smaller search.stack, network or batch takes less" if job.search else ""
        raise ClusterError(
            f"memory: {at_once} training process(es) of about {process_bytes / GIB:.1f} GiB are needed at once, "
            f"{free / GIB:.1f} GiB is free{smaller}"
        )


def _check_disk(storage: str, disk_bytes: int) -> None:
    from raydnn.errors import StoreError
    from raydnn.machine import free_disk_bytes
    from raydnn.store.files import locate

    location = locate(storage)
    if location.local and disk_bytes > (free := free_disk_bytes(Path(location.path))):
        raise StoreError(
            f"storage {storage}: about {disk_bytes / GIB:.2g} GiB are needed, {free / GIB:.2g} GiB is free there"
        )

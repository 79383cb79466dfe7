"""What a job would take, before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from raydnn.launch.request import named
from raydnn.machine import GIB
from raydnn.store.finding import find_run

if TYPE_CHECKING:
    from raydnn.launch.observer import Observer
    from raydnn.procedures.plan import SweepPlan
    from raydnn.spec.job import Job
    from raydnn.spec.reading.load import JobLike


def plan(job: JobLike, overrides: Sequence[str], slots: int | None, observer: Observer) -> SweepPlan:
    """Time a few steps of a stack of each shape in this process, and simulate the rest.

    Args:
        job: The job.
        overrides: `dotted.path=value` each.
        slots: Stacks at once; None: as many as this machine can train.
        observer: Watches.

    Raises:
        JobError: The job is wrong.
        ClusterError: It does not fit into this machine, or its memory.
        StoreError: It does not fit onto the disk.
    """
    from raydnn.launch.runs.segments import begun
    from raydnn.spec.reading.load import load_job
    from raydnn.spec.reading.placing import placed

    loaded = load_job(job, overrides)
    first = begun(loaded, lambda name: find_run(name, loaded.job.storage)) if loaded.job.search else None
    observer.note(f"preparing {named(job)} ...")  # what follows takes seconds

    from raydnn.launch.engine.capacity import slots_here

    at_once = slots or slots_here(loaded.job.resources)
    import_seconds = _import_torch()

    from raydnn.launch.worker.device import claim_device
    from raydnn.procedures.plan import plan_run

    observer.note("timing a few steps of a stack of each shape ...")
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
    for unknown in expected.unknown_roles:
        observer.note(unknown)
    _check_disk(given.storage, expected.disk_bytes)
    return expected


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
    from raydnn.store.storage.files import locate

    location = locate(storage)
    if location.local and disk_bytes > (free := free_disk_bytes(Path(location.path))):
        raise StoreError(
            f"storage {storage}: about {disk_bytes / GIB:.2g} GiB are needed, {free / GIB:.2g} GiB is free there"
        )

"""What one training may use of the cluster."""

from __future__ import annotations

from raydnn.spec.base import Spec, parameter


class Resources(Spec):
    """Processes, CPUs and GPUs of one training (of one stack, in a sweep)."""

    workers: int = parameter(1, "data-parallel processes that share each batch", ge=1)
    cpus_per_worker: int = parameter(
        1,
        "CPU cores, and threads, of each worker; other numbers of threads add up in other orders (1e-6 a step)",
        ge=1,
    )
    gpus_per_worker: int = parameter(0, "GPUs of each worker", ge=0, le=1)
    timeout_seconds: float = parameter(
        300.0,
        "seconds without a step after which a worker counts as hung, unless such silence is usual for it: where it "
        "stands goes to the run's logs, and it starts again from its last checkpoint",
        gt=0,
    )

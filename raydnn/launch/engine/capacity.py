"""How many trainings some machines can run side by side."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from raydnn.errors import ClusterError
from raydnn.spec.resources import Resources


def slots(resources: Resources, nodes: Sequence[Mapping[str, float]]) -> int:
    """How many trainings some machines can run side by side; 0 where not even one fits.

    Args:
        resources: What one training takes.
        nodes: What each machine has; a worker must fit on one of them.
    """
    need = per_worker(resources)
    workers = sum(int(min(node.get(name, 0) // amount for name, amount in need.items())) for node in nodes)
    return workers // resources.workers


def require_slots(resources: Resources, nodes: Sequence[Mapping[str, float]]) -> int:
    """How many trainings some machines can run side by side, at least one.

    Args:
        resources: What one training takes.
        nodes: What each machine has.

    Raises:
        ClusterError: Not even one; the message names what is needed and what there is.
    """
    found = slots(resources, nodes)
    if found == 0:
        need = per_worker(resources)
        there = "; ".join(_amounts({name: node.get(name, 0) for name in need}) for node in nodes) or "nothing"
        raise ClusterError(
            f"one training does not fit: {resources.workers} worker(s) with {_amounts(need)} each are needed, "
            f"there is {there} (see `resources` in the job)"
        )
    return found


def slots_here(resources: Resources, cpus: int | None = None) -> int:
    """How many trainings this machine can run side by side.

    Args:
        resources: What one training takes.
        cpus: Cores that may be used; None: all of this machine.

    Raises:
        ClusterError: Not even one.
    """
    gpus = 0
    if resources.gpus_per_worker:
        from torch.cuda import device_count

        gpus = device_count()
    return require_slots(resources, [{"CPU": cpus or os.cpu_count() or 1, "GPU": gpus}])


def per_worker(resources: Resources) -> dict[str, float]:
    """What one worker takes, in Ray's terms."""
    need = {"CPU": float(resources.cpus_per_worker)}
    if resources.gpus_per_worker:
        need["GPU"] = float(resources.gpus_per_worker)
    return need


def _amounts(amounts: Mapping[str, float]) -> str:
    return " and ".join(f"{amount:g} {name}" for name, amount in amounts.items())

"""Submitting a job to a cluster, which runs the same code on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from raydnn.launch.cluster.address import Cluster


@dataclass(frozen=True)
class Submitted:
    """A job that a cluster has."""

    run_id: str
    cluster: Cluster
    told: list[str]
    """What was sent, a line each."""


def submit(job: Path, overrides: Sequence[str], address: str | None, insecure: bool) -> Submitted:
    """Send a job and the present folder's code to a cluster, as a Ray job.

    Args:
        job: The job file, in the present folder or below it.
        overrides: `dotted.path=value` each.
        address: The head's dashboard, http://HEAD:8265; None: what the environment says.
        insecure: Submit even to a cluster beyond loopback that serves anyone.

    Raises:
        JobError: The job is wrong, or its paths mean nothing on the cluster.
        UsageError: The job file or its folder cannot be sent.
        ClusterError: Unreachable, refused, wrong token or version.
    """
    from raydnn.launch.cluster.submitting import submit_job
    from raydnn.space.space import build_space
    from raydnn.spec.reading.load import load_job
    from raydnn.store.run import new_run_id

    loaded = load_job(job, overrides)
    if loaded.job.search is not None:
        build_space(loaded.job, loaded.positions)
    run_id = new_run_id(loaded.job.name)
    told: list[str] = []
    cluster = submit_job(job, overrides, loaded, address, run_id, insecure, told.append)
    return Submitted(run_id, cluster, told)

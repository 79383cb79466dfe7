"""Ray's job client with time limits and our errors: the state of a cluster's runs, and stopping one."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from raydnn.errors import ClusterError, NotFoundError
from raydnn.launch.cluster.address import ADDRESS_VARIABLES, Cluster

REQUEST_SECONDS = 60

FINISHED = frozenset({"SUCCEEDED", "FAILED", "STOPPED"})


@dataclass(frozen=True)
class JobState:
    """A run as its cluster sees it."""

    run_id: str
    status: str
    """PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED."""
    message: str | None
    driver_exit_code: int | None
    started_at: datetime | None
    ended_at: datetime | None

    @property
    def finished(self) -> bool:
        """Whether it will not change any more."""
        return self.status in FINISHED

    @property
    def exit_code(self) -> int:
        """What the command that waited for the run exits with: the run's own code where there is one."""
        if self.status == "SUCCEEDED":
            return 0
        if self.status == "STOPPED":
            return 130
        code = self.driver_exit_code
        return code if code is not None and 0 < code < 256 else 1


def job_state(cluster: Cluster, run_id: str) -> JobState:
    """Ask a cluster for the state of a run.

    Raises:
        NotFoundError: The cluster does not know the run.
        ClusterError: The cluster does not answer.
    """
    with requests(cluster, run_id):
        return state_of(run_id, open_client(cluster).get_job_info(run_id))


def list_jobs(cluster: Cluster) -> list[JobState]:
    """Return the raydnn runs that a cluster knows, newest first."""
    with requests(cluster, ""):
        jobs = [job for job in open_client(cluster).list_jobs() if "raydnn" in (job.metadata or {})]
    states = [state_of(job.submission_id, job) for job in jobs]
    never = datetime.min.replace(tzinfo=UTC)
    return sorted(states, key=lambda state: state.started_at or never, reverse=True)


def stop_job(cluster: Cluster, run_id: str) -> bool:
    """Ask a run to stop; it gets SIGTERM and up to STOP_SECONDS.

    Returns:
        Whether it was running.
    """
    with requests(cluster, run_id):
        return bool(open_client(cluster).stop_job(run_id))


def open_client(cluster: Cluster) -> Any:
    """Ray's client of one cluster, with a time limit on every request."""
    from ray.job_submission import JobSubmissionClient

    for module in ("job.sdk", "dashboard_sdk"):
        logging.getLogger(f"ray.dashboard.modules.{module}").setLevel(logging.WARNING)
    headers = {"Authorization": f"Bearer {cluster.token}"} if cluster.token else None
    with _only_address(cluster.url):
        client = JobSubmissionClient(cluster.url, headers=headers)
    client._do_request = partial(client._do_request, timeout=REQUEST_SECONDS)
    return client


@contextmanager
def _only_address(url: str) -> Iterator[None]:
    """Have Ray's client take this address: what it reads in the environment would override it."""
    before = os.environ.get(ADDRESS_VARIABLES[0])
    os.environ[ADDRESS_VARIABLES[0]] = url
    try:
        yield
    finally:
        if before is None:
            del os.environ[ADDRESS_VARIABLES[0]]
        else:
            os.environ[ADDRESS_VARIABLES[0]] = before


@contextmanager
def requests(cluster: Cluster, run_id: str) -> Iterator[None]:
    """Turn what Ray's client raises into our errors."""
    from ray.exceptions import RayError

    try:
        yield
    except OSError as error:
        raise ClusterError(f"{cluster.url} stopped answering ({type(error).__name__})") from error
    except (RuntimeError, RayError) as error:
        text = str(error)
        if "status code 404" in text:
            raise NotFoundError(f"{cluster.url} knows no run '{run_id}'") from None
        lines = [line for line in text.splitlines() if line.strip(" .")]
        reason = lines[-1] if lines else type(error).__name__  # above it stands the server's traceback
        raise ClusterError(f"{cluster.url} refused: {reason}") from error


def state_of(run_id: str, job: Any) -> JobState:
    """Ray's `JobDetails` as a JobState."""
    status = str(getattr(job.status, "value", job.status))
    message = re.split(r",? ?last available logs|\n", job.message or "", maxsplit=1)[0].rstrip(" ,") or None
    return JobState(
        run_id, status, message, job.driver_exit_code, _moment(job.start_time), _moment(job.end_time)
    )


def _moment(milliseconds: int | None) -> datetime | None:
    return datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds else None

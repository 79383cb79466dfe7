"""Where a run is: in a storage, on a cluster, or both; and what state it is in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from raydnn.analysis.tables import RUN_FIELDS, list_summaries, summary
from raydnn.errors import ClusterError, NotFoundError, nearest
from raydnn.launch.cluster.address import Cluster, connect
from raydnn.launch.cluster.submissions import recall, recall_all
from raydnn.launch.runs.driver import Driver, find_driver
from raydnn.launch.runs.lease import seems_alive
from raydnn.shell import command
from raydnn.store.run import Run
from raydnn.store.runs import open_run


@dataclass(frozen=True)
class RunLocation:
    """A run's folder, and the address of its cluster; at least one of them is known."""

    run_id: str
    run: Run | None
    address: str | None

    @property
    def words(self) -> list[str]:
        """What a printed command needs to find the run from any folder: where it is, and its cluster if need be."""
        submission = recall(self.run_id)
        known = self.address is None or (submission is not None and submission.address == self.address)
        name = self.run.uri if self.run else self.run_id
        return [name] if known else [name, "--address", str(self.address)]

    def connect(self) -> Cluster:
        """The run's cluster; nothing is sent to it that an open one could misuse."""
        return connect(self.address, unauthenticated=True)

    def driver(self) -> Driver | None:
        """The process that drives, or drove, the run."""
        return find_driver(self.run.location / "logs") if self.run else None

    def alive(self) -> bool | None:
        """Whether that process lives; None where there is none, or it cannot be seen."""
        driver = self.driver()
        return None if driver is None or self.run is None else seems_alive(self.run, driver)


def find(run_id: str, storage: str, address: str | None) -> RunLocation:
    """Find a run by its id.

    Args:
        run_id: The run's id.
        storage: Where its folder may be, besides where it was submitted to.
        address: Its cluster; None: the one it was submitted to from this machine, if it was.

    Raises:
        NotFoundError: Neither the storage nor this machine's submissions know the run.
    """
    submission = recall(run_id)
    storages = [storage, submission.storage] if submission else [storage]
    address = address or (submission.address if submission else None)
    missing: NotFoundError | None = None
    for place in dict.fromkeys(storages):
        try:
            run = open_run(place, run_id)
            return RunLocation(run.run_id, run, address)
        except NotFoundError as error:
            missing = missing or error
    if address is None and missing is not None:
        hint = nearest(run_id, [each.run_id for each in recall_all()])
        raise NotFoundError(f"{missing}{hint}") if hint else missing
    return RunLocation(run_id, None, address)


def status(where: RunLocation, *, insist: bool) -> tuple[dict[str, Any], str | None]:
    """Return a run's state: what its cluster says of the job, what the store says of its trials.

    Args:
        where: The run.
        insist: Fail if the cluster cannot be asked, even if the store can.

    Returns:
        Field → value, and why the cluster was not asked, if it should have been.

    Raises:
        ClusterError: The cluster does not answer, and nothing else knows the run.
        NotFoundError: The cluster does not know the run, and nothing else does.
    """
    fields: dict[str, Any] = {"run_id": where.run_id, "state": None, "cluster": where.address}
    warning = None
    if where.address is not None:
        from raydnn.launch.cluster.job_client import job_state

        try:
            job = job_state(where.connect(), where.run_id)
            fields |= {"state": job.status, "message": job.message, "exit_code": job.driver_exit_code}
            fields |= {"started_at": job.started_at, "ended_at": job.ended_at}
        except (ClusterError, NotFoundError) as error:
            if insist or where.run is None:
                raise
            warning = str(error)
    if where.run is not None:
        stored = summary(where.run)
        state = fields["state"] or local_state(stored, where)
        known = {name: value for name, value in fields.items() if value is not None}
        fields = stored | known | {"state": state, "uri": where.run.uri}
    return fields, warning


def local_state(stored: dict[str, Any], where: RunLocation) -> str:
    """The state of a run that no cluster's job drives.

    RUNNING, FINISHED, FAILED (no trial came to an end), INTERRUPTED (its trials say so), KILLED (its driver is
    gone, and its trials say nothing of it), PENDING (not driven yet), or UNKNOWN.

    Args:
        stored: The run's summary.
        where: The run.
    """
    driver, alive = where.driver(), where.alive()
    if alive:
        return "RUNNING"
    if stored["pending"] + stored["running"] or not stored["trials"]:
        if driver is None:
            return "UNKNOWN" if stored["running"] else "PENDING"
        return f"UNKNOWN (driven from {driver.host})" if alive is None else "KILLED"
    if stored["preempted"]:
        return "INTERRUPTED"
    return "FAILED" if stored["failed"] == stored["trials"] else "FINISHED"


def advice(where: RunLocation, fields: dict[str, Any]) -> list[str]:
    """What the user can do about a run in this state, a line each."""
    lines = []
    state = fields["state"]
    if state == "RUNNING" or (state == "PENDING" and where.address):
        return [
            f"next: {command('logs', *where.words, '-f')}",
            f"to end it: {command('stop', *where.words)}",
        ]
    driver = where.driver()
    if state == "KILLED" and driver:
        lines.append(f"the process that drove it ({driver.pid} on {driver.host}) is dead")
    if fields.get("preempted") or fields.get("running") or fields.get("pending"):
        name = where.run.uri if where.run else where.run_id
        lines.append(f"resume with: {command(fields['command'], '--resume', name)}")
    if fields.get("failed") or fields.get("diverged"):
        lines.append(f"what went wrong, and why: {command('logs', *where.words, '--errors')}")
    elif not lines and fields.get("exit_code"):
        lines.append(f"why it failed: {command('logs', *where.words)}")
    return lines


OVERVIEW = ("run_id", "state", *RUN_FIELDS[1:], "cluster")
"""What `overview` tells of each run."""


def overview(storage: str, cluster: Cluster | None) -> list[dict[str, Any]]:
    """Return one row a run: those of the storage, newest first, then those that only the cluster knows."""
    from raydnn.launch.cluster.job_client import JobState, list_jobs

    jobs: dict[str, JobState] = {job.run_id: job for job in list_jobs(cluster)} if cluster else {}
    url = cluster.url if cluster else None
    rows = []
    for stored in list_summaries(storage):
        run_id = stored["run_id"]
        job = jobs.pop(run_id, None)
        where = RunLocation(run_id, open_run(storage, run_id), None)
        state = job.status if job else local_state(stored, where)
        rows.append({**stored, "state": state, "cluster": url if job else None})
    for job in jobs.values():
        times = {"started_at": job.started_at, "ended_at": job.ended_at}
        rows.append({"run_id": job.run_id, "state": job.status, **times, "cluster": url})
    return rows

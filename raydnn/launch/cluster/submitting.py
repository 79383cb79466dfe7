"""Submitting: a job file and the current folder's code become a job of a cluster, through Ray's Jobs API."""

from __future__ import annotations

import json
import os
import shlex
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from raydnn.errors import JobError, Problem, UsageError
from raydnn.launch.cluster.address import Cluster, connect
from raydnn.launch.cluster.job_client import open_client, requests
from raydnn.launch.cluster.submissions import Submission, forget, recall, remember
from raydnn.launch.cluster.upload import pack
from raydnn.spec.reading.load import LoadedJob
from raydnn.spec.reading.paths import is_address
from raydnn.spec.reading.source import COMMAND_LINE

PROGRAM = ("python", "-m", "raydnn")
"""What the cluster runs; never more than this program with quoted arguments."""

STOP_SECONDS = 30
"""What a stopped run gets to write its checkpoints, instead of Ray's 3 s."""


def submit_job(
    job_path: str | Path,
    overrides: Sequence[str],
    loaded: LoadedJob,
    address: str | None,
    run_id: str,
    insecure: bool,
    tell: Callable[[str], None],
) -> Cluster:
    """Send a job and the current folder's code to a cluster, which runs it under `run_id`.

    Args:
        job_path: The job file, in the current folder or below it.
        overrides: `dotted.path=value` each, as given.
        loaded: The job that they make.
        address: The head's dashboard; None: what the environment says.
        run_id: The run's id, which is the Ray job's submission id too.
        insecure: Submit even to a cluster beyond loopback that serves anyone.
        tell: Called with each line on what is sent.

    Returns:
        The cluster that took the job.

    Raises:
        UsageError: The job file or its folder cannot be sent.
        JobError: `storage` or `data.path` mean nothing on the cluster.
        ClusterError: Unreachable, refused, wrong token or version.
    """
    folder = Path.cwd()
    files = _job_files(loaded, job_path, folder)
    cluster = connect(address, unauthenticated=insecure)
    settled = [*overrides, *_settled_paths(loaded, cluster, folder)]
    command = "train" if loaded.job.search is None else "sweep"
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    before = recall(run_id)
    remember(Submission(run_id, cluster.url, command, loaded.job.storage, now))
    try:
        with tempfile.TemporaryDirectory(prefix="raydnn-") as scratch, requests(cluster, run_id):
            archive = Path(scratch) / "folder.zip"
            upload = pack(folder, archive, needed=files, left_out=_local_paths(loaded))
            for line in upload.told():
                tell(line)
            open_client(cluster).submit_job(
                entrypoint=entrypoint(command, files[0].relative_to(folder), settled, run_id),
                submission_id=run_id,
                entrypoint_num_cpus=0,
                runtime_env={"working_dir": str(archive), "env_vars": _environment(cluster)},
                metadata={"raydnn": command, "name": loaded.job.name},
            )
    except BaseException:
        forget(run_id) if before is None else remember(before)
        raise
    return cluster


def entrypoint(command: str, job_path: Path, overrides: Sequence[str], run_id: str) -> str:
    """Return the shell command of a run; no argument can end it or become an option.

    Args:
        command: `train` or `sweep`.
        job_path: The job file, relative to the folder that is sent.
        overrides: `dotted.path=value` each.
        run_id: The run's id.
    """
    options = [command, "--run-id", run_id, "--address", "auto"]
    return shlex.join([*PROGRAM, *options, "--", job_path.as_posix(), *overrides])


def _job_files(loaded: LoadedJob, job_path: str | Path, folder: Path) -> list[Path]:
    """The job file and the files it extends, all inside the folder; the job file first."""
    written = {
        place.rpartition(":")[0] for place in loaded.positions.by_path.values() if place != COMMAND_LINE
    }
    files = [_inside(Path(path), folder) for path in (job_path, *sorted(written)) if path]
    return list(dict.fromkeys(files))


def _inside(path: Path, folder: Path) -> Path:
    for candidate in (Path(os.path.abspath(path)), path.resolve()):
        if candidate.is_relative_to(folder):
            return candidate
    raise UsageError(
        f"{path}: outside the current folder {folder}, which is what the cluster gets; "
        "submit from a folder that holds the job and all it extends"
    )


def _local_paths(loaded: LoadedJob) -> list[Path]:
    """Each file or folder of a machine that the job names: data and results, which are not sent."""
    data = [getattr(loaded.job.data, name, None) for name in ("path", "test_path")]
    return [Path(path) for path in (loaded.job.storage, *data) if path and not is_address(path)]


def _settled_paths(loaded: LoadedJob, cluster: Cluster, folder: Path) -> list[str]:
    """Overrides that give the absolute paths of data and runs, since the job file is read in another folder there.

    Code is sent along, so its paths stay relative to the job file.
    """
    moved = {name: each for name, each in loaded.moved.items() if each.what != "code"}
    for each in loaded.moved.values():
        if each.what == "code" and isinstance(each.absolute, str):
            _inside(Path(each.absolute).parent, folder)
    if cluster.loopback:
        return [f"{name}={json.dumps(each.absolute, ensure_ascii=False)}" for name, each in moved.items()]
    if moved:
        why = (
            "is relative, and on the cluster it would lie in the job's temporary folder; "
            "allowed: an absolute path that every node sees, or an address such as s3://BUCKET/FOLDER"
        )
        raise JobError(
            Problem(loaded.positions.of(name), name, f"{each.given!r} {why}") for name, each in moved.items()
        )
    return []


def _environment(cluster: Cluster) -> dict[str, str]:
    # The token itself stays out: a job's environment can be read by everyone who may list jobs.
    authentication = {"RAY_AUTH_MODE": "token"} if cluster.token else {}
    return {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS), "RAY_USAGE_STATS_ENABLED": "0", **authentication}

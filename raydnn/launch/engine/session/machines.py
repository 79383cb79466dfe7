"""The machines of a cluster: each is asked whether it sees a run's storage and data, before work is meant for it."""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Iterable, Iterator, Mapping
from time import monotonic, sleep
from typing import Any

from raydnn.errors import ClusterError, DataError, RaydnnError, StoreError, first_line
from raydnn.launch.runs.failures import innermost, our_error
from raydnn.secrets import is_secret
from raydnn.spec.data import DataSet
from raydnn.store.run import Run, is_run, run_at
from raydnn.store.storage import files
from raydnn.store.storage.files import locate

ANSWER_SECONDS = 40.0
"""A machine that has not answered by then counts as one that lacks nothing: it may only be slow."""
APPEAR_SECONDS = 5.0
"""How long it may take until a machine sees what another one wrote into a shared folder."""
ALLOWED = "every node must see it at the same path, in a folder that all of them mount"


class Machines:
    """The machines of the connected cluster that see what a run needs; those that join are asked as well."""

    def __init__(self, run: Run, data: Mapping[str, str]) -> None:
        """Ask none yet.

        Args:
            run: The run.
            data: Field → absolute path, of the data that the machines read themselves.
        """
        import ray

        self._run, self._data = run, data
        self._good = {ray.get_runtime_context().get_node_id()}
        """Ids of the machines that lack nothing; this one made the run."""
        self._bad: set[str] = set()
        self._asked: dict[str, tuple[Any, float, str]] = {}
        """Id → the answer to come, since when it is awaited, and the machine's name."""

    def check(self) -> None:
        """Wait for the answers of all machines that are there.

        Raises:
            StoreError: One does not see the storage, or cannot write there.
            DataError: One does not see the data.
            ClusterError: One has no raydnn.
        """
        import ray

        self._alive()
        answers = [answer for answer, _, _ in self._asked.values()]
        if answers:
            ray.wait(answers, num_returns=len(answers), timeout=1.1 * ANSWER_SECONDS)
        for problem in self._hear():
            raise problem

    def __call__(self) -> list[Mapping[str, float]]:
        """What each machine that lacks nothing has; of one that joined and lacks something the user is told."""
        alive = self._alive()
        for problem in self._hear():
            warnings.warn(f"{problem}; it has joined, and no work is meant for it", stacklevel=2)
        return [node["Resources"] for name, node in alive.items() if name in self._good]

    def _alive(self) -> dict[str, Any]:
        """The machines that are there, by id; the new ones among them are asked."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        alive = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}
        for name in alive.keys() - self._good - self._bad - self._asked.keys():
            if not alive[name]["Resources"].get("CPU"):
                continue  # nothing is trained there
            there = NodeAffinitySchedulingStrategy(name, soft=False)
            ask = ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=there)(look)
            answer = ask.remote(self._run.uri, dict(self._data))
            self._asked[name] = answer, monotonic(), alive[name]["NodeManagerHostname"]
        return alive

    def _hear(self) -> Iterator[RaydnnError]:
        """Take the answers that are there; gives what machines lack."""
        import ray

        for name, (answer, since, host) in list(self._asked.items()):
            ready, _ = ray.wait([answer], timeout=0)
            if not ready and monotonic() - since < ANSWER_SECONDS:
                continue
            del self._asked[name]
            problem = _problem(answer, host) if ready else None
            (self._good if problem is None else self._bad).add(name)
            if problem is not None:
                yield problem


def look(run_uri: str, data: Mapping[str, str]) -> None:
    """Look for a run and its data from the machine that this runs on.

    Raises:
        StoreError: The run is not there, or its folder cannot be written.
        DataError: A path of the data is not there.
    """
    node = f"node {socket.gethostname()}"
    location = locate(run_uri)
    end = monotonic() + APPEAR_SECONDS
    while not is_run(location):
        if monotonic() > end:
            raise StoreError(f"storage: {node} does not see {run_uri}; {ALLOWED} (or an address: s3://...)")
        sleep(0.2)
    probe = run_at(location).scratch / f"written-by-{socket.gethostname()}-{os.getpid()}"
    try:
        files.write_bytes(probe, b"", scratch=probe.parent)
        files.remove(probe)
    except StoreError as error:
        raise StoreError(f"storage: {node} cannot write: {error}") from error
    for field, path in data.items():
        if not os.path.exists(path):
            raise DataError(f"{field}: {node} does not see {path}; {ALLOWED}")


def data_paths(specs: Iterable[DataSet]) -> dict[str, str]:
    """Field → absolute path, of the files and folders that some data sets are read from."""
    found = {}
    for spec in specs:
        for name in ("path", "test_path"):
            path = getattr(spec, name, None)
            if path and "://" not in path and not is_secret(path):
                found[f"data.{name}"] = os.path.abspath(path)
    return found


def _problem(answer: Any, host: str) -> RaydnnError | None:
    """What a machine lacks by its answer; one that was lost meanwhile lacks nothing."""
    import ray
    from ray.exceptions import RayError, RayTaskError, RuntimeEnvSetupError

    try:
        ray.get(answer)
    except (RayTaskError, RuntimeEnvSetupError) as error:
        reason = innermost(error)
        other = f"node {host} cannot run raydnn: {type(reason).__name__}: {first_line(reason)}"
        return our_error(error) or ClusterError(other)
    except RayError:
        return None
    return None

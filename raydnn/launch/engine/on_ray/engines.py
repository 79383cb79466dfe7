"""The engines on Ray: one that this process starts on its own machine, and a cluster that it joins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from raydnn.launch.engine.capacity import require_slots, slots_here
from raydnn.launch.engine.session.connecting import (
    cluster_nodes,
    embedded,
    embedded_ahead,
    is_running,
    joined,
    prepare_environment,
)
from raydnn.launch.engine.session.joining import joined_nodes

if TYPE_CHECKING:
    from raydnn.launch.engine.engine import Dispatcher, Engine
    from raydnn.launch.engine.session.machines import Machines
    from raydnn.launch.worker.mailbox import KeyValues
    from raydnn.launch.worker.stack_training import StackTask
    from raydnn.spec.data import DataSet
    from raydnn.spec.resources import Resources
    from raydnn.spec.trial import TrialSpec
    from raydnn.store.run import Run

PRELOADED = ("raydnn.launch.engine.on_ray.preloaded",)
"""What a process that trains stacks imports while it waits for the first."""


def ray_engine(address: str | None, verbose: bool = False) -> Engine:
    """The engine on a cluster, or on this machine.

    Args:
        address: A cluster's address (`auto` for the one that this machine is in); None: an embedded Ray.
        verbose: Whether Ray may print.
    """
    return Embedded(verbose) if address is None else Joined(address, verbose)


class Embedded:
    """A Ray of this process, on loopback; one worker trains in this process itself, by Ray Train's local mode."""

    def __init__(self, verbose: bool = False) -> None:
        """Start nothing yet.

        Args:
            verbose: Whether Ray may print.
        """
        self._verbose = verbose
        self._ahead: Future[None] | None = None
        """The start of Ray, where it was begun."""

    def check(self, resources: Resources) -> None:
        """Check that this machine can hold one training.

        Raises:
            ClusterError: It cannot; says what is needed and what there is.
        """
        slots_here(resources)

    @contextmanager
    def ahead(self) -> Iterator[None]:
        """Begin to start Ray, with a process for each core, while this block does what it can without."""
        if is_running():
            yield
            return
        with embedded_ahead(self._verbose, PRELOADED) as self._ahead:
            try:
                yield
            finally:
                self._ahead = None

    @contextmanager
    def running(self, run: Run, data: Iterable[DataSet], cpus: int) -> Iterator[None]:
        """Have Ray, with a process for each core that will be used.

        Raises:
            ClusterError: It cannot be started, or a process of it died.
        """
        if self._ahead is not None:
            from raydnn.launch.worker.importing import collector_resting

            with collector_resting():  # while Ray starts
                import raydnn.launch.engine.on_ray.tuning  # noqa: F401
        with embedded(self._verbose, cpus, PRELOADED, self._ahead):
            yield

    def nodes(self) -> Sequence[Mapping[str, float]]:
        """What this machine has."""
        return cluster_nodes()

    def values(self) -> KeyValues:
        """Ray's key-value store."""
        return _values()

    def train_stacks(self, run: Run, task: StackTask, dispatcher: Dispatcher) -> None:
        """Train stacks by Ray Tune, in the processes that Ray has waiting."""
        from raydnn.launch.engine.on_ray.tuning import tune_stacks
        from raydnn.launch.engine.session.few_processes import idle_processes_used

        with idle_processes_used():
            tune_stacks(run, task, dispatcher)

    def train(self, run: Run, trial: TrialSpec, resources: Resources) -> None:
        """Train a run's one trial to its end by Ray Train."""
        prepare_environment(self._verbose)
        from raydnn.launch.engine.hangs import train_through_hangs
        from raydnn.launch.engine.on_ray.training import fit

        if resources.workers == 1:
            train_through_hangs(run, lambda: fit(run, trial, resources, workers=0))
            return
        with embedded(self._verbose, resources.workers * resources.cpus_per_worker):
            require_slots(resources, cluster_nodes())
            fit(run, trial, resources, resources.workers, cluster_nodes)


class Joined:
    """A cluster that this process joins; machines that do not see a run's storage and data train nothing of it."""

    def __init__(self, address: str, verbose: bool = False) -> None:
        """Join nothing yet.

        Args:
            address: The head's HOST:PORT, or `auto` for the cluster that this machine is in.
            verbose: Whether Ray may print.
        """
        self._address, self._verbose = address, verbose
        self._machines: Machines | None = None
        """Those of the cluster, while a sweep runs."""

    def check(self, resources: Resources) -> None:
        """Check that the cluster takes us and can hold one training.

        Raises:
            UsageError: The address is of a kind that cannot be joined.
            ClusterError: It cannot be joined, or is too small; says what is needed and what there is.
        """
        prepare_environment(verbose=True)
        require_slots(resources, joined_nodes(self._address))

    def ahead(self) -> AbstractContextManager[None]:
        """Nothing: the cluster is there."""
        return nullcontext()

    @contextmanager
    def running(self, run: Run, data: Iterable[DataSet], cpus: int) -> Iterator[None]:
        """Join the cluster, all of whose machines see the run and its data.

        Raises:
            ClusterError: It cannot be reached or refuses, or a machine of it has no raydnn.
            StoreError: A machine does not see the storage, or cannot write there.
            DataError: A machine does not see the data.
        """
        from raydnn.launch.engine.session.machines import Machines, data_paths

        with joined(self._address, self._verbose):
            self._machines = Machines(run, data_paths(data))
            try:
                self._machines.check()
                yield
            finally:
                self._machines = None

    def nodes(self) -> Sequence[Mapping[str, float]]:
        """What each machine that lacks nothing has; also of those that have joined meanwhile."""
        return cluster_nodes() if self._machines is None else self._machines()

    def values(self) -> KeyValues:
        """Ray's key-value store."""
        return _values()

    def train_stacks(self, run: Run, task: StackTask, dispatcher: Dispatcher) -> None:
        """Train stacks by Ray Tune."""
        from raydnn.launch.engine.on_ray.tuning import tune_stacks

        tune_stacks(run, task, dispatcher)

    def train(self, run: Run, trial: TrialSpec, resources: Resources) -> None:
        """Train a run's one trial to its end by Ray Train."""
        prepare_environment(self._verbose)
        from raydnn.launch.engine.on_ray.training import fit
        from raydnn.launch.engine.session.machines import Machines, data_paths

        with joined(self._address, self._verbose):
            require_slots(resources, cluster_nodes())
            Machines(run, data_paths([trial.data])).check()
            fit(run, trial, resources, resources.workers, cluster_nodes)


def _values() -> KeyValues:
    from raydnn.launch.engine.on_ray.values import RayValues

    return RayValues()

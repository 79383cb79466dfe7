"""The seam between what a run is made of and what trains it: Ray embedded, Ray joined, or this very process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from raydnn.launch.worker.mailbox import KeyValues
    from raydnn.launch.worker.reports import Report
    from raydnn.launch.worker.stack_training import StackTask
    from raydnn.spec.data import DataSet
    from raydnn.spec.resources import Resources
    from raydnn.spec.trial import TrialSpec
    from raydnn.store.run import Run

MAX_FAILURES = 3
"""How often what has failed is taken up again from its checkpoint before it has trained an epoch more."""


class Dispatcher(Protocol):
    """Hands out the stacks of a sweep in their turn; an engine asks it and tells it, from one thread."""

    @property
    def finished(self) -> bool:
        """Whether nothing will be handed out any more, unless a stack that is in training gives way."""

    def next(self) -> int | None:
        """The number of the next stack to train, to be found in the mailbox; None while there is none."""

    def started(self, stack: int) -> None:
        """A stack has a process, perhaps again."""

    def report(self, report: Report) -> None:
        """Take what the process of a stack reports.

        Raises:
            RaydnnError: The process reports that no stack can be trained.
        """

    def left(self, stack: int) -> None:
        """A stack has left its slot, since it has ended or gives way."""

    def died(self, stack: int) -> None:
        """A stack's process died and will start again."""

    def given_up(self, stack: int) -> None:
        """A stack's process died too often."""

    def idle(self) -> None:
        """Time passed, and machines may have been lost; called now and then."""

    def progressed(self, stack: int) -> bool:
        """Whether a stack has committed a further epoch since this was last asked."""


class Engine(Protocol):
    """What trains the stacks of runs."""

    def check(self, resources: Resources) -> None:
        """Check that one training can be held, before anything is made or started.

        Args:
            resources: What it takes.

        Raises:
            UsageError: The engine's address is of a kind that cannot be used.
            ClusterError: It cannot be reached, or is too small; says what is needed and what there is.
        """

    def ahead(self) -> AbstractContextManager[None]:
        """Begin to start, for a sweep, while this block does what it can without."""

    def running(self, run: Run, data: Iterable[DataSet], cpus: int) -> AbstractContextManager[None]:
        """Start for a sweep, and end with the block.

        Args:
            run: The sweep.
            data: What its stacks read themselves.
            cpus: Most cores that will be used at once.

        Raises:
            ClusterError: It cannot be reached or refuses.
            StoreError: A machine of it does not see the storage.
            DataError: A machine of it does not see the data.
        """

    def nodes(self) -> Sequence[Mapping[str, float]]:
        """What each machine that may train has now, in `CPU` and `GPU`; asked while it runs."""

    def values(self) -> KeyValues:
        """What carries the mailboxes of runs; asked for while it runs."""

    def train_stacks(self, run: Run, task: StackTask, dispatcher: Dispatcher) -> None:
        """Train stacks until no other is handed out, while it runs.

        Args:
            run: The sweep.
            task: What its stacks share.
            dispatcher: Hands them out and hears of them.

        Raises:
            RaydnnError: One was reported, or what trains was lost.
        """

    def train(self, run: Run, trial: TrialSpec, resources: Resources) -> None:
        """Train a run's one trial to its end; what it measures is in the store. Starts and ends what it needs.

        Args:
            run: The run.
            trial: Its trial.
            resources: Workers and what each of them gets.

        Raises:
            ClusterError: The engine cannot be reached or is too small, or workers were lost too often.
            StoreError: A machine of it does not see the storage.
            DataError: A machine of it does not see the data.
            RaydnnError: The training failed.
        """

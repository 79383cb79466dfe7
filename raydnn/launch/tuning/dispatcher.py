"""What an engine asks for stacks and tells of them: passed on to the queue, and written down as events."""

from __future__ import annotations

from collections.abc import Callable

from raydnn.launch.tuning.queue import StackQueue
from raydnn.launch.worker.reports import Failure, GivesWay, Incident, Report, Result
from raydnn.store.commit import EventLog


class SweepDispatcher:
    """The dispatcher of a sweep; see `raydnn.launch.engine.engine.Dispatcher`."""

    def __init__(self, queue: StackQueue, events: EventLog, progressed: Callable[[int], bool]) -> None:
        """Begin.

        Args:
            queue: The sweep's queue.
            events: Where what happens is written.
            progressed: Whether a stack has committed a further epoch since this was last asked.
        """
        self._queue, self._events, self._progressed = queue, events, progressed
        self._leaving: set[int] = set()
        """Stacks that said that they give way, and are about to leave."""

    @property
    def finished(self) -> bool:
        """Whether nothing will be handed out any more, unless a stack that is in training gives way."""
        return self._queue.finished

    def next(self) -> int | None:
        """The number of the next stack to train; None while there is none."""
        return self._queue.next()

    def started(self, stack: int) -> None:
        """Note that a stack has a process, for the first time or again."""
        self._note("resumed" if self._queue.started(stack) else "started", stack)

    def report(self, report: Report) -> None:
        """Take what the process of a stack reports.

        Raises:
            RaydnnError: The process reports that no stack can be trained.
        """
        match report:
            case Result(stack, epoch, values):
                self._leaving.discard(stack)
                self._queue.result(stack, epoch, values)
            case GivesWay(stack):
                self._leaving.add(stack)
            case Incident(kind, detail):
                self._events.add(kind, detail=dict(detail))
                self._events.commit()
            case Failure(error):
                raise error

    def left(self, stack: int) -> None:
        """Note that a stack has left its slot: it has ended, or will go on."""
        if stack in self._leaving:
            self._leaving.remove(stack)
            self._queue.gave_way(stack)
            self._note("paused", stack)
        else:
            self._queue.ended(stack)

    def died(self, stack: int) -> None:
        """Note that a stack's process died and will start again."""
        self._queue.lost(stack)
        self._note("retried", stack)

    def given_up(self, stack: int) -> None:
        """Note that a stack's process died too often."""
        self._leaving.discard(stack)
        self._queue.ended(stack)
        self._note("failed", stack)

    def idle(self) -> None:
        """Machines may have been lost meanwhile."""
        self._queue.make_room()

    def progressed(self, stack: int) -> bool:
        """Whether a stack has committed a further epoch since this was last asked."""
        return self._progressed(stack)

    def _note(self, kind: str, stack: int) -> None:
        self._events.add(kind, detail={"stack": stack})
        self._events.commit()

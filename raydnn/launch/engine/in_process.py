"""The engine in this process: no Ray is started, a thread stands for each slot."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

from raydnn.errors import ClusterError
from raydnn.launch.engine.capacity import slots_here

if TYPE_CHECKING:
    from raydnn.launch.engine.engine import Dispatcher
    from raydnn.launch.worker.mailbox import KeyValues
    from raydnn.launch.worker.reports import Report
    from raydnn.launch.worker.stack_training import StackTask
    from raydnn.spec.data import DataSet
    from raydnn.spec.resources import Resources
    from raydnn.spec.trial import TrialSpec
    from raydnn.store.run import Run


class _Closed(KeyboardInterrupt):
    """Ends the training of a stack as Ctrl-C does, since its sweep has ended."""


class LocalValues:
    """What carries the mailboxes in this process."""

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}
        self._closed = False

    def put(self, key: str, value: bytes) -> None:
        """Keep a value, in the place of an earlier one."""
        self._values[key] = value

    def get(self, key: str) -> bytes | None:
        """The value of a key; None where there is none.

        Raises:
            KeyboardInterrupt: Nobody answers any more.
        """
        if self._closed:
            raise _Closed
        return self._values.get(key)

    def remove(self, prefix: str) -> None:
        """Remove all values whose keys begin so."""
        for key in [key for key in self._values if key.startswith(prefix)]:
            del self._values[key]

    def close(self) -> None:
        """Interrupt those who wait for a value."""
        self._closed = True


class InProcess:
    """Trains in this process: a run's one trial in the thread that asks for it, the stacks of a sweep in their own.

    What its process does not survive, it does not survive either: a stack that hangs ends the process, and the run
    is gone on with by its store.
    """

    def __init__(self, cpus: int | None = None) -> None:
        """Begin.

        Args:
            cpus: Cores that its trainings may use together; None: all of this machine.
        """
        self._cpus = cpus or os.cpu_count() or 1
        self._values = LocalValues()

    def check(self, resources: Resources) -> None:
        """Check that one training fits into this process.

        Raises:
            ClusterError: It does not; says what is needed and what there is.
        """
        slots_here(resources, self._cpus)
        if resources.workers > 1:
            raise ClusterError(
                f"resources.workers: {resources.workers}, but in this process a training has one worker; allowed: 1"
            )

    def ahead(self) -> AbstractContextManager[None]:
        """Nothing has to be started."""
        return nullcontext()

    @contextmanager
    def running(self, run: Run, data: Iterable[DataSet], cpus: int) -> Iterator[None]:
        """Have empty mailboxes, and afterwards torch's threads as they were."""
        import torch

        self._values, threads = LocalValues(), torch.get_num_threads()
        try:
            yield
        finally:
            torch.set_num_threads(threads)

    def nodes(self) -> Sequence[Mapping[str, float]]:
        """What this process may use."""
        from torch.cuda import device_count

        return [{"CPU": float(self._cpus), "GPU": float(device_count())}]

    def values(self) -> KeyValues:
        """What carries the mailboxes."""
        return self._values

    def train_stacks(self, run: Run, task: StackTask, dispatcher: Dispatcher) -> None:
        """Train stacks, a thread each, until no other is handed out.

        Raises:
            RaydnnError: A stack's process reports that no other can be trained.
            RuntimeError: A device was lost.
        """
        from raydnn.launch.worker.stack_training import train_stack

        heard: SimpleQueue[tuple[int, Report | BaseException | None]] = SimpleQueue()
        values, threads = self._values, dict[int, Thread]()

        def train(stack: int) -> None:
            def report(report: Report) -> None:
                heard.put((stack, report))

            try:
                train_stack(stack, task, values, report)
            except BaseException as error:
                heard.put((stack, error))
            else:
                heard.put((stack, None))

        try:
            while True:
                while (number := dispatcher.next()) is not None:
                    dispatcher.started(number)
                    threads[number] = Thread(
                        target=train, args=(number,), name=f"stack {number}", daemon=True
                    )
                    threads[number].start()
                if not threads:
                    return
                stack, told = heard.get()
                if isinstance(told, BaseException):
                    raise told
                if told is not None:
                    dispatcher.report(told)
                else:
                    threads.pop(stack).join()
                    dispatcher.left(stack)
                dispatcher.idle()
        finally:
            values.close()
            for thread in threads.values():
                thread.join()

    def train(self, run: Run, trial: TrialSpec, resources: Resources) -> None:
        """Train a run's one trial to its end.

        Raises:
            ClusterError: It does not fit.
            RaydnnError: The training failed.
        """
        self.check(resources)
        from raydnn.launch.engine.hangs import train_through_hangs
        from raydnn.launch.worker.trial_training import train_trial
        from raydnn.training.workers import Workers

        with self.running(run, [], resources.cpus_per_worker):
            train_through_hangs(
                run, lambda: train_trial(run, trial, resources, Workers(), lambda _epoch: None)
            )

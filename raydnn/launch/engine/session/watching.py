"""The processes of an embedded Ray, watched: where one dies, Ray would soon end this process, in no order at all."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread, main_thread
from typing import Any

from raydnn.errors import ClusterError

POLL_SECONDS = 0.5
VITAL = ("gcs_server", "raylet")


@contextmanager
def watched(processes: dict[str, list[Any]]) -> Iterator[None]:
    """Interrupt this block when one of the processes that Ray cannot do without has died.

    Args:
        processes: Kind → the processes, as Ray's node has them.

    Raises:
        ClusterError: One has.
    """
    over = Event()
    died: list[str] = []

    def watch() -> None:
        while not over.wait(POLL_SECONDS):
            died.extend(name for name in VITAL if _has_died(processes.get(name, [])))
            if died:
                _end_main_thread()
                return

    watcher = Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    except KeyboardInterrupt:
        if not died:
            raise
        raise ClusterError(
            f"a process of the embedded Ray ({died[0]}) was killed or died, as when memory runs out; the training "
            "is not to blame"
        ) from None
    finally:
        over.set()
        watcher.join()


def _end_main_thread() -> None:
    """SIGTERM to it where that is handled: a signal that is only noted would wait until it has slept."""
    thread = main_thread().ident
    if thread and signal.getsignal(signal.SIGTERM) not in (signal.SIG_DFL, signal.SIG_IGN):
        signal.pthread_kill(thread, signal.SIGTERM)


def _has_died(infos: list[Any]) -> bool:
    return any(info.process.poll() is not None for info in infos)

"""What Ray Train's controller does when a worker of a training fails: note it, and end what would only fail again."""

from __future__ import annotations

from typing import Any

from ray.train import UserCallback
from ray.train.v2._internal.exceptions import WorkerHealthCheckTimeoutError

from raydnn.errors import first_line
from raydnn.launch.runs.failures import innermost, our_error
from raydnn.store.commit import EventLog
from raydnn.store.run import run_at
from raydnn.store.storage.files import locate


class Failures(UserCallback):
    """Notes failed workers as events, and lets errors through that another start would not mend."""

    def __init__(self, run_uri: str) -> None:
        self._run_uri = run_uri

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        """Note what failed; Ray starts all workers again.

        Raises:
            RaydnnError: One of the workers raised it: the job, its data, the user's code or the disk is at fault.
        """
        for error in worker_exceptions.values():
            if (ours := our_error(error)) is not None:
                raise ours
        events = EventLog(run_at(locate(self._run_uri)))
        for rank, error in sorted(worker_exceptions.items()):
            hung = isinstance(error, WorkerHealthCheckTimeoutError)
            reason = innermost(error)
            detail = {"rank": rank, "error": f"{type(reason).__name__}: {first_line(reason)}"}
            events.add("hung" if hung else "retried", detail=detail)
        events.commit()

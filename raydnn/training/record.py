"""The record of a session: everything it writes to the store, by the one worker that writes."""

from __future__ import annotations

import os
import socket
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from torch import Tensor

from raydnn.errors import first_line
from raydnn.secrets import hidden
from raydnn.spec.metrics import MODES
from raydnn.store.commit import commit_epochs, commit_layers, commit_trials, next_attempt
from raydnn.store.rows import trial_row
from raydnn.store.run import Run
from raydnn.store.states import State
from raydnn.store.storage import files
from raydnn.store.storage.files import Location
from raydnn.training.checkpoint import (
    load_stack_checkpoint,
    load_state_after,
    remove_stack_checkpoints,
    save_checkpoint,
    save_stack_checkpoint,
)
from raydnn.training.stack.member import Member
from raydnn.training.workers import Workers

MOST_WRITERS = 8
"""Checkpoints written at once: most of the time of each is waiting for the disk."""


class Record:
    """One start of a stack in a run's store; on workers other than rank 0 nothing is written."""

    def __init__(self, run: Run, stack: int, workers: Workers, gpus: int) -> None:
        """Begin a new attempt.

        Args:
            run: The run.
            stack: The stack's number.
            workers: This process among the data-parallel workers.
            gpus: GPUs that all workers of the stack use together.
        """
        self._run = run
        self._stack = stack
        self._name = f"stack-{stack:05d}"
        self._workers = workers
        self._gpus = gpus
        self.attempt = next_attempt(run, stack)
        self._states = states_of(run, stack)
        self._failure: dict[str, str] = {}
        self._log = ""
        self._writes = workers.rank == 0
        self._writers = ThreadPoolExecutor(MOST_WRITERS)
        self._pending: list[Future[None]] = []

    def load_state(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The stack's state after its last checkpoint, or None where there is none."""
        return load_stack_checkpoint(self._states)

    def load_other(self, stack: int, epoch: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Another stack's state after an epoch."""
        return load_state_after(states_of(self._run, stack), epoch)

    def save_state(
        self,
        epoch: int,
        tensors: dict[str, Tensor],
        facts: dict[str, Any],
        members: Sequence[Member],
        kept: Collection[int] = (),
    ) -> None:
        """Keep the stack's state after an epoch, instead of all before but those after the `kept` epochs.

        It is written while the next epoch is trained, and is there before that epoch's rows are.
        """
        if self._writes:
            facts = {**facts, "members": [member.to_json() for member in members]}
            copies = {name: tensor.detach().clone() for name, tensor in tensors.items()}
            self._begin(save_stack_checkpoint, self._states, epoch, copies, facts, kept)

    def remove_states(self) -> None:
        """Remove the states of a stack that has ended."""
        self.finish()
        if self._writes:
            remove_stack_checkpoints(self._states)

    def save_member(self, member: Member, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Keep a finished member's weights and all that is needed to use them; they are there before its row is."""
        if self._writes:
            member.checkpoint = f"checkpoints/{member.trial_id}"
            folder = self._run.location / "checkpoints" / member.trial_id
            self._begin(save_checkpoint, folder, tensors, {"member": member.to_json(), **facts})

    def finish(self) -> None:
        """Wait until all that was to be saved is on the disk.

        Raises:
            StoreError: It cannot be written.
        """
        pending, self._pending = self._pending, []
        for saving in pending:
            saving.result()

    def close(self) -> None:
        """Leave nothing behind that is still being written, however the session ends."""
        self._writers.shutdown()

    def _begin(self, save: Callable[..., None], *arguments: Any) -> None:
        self._pending.append(self._writers.submit(save, *arguments))

    def commit_epoch(self, rows: Sequence[dict[str, Any]]) -> None:
        """Commit an epoch's rows."""
        self.finish()
        if self._writes:
            commit_epochs(self._run, self._stack, self.attempt, rows)

    def commit_layers(self, rows: Sequence[dict[str, Any]]) -> None:
        """Commit what was seen of the layers in an epoch."""
        if self._writes:
            commit_layers(self._run, self._stack, self.attempt, rows)

    def commit_trials(
        self, members: Sequence[Member], parameters: Mapping[int, int], strategy: str | None
    ) -> None:
        """Commit how all members stand; each trial's number of parameters and the strategy, where they are known."""
        self.finish()
        if self._writes:
            rows = [self._trial_row(m, parameters.get(m.number), strategy) for m in members]
            commit_trials(self._run, self._stack, self.attempt, rows)

    def write_log(self, trial_id: str, kind: str, text: str) -> str:
        """Write what belongs to a trial's stack into the run's logs; a kind `log` grows with each text.

        Returns:
            The path in the run's folder.
        """
        of_rank = f".rank{self._workers.rank}" if self._workers.rank else ""
        path = f"logs/{trial_id}{of_rank}.{kind}"
        now = datetime.now(UTC).isoformat(timespec="seconds")
        text = f"{now} {socket.gethostname()} process {os.getpid()}, attempt {self.attempt}: {text}"
        if kind == "log":
            self._log = text = f"{self._log}{text}"
        files.write_bytes(self._run.location / path, text.encode(), scratch=self._run.scratch, private=True)
        return path

    def note_failure(self, error: BaseException, told: BaseException) -> None:
        """Keep an error's traceback in the run's logs, and name it in the rows of failed members.

        Args:
            error: What was raised.
            told: The same in the user's words.
        """
        of_rank = "" if self._writes else f".rank{self._workers.rank}"
        path = f"logs/{self._name}.a{self.attempt:03d}{of_rank}.traceback.log"
        content = hidden("".join(formatted(error))).encode(errors="backslashreplace")
        files.write_bytes(self._run.location / path, content, scratch=self._run.scratch, private=True)
        self._failure = {
            "error_type": getattr(told, "error_type", type(error).__name__),
            "error": hidden(first_line(told)),
            "traceback_path": path,
        }

    def _trial_row(self, member: Member, parameters: int | None, strategy: str | None) -> dict[str, Any]:
        best = member.best(self._run.metric, "max" if self._run.mode == "max" else "min")
        metrics: dict[str, Any] = {f"m_test_{name}": value for name, value in member.test.items()}
        for metric, mode in MODES.items():
            if member.history[metric]:
                of_metric = member.best(metric, mode)
                metrics[f"m_final_{metric}"] = member.history[metric][-1]
                metrics[f"m_best_{metric}"] = of_metric[0] if of_metric else None
        return trial_row(
            self._run,
            member.trial_id,
            member.number,
            member.spec,
            stage=member.stage,
            repeat=member.repeat,
            state=member.state,
            stop_reason=member.stop_reason,
            best_value=best[0] if best else None,
            best_epoch=best[1] if best else None,
            epochs=member.epochs,
            bracket=member.bracket,
            rung=member.rung,
            started_at=_time(member.started_at),
            ended_at=_time(member.ended_at),
            seconds=member.seconds,
            gpu_seconds=member.seconds * self._gpus,
            parameters=parameters,
            stack=self._stack,
            strategy=strategy,
            workers=self._workers.count,
            node=socket.gethostname(),
            checkpoint=member.checkpoint,
            **metrics,
            **(self._failure if member.state == State.FAILED else {}),
        )


def states_of(run: Run, stack: int) -> Location:
    """The folder of a stack's states, which it goes on from."""
    return run.location / "checkpoints" / f"stack-{stack:05d}"


def formatted(error: BaseException) -> list[str]:
    """The lines of an error's traceback, also where the error fails to say what it is."""
    try:
        return traceback.format_exception(error)
    except Exception:
        return [*traceback.format_tb(error.__traceback__), f"{type(error).__name__}\n"]


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)

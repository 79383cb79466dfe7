"""The record of a session: everything it writes to the store, by the one worker that writes."""

from __future__ import annotations

import socket
import traceback
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from torch import Tensor

from raydnn.spec.metrics import MODES
from raydnn.store import files
from raydnn.store.commit import commit_epochs, commit_layers, commit_trials, next_attempt
from raydnn.store.rows import trial_row
from raydnn.store.run import Run
from raydnn.train.checkpoint import (
    load_stack_checkpoint,
    remove_stack_checkpoints,
    save_checkpoint,
    save_stack_checkpoint,
)
from raydnn.train.member import Member
from raydnn.train.workers import Workers


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
        self._attempt = next_attempt(run, stack)
        self._states = run.location / "checkpoints" / self._name
        self._failure: dict[str, str] = {}
        self._writes = workers.rank == 0

    def load_state(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The stack's state after its last checkpoint, or None where there is none."""
        return load_stack_checkpoint(self._states)

    def save_state(self, epoch: int, tensors: dict[str, Tensor], members: Sequence[Member]) -> None:
        """Keep the stack's state after an epoch, instead of the one before."""
        if self._writes:
            facts = {"epoch": epoch, "members": [member.to_json() for member in members]}
            save_stack_checkpoint(self._states, epoch, tensors, facts)

    def remove_states(self) -> None:
        """Remove the states of a stack that has ended."""
        if self._writes:
            remove_stack_checkpoints(self._states)

    def save_member(self, member: Member, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Keep a finished member's weights and all that is needed to use them."""
        if self._writes:
            member.checkpoint = f"checkpoints/{member.trial_id}"
            folder = self._run.location / "checkpoints" / member.trial_id
            save_checkpoint(folder, tensors, {"member": member.to_json(), **facts})

    def commit_epoch(self, rows: Sequence[dict[str, Any]]) -> None:
        """Commit an epoch's rows."""
        if self._writes:
            commit_epochs(self._run, self._stack, self._attempt, rows)

    def commit_layers(self, rows: Sequence[dict[str, Any]]) -> None:
        """Commit what was seen of the layers in an epoch."""
        if self._writes:
            commit_layers(self._run, self._stack, self._attempt, rows)

    def commit_trials(self, members: Sequence[Member], parameters: int | None) -> None:
        """Commit how all members stand; `parameters` is their number of parameters, where it is known."""
        if self._writes:
            rows = [self._trial_row(member, parameters) for member in members]
            commit_trials(self._run, self._stack, self._attempt, rows)

    def note_failure(self, error: Exception) -> None:
        """Keep an error's traceback in the run's logs, and name it in the rows of failed members."""
        if self._writes:
            path = f"logs/{self._name}.a{self._attempt:03d}.traceback.log"
            content = "".join(traceback.format_exception(error)).encode()
            files.write_bytes(self._run.location / path, content, scratch=self._run.scratch, private=True)
            self._failure = {
                "error_type": type(error).__name__,
                "error": files.first_line(error),
                "traceback_path": path,
            }

    def _trial_row(self, member: Member, parameters: int | None) -> dict[str, Any]:
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
            workers=self._workers.count,
            node=socket.gethostname(),
            checkpoint=member.checkpoint,
            **metrics,
            **(self._failure if member.state == "FAILED" else {}),
        )


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)

"""A session trains one stack of a run from its last checkpoint to its end, and commits what it measures.

An epoch's rows are committed before anyone is told of them: the store is the record, Ray only carries messages.
"""

from __future__ import annotations

import socket
import traceback
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from math import isfinite
from typing import Any

import torch

from raydnn.data.dataset import Dataset
from raydnn.data.load import load_dataset
from raydnn.errors import StoreError
from raydnn.search.packing import Stack as Plan
from raydnn.spec.data import DataSet
from raydnn.spec.metrics import MODES
from raydnn.store import files
from raydnn.store.commit import commit_epochs, commit_trials, next_attempt
from raydnn.store.rows import trial_row
from raydnn.store.run import Run
from raydnn.train.checkpoint import (
    load_stack_checkpoint,
    remove_stack_checkpoints,
    save_checkpoint,
    save_stack_checkpoint,
)
from raydnn.train.early_stopping import should_stop
from raydnn.train.evaluation import evaluate
from raydnn.train.loop import flat, train
from raydnn.train.member import Member
from raydnn.train.stack import Stack
from raydnn.train.verdict import Judge
from raydnn.train.workers import Workers


def run_stack(
    run: Run, plan: Plan, *, scheduler: str, judge: Judge, workers: Workers, device: torch.device
) -> list[Member]:
    """Train one stack to its end, going on from its last checkpoint where there is one.

    Args:
        run: The run whose tables get the rows.
        plan: The stack's trials.
        scheduler: Name of the scheduler that stops trials, noted as their reason.
        judge: Asked after every epoch, once its rows are committed.
        workers: This process among the data-parallel workers; rank 0 writes.
        device: Where to train.

    Returns:
        The members as they ended.
    """
    session = _Session(run, plan, scheduler, judge, workers, device)
    try:
        return session.train()
    except KeyboardInterrupt:
        session.abandon("PREEMPTED", "interrupted")
        raise
    except StoreError:
        # Not the training's fault: it goes on from its last checkpoint once the store can be written.
        raise
    except Exception as error:
        session.fail(error)
        raise


@lru_cache(maxsize=2)
def _flat_dataset(spec: DataSet, device: torch.device) -> Dataset:
    """A data set, read once a process however many stacks it trains."""
    return flat(load_dataset(spec), device)


class _Session:
    def __init__(
        self, run: Run, plan: Plan, scheduler: str, judge: Judge, workers: Workers, device: torch.device
    ) -> None:
        self.run, self.plan, self.judge, self.workers, self.device = run, plan, judge, workers, device
        self.scheduler = scheduler
        self.metric, self.mode = run.metric, "min" if run.mode == "min" else "max"
        self.writes = workers.rank == 0
        self.attempt = next_attempt(run, plan.number)
        self.checkpoints = run.location / "checkpoints" / stack_name(plan.number)
        self.parameters = 0
        self.failure: dict[str, str] = {}
        self.members = [Member(number, spec) for number, spec in plan.trials]

    def train(self) -> list[Member]:
        saved = load_stack_checkpoint(self.checkpoints)
        tensors, facts = saved or ({}, {"epoch": 0, "members": None})
        first_epoch = facts["epoch"] + 1
        if facts["members"] is not None:
            self.members = [Member.from_json(values) for values in facts["members"]]
        running = [member for member in self.members if member.running]
        dataset = _flat_dataset(running[0].spec.data, self.device)
        stack = Stack(running, dataset, self.workers, self.device)
        self.parameters = stack.layout.size
        self.commit_trials()
        if saved:
            stack.load_state_tensors(tensors)
            self.settle(stack, dataset, first_epoch - 1)
        every = running[0].spec.train.checkpoint_every_epochs
        for epoch, rows in train(stack, dataset, first_epoch):
            if self.writes:
                commit_epochs(self.run, self.plan.number, self.attempt, rows)
                if every and epoch % every == 0:
                    facts = {"epoch": epoch, "members": [member.to_json() for member in self.members]}
                    save_stack_checkpoint(self.checkpoints, epoch, stack.state_tensors(), facts)
            self.settle(stack, dataset, epoch)
        if self.writes:
            remove_stack_checkpoints(self.checkpoints)
        return self.members

    def settle(self, stack: Stack, dataset: Dataset, epoch: int) -> None:
        """End the members that are done after an epoch, drop them from the stack, and commit how they stand."""
        for member in stack.members:
            broken = _non_finite(member)
            if broken:
                member.end("DIVERGED", f"{broken} is not finite")
        verdicts = self.judge(epoch, [member for member in stack.members if member.running])
        for member in stack.members:
            verdict = verdicts.get(member.number)
            if verdict is not None:
                member.rung = verdict.rung
            if not member.running:
                continue
            stopping = member.spec.train.early_stopping
            if epoch >= member.spec.train.epochs:
                member.end("COMPLETED", "epochs")
            elif verdict is not None and verdict.stop:
                member.end("STOPPED", self.scheduler)
            elif stopping is not None and should_stop(stopping, member.history[stopping.monitor]):
                member.end("COMPLETED", "early_stopping")
        completed = [p for p, member in enumerate(stack.members) if member.state == "COMPLETED"]
        if completed:
            self.complete(stack, dataset, completed)
        kept = [p for p, member in enumerate(stack.members) if member.running]
        if len(kept) < len(stack.members):
            stack.keep(kept)
            self.commit_trials()

    def complete(self, stack: Stack, dataset: Dataset, positions: Sequence[int]) -> None:
        """Restore the best weights of the members at `positions`, test them, and keep their weights."""
        for position in positions:
            stopping = stack.members[position].spec.train.early_stopping
            if stopping is not None and stopping.restore_best:
                stack.restore_best(position)
        loss, accuracy = evaluate(stack, dataset.test) if dataset.test is not None else (None, None)
        for position in positions:
            member = stack.members[position]
            if loss is not None:
                member.test["loss"] = loss[position].item()
            if accuracy is not None:
                member.test["accuracy"] = accuracy[position].item()
            if self.writes:
                member.checkpoint = f"checkpoints/{member.trial_id}"
                tensors = stack.member_parameters(position)
                tensors |= {"scaling.shift": dataset.scaling.shift, "scaling.scale": dataset.scaling.scale}
                save_checkpoint(
                    self.run.location / "checkpoints" / member.trial_id,
                    tensors,
                    {
                        "member": member.to_json(),
                        "features": list(dataset.features),
                        "outputs": dataset.outputs,
                    },
                )

    def commit_trials(self) -> None:
        if self.writes:
            rows = [self.trial_row(member) for member in self.members]
            commit_trials(self.run, self.plan.number, self.attempt, rows)

    def trial_row(self, member: Member) -> dict[str, Any]:
        best = member.best(self.metric, self.mode)  # type: ignore[arg-type]
        columns: dict[str, Any] = {}
        for metric, mode in MODES.items():
            if member.history[metric]:
                columns[f"m_final_{metric}"] = member.history[metric][-1]
                of_metric = member.best(metric, mode)
                columns[f"m_best_{metric}"] = of_metric[0] if of_metric else None
        return trial_row(
            self.run,
            member.trial_id,
            member.number,
            member.spec,
            state=member.state,
            stop_reason=member.stop_reason,
            best_value=best[0] if best else None,
            best_epoch=best[1] if best else None,
            epochs=member.epochs,
            bracket=None if member.rung is None else 0,
            rung=member.rung,
            started_at=_time(member.started_at),
            ended_at=_time(member.ended_at),
            seconds=member.seconds,
            gpu_seconds=member.seconds * self.workers.count if self.device.type == "cuda" else 0.0,
            parameters=self.parameters or None,
            workers=self.workers.count,
            node=socket.gethostname(),
            checkpoint=member.checkpoint,
            **columns,
            **(self.failure if member.state == "FAILED" else {}),
            **{f"m_test_{name}": value for name, value in member.test.items()},
        )

    def abandon(self, state: Any, reason: str) -> None:
        """Note that the members still running were left; their checkpoint stays."""
        for member in self.members:
            if member.running:
                member.end(state, reason)
        self.commit_trials()

    def fail(self, error: Exception) -> None:
        """Note that the members still running failed, with the traceback in the run's logs."""
        if self.writes:
            path = f"logs/{stack_name(self.plan.number)}.a{self.attempt:03d}.traceback.log"
            content = "".join(traceback.format_exception(error)).encode()
            files.write_bytes(self.run.location / path, content, scratch=self.run.scratch, private=True)
            reason = str(error).split("\n", 1)[0]
            self.failure = {"error_type": type(error).__name__, "error": reason, "traceback_path": path}
        self.abandon("FAILED", "error")


def stack_name(number: int) -> str:
    """`stack-00003` for stack number 3."""
    return f"stack-{number:05d}"


def _non_finite(member: Member) -> str | None:
    """The first loss whose last value is infinite or not a number."""
    for metric in ("train_loss", "validation_loss"):
        if not isfinite(member.history[metric][-1]):
            return metric
    return None


def _time(text: str | None) -> Any:
    return None if text is None else datetime.fromisoformat(text)

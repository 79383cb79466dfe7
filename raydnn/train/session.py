"""A session trains one stack of a run from its last checkpoint to its end, and commits what it measures.

An epoch's rows are committed before anyone is told of them: the store is the record, Ray only carries messages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import isfinite

import torch

from raydnn.data.dataset import Dataset
from raydnn.data.load import load_dataset
from raydnn.errors import StoreError
from raydnn.search.packing import Stack as Plan
from raydnn.spec.data import DataSet
from raydnn.store.run import Run
from raydnn.train.diagnostics import Diagnostics
from raydnn.train.early_stopping import has_converged, should_stop
from raydnn.train.evaluation import evaluate
from raydnn.train.loop import flat, train
from raydnn.train.member import MUST_BE_FINITE, Member, State
from raydnn.train.record import Record
from raydnn.train.stack import Stack
from raydnn.train.statistics import set_exact_statistics
from raydnn.train.verdict import Judge
from raydnn.train.workers import Workers


def run_stack(
    run: Run,
    plan: Plan,
    *,
    scheduler: str,
    judge: Judge,
    workers: Workers,
    device: torch.device,
    dataset: Callable[[DataSet, torch.device], Dataset] | None = None,
) -> list[Member]:
    """Train one stack to its end, going on from its last checkpoint where there is one.

    Args:
        run: The run whose tables get the rows.
        plan: The stack's trials.
        scheduler: Name of the scheduler that stops trials, noted as their reason.
        judge: Asked after every epoch, once its rows are committed.
        workers: This process among the data-parallel workers; rank 0 writes.
        device: Where to train.
        dataset: Gives a data set, flat and on the device; None: it is read here.

    Returns:
        The members as they ended. Those that still run had to give way at a rung: the stack's state is saved, and
        it goes on from there when it is trained again.
    """
    session = _Session(run, plan, scheduler, judge, workers, device, dataset or flat_dataset)
    try:
        return session.train()
    except KeyboardInterrupt:
        session.abandon("PREEMPTED", "interrupted")
        raise
    except StoreError:
        # Not the training's fault: it goes on from its last checkpoint once the store can be written.
        raise
    except Exception as error:
        session.record.note_failure(error)
        session.abandon("FAILED", "error")
        raise


@lru_cache(maxsize=2)
def flat_dataset(spec: DataSet, device: torch.device) -> Dataset:
    """A data set, read once a process however many stacks it trains."""
    return flat(load_dataset(spec), device)


class _Session:
    def __init__(
        self,
        run: Run,
        plan: Plan,
        scheduler: str,
        judge: Judge,
        workers: Workers,
        device: torch.device,
        dataset: Callable[[DataSet, torch.device], Dataset],
    ) -> None:
        self.scheduler, self.judge, self.workers, self.device = scheduler, judge, workers, device
        self.dataset = dataset
        self.record = Record(run, plan.number, workers, workers.count if device.type == "cuda" else 0)
        self.members = [Member(number, spec) for number, spec in plan.trials]
        self.parameters: int | None = None

    def train(self) -> list[Member]:
        saved = self.record.load_state()
        if saved is not None:
            self.members = [Member.from_json(values) for values in saved[1]["members"]]
        running = [member for member in self.members if member.running]
        dataset = self.dataset(running[0].spec.data, self.device)
        stack = Stack(running, dataset, self.workers, self.device)
        self.parameters = stack.layout.size
        self.commit_trials()
        done_epochs = 0
        if saved is not None:
            tensors, facts = saved
            done_epochs = facts["epoch"]
            stack.load_state_tensors(tensors)
            if not self.settle(stack, dataset, done_epochs):
                return self.members
        every = running[0].spec.train.checkpoint_every_epochs
        diagnostics = Diagnostics(stack)
        for epoch, rows in train(stack, dataset, done_epochs + 1, diagnostics.before_last_step):
            self.record.commit_layers(diagnostics.rows(epoch, dataset.train))
            self.record.commit_epoch(rows)
            save = every and epoch % every == 0
            if save:
                self.record.save_state(epoch, stack.state_tensors(), self.members)
            if not self.settle(stack, dataset, epoch):
                if not save:
                    self.record.save_state(epoch, stack.state_tensors(), self.members)
                return self.members
        self.record.remove_states()
        return self.members

    def settle(self, stack: Stack, dataset: Dataset, epoch: int) -> bool:
        """End the members that are done after an epoch, drop them from the stack, and commit how they stand.

        Returns:
            Whether the stack may go on; if not, nothing has changed.
        """
        broken = {member.number: _non_finite(member) for member in stack.members}
        verdicts = self.judge(epoch, [member for member in stack.members if not broken[member.number]])
        if verdicts is None:
            return False
        for member in stack.members:
            verdict = verdicts.get(member.number)
            if verdict is not None:
                member.bracket = verdict.bracket
                member.rung = member.rung if verdict.rung is None else verdict.rung
            if broken[member.number]:
                member.end("DIVERGED", f"{broken[member.number]} is not finite")
                continue
            stopping = member.spec.train.early_stopping
            if epoch >= member.spec.train.epochs:
                member.end("COMPLETED", "epochs")
            elif verdict is not None and verdict.stop:
                member.end("STOPPED", self.scheduler)
            elif stopping is not None and should_stop(stopping, member.history[stopping.monitor]):
                member.end("COMPLETED", "early_stopping")
            elif stopping is not None and has_converged(stopping, member.grad_norm):
                member.end("COMPLETED", "min_grad_norm")
        completed = [p for p, member in enumerate(stack.members) if member.state == "COMPLETED"]
        if completed:
            self.complete(stack, dataset, completed)
        kept = [p for p, member in enumerate(stack.members) if member.running]
        if len(kept) < len(stack.members):
            stack.keep(kept)
            self.commit_trials()
        return True

    def complete(self, stack: Stack, dataset: Dataset, positions: Sequence[int]) -> None:
        """Restore the best weights of the members at `positions`, test them, and keep their weights."""
        for position in positions:
            stopping = stack.members[position].spec.train.early_stopping
            if stopping is not None and stopping.restore_best:
                stack.restore_best(position)
        set_exact_statistics(stack, dataset.train, positions)
        loss, accuracy = evaluate(stack, dataset.test) if dataset.test is not None else (None, None)
        for position in positions:
            member = stack.members[position]
            if loss is not None:
                member.test["loss"] = loss[position].item()
            if accuracy is not None:
                member.test["accuracy"] = accuracy[position].item()
            tensors = stack.member_parameters(position)
            tensors |= {f"scaling.{name}": t for name, t in dataset.scaling.tensors().items()}
            facts = {"features": list(dataset.features), "outputs": stack.outputs}
            self.record.save_member(member, tensors, facts)

    def commit_trials(self) -> None:
        self.record.commit_trials(self.members, self.parameters)

    def abandon(self, state: State, reason: str) -> None:
        """Note that the members still running were left; their checkpoint stays."""
        for member in self.members:
            if member.running:
                member.end(state, reason)
        self.commit_trials()


def _non_finite(member: Member) -> str | None:
    """The first loss whose last value is infinite or not a number."""
    for metric in MUST_BE_FINITE:
        if not isfinite(member.history[metric][-1]):
            return metric
    return None

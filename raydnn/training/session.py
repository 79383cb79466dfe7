"""A session trains one stack of a run from its last checkpoint to its end, and commits what it measures.

An epoch's rows are committed before anyone is told of them: the store is the record, Ray only carries messages.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Collection, Sequence
from math import inf

import torch

from raydnn.data.dataset import Dataset
from raydnn.data.load import read_dataset
from raydnn.errors import HungError, StoreError
from raydnn.nn.user_code import blamed, described, is_interrupt, leave_if_copied, paths_of_users
from raydnn.search.packing import StackPlan
from raydnn.secrets import hide
from raydnn.spec.data import DataSet
from raydnn.store.run import Run
from raydnn.store.states import State
from raydnn.training.completing import complete
from raydnn.training.ending import end_if_done, non_finite
from raydnn.training.faults.in_words import in_words
from raydnn.training.faults.incidents import Tell, committing
from raydnn.training.faults.machinery import is_of_machinery
from raydnn.training.faults.memory import (
    MOST_HALVINGS,
    OUT_OF_MEMORY,
    depends_on_batch,
    is_out_of_memory,
    pieces_of,
)
from raydnn.training.faults.watchdog import Watchdog
from raydnn.training.loop import train
from raydnn.training.measures.diagnostics import Diagnostics
from raydnn.training.process import fit_for_training
from raydnn.training.record import Record
from raydnn.training.stack.exploit import exploit, of_all, of_part
from raydnn.training.stack.member import Member
from raydnn.training.stack.parts import cut, parameters_of, strategy_of
from raydnn.training.stack.precision import rounding_products
from raydnn.training.stack.stack import Stack
from raydnn.training.verdict import Judge
from raydnn.training.workers import Workers


def run_stack(
    run: Run,
    plan: StackPlan,
    *,
    scheduler: str,
    judge: Judge,
    workers: Workers,
    device: torch.device,
    dataset: Callable[[DataSet, torch.device], Dataset] | None = None,
    copied_after: Collection[int] = (),
    tell: Tell | None = None,
    timeout_seconds: float = inf,
) -> list[Member]:
    """Train one stack to its end, going on from its last checkpoint where there is one.

    Args:
        run: The run whose tables get the rows.
        plan: The stack's trials.
        scheduler: Name of the scheduler that stops trials, noted as their reason.
        judge: Asked after every epoch, once its rows are committed.
        workers: This process among the data-parallel workers; rank 0 writes.
        device: Where to train.
        dataset: Gives a data set on the device; None: it is read here.
        copied_after: Epochs after which other stacks' members may copy this one's: its state is saved before it is
            judged there, and kept for as long as it may be asked for, even when the stack has ended.
        tell: Takes incidents that are the run's events; None: this process commits them.
        timeout_seconds: A training that does no step for so long is hung: what the main thread trains raises a
            HungError then, another process ends.

    Returns:
        The members as they ended. Those that still run had to give way at a rung: the stack's state is saved, and
        it goes on from there when it is trained again.
    """
    with fit_for_training(), rounding_products(plan.trials[0][1].train.precision, device):
        while True:
            session = _Session(
                run,
                plan,
                scheduler,
                judge,
                workers,
                device,
                dataset or read_dataset,
                sorted(copied_after),
                tell or committing(run),
                timeout_seconds,
            )
            try:
                return session.train()
            except BaseException as error:
                leave_if_copied()
                again = session.lacks_memory(error)
                told = None if again else session.left_by(error)
                if told is error:
                    raise
                if told is not None:
                    raise told from error
            finally:
                session.watchdog.close()
                session.record.close()
            # What the error has kept of the old session is free only now.
            del session
            gc.collect()
            torch.cuda.empty_cache()


class _Session:
    def __init__(
        self,
        run: Run,
        plan: StackPlan,
        scheduler: str,
        judge: Judge,
        workers: Workers,
        device: torch.device,
        dataset: Callable[[DataSet, torch.device], Dataset],
        copied_after: Sequence[int],
        tell: Tell,
        timeout_seconds: float,
    ) -> None:
        self.scheduler, self.judge, self.workers, self.device = scheduler, judge, workers, device
        self.dataset, self.copied_after, self.tell = dataset, copied_after, tell
        self.record = Record(run, plan.number, workers, workers.count if device.type == "cuda" else 0)
        self.members = [
            Member(
                number,
                spec,
                metric=run.metric,
                mode="max" if run.mode == "max" else "min",
                stage=plan.stage.name,
                repeat=plan.repeat(number),
            )
            for number, spec in plan.trials
        ]
        self.number = plan.number
        self.pieces = pieces_of(run, plan.number, self.record.attempt)
        self.watchdog = Watchdog(timeout_seconds, self.note_silence, self.note_hang)
        self.timeout_seconds = timeout_seconds
        self.parameters: dict[int, int] = {}
        self.strategy: str | None = None

    def train(self) -> list[Member]:
        saved = self.record.load_state()
        if saved is not None:
            self.members = [Member.from_json(values) for values in saved[1]["members"]]
        running = [member for member in self.members if member.running]
        dataset = self.dataset(running[0].spec.data, self.device)
        sizes = saved[1]["parts"] if saved else None
        parts = cut(running, dataset, self.workers, self.device, sizes, self.pieces)
        self.parameters = parameters_of(self.members, parts, dataset)
        self.strategy = strategy_of(parts)
        self.commit_members()
        done_epochs = 0
        if saved is not None:
            tensors, facts = saved
            done_epochs = facts["epoch"]
            for number, part in enumerate(parts):
                part.load_state_tensors(of_part(number, tensors))
            left = self.settle(parts, dataset, done_epochs)
            if left is None:
                return self.members
            parts = left
        every = running[0].spec.train.checkpoint_every_epochs
        watched = {part: Diagnostics(part) for part in parts}
        loops = {
            part: train(part, dataset, done_epochs + 1, watched[part].before_last_step) for part in parts
        }
        while parts:
            rows, layers = [], []
            for part in parts:
                with self.watchdog.expecting():
                    epoch, its_rows = next(loops[part])
                rows += its_rows
                layers += watched[part].rows(epoch, dataset.train)
            self.record.commit_layers(layers)
            self.record.commit_epoch(rows)
            copied = epoch in self.copied_after
            save = copied or (every and epoch % every == 0)
            if save:
                self.save_state(epoch, parts)
            if copied:
                self.record.finish()
            left = self.settle(parts, dataset, epoch)
            if left is None:
                if not save:
                    self.save_state(epoch, parts)
                self.record.finish()
                return self.members
            parts = left
            # What a part without members held is free again.
            watched = {part: watched[part] for part in parts}
            loops = {part: loops[part] for part in parts}
        if not self.copied_after:
            self.record.remove_states()
        self.record.finish()
        return self.members

    def commit_members(self) -> None:
        """Commit how all members stand."""
        self.record.commit_trials(self.members, self.parameters, self.strategy)

    def save_state(self, epoch: int, parts: Sequence[Stack]) -> None:
        """Keep the state of all parts after an epoch."""
        facts = {"epoch": epoch, "parts": [len(part.members) for part in parts]}
        # Who is to copy the state of an epoch does so before it is judged at the next: until then it may start again.
        kept = [each for each in self.copied_after if each <= epoch][-2:]
        self.record.save_state(epoch, of_all(parts), facts, self.members, kept)

    def settle(self, parts: Sequence[Stack], dataset: Dataset, epoch: int) -> list[Stack] | None:
        """End the members that are done after an epoch, drop them from their parts, and commit how they stand.

        Returns:
            The parts that have members left; None if the stack has to give way, and nothing has changed.
        """
        members = [member for part in parts for member in part.members]
        broken = {member.number: non_finite(member) for member in members}
        verdicts = self.judge(epoch, [member for member in members if not broken[member.number]])
        if verdicts is None:
            return None
        exploits = {number: verdict.exploit for number, verdict in verdicts.items() if verdict.exploit}
        if exploits:
            exploit(parts, exploits, lambda stack: self.record.load_other(stack, epoch))
        for member in members:
            if broken[member.number]:
                member.end(State.DIVERGED, f"{broken[member.number]} is not finite")
            else:
                end_if_done(member, verdicts.get(member.number), epoch, self.scheduler)
        for part in parts:
            ended = [p for p, member in enumerate(part.members) if member.has_weights]
            if ended:
                with self.watchdog.expecting():
                    complete(part, dataset, ended, self.record.save_member)
            part.keep([p for p, member in enumerate(part.members) if member.running])
        if exploits or not all(member.running for member in members):
            self.commit_members()
        return [part for part in parts if part.members]

    def lacks_memory(self, error: BaseException) -> bool:
        """Whether an error says that memory ran out, and the stack is to be trained again in smaller pieces."""
        if not is_out_of_memory(error) or self.pieces >= 1 << MOST_HALVINGS:
            return False
        exact = not depends_on_batch([member.spec for member in self.members])
        detail = {
            "stack": self.number,
            "attempt": self.record.attempt,
            "pieces": 2 * self.pieces,
            "exact": exact,
        }
        self.tell(OUT_OF_MEMORY, {**detail, "error": described(error)})
        # The other workers wait for this one: all of them must start again.
        return self.workers.count == 1

    def note_silence(self, text: str) -> None:
        """Write down where a training stands that has been silent for a while."""
        self.record.write_log(self.members[0].trial_id, "log", f"{text}\n")

    def note_hang(self, seconds: float, stacks: str) -> None:
        """Write down where a training stands that is taken for hung."""
        place = self.record.write_log(self.members[0].trial_id, "stacks.txt", stacks)
        detail = {"stack": self.number, "attempt": self.record.attempt, "rank": self.workers.rank}
        self.tell("hung", {**detail, "seconds": round(seconds, 1), "stacks": place})

    def left_by(self, error: BaseException) -> BaseException:
        """Note what ended the training; returns the error as the user is to be told of it."""
        hide(error)
        if self.watchdog.fired:
            return HungError(
                f"the training did no step for {self.timeout_seconds:g} s (resources.timeout_seconds); "
                f"where it stood is in logs/{self.members[0].trial_id}.stacks.txt of the run"
            )
        if is_interrupt(error):
            self.abandon(State.PREEMPTED, "interrupted")
            return error
        if isinstance(error, StoreError) or (is_of_machinery(error) and blamed(error) is None):
            # Not the training's fault: it goes on from its last checkpoint once the store can be written.
            return error
        paths = paths_of_users(self.members[0].spec) if self.workers.count == 1 else []
        told = in_words(error, self.pieces, paths)
        if told is None:
            return error
        self.record.note_failure(error, told)
        self.abandon(State.FAILED, "error")
        return told

    def abandon(self, state: State, reason: str) -> None:
        """Note that the members still running were left; their checkpoint stays."""
        for member in self.members:
            if member.running:
                member.end(state, reason)
        self.commit_members()

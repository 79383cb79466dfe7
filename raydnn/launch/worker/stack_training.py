"""Training one stack of a sweep, whatever engine asks for it.

Engines import this module in processes that wait for work, so all that training needs is imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from socket import gethostname
from typing import Any

import torch

from raydnn.data.dataset import Dataset
from raydnn.data.load import read_dataset
from raydnn.errors import ClusterError, StoreError
from raydnn.launch.worker.device import claim_device
from raydnn.launch.worker.mailbox import KeyValues, Mailbox
from raydnn.launch.worker.reports import Failure, GivesWay, Incident, Report, Result
from raydnn.launch.worker.shared_dataset import SharedDataset
from raydnn.spec.data import DataSet
from raydnn.spec.resources import Resources
from raydnn.store.run import run_at
from raydnn.store.storage.files import locate
from raydnn.training.faults.machinery import is_of_machinery
from raydnn.training.session import run_stack
from raydnn.training.stack.member import Member
from raydnn.training.verdict import Verdict
from raydnn.training.workers import Workers


@dataclass(frozen=True, eq=False)
class StackTask:
    """How the stacks of a sweep are trained: what all of them share."""

    run_uri: str
    resources: Resources
    """What each of them takes."""
    scheduler: str
    """Name of the scheduler that stops trials."""
    metric: str
    """What trials are judged by."""
    rungs: tuple[int, ...] = ()
    """The epochs at which stacks report the results of their trials."""
    copied_after: tuple[int, ...] = ()
    """The epochs after which trials of other stacks may copy theirs."""
    shared: SharedDataset | None = None
    """A data set, for the stacks that train on it; others read theirs themselves."""


def train_stack(number: int, task: StackTask, values: KeyValues, report: Callable[[Report], None]) -> None:
    """Train a stack to its end; report at the rungs, and if it gives way.

    A failure of the training itself is in the store and would only happen again, so it is not raised.

    Args:
        number: The stack, which is in the run's mailbox.
        task: What it shares with the others.
        values: What carries the mailbox.
        report: Takes what the driver must know.

    Raises:
        RuntimeError: A device or the network failed; the stack goes on from its last checkpoint when it is trained
            again.
    """
    try:
        run = run_at(locate(task.run_uri))
    except StoreError as error:
        # As below; a machine that joined gets here where it does not share the storage.
        report(Failure(StoreError(f"node {gethostname()}: {error}")))
        return
    mailbox = Mailbox(values, run.run_id)
    plan = mailbox.stack(number)

    def judge(epoch: int, members: Sequence[Member]) -> Mapping[int, Verdict] | None:
        if epoch not in task.rungs or not members or not plan.stage.judged:
            return {}
        own = {member.number: member.history[task.metric][-1] for member in members}
        report(Result(number, epoch, plan.means(own)))
        verdicts = mailbox.await_answer(number, epoch)
        if verdicts is None:
            return None
        return {member.number: verdicts[plan.leader(member.number)] for member in members}

    def tell(kind: str, detail: Mapping[str, Any]) -> None:
        report(Incident(kind, detail))

    def dataset(spec: DataSet, device: torch.device) -> Dataset:
        if task.shared is not None and spec == task.shared.spec:
            return task.shared.dataset.to(device)
        return read_dataset(spec, device)

    try:
        members = run_stack(
            run,
            plan,
            scheduler=task.scheduler,
            judge=judge,
            workers=Workers(),
            device=claim_device(task.resources),
            dataset=dataset,
            copied_after=task.copied_after,
            tell=tell,
            timeout_seconds=task.resources.timeout_seconds,
        )
        if any(member.running for member in members):
            report(GivesWay(number))
    except (ClusterError, StoreError) as error:
        # It ends the sweep: another start would find the same disk or device.
        report(Failure(error))
    except Exception as error:
        if is_of_machinery(error):
            raise
        # run_stack has noted the failure and its traceback in the store.
        return

"""What a process of a sweep runs: it trains the stacks that Ray Tune gives it, one after the other.

Ray imports this module in the processes it has waiting, so all that training needs is imported here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from socket import gethostname
from typing import Any

import torch
from ray import tune

from raydnn.data.dataset import Dataset
from raydnn.errors import ClusterError, StoreError
from raydnn.launch.sweep.verdicts import wait_for
from raydnn.launch.worker.device import claim_device
from raydnn.launch.worker.mailbox import handed_out
from raydnn.launch.worker.shared_dataset import Prepared
from raydnn.spec.data import DataSet
from raydnn.spec.resources import Resources
from raydnn.store.files import locate
from raydnn.store.run import run_at
from raydnn.train.faults.machinery import is_of_machinery
from raydnn.train.session import read_dataset, run_stack
from raydnn.train.stack.member import Member
from raydnn.train.verdict import Verdict
from raydnn.train.workers import Workers


def train_stack(
    config: dict[str, Any],
    *,
    run_uri: str,
    resources: str,
    scheduler: str,
    metric: str,
    rungs: Sequence[int],
    copied_after: Sequence[int],
    prepared: Prepared | None,
) -> None:
    """The Tune trainable: train stack number `config["stack"]`; tell Tune at the rungs, and if it gives way.

    A failure of the training itself is in the store and would only happen again, so Tune is not told of it;
    Tune starts a stack again when its process dies.
    """
    try:
        run = run_at(locate(run_uri))
    except StoreError as error:
        # As below; a machine that joined gets here where it does not share the storage.
        tune.report({"stack": config["stack"], "error": StoreError(f"node {gethostname()}: {error}")})
        return
    plan = handed_out(run.run_id, config["stack"])

    def judge(epoch: int, members: Sequence[Member]) -> Mapping[int, Verdict] | None:
        if epoch not in rungs or not members or not plan.stage.judged:
            return {}
        values = plan.means({member.number: member.history[metric][-1] for member in members})
        # Pairs, because Tune takes nested mappings apart.
        tune.report({"stack": plan.number, "epoch": epoch, "values": list(values.items())})
        verdicts = wait_for(run.run_id, plan.number, epoch)
        if verdicts is None:
            return None
        return {member.number: verdicts[plan.leader(member.number)] for member in members}

    def tell(kind: str, detail: Mapping[str, Any]) -> None:
        tune.report({"stack": plan.number, "incident": kind, "detail": json.dumps(detail)})

    def dataset(spec: DataSet, device: torch.device) -> Dataset:
        if prepared is not None and spec == prepared.spec:
            return prepared.dataset.to(device)
        return read_dataset(spec, device)

    granted = Resources.model_validate(json.loads(resources))
    try:
        members = run_stack(
            run,
            plan,
            scheduler=scheduler,
            judge=judge,
            workers=Workers(),
            device=claim_device(granted),
            dataset=dataset,
            copied_after=copied_after,
            tell=tell,
            timeout_seconds=granted.timeout_seconds,
        )
        if any(member.running for member in members):
            tune.report({"stack": plan.number, "gives_way": True})
    except (ClusterError, StoreError) as error:
        # It ends the sweep: another start would find the same disk or device.
        tune.report({"stack": plan.number, "error": error})
    except Exception as error:
        if is_of_machinery(error):
            raise
        # run_stack has noted the failure and its traceback in the store.
        return

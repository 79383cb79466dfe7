"""Stacks where the processes of a cluster find them: in Ray's internal key-value store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from raydnn.search.packing import StackPlan
from raydnn.search.stages import Stage
from raydnn.spec.trial import TrialSpec

_NAMESPACE = b"raydnn-stacks"


def hand_out(run_id: str, plans: Sequence[StackPlan]) -> None:
    """Put stacks where the processes of the cluster find them."""
    from ray.experimental.internal_kv import _internal_kv_put

    for plan in plans:
        value = {
            "trials": [(number, trial.config_json) for number, trial in plan.trials],
            "stage": asdict(plan.stage),
            "first": plan.first,
        }
        _internal_kv_put(_key(run_id, plan.number), json.dumps(value).encode(), namespace=_NAMESPACE)


def handed_out(run_id: str, stack: int) -> StackPlan:
    """A stack that was handed out."""
    from ray.experimental.internal_kv import _internal_kv_get

    value = json.loads(_internal_kv_get(_key(run_id, stack), namespace=_NAMESPACE))
    trials = tuple((number, TrialSpec.from_json(text)) for number, text in value["trials"])
    return StackPlan(stack, trials, Stage(**value["stage"]), value["first"])


def take_back(run_id: str) -> None:
    """Remove all stacks of a run from where they were put."""
    from ray.experimental.internal_kv import _internal_kv_del

    _internal_kv_del(f"{run_id}/".encode(), del_by_prefix=True, namespace=_NAMESPACE)


def _key(run_id: str, stack: int) -> bytes:
    return f"{run_id}/{stack}".encode()

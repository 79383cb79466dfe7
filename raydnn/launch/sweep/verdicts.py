"""The way of a verdict from the driver, where the scheduler decides, to the process that trains the stack.

Ray's own key-value store carries it: no extra process, and a worker that starts again finds it again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from time import sleep
from typing import Any

from raydnn.spec.trial import TrialSpec
from raydnn.train.verdict import Exploit, Verdict

_NAMESPACE = b"raydnn-verdicts"


def publish(run_id: str, stack: int, epoch: int, verdicts: Mapping[int, Verdict]) -> None:
    """Make a stack's verdicts at an epoch known."""
    from ray.experimental.internal_kv import _internal_kv_put

    value = {str(number): _to_json(verdict) for number, verdict in verdicts.items()}
    _internal_kv_put(_key(run_id, stack, epoch), json.dumps(value).encode(), namespace=_NAMESPACE)


def give_way(run_id: str, stack: int, epoch: int) -> None:
    """Ask a stack that waits at an epoch to leave its slot; verdicts that are published later take this back."""
    from ray.experimental.internal_kv import _internal_kv_put

    _internal_kv_put(_key(run_id, stack, epoch), b"null", namespace=_NAMESPACE)


def wait_for(run_id: str, stack: int, epoch: int) -> dict[int, Verdict] | None:
    """Wait until the driver has decided on a stack at an epoch; None: it is to leave its slot instead."""
    from ray.experimental.internal_kv import _internal_kv_get

    pause_seconds = 0.002
    while (value := _internal_kv_get(_key(run_id, stack, epoch), namespace=_NAMESPACE)) is None:
        sleep(pause_seconds)
        pause_seconds = min(2 * pause_seconds, 0.1)
    verdicts = json.loads(value)
    return None if verdicts is None else {int(number): _from_json(of) for number, of in verdicts.items()}


def forget(run_id: str) -> None:
    """Remove all verdicts of a run."""
    from ray.experimental.internal_kv import _internal_kv_del

    _internal_kv_del(f"{run_id}/".encode(), del_by_prefix=True, namespace=_NAMESPACE)


def _to_json(verdict: Verdict) -> list[Any]:
    exploit = verdict.exploit
    copied = None if exploit is None else [exploit.source, exploit.stack, exploit.spec.config_json]
    return [verdict.stop, verdict.rung, verdict.bracket, copied]


def _from_json(values: list[Any]) -> Verdict:
    stop, rung, bracket, copied = values
    if copied is None:
        return Verdict(stop, rung, bracket)
    source, stack, config_json = copied
    return Verdict(stop, rung, bracket, Exploit(source, stack, TrialSpec.from_json(config_json)))


def _key(run_id: str, stack: int, epoch: int) -> bytes:
    return f"{run_id}/{stack}/{epoch}".encode()

"""The way of a verdict from the driver, where the scheduler decides, to the process that trains the stack.

Ray's own key-value store carries it: no extra process, and a worker that starts again finds it again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from time import sleep

from raydnn.train.verdict import Verdict

_NAMESPACE = b"raydnn-verdicts"


def publish(run_id: str, stack: int, epoch: int, verdicts: Mapping[int, Verdict]) -> None:
    """Make a stack's verdicts at an epoch known."""
    from ray.experimental.internal_kv import _internal_kv_put

    value = {str(n): [verdict.stop, verdict.rung, verdict.bracket] for n, verdict in verdicts.items()}
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
    return None if verdicts is None else {int(number): Verdict(*of) for number, of in verdicts.items()}


def forget(run_id: str) -> None:
    """Remove all verdicts of a run."""
    from ray.experimental.internal_kv import _internal_kv_del

    _internal_kv_del(f"{run_id}/".encode(), del_by_prefix=True, namespace=_NAMESPACE)


def _key(run_id: str, stack: int, epoch: int) -> bytes:
    return f"{run_id}/{stack}/{epoch}".encode()

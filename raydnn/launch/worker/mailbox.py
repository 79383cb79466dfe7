"""The mailbox of a run: where its driver leaves stacks and verdicts for the processes that train.

What carries it belongs to the engine: a process that starts again finds there what it had found before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from time import sleep
from typing import Any, Protocol

from raydnn.search.packing import StackPlan
from raydnn.search.stages import Stage
from raydnn.spec.trial import TrialSpec
from raydnn.training.verdict import Exploit, Verdict

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.002, 0.1
"""Between two looks for an answer."""


class KeyValues(Protocol):
    """What carries a mailbox; all processes of a run see the same values."""

    def put(self, key: str, value: bytes) -> None:
        """Keep a value, in the place of an earlier one."""

    def get(self, key: str) -> bytes | None:
        """The value of a key; None where there is none."""

    def remove(self, prefix: str) -> None:
        """Remove all values whose keys begin so."""


class Mailbox:
    """The mailbox of one run."""

    def __init__(self, values: KeyValues, run_id: str) -> None:
        """Open it.

        Args:
            values: What carries it.
            run_id: The run.
        """
        self._values, self._run_id = values, run_id

    def hand_out(self, plans: Sequence[StackPlan]) -> None:
        """Leave stacks to be trained."""
        for plan in plans:
            value = {
                "trials": [(number, trial.config_json) for number, trial in plan.trials],
                "stage": asdict(plan.stage),
                "first": plan.first,
            }
            self._values.put(self._key("stack", plan.number), json.dumps(value).encode())

    def stack(self, number: int) -> StackPlan:
        """A stack that was left here.

        Raises:
            KeyError: It was not.
        """
        found = self._values.get(self._key("stack", number))
        if found is None:
            raise KeyError(f"stack {number} of run {self._run_id} is in no mailbox")
        value = json.loads(found)
        trials = tuple((n, TrialSpec.from_json(text)) for n, text in value["trials"])
        return StackPlan(number, trials, Stage(**value["stage"]), value["first"])

    def answer(self, stack: int, epoch: int, verdicts: Mapping[int, Verdict] | None) -> None:
        """Leave a stack's verdicts at an epoch; None asks it to give way, and verdicts left later take this back."""
        value = None if verdicts is None else {str(n): _to_json(verdict) for n, verdict in verdicts.items()}
        self._values.put(self._key("answer", stack, epoch), json.dumps(value).encode())

    def await_answer(self, stack: int, epoch: int) -> dict[int, Verdict] | None:
        """Wait until the driver has answered a stack's results at an epoch; None: it is to give way."""
        pause_seconds = FIRST_PAUSE_SECONDS
        while (found := self._values.get(self._key("answer", stack, epoch))) is None:
            sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)
        verdicts = json.loads(found)
        return None if verdicts is None else {int(n): _from_json(values) for n, values in verdicts.items()}

    def clear(self) -> None:
        """Remove all that was left here."""
        self._values.remove(f"{self._run_id}/")

    def _key(self, kind: str, *numbers: int) -> str:
        return "/".join([self._run_id, kind, *map(str, numbers)])


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

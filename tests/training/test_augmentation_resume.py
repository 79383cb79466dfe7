"""An augmented training that dies and is taken up again repeats the undisturbed one to the bit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from sessions import Died, dying_at, train_plan

from raydnn.search.packing import StackPlan
from raydnn.spec.trial import TrialSpec
from raydnn.store.read import read
from raydnn.store.run import Run
from raydnn.training.stack.member import Member
from raydnn.training.verdict import Verdict

ALL = {
    **{"flip": 0.5, "rotate": 15.0, "scale": 0.1, "shear": 10.0, "crop": 1, "translate": 1},
    **{"randaugment": 1, "color_jitter": 0.4, "noise": 0.1, "cutout": 2, "random_erasing": 0.3},
    **{"mixup": 0.4, "cutmix": 1.0},
}
TIMES = {"seconds", "examples_per_second", "attempt", "committed_at", "run_id"}


def _rows(run: Run) -> list[dict[str, str]]:
    return [
        {name: repr(value) for name, value in row.items() if name not in TIMES}
        for row in read(run.location, "epochs").to_pylist()
    ]


def test_draws_are_repeated(make_trial: Callable[..., TrialSpec], new_run: Callable[..., Run]) -> None:
    def judge(epoch: int, members: Sequence[Member]) -> Mapping[int, Verdict]:
        # A neighbour that leaves changes nothing in what the others draw.
        return {m.number: Verdict(m.number == 1, 0) for m in members} if epoch == 1 else {}

    def trial(seed: int, **augmentation: Any) -> TrialSpec:
        train = {"epochs": 4, "batch_size": 32, "augmentation": augmentation}
        return make_trial(data="color_pictures", seed=seed, train=train)

    trials = [trial(1, **ALL), trial(2, **ALL), trial(2, cutmix=0.2), trial(1)]
    plan = StackPlan(0, tuple(enumerate(trials)))
    whole, broken = new_run("whole"), new_run("broken")
    train_plan(whole, plan, judge, scheduler="asha")
    with pytest.raises(Died):
        train_plan(broken, plan, dying_at(2, judge), scheduler="asha")
    train_plan(broken, plan, judge, scheduler="asha")
    assert _rows(broken) == _rows(whole)
    assert len(_rows(whole)) == 13
    attempts = {row["attempt"] for row in read(broken.location, "epochs").to_pylist()}
    assert attempts == {1, 2}

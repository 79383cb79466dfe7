"""Verdicts against Ray Tune's scheduler classes alone, fed with whole learning curves as Tune feeds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ray.tune.experiment import Trial
from ray.tune.schedulers import (
    ASHAScheduler,
    HyperBandForBOHB,
    HyperBandScheduler,
    MedianStoppingRule,
    TrialScheduler,
)

from raydnn.launch.tuning.judging import SCHEDULERS, Answer, Judging, ray_scheduler
from raydnn.search.packing import StackPlan
from raydnn.spec.search import Search
from raydnn.training.verdict import Verdict

Curves = Mapping[int, list[float]]
"""Trial → its metric after each epoch."""


def curves(trials: int, epochs: int, rng: Random) -> Curves:
    """Learning curves that fall towards a floor of their own, with noise and a few ties."""
    found = {}
    for number in range(trials):
        floor, scale, rate = rng.random(), rng.random(), rng.random()
        noisy = [floor + scale * (1 - rate) ** t + 0.1 * rng.random() for t in range(epochs)]
        found[number] = [round(value, 2) for value in noisy]
    return found


class Tune:
    """Ray Tune's loop around a scheduler, with its trials, and as many at a time as there are slots."""

    def __init__(self, scheduler: Any, curves: Curves, slots: int, rng: Random) -> None:
        self.scheduler, self.curves, self.slots, self.rng = scheduler, curves, slots, rng
        nothing = SimpleNamespace(on_pause=lambda _: None, on_unpause=lambda _: None)
        self.search_alg = SimpleNamespace(searcher=nothing)
        self.trials = [Trial("t", trial_id=str(number), stub=True) for number in curves]
        self.epochs = dict.fromkeys(self.trials, 0)

    def get_trials(self) -> list[Any]:
        return self.trials

    def get_live_trials(self) -> list[Any]:
        return []

    def stop_trial(self, trial: Any) -> None:
        if trial.status not in (Trial.TERMINATED, Trial.ERROR):
            trial.status = Trial.TERMINATED
            self.scheduler.on_trial_remove(self, trial)

    def fit(self) -> dict[int, int]:
        """Trial → the epochs it was trained."""
        for trial in self.trials:
            self.scheduler.on_trial_add(self, trial)
        while any(trial.status != Trial.TERMINATED for trial in self.trials):
            running = [trial for trial in self.trials if trial.status == Trial.RUNNING]
            while len(running) < self.slots and (trial := self.scheduler.choose_trial_to_run(self)):
                trial.status = Trial.RUNNING
                running.append(trial)
            self.step(self.rng.choice(running))
        return {int(trial.trial_id): epochs for trial, epochs in self.epochs.items()}

    def step(self, trial: Any) -> None:
        self.epochs[trial] += 1
        curve = self.curves[int(trial.trial_id)]
        result = {"epoch": self.epochs[trial], "loss": curve[self.epochs[trial] - 1]}
        if self.epochs[trial] == len(curve):
            trial.status = Trial.TERMINATED
            self.scheduler.on_trial_complete(self, trial, result)
            return
        answer = self.scheduler.on_trial_result(self, trial, result)
        if answer == TrialScheduler.PAUSE:
            trial.status = Trial.PAUSED
        elif answer == TrialScheduler.STOP:
            trial.status = Trial.TERMINATED


def ours(scheduler: Mapping[str, Any], curves: Curves, mode: str, stack: int, rng: Random) -> dict[int, int]:
    """Trial → the epochs it was trained, by the verdicts of its stack's."""
    epochs = len(curves[0])
    judged = ray_scheduler(search(scheduler, mode), epochs, 0)
    assert judged is not None
    events = SimpleNamespace(add=lambda *_, **__: None, commit=lambda: None)
    answers: dict[tuple[int, int], Mapping[int, Verdict]] = {}

    def take(answered: Sequence[Answer]) -> None:
        answers.update({(stack, epoch): verdicts for stack, epoch, verdicts in answered})

    judging = Judging(judged, events, set())  # type: ignore[arg-type]
    numbers = list(curves)
    members = [numbers[start : start + stack] for start in range(0, len(numbers), stack)]
    trial: Any = None
    judging.expect([StackPlan(k, tuple((n, trial) for n in of)) for k, of in enumerate(members)])
    at = [0] * len(members)
    trained: dict[int, int] = {}
    while any(members):
        able = [k for k, of in enumerate(members) if of and (at[k] == 0 or (k, at[k]) in answers)]
        k = rng.choice(able)
        verdicts = answers.get((k, at[k]), {})
        trained |= {n: at[k] for n in members[k] if n in verdicts and verdicts[n].stop}
        members[k] = [n for n in members[k] if n not in trained]
        at[k] = next((epoch for epoch in judged.rungs if epoch > at[k]), epochs)
        if not members[k] or at[k] == epochs:
            trained |= dict.fromkeys(members[k], epochs)
            members[k] = []
            take(judging.ended(k))
        else:
            take(judging.result(k, at[k], {n: curves[n][at[k] - 1] for n in members[k]}))
    return trained


def search(scheduler: Mapping[str, Any], mode: str) -> Search:
    return Search.model_validate({"scheduler": scheduler, "trials": 1, "mode": mode, "space": {"seed": 0}})


HYPERBAND: list[tuple[int, int, float]] = [
    (49, 27, 3.0),
    (60, 27, 3.0),
    (100, 20, 3.0),
    (30, 16, 2.0),
    (7, 9, 3.0),
]
"""Trials, epochs and eta: a full band, more than one, rungs that are rounded, brackets that are not filled."""


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(("trials", "epochs", "eta"), HYPERBAND)
@pytest.mark.parametrize("name", ["hyperband", "bohb"])
def test_hyperband_stops_what_rays_stops(name: str, trials: int, epochs: int, eta: float, mode: str) -> None:
    make: Callable[..., Any] = HyperBandScheduler if name == "hyperband" else HyperBandForBOHB
    for seed in range(3):
        rng = Random(seed)
        recorded = curves(trials, epochs, rng)
        alone = make("epoch", "loss", mode, max_t=epochs, reduction_factor=eta, stop_last_trials=False)
        expected = Tune(alone, recorded, rng.choice([1, 4, trials]), rng).fit()
        assert ours({"name": name, "eta": eta}, recorded, mode, rng.choice([1, 5, 16]), rng) == expected
        assert len(set(expected.values())) > 1


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("brackets", [1, 3])
def test_asha_stops_what_rays_stops(brackets: int, mode: str) -> None:
    """Each trial is trained alone and in turn, so that both hear the same results in the same order."""
    for seed, stack in ((0, 1), (1, 8)):
        recorded = curves(40, 27, Random(seed))
        np.random.seed(seed)
        alone: Any = ASHAScheduler("epoch", "loss", mode, 27, 1, 3, brackets)
        spec = {"name": "asha", "eta": 3.0, "brackets": brackets}
        judged: Any = ray_scheduler(search(spec, mode), 27, 0)
        judged.begin(range(40))
        trials = [Trial("t", trial_id=str(n), stub=True) for n in recorded]
        for number, trial in enumerate(trials):
            alone.on_trial_add(None, trial)
            # Ray draws a trial's bracket; here both must have the same.
            alone._trial_info[str(number)] = alone._brackets[judged._bracket[number]]
        expected = dict.fromkeys(recorded, 27)
        for epoch in range(1, 27):
            for number, trial in enumerate(trials):
                result = {"epoch": epoch, "loss": recorded[number][epoch - 1]}
                if expected[number] == 27 and alone.on_trial_result(None, trial, result) == "STOP":
                    expected[number] = epoch
        assert ours(spec, recorded, mode, stack, Random(seed)) == expected
        assert set(judged._bracket.values()) == set(range(brackets))
        assert len(set(expected.values())) == 4


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(("min_epochs", "min_trials"), [(1, 3), (4, 1), (2, 10)])
def test_median_stops_what_rays_stops(min_epochs: int, min_trials: int, mode: str) -> None:
    for seed, stack in ((0, 1), (1, 8)):
        recorded = curves(30, 12, Random(seed))
        alone = MedianStoppingRule("epoch", "loss", mode, min_epochs, min_trials)
        trials = [Trial("t", trial_id=str(n), stub=True) for n in recorded]
        expected = dict.fromkeys(recorded, 12)
        runner: Any = SimpleNamespace(get_live_trials=list)
        for epoch in range(1, 12):
            for number, trial in enumerate(trials):
                result = {"epoch": epoch, "loss": recorded[number][epoch - 1]}
                if expected[number] == 12 and alone.on_trial_result(runner, trial, result) == "STOP":
                    expected[number] = epoch
        spec = {"name": "median", "min_epochs": min_epochs, "min_trials": min_trials}
        assert ours(spec, recorded, mode, stack, Random(seed)) == expected
        assert len(set(expected.values())) > 1


def test_a_trials_bracket_is_a_function_of_seed_and_number_alone() -> None:
    spec = search({"name": "asha", "brackets": 3}, "min")

    def drawn(seed: int, generations: list[range]) -> dict[int, int]:
        scheduler: Any = ray_scheduler(spec, 27, seed)
        for generation in generations:
            scheduler.begin(generation)
        return dict(scheduler._bracket)

    before: Any = np.random.get_state()
    assert drawn(0, [range(50)]) == drawn(0, [range(20), range(20, 50)])
    assert drawn(0, [range(50)]) != drawn(1, [range(50)])
    after: Any = np.random.get_state()
    assert np.array_equal(before[1], after[1])


def test_a_generation_fills_brackets_of_its_own() -> None:
    """Ray would put new trials into the last bracket, long halved, where nothing is compared with them."""
    scheduler: Any = ray_scheduler(search({"name": "bohb", "eta": 3.0}, "min"), 9, 0)
    for begin, end, kept in ((0, 9, 1), (9, 14, 2), (14, 17, 3), (17, 22, 1)):
        numbers = range(begin, end)
        scheduler.begin(numbers)
        assert len({id(scheduler._bracket(scheduler._trials[n])) for n in numbers}) == 1
        for epoch in (1, 3):
            for number in numbers:
                if scheduler._trials[number].status == "RUNNING":
                    scheduler.report(number, epoch, float(number))
        left = [n for n in numbers if scheduler._trials[n].status == "RUNNING"]
        assert left == list(numbers)[:kept]
        for number in left:
            scheduler.end(number)


def test_every_scheduler_that_stops_trials_is_compared() -> None:
    assert set(SCHEDULERS) == {"none", "asha", "hyperband", "bohb", "median"}

"""What is told to have been stopped, against Ray Tune's classes fed with the same curves."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from raydnn.launch.tuning.judging import ray_scheduler
from raydnn.search.stopping import RULES
from raydnn.spec.catalogue.kinds import components
from raydnn.spec.search import Search

SPECS = {
    "none": [{}],
    "asha": [{}, {"min_epochs": 2, "eta": 2}, {"eta": 1.5}],
    "hyperband": [{}, {"eta": 2}, {"eta": 4}],
    "bohb": [{"eta": 2}],
    "median": [{}, {"min_epochs": 3, "min_trials": 5}],
}


def curves(trials: int, epochs: int, rng: Random, whole: bool) -> dict[int, list[float]]:
    """Falling, noisy curves with ties; some end early unless they are to be `whole`."""
    found = {}
    for number in rng.sample(range(trials), trials):
        floor, rate = rng.random(), rng.random()
        length = epochs if whole or rng.random() < 0.8 else rng.randrange(epochs)
        found[number] = [round(floor + (1 - rate) ** t + 0.3 * rng.random(), 2) for t in range(length)]
    return found


def by_ray(
    spec: dict[str, Any], given: dict[int, list[float]], epochs: int, sizes: list[int]
) -> dict[int, int]:
    """Trial → epoch after which Ray's class stops it, fed epoch by epoch in the order of the curves."""
    search = Search.model_validate(
        {"scheduler": spec, "trials": 1, "metric": "validation_loss", "space": {"seed": 0}}
    )
    scheduler = ray_scheduler(search, epochs, 0)
    assert scheduler is not None
    numbers = sorted(given)
    for size in sizes:
        scheduler.begin(numbers[:size])
        numbers = numbers[size:]
    scheduler.begin(numbers)
    stops: dict[int, int] = {}
    for epoch in range(1, epochs):
        for number, curve in given.items():
            if number in stops:
                continue
            if len(curve) >= epoch:
                decided = (
                    scheduler.report(number, epoch, curve[epoch - 1]) if epoch in scheduler.rungs else {}
                )
            else:
                decided = scheduler.end(number) if len(curve) == epoch - 1 else {}
            stops |= {other: epoch for other, decision in decided.items() if decision.stop}
    return stops


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "spec", [{"name": n, **s} for n, specs in SPECS.items() for s in specs if n != "none"]
)
def test_the_same_trials_stop_as_with_ray(spec: dict[str, Any], seed: int) -> None:
    epochs = 16
    given = curves(40, epochs, Random(seed), whole=spec["name"] == "bohb")
    made = components("scheduler")[spec["name"]].model_validate(spec)
    # BOHB opens a bracket a generation: those of max_epochs 16 and eta 2 hold 16, 10, 7, 5 and 5 trials.
    sizes = [16, 10, 7, 5] if spec["name"] == "bohb" else []
    assert RULES[spec["name"]](made, given, epochs) == by_ray(spec, given, epochs, sizes)


def test_every_scheduler_has_a_rule() -> None:
    assert RULES.keys() == components("scheduler").keys() == SPECS.keys()


def test_brackets_of_asha_share_the_trials() -> None:
    spec = components("scheduler")["asha"].model_validate({"name": "asha", "brackets": 2})
    stops = RULES["asha"](spec, curves(60, 9, Random(0), whole=True), 9)
    assert {1, 3} <= set(stops.values())
    assert len(stops) < 60

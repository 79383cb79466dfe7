"""Populations against Ray Tune's PopulationBasedTraining alone, with Tune's own trials in Tune's loop."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ray.tune import Checkpoint
from ray.tune.experiment import Trial
from ray.tune.schedulers import PopulationBasedTraining, TrialScheduler
from ray.tune.schedulers.pbt import _TrainingResult

from raydnn.launch.engine.in_process import LocalValues
from raydnn.launch.schedulers.population import RayPopulation, ray_population
from raydnn.launch.tuning.judging import Answer, Judging
from raydnn.launch.worker.mailbox import Mailbox
from raydnn.search.algorithms.registry import propose
from raydnn.search.packing import StackPlan
from raydnn.space.space import build_space
from raydnn.spec.algorithm import Random
from raydnn.spec.job import Job
from raydnn.spec.reading.positions import Positions
from raydnn.training.verdict import Exploit, Verdict

SPACE: dict[str, Any] = {
    "optimizer.lr": "loguniform(1e-200, 1e200)",
    "optimizer.momentum": [0.1, 0.5, 0.7, 0.9],
    "regularization.l2": "loguniform(1e-200, 1e200)",
}
"""So wide that nothing comes near a bound, which Ray does not know."""

Copies = dict[tuple[int, int], tuple[int, dict[str, Any]]]
"""(trial, epoch) → whom it copied, and its configuration from then on."""


def make_job(trials: int, epochs: int, mode: str = "min", seed: int = 0, **fields: Any) -> Job:
    search = {"algorithm": {"name": "pbt", **fields}, "trials": trials, "mode": mode, "space": SPACE}
    return Job.model_validate(
        {
            "name": "x",
            "seed": seed,
            "data": "digits",
            "optimizer": "sgd",
            "train": {"epochs": epochs},
            "search": search,
        }
    )


def draws(seed: int, epoch: int, number: int) -> int:
    return int(np.random.SeedSequence(seed, spawn_key=(number, epoch, 2)).generate_state(1)[0])


class Seeded(PopulationBasedTraining):  # type: ignore[misc] # Ray has no types
    """Ray's class, its draws keyed by seed, epoch and trial."""

    seed = 0

    def _checkpoint_or_exploit(self, trial: Any, *others: Any) -> None:
        random.seed(draws(self.seed, self._trial_state[trial].last_perturbation_time, int(trial.trial_id)))
        super()._checkpoint_or_exploit(trial, *others)


@dataclass(frozen=True)
class Saved(Checkpoint):  # type: ignore[misc]
    """A state in memory: whose it is."""

    number: int


class Tune:
    """Ray Tune's loop around a scheduler, with its trials, and as many at a time as there are slots."""

    search_alg = None

    def __init__(
        self, scheduler: Any, values: Any, configs: list[dict[str, Any]], slots: int, epochs: int
    ) -> None:
        self.scheduler, self.values, self.slots, self.epochs = scheduler, values, slots, epochs
        self.trials = [
            Trial("t", trial_id=str(number), config=config, stub=True)
            for number, config in enumerate(configs)
        ]
        self.trained = dict.fromkeys(self.trials, 0)
        self.copies: Copies = {}

    def get_trials(self) -> list[Any]:
        return self.trials

    def get_live_trials(self) -> list[Any]:
        return [trial for trial in self.trials if not trial.is_finished()]

    def pause_trial(self, trial: Any, should_checkpoint: bool = True) -> None:
        trial.status = Trial.PAUSED

    def _schedule_trial_save(self, trial: Any, result: Any = None) -> Any:
        return Saved(int(trial.trial_id))

    def fit(self, rng: random.Random) -> Copies:
        for trial in self.trials:
            self.scheduler.on_trial_add(self, trial)
        while live := self.get_live_trials():
            running = [trial for trial in live if trial.status == Trial.RUNNING]
            while len(running) < self.slots and (trial := self.scheduler.choose_trial_to_run(self)):
                trial.status = Trial.RUNNING
                running.append(trial)
            self.step(rng.choice(running))
        return self.copies

    def step(self, trial: Any) -> None:
        self.trained[trial] += 1
        epoch = self.trained[trial]
        if epoch == self.epochs:
            trial.status = Trial.TERMINATED
            return
        manager = trial.run_metadata.checkpoint_manager
        manager._latest_checkpoint_result = _TrainingResult(Saved(int(trial.trial_id)), {})
        result = {"epoch": epoch, "loss": self.values[int(trial.trial_id), epoch]}
        answer = self.scheduler.on_trial_result(self, trial, result)
        if answer == TrialScheduler.PAUSE:
            trial.status = Trial.PAUSED
        for other in self.trials:
            saved = other.run_metadata.checkpoint_manager._latest_checkpoint_result
            if saved is not None and saved.checkpoint.number != int(other.trial_id):
                key = int(other.trial_id), epoch
                self.copies[key] = saved.checkpoint.number, dict(other.config)
                other.run_metadata.checkpoint_manager._latest_checkpoint_result = None


def ours(job: Job, values: Any, stack: int, rng: random.Random) -> Copies:
    """What is decided of the same trials in stacks, which report in any order."""
    trials = propose(build_space(job, Positions({})), job)
    numbered = list(enumerate(trials))
    plans = [
        StackPlan(k, tuple(numbered[start : start + stack]))
        for k, start in enumerate(range(0, len(trials), stack))
    ]
    population = ray_population(job, plans)
    assert population is not None
    copies: Copies = {}
    answered: set[tuple[int, int]] = set()

    def take(answers: Sequence[Answer]) -> None:
        for stack, epoch, verdicts in answers:
            answered.add((stack, epoch))
            for n, verdict in verdicts.items():
                if verdict.exploit is not None:
                    source, spec = verdict.exploit.source, verdict.exploit.spec
                    assert source in dict(plans[verdict.exploit.stack].trials)
                    config = {
                        "optimizer.lr": spec.optimizer.lr,
                        "optimizer.momentum": spec.optimizer.momentum,  # type: ignore[union-attr]
                        "regularization.l2": spec.regularization.l2,
                    }
                    copies[n, epoch] = source, config

    events: Any = SimpleNamespace(add=lambda *_, **__: None, commit=lambda: None)
    judging = Judging(population, events, set())
    judging.expect(plans)
    at = [0] * len(plans)
    while able := [
        k for k in range(len(plans)) if (at[k] == 0 or (k, at[k]) in answered) and at[k] < job.train.epochs
    ]:
        k = rng.choice(able)
        at[k] = next((epoch for epoch in population.rungs if epoch > at[k]), job.train.epochs)
        if at[k] == job.train.epochs:
            take(judging.ended(k))
        else:
            take(judging.result(k, at[k], {n: values[n, at[k]] for n, _ in plans[k].trials}))
    assert at == [job.train.epochs] * len(plans)
    return copies


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(
    ("trials", "epochs", "fields"),
    [
        (16, 12, {"interval_epochs": 2}),
        (7, 9, {"interval_epochs": 3, "quantile": 0.5, "resample": 0.0}),
        (2, 5, {"quantile": 0.1, "resample": 1.0, "factors": [0.5]}),
        (5, 8, {"interval_epochs": 5, "factors": [0.9, 1.0, 1.1]}),
    ],
)
def test_whom_a_trial_copies_and_how_it_goes_on_is_as_with_rays_class(
    trials: int, epochs: int, fields: dict[str, Any], mode: str
) -> None:
    for seed in range(3):
        rng = random.Random(seed)
        job = make_job(trials, epochs, mode, seed, **fields)
        # Few distinct values, so that there are ties.
        values = {(n, e): rng.randrange(8) / 4 for n in range(trials) for e in range(1, epochs + 1)}
        space = build_space(job, Positions({}))
        given: dict[str, Any] = {
            "interval_epochs": 1,
            "quantile": 0.25,
            "resample": 0.25,
            "factors": (0.8, 1.2),
        }
        given |= fields
        mutations = {
            parameter.path: list(SPACE[parameter.path])
            if isinstance(SPACE[parameter.path], list)
            else lambda domain=parameter.domain: domain.from_unit(random.random())
            for parameter in space.parameters
        }
        scheduler = Seeded(
            time_attr="epoch",
            metric="loss",
            mode=mode,
            perturbation_interval=given["interval_epochs"],
            quantile_fraction=given["quantile"],
            resample_probability=given["resample"],
            perturbation_factors=tuple(given["factors"]),
            hyperparam_mutations=mutations,
            log_config=False,
            synch=True,
        )
        scheduler.seed = seed
        configs = [{path: trial.parameters()[path] for path in SPACE} for trial in propose(space, job)]
        expected = Tune(scheduler, values, configs, rng.choice([1, 3, trials]), epochs).fit(rng)
        assert ours(job, values, rng.choice([1, 3, trials]), rng) == expected
        copied = min(ceil(trials * given["quantile"]), trials // 2)
        assert len(expected) == copied * len(
            range(given["interval_epochs"], epochs, given["interval_epochs"])
        )


def test_python_draws_go_on_as_before() -> None:
    job = make_job(4, 3)
    random.seed(3)
    expected = random.random()
    random.seed(3)
    ours(job, {(n, e): float(n) for n in range(4) for e in (1, 2)}, 2, random.Random(0))
    assert random.random() == expected


def test_other_algorithms_have_no_population() -> None:
    job = make_job(4, 3)
    assert isinstance(ray_population(job, []), RayPopulation)
    assert job.search is not None
    search = job.search.model_copy(update={"algorithm": Random()})
    assert ray_population(job.model_copy(update={"search": search}), []) is None


def test_a_verdict_keeps_what_is_copied_on_its_way() -> None:
    trial = propose(build_space(make_job(2, 3), Positions({})), make_job(2, 3))[0]
    mailbox = Mailbox(LocalValues(), "r")
    verdicts = {0: Verdict(False, exploit=Exploit(3, 1, trial)), 7: Verdict(True, 2, 0)}
    mailbox.answer(4, 2, verdicts)
    assert mailbox.await_answer(4, 2) == verdicts
    mailbox.answer(4, 2, None)
    assert mailbox.await_answer(4, 2) is None

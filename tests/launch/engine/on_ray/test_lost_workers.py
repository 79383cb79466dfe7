"""A training whose machine is lost for good: it ends as one that can be resumed, and says what is missing."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from ray.train.v2._internal.exceptions import WorkerGroupStartupTimeoutError
from ray.train.v2.api.exceptions import ControllerError

from raydnn.errors import ClusterError
from raydnn.launch.engine.on_ray import training
from raydnn.spec.resources import Resources
from raydnn.spec.trial import TrialSpec
from raydnn.store.commit import commit_epochs
from raydnn.store.run import create_run

RESOURCES = Resources(workers=2)
TRIAL = TrialSpec.model_validate({"data": "digits", "optimizer": "sgd"})
LEFT = [{"CPU": 0.0}, {"CPU": 1.0}]
BACK = [{"CPU": 1.0}, {"CPU": 1.0}]
Fit = Callable[[list[dict[str, float]]], int]


@pytest.fixture
def fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fit:
    """Fit on workers that do not start again, after an epoch was trained; gives how often it was tried."""
    run = create_run(
        str(tmp_path), "r", "", {"metric": "validation_loss", "mode": "min", "command": "train", "job": {}}
    )

    def fit(nodes: list[dict[str, float]]) -> int:
        tried = count()

        class Trainer:
            def __init__(self, *_: Any, **__: Any) -> None:
                self.first = next(tried) == 0

            def fit(self) -> None:
                if self.first:
                    commit_epochs(run, 0, 1, [{"trial_id": "t00000", "epoch": 1, "step": 1}])
                raise ControllerError(WorkerGroupStartupTimeoutError(2))

        monkeypatch.setattr(training, "TorchTrainer", Trainer)
        try:
            training.fit(run, TRIAL, RESOURCES, 2, lambda: nodes)
        except ClusterError as error:
            raise ClusterError(f"{error} (tried {next(tried)})") from error
        raise AssertionError

    return fit


def test_a_machine_that_is_lost_for_good_is_not_waited_for_again(fit: Fit) -> None:
    with pytest.raises(ClusterError, match=r"2 worker.* needed, there is 0 CPU; 1 CPU.*\(tried 1\)"):
        fit(LEFT)


def test_workers_that_do_not_start_though_there_is_room_are_tried_again_after_progress(fit: Fit) -> None:
    with pytest.raises(ClusterError, match=r"WorkerGroupStartupTimeoutError.*\(tried 2\)"):
        fit(BACK)

"""How often a stack's process may die."""

from __future__ import annotations

from pathlib import Path

from raydnn.launch.tuning.budget import FailureBudget
from raydnn.search.packing import stacks_of
from raydnn.search.stages import SEARCH
from raydnn.spec.trial import TrialSpec
from raydnn.store.commit import commit_epochs
from raydnn.store.run import Run, create_run


def test_it_is_renewed_by_an_epoch_that_is_new_for_the_stack(tmp_path: Path) -> None:
    specs = [TrialSpec.model_validate({"data": "digits", "optimizer": "sgd", "seed": n}) for n in range(4)]
    plans = stacks_of(specs, SEARCH, 2, None, 0, 0)
    run = create_run(str(tmp_path), "r", "", {"metric": "validation_loss", "mode": "min", "job": {}})
    budget = FailureBudget(run, plans)
    assert not budget.renewed(1)
    commit(run, 1, 1, 1)
    assert budget.renewed(1)
    assert not budget.renewed(1)
    assert not budget.renewed(0), "another stack's epoch"
    commit(run, 1, 2, 1)
    assert not budget.renewed(1), "the same epoch once more"
    commit(run, 1, 2, 2)
    assert budget.renewed(1)


def commit(run: Run, stack: int, attempt: int, epoch: int) -> None:
    commit_epochs(run, stack, attempt, [{"trial_id": "t00002", "epoch": epoch, "step": epoch}])

"""The probe: its costs are those of the stack's parts, and it leaves nothing behind."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from raydnn.data.load import load_dataset
from raydnn.machine import free_disk_bytes, free_memory_bytes
from raydnn.search.packing import StackPlan
from raydnn.spec.trial import TrialSpec
from raydnn.training.measures import probe as probing
from raydnn.training.measures.probe import probe
from raydnn.training.steps.passes import Passes

CPU = torch.device("cpu")


@pytest.mark.parametrize("batch_size", [16, "full"])
def test_a_probe_tells_what_a_stack_is_and_costs(
    make_trial: Callable[..., TrialSpec],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    batch_size: int | str,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    trial = make_trial(train={"batch_size": batch_size, "diagnostics": True})
    dataset = load_dataset(trial.data).to(CPU)
    found = probe(StackPlan(0, tuple((number, trial) for number in range(9))), dataset, CPU)
    assert found.steps == (8 if batch_size == 16 else 1)
    assert found.parameters == 6 * 8 + 8 + 8 * 7 + 7 + 7 * 3 + 3
    assert found.cost.parts == 1
    assert 0 < found.cost.epoch_seconds(1) <= found.cost.epoch_seconds(9) < 10
    assert found.cost.start_seconds > 0
    assert found.rows_bytes > 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("epochs", "captured"), [(100, True), (1, False)])
def test_steps_are_timed_as_training_would_run_them(
    make_trial: Callable[..., TrialSpec], monkeypatch: pytest.MonkeyPatch, epochs: int, captured: bool
) -> None:
    """Captured where there are enough of them; the first ones, in which kernels are loaded, are not timed."""
    timed: list[bool] = []
    seconds = probing._training_seconds

    def note(passes: Passes, steps: int) -> float:
        begun = passes._replay is not None
        found = seconds(passes, steps)
        timed.append(begun)
        return found

    monkeypatch.setattr(probing, "_training_seconds", note)
    trial = make_trial(train={"epochs": epochs})
    probing.probe(StackPlan(0, ((0, trial),)), load_dataset(trial.data), CPU)
    # Twice, for many members and for few: two of the first steps, then a warm-up and three that count.
    assert timed == [False, captured, False, captured, captured, captured] * 2


def test_what_the_machine_has_left(tmp_path: Path) -> None:
    assert free_disk_bytes(tmp_path / "not" / "there") == pytest.approx(free_disk_bytes(tmp_path), rel=0.1)
    free = free_memory_bytes()
    assert free is None or free > 2**20

"""What is added behind a seam is trained as all else is: stacked, dropped from stacks, resumed, by two workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from raydnn.data.inputs import Inputs
from raydnn.data.load import load_dataset
from raydnn.nn.models.registry import MODELS, architecture
from raydnn.optim.optimizers.registry import OPTIMIZERS
from raydnn.search.packing import StackPlan
from raydnn.spec.job import Training
from raydnn.spec.trial import TrialSpec
from raydnn.store.read import read
from raydnn.store.run import Run, create_run
from raydnn.training.checkpoint import load_checkpoint
from raydnn.training.session import run_stack
from raydnn.training.stack.footprint import footprint
from raydnn.training.stack.member import Member
from raydnn.training.stack.summary import summarize
from raydnn.training.verdict import Verdict
from raydnn.training.workers import Workers

HERE = Path(__file__).parent
CPU = torch.device("cpu")
COLUMNS = ["epoch", "train_loss", "validation_loss", "validation_accuracy", "grad_norm"]


@pytest.fixture(autouse=True)
def grown(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The toys take the places of `mlp` and `rmsprop`: an entry in a table each."""
    monkeypatch.syspath_prepend(HERE)
    import growing  # type: ignore[import-not-found]

    monkeypatch.setitem(MODELS, "mlp", growing.gated)
    monkeypatch.setitem(OPTIMIZERS, "rmsprop", growing.AVERAGING)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _trial(**fields: Any) -> TrialSpec:
    given = {
        "data": {"name": "digits", "validation": 1500, "scaling": "unit"},
        "model": {"name": "mlp", "widths": [12]},
        "train": {"epochs": 3, "batch_size": 17},
        **fields,
    }
    return TrialSpec.from_training(Training.model_validate(given))


def _trials() -> list[TrialSpec]:
    """Members that mix optimizers, dropout, penalties and seeds; one of them clips."""
    clipped = {"epochs": 3, "batch_size": 17, "clip": {"name": "per_layer", "max_grad_norm": 0.5}}
    return [
        _trial(optimizer={"name": "sgd", "lr": 0.3}, regularization={"dropout": 0.3}),
        _trial(
            optimizer={"name": "sgd", "lr": 0.1, "momentum": 0.9},
            regularization={"l2": 0.01, "max_norm": 1.0},
        ),
        _trial(optimizer={"name": "rmsprop", "lr": 0.2}, seed=3),
        _trial(optimizer={"name": "rmsprop", "lr": 0.1}, train=clipped, regularization={"prune": 0.5}),
    ]


class _DiedError(BaseException):
    """Ends a session between two epochs."""


def _train(folder: Path, name: str, trials: Sequence[tuple[int, TrialSpec]], dies_at: int = 0) -> Run:
    run = create_run(str(folder), name, "", {"metric": "validation_loss", "mode": "min"})

    def session(dies: int) -> None:
        def judge(epoch: int, _: Sequence[Member]) -> Mapping[int, Verdict]:
            if epoch == dies:
                raise _DiedError
            return {}

        plan = StackPlan(0, tuple(trials))
        run_stack(run, plan, scheduler="none", judge=judge, workers=Workers(), device=CPU)

    if dies_at:
        with pytest.raises(_DiedError):
            session(dies_at)
    session(0)
    return run


def _rows(run: Run, trial_id: str | None = None) -> list[dict[str, Any]]:
    rows = read(run.location, "epochs").select(["trial_id", *COLUMNS]).to_pylist()
    return [{name: row[name] for name in COLUMNS} for row in rows if trial_id in (None, row["trial_id"])]


def test_a_stack_of_a_new_layer_and_a_new_optimizer_trains_what_each_member_trains_alone(
    tmp_path: Path,
) -> None:
    trials = list(enumerate(_trials()))
    together = _train(tmp_path, "together", trials)
    for number, trial in trials:
        alone = _train(tmp_path, f"alone-{number}", [(number, trial)])
        found, expected = _rows(together, f"t{number:05d}"), _rows(alone)
        assert len(expected) == 3
        assert expected[-1]["train_loss"] < expected[0]["train_loss"]
        for row, wanted in zip(found, expected, strict=True):
            assert row == pytest.approx(wanted, rel=1e-5)


def test_a_resumed_stack_ends_where_an_uninterrupted_one_ends(tmp_path: Path) -> None:
    trials = list(enumerate(_trials()))
    whole, broken = _train(tmp_path, "whole", trials), _train(tmp_path, "broken", trials, dies_at=2)
    assert _rows(broken) == _rows(whole)
    for number, _ in trials:
        weights, again = (
            load_checkpoint(run.location / "checkpoints" / f"t{number:05d}")[0] for run in (whole, broken)
        )
        assert set(weights) >= {f"layers.{k}.{name}" for k in (0, 1) for name in ("weight", "gate", "bias")}
        assert all(torch.equal(again[name], tensor) for name, tensor in weights.items())


WORKER = """
import json, sys
sys.path.insert(0, sys.argv[1])
import growing
import torch
from raydnn.nn.models.registry import MODELS
from raydnn.optim.optimizers.registry import OPTIMIZERS
from raydnn.search.packing import StackPlan
from raydnn.spec.trial import TrialSpec
from raydnn.store.storage.files import locate
from raydnn.store.run import run_at
from raydnn.training.session import run_stack
from raydnn.training.workers import Workers

MODELS["mlp"], OPTIMIZERS["rmsprop"] = growing.gated, growing.AVERAGING
rank, rendezvous, run, trials = int(sys.argv[2]), *sys.argv[3:]
torch.set_num_threads(1)
torch.distributed.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
plan = StackPlan(0, tuple((number, TrialSpec.from_json(text)) for number, text in json.loads(trials)))
run_stack(
    run_at(locate(run)), plan,
    scheduler="none", judge=lambda *_: {}, workers=Workers(rank, 2), device=torch.device("cpu"),
)
torch.distributed.destroy_process_group()
"""


def test_two_workers_train_what_one_trains(tmp_path: Path) -> None:
    trials = list(enumerate(_trials()))
    one = _train(tmp_path, "one", trials)
    two = create_run(str(tmp_path), "two", "", {"metric": "validation_loss", "mode": "min"})
    texts = json.dumps([(number, trial.config_json) for number, trial in trials])
    processes = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                WORKER,
                str(HERE),
                str(rank),
                str(tmp_path / "rendezvous"),
                two.uri,
                texts,
            ],
            env={**os.environ, "GLOO_SOCKET_IFNAME": "lo"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        messages = [process.communicate(timeout=120)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(messages)
    for row, wanted in zip(_rows(two), _rows(one), strict=True):
        assert row == pytest.approx(wanted, rel=2e-5)


def test_a_new_layer_is_summarized_and_estimated_by_what_it_says() -> None:
    trial = _trials()[0]
    summary = summarize(trial)
    assert [(each.name, each.shape, each.parameters) for each in summary.layers] == [
        ("layers.0", (12,), 2 * 12 * 64 + 12),
        ("layers.1", (10,), 2 * 10 * 12 + 10),
    ]
    dataset = load_dataset(trial.data).to(CPU)
    assert footprint([trial] * 20, dataset) > 10 * footprint([trial], dataset)
    assert architecture(trial, Inputs((8, 8)), 10).layout.count == summary.parameters

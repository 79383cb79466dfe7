"""`raydnn plan`: what it says of small jobs, what it refuses, and what it must not import."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

JOB = """
name: small
data: digits
model: {widths: [8]}
optimizer: sgd
search:
  scheduler: {name: asha, min_epochs: 1, max_epochs: 9, eta: 3}
  trials: 12
  stack: 4
  space:
    optimizer.lr: loguniform(1e-3, 1)
    train.batch_size: [256, 512]
"""


@pytest.fixture
def job(tmp_path: Path) -> str:
    path = tmp_path / "job.yaml"
    path.write_text(JOB)
    threads = torch.get_num_threads()
    yield str(path)
    torch.set_num_threads(threads)


@pytest.mark.parametrize(
    "arguments",
    [["plan", "--help"], ["plan", "{job}", "optimizer=nonsense"], ["results", "replay", "--help"]],
)
def test_help_and_errors_are_light(job: str, arguments: list[str]) -> None:
    code = (
        "import sys\nfrom raydnn.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('torch', 'ray', 'matplotlib') if name in sys.modules])"
    )
    given = [argument.format(job=job) for argument in arguments]
    done = subprocess.run([sys.executable, "-c", code, *given], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_sweep_is_planned_and_nothing_is_written(cli, job: str, tmp_path: Path) -> None:
    storage = tmp_path / "results"
    outcome = cli("plan", job, f"storage={storage}", "-o", "json")
    assert outcome.code == 0, outcome.err
    plan = json.loads(outcome.out)
    assert (plan["trials"], plan["generations"], plan["epochs_at_most"]) == (12, 1, 108)
    assert sum(shape["trials"] for shape in plan["shapes"]) == 12
    assert {shape["steps_per_epoch"] for shape in plan["shapes"]} == {6, 3}
    assert {shape["parameters"] for shape in plan["shapes"]} == {64 * 8 + 8 + 8 * 10 + 10}
    assert {shape["operations"] for shape in plan["shapes"]} == {64 * 8 + 8 * 10}
    assert plan["rungs"][0]["epoch"] == 1
    assert plan["rungs"][0]["trials"] == 12
    assert 12 <= plan["epochs"] < 108
    assert plan["seconds_between"][0] <= plan["seconds"] <= plan["seconds_between"][1]
    assert plan["disk_bytes"] > 0
    assert plan["memory_bytes"] > plan["stack_memory_bytes"] > 100 * 2**20
    assert not storage.exists()


def test_more_slots_take_less_time(cli, job: str) -> None:
    more = ["search.trials=200", "search.scheduler=none", "train.epochs=50"]
    one, ten = (
        json.loads(cli("plan", job, *more, "--slots", slots, "-o", "json").out) for slots in ("1", "10")
    )
    assert one["rungs"] == ten["rungs"] == []
    assert one["epochs"] == ten["epochs"] == one["epochs_at_most"] == 200 * 50
    assert ten["training_seconds"] / ten["load"] < one["training_seconds"] / one["load"] / 3


def test_an_algorithm_that_learns_is_planned_by_generations(cli, job: str) -> None:
    outcome = cli("plan", job, "search.algorithm={name: tpe, startup: 6, batch: 3}", "-o", "json")
    plan = json.loads(outcome.out)
    assert (plan["trials"], plan["generations"]) == (12, 3)


def test_a_training_is_planned(cli, tmp_path: Path) -> None:
    path = tmp_path / "training.yaml"
    path.write_text("name: one\ndata: digits\noptimizer: sgd\ntrain: {epochs: 3, batch_size: 512}\n")
    plan = json.loads(cli("plan", str(path), "-o", "json").out)
    assert (plan["trials"], plan["stacks"], plan["epochs"], plan["steps"]) == (1, 1, 3, 9)


def test_the_table_tells_what_is_assumed(cli, job: str) -> None:
    outcome = cli("plan", job)
    for name in ("time", "between", "memory", "disk", "assumed", "shapes", "rungs"):
        assert name in outcome.out


THEIRS = """
import torch
from torch import nn

class Scaled(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.dense = nn.Linear(inputs, outputs)
        self.gain = nn.Parameter(torch.ones(outputs))

    def forward(self, x):
        return self.gain * self.dense(x)
"""


def test_what_no_type_tells_of_a_users_module_is_said_once(
    cli, job: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "planned_theirs.py").write_text(THEIRS)
    monkeypatch.syspath_prepend(tmp_path)
    theirs = tmp_path / "theirs.yaml"
    theirs.write_text(JOB.replace("{widths: [8]}", "{name: module, path: 'planned_theirs:Scaled'}"))
    outcome = cli("plan", str(theirs))
    assert outcome.code == 0, outcome.err
    assert outcome.err.count("planned_theirs:Scaled: no type of torch's tells what gain does") == 1
    assert "no type of torch's" not in cli("plan", job).err


def test_what_cannot_fit_is_refused(cli, job: str, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = cli("plan", job, "resources.cpus_per_worker=10000")
    assert outcome.code == 4
    assert "10000 CPU" in outcome.err
    monkeypatch.setattr("raydnn.machine.free_memory_bytes", lambda: 2**20)
    outcome = cli("plan", job)
    assert outcome.code == 4
    assert "memory:" in outcome.err
    assert "search.stack" in outcome.err
    monkeypatch.undo()
    monkeypatch.setattr("raydnn.machine.free_disk_bytes", lambda _: 10)
    outcome = cli("plan", job)
    assert outcome.code == 5
    assert "results: about" in outcome.err

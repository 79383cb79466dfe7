"""The benchmarks at tiny sizes: a change of the package's surface must not break them unnoticed."""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from raydnn.data.in_memory import InMemory
from raydnn.data.inputs import Inputs
from raydnn.nn.models.registry import architecture

HERE = Path(__file__).parent
FRAMEWORKS = ("skorch", "accelerate", "lightning", "keras")


@pytest.fixture(autouse=True)
def _as_scripts() -> Iterator[None]:
    """Modules of this folder are found as they are when one of them is started; threads are put back."""
    threads = torch.get_num_threads()
    sys.path.insert(0, str(HERE))
    import_module("loops").SECONDS = 0.0
    yield
    sys.path.remove(str(HERE))
    torch.set_num_threads(threads)


def test_training_and_its_table() -> None:
    rows = import_module("training").measure(2, None, (32,), 64, ("plain", "data-loader"))
    assert [len(row.ratios) for row in rows] == [2, 2]
    part = {"machine": import_module("measuring").machine(), "rows": [row.to_json() for row in rows]}
    told = import_module("table").report({"One training": json.loads(json.dumps(part))})
    assert "at least 1.4: " in told
    assert told.count("\n| ") == 4


@pytest.mark.parametrize("name", ["cnn", pytest.param("resnet-20", marks=pytest.mark.slow)])
def test_networks(name: str) -> None:
    networks = import_module("networks")
    (row,) = networks.measure(1, None, (name,), 1)
    assert len(row.ratios) == 1
    plain, model, shape, *_ = networks.WORK[name]
    trial = networks.TrialSpec.from_training(
        networks.Training.model_validate({"data": "digits", "optimizer": "sgd", "model": model})
    )
    ours = architecture(trial, Inputs(shape), 10)
    assert ours.layout.count == sum(parameter.numel() for parameter in plain().parameters())


def test_a_peer_that_is_not_installed_stays_in_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skorch", None)
    (row,) = import_module("training").measure(1, None, (32,), 32, ("skorch",))
    part = {"machine": import_module("measuring").machine(), "rows": [row.to_json()]}
    assert "| not installed |" in import_module("table").report({"One training": part})


@pytest.mark.slow
@pytest.mark.parametrize("peer", FRAMEWORKS)
def test_frameworks(peer: str) -> None:
    (row,) = import_module("training").measure(1, None, (32,), 64, (peer,))
    assert row.absent or row.theirs[0] > 0


@pytest.mark.slow
@pytest.mark.ray
def test_ray_train() -> None:
    (row,) = import_module("training").measure(1, None, (32,), 64, ("ray-train",))
    assert row.theirs[0] > 0


def test_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = import_module("shapes")
    monkeypatch.setattr(shapes, "TRIALS", 3)
    monkeypatch.setattr(shapes, "EPOCHS", 1)
    rows = shapes.measure(1, None)
    assert [row.key for row in rows] == [
        f"shapes/{o}/{peer}" for o in ("sgd", "adamw") for peer in ("torch", "apart")
    ]
    assert all(row.ratios[0] > 0 for row in rows)
    assert "a stack a shape (3 instead of 1)" in rows[1].peer


def test_stacks_and_their_picture(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stacks = import_module("stacks")
    monkeypatch.setattr(stacks, "SIDE", 64)
    monkeypatch.setattr(stacks, "REFERENCE_EXAMPLES", 64)
    monkeypatch.setattr(stacks, "OF_PEAK", (("reference", stacks.ONE, 2),))
    rows = [row.to_json() for row in stacks.measure(1, None, (1, 3), (2,))]
    assert sum(row["share"] for row in rows) == 1
    import_module("plot").draw(rows, tmp_path / "stacks.png")
    assert (tmp_path / "stacks.png").stat().st_size < 100_000


def test_the_reference_by_torch_its_table_and_its_picture(tmp_path: Path) -> None:
    reference = import_module("reference")
    dataset = replace(
        import_module("loops").reference_data(None, 64), validation=_examples(32), test=_examples(16)
    )
    found = reference.by_torch(dataset, ["train.epochs=2", "seed=1"])
    assert [len(found[name]) for name in ("validation_loss", "validation_accuracy")] == [2, 2]
    assert 0 <= found["test_accuracy"] <= 1
    curves = {"train_loss": [1.0, 0.5], "train_accuracy": [0.5, 0.75], **found}
    examples = {"train": 64, "validation": 32, "test": 16}
    measured = {"examples": examples, "raydnn": [curves], "torch": [found]}
    told = import_module("reference_table").numbers(measured)
    assert "| train accuracy | 64 | 0.7500 [0.7500..0.7500] |  | 0.8811 |" in told
    import_module("reference_plot").draw(measured, tmp_path / "reference.png")
    assert (tmp_path / "reference.png").stat().st_size < 100_000


def _examples(n: int) -> InMemory:
    return InMemory(torch.rand(n, 28, 28), torch.arange(n) % 10)


def test_flops_of_the_reference_network() -> None:
    torch.manual_seed(0)
    layers = [torch.nn.Linear(784, 300), torch.nn.ReLU(), torch.nn.Linear(300, 100), torch.nn.Linear(100, 10)]
    with FlopCounterMode(display=False) as counter:
        torch.nn.Sequential(*layers)(torch.rand(32, 784)).sum().backward()
    found = import_module("stacks").flops_of_example(784, [300, 100, 10])
    assert 32 * found == counter.get_total_flops()


def test_overhead() -> None:
    (row,) = import_module("overhead").measure(1, None, n=2, epochs=4)
    assert set(json.loads(row.notes)) == {"commit_epoch", "save_state", "_table", "verdicts"}
    assert 0 < row.ratios[0] < 1


def test_no_gpu_is_said() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    (row,) = import_module("gpu").measure(1, None)
    assert row.absent == "no GPU"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = import_module("gpu")
    monkeypatch.setattr(gpu, "N", 2)
    monkeypatch.setattr(gpu, "REFERENCE_EXAMPLES", 64)
    assert [row.ratios[0] > 0 for row in gpu.measure(1, None)] == [True] * 4


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder with two digits trials of two epochs, under ASHA."""
    overrides = ["search.trials=2", "search.scheduler.max_epochs=2", "search.space.train.batch_size=64"]
    import_module("work").write_work(HERE.parents[1] / "jobs" / "digits-asha.yaml", overrides, tmp_path)
    return tmp_path


def test_what_memory_is_measured_of(work: Path) -> None:
    memory = import_module("memory")
    memory._train_stack(work)
    memory._train_one(work)


@pytest.mark.parametrize("script", ["sequential_trials", "optuna_trials"])
def test_peers_of_sweeps(script: str, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if script == "optuna_trials":
        pytest.importorskip("optuna")
    monkeypatch.setattr(sys, "argv", [script, str(work)])
    import_module(script).main()
    trained = json.loads((work / "found.json").read_text())["epochs_trained"]
    assert 2 <= trained <= 4 if script == "optuna_trials" else trained == 4


@pytest.mark.slow
@pytest.mark.ray
def test_a_sweep() -> None:
    sweep = import_module("sweep")
    overrides = ("search.trials=2", "search.scheduler=none", "train.epochs=1")
    tiny = sweep.Sweep("tiny", sweep.DIGITS, overrides, peers=("tune-reuse",))
    (row,) = sweep.measure(1, None, "sweep-tiny", tiny)
    assert [found["epochs_trained"] for found in json.loads(row.notes).values()] == [2, 2]


@pytest.mark.slow
@pytest.mark.ray
def test_many_short_trials() -> None:
    many = import_module("many")
    overhead, memory = many.measure(1, None, trials=4 * many.STACK)
    assert overhead.to_json()["ratio"] == overhead.ours[0]
    assert min(memory.ours + memory.theirs) > 50


def test_a_race_with_random_search() -> None:
    search = import_module("search")
    course = replace(search.DIGITS, trials=4, epochs=3)
    rows = search.measure_race(1, None, course, processes=1)
    assert [row.key for row in rows] == [f"search-digits/4/{key}" for key in course.searches]
    for row in rows:
        (found,) = json.loads(row.notes)
        assert row.theirs == (4 * 3.0,)
        assert 0 < row.ours[0] == found["epochs"]
        assert found["reached"] or "not reached in 1 of 1 seeds" in row.what
    fashion = search.measure_race(1, None, search.FASHION, processes=1)
    assert {row.absent for row in fashion} == {"no data; give --data"}


def test_the_better_value_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    search = import_module("search")
    values = iter([{"random": 2.0, "tpe": 1.0, "gp": 3.0}, {"random": 2.0, "tpe": 1.5, "gp": 1.0}])
    monkeypatch.setattr(search, "best_values", lambda seed, fixed: next(values))
    rows = search.measure_best(2, None, processes=1)
    assert [row.to_json()["ratio"] for row in rows] == [1.0, 0.5]
    part = {"machine": import_module("measuring").machine(), "rows": [row.to_json() for row in rows]}
    told = import_module("table").report({"Search": part})
    assert "| better in 2 of 2 | 2 | at least 80%: met |" in told
    assert "| better in 1 of 2 | 2 | at least 80%: **missed** |" in told


def test_parts_are_kept(tmp_path: Path) -> None:
    run = import_module("run")
    path = tmp_path / "measured.json"
    run.keep(path, "stacks", {"rows": [1]})
    run.keep(path, "training", {"rows": [2]})
    assert list(run.keep(path, "stacks", {"rows": [3]}).items()) == [
        ("One training", {"rows": [2]}),
        ("Stacks", {"rows": [3]}),
    ]
    targets = tomllib.loads((HERE / "targets.toml").read_text())
    assert {key.partition("/")[0] for key in targets} <= set(run.PARTS)

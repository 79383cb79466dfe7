"""A source that keeps nothing: its examples are computed from their numbers whenever they are asked for.

It is added behind the seam alone, registered under its name, and trained with: stacked, resumed, evaluated, measured,
captured or not, in pieces, with one worker and two. Its numbers are those of the same examples in memory.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from sessions import run_workers
from torch import Tensor

from raydnn.data.batches import order
from raydnn.data.dataset import Dataset
from raydnn.data.examples import Examples, Labels
from raydnn.data.in_memory import InMemory
from raydnn.data.load import load_dataset, read_dataset
from raydnn.data.preparation import Preparation
from raydnn.data.scaling import ScalingState
from raydnn.data.sources.registry import SOURCES
from raydnn.launch.worker.shared_dataset import share
from raydnn.search.packing import StackPlan
from raydnn.spec.data import DataSet
from raydnn.spec.job import Training
from raydnn.spec.trial import TrialSpec
from raydnn.store.read import read
from raydnn.store.run import Run, create_run, run_at
from raydnn.store.storage.files import locate
from raydnn.training.checkpoint import load_checkpoint
from raydnn.training.loop import train
from raydnn.training.measures.probe import probe
from raydnn.training.session import run_stack
from raydnn.training.stack.member import Member
from raydnn.training.stack.stack import Stack
from raydnn.training.stack.summary import summarize
from raydnn.training.steps import passes
from raydnn.training.verdict import Verdict
from raydnn.training.workers import Workers

CPU = torch.device("cpu")
EPOCHS = 3
SHAPE = (4, 5)
CLASSES = 3


@dataclass(frozen=True)
class Computed:
    """Examples of pictures whose pixels are remainders, exact in float32 however many are computed at once."""

    begin: int
    count: int
    weighted: bool = False
    why_eager: str = ""
    device: torch.device | str = "cpu"

    features = SHAPE
    target_shape: tuple[int, ...] = ()
    memory_bytes = 0

    def __len__(self) -> int:
        return self.count

    def to(self, device: torch.device | str) -> Computed:
        return Computed(self.begin, self.count, self.weighted, self.why_eager, device)

    def order(self, seed: int, epoch: int) -> Tensor:
        return order(seed, epoch, self.count)

    def batch(self, rows: Tensor) -> tuple[Tensor, Labels]:
        numbers = rows + self.begin
        pixels = torch.arange(1, 21, device=self.device).view(SHAPE)
        inputs = (numbers[..., None, None] * pixels % 17).float() / 8 - 1
        targets = numbers % 17 * CLASSES // 17
        weights = (numbers % 4).float() / 4 + 0.5
        return inputs, Labels(targets, weights if self.weighted else None)

    def chunks(self, size: int, rank: int = 0, workers: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
        for rows in torch.arange(rank, self.count, workers, device=self.device).split(size):
            if len(rows):
                inputs, labels = self.batch(rows)
                yield inputs, labels.targets


def in_memory(examples: Computed) -> InMemory:
    """The same examples, kept."""
    inputs, labels = examples.batch(torch.arange(examples.count))
    return InMemory(inputs, *labels)


def computed(spec: DataSet) -> Dataset:
    """The source: 120 training, 30 validation and 31 test examples; the seed of the split says what is odd."""
    scaling = ScalingState("none", torch.zeros(()), torch.ones(()))
    odd = {"weighted": spec.split_seed == 1, "why_eager": "they are computed" if spec.split_seed == 2 else ""}
    return Dataset(
        Computed(0, 120, **odd),
        Computed(200, 30),
        Computed(300, 31),
        Preparation("classification", SHAPE, scaling, CLASSES),
    )


def kept(spec: DataSet) -> Dataset:
    """The same data set in memory."""
    found = computed(spec)
    parts: dict[str, Any] = {name: in_memory(part) for name, part in found.parts.items()}  # type: ignore[arg-type]
    return Dataset(**parts, preparation=found.preparation)


FORMS = {"computed": computed, "kept": kept}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Makes one of FORMS the source of a name that specs know."""

    def register(form: str) -> None:
        read_dataset.cache_clear()
        monkeypatch.setitem(SOURCES, "digits", FORMS[form])

    yield register
    read_dataset.cache_clear()


def trial(split_seed: int = 0, *, train: Mapping[str, Any] | None = None, **fields: Any) -> TrialSpec:
    given = {
        "data": {"name": "digits", "split_seed": split_seed},
        "model": {"name": "mlp", "widths": [8, 7]},
        "activation": "tanh",
        "optimizer": {"name": "sgd", "lr": 0.05},
        "train": {"epochs": EPOCHS, "batch_size": 17, **(train or {})},
        **fields,
    }
    return TrialSpec.from_training(Training.model_validate(given))


AUGMENTED = {"flip": 0.5, "rotate": 15.0, "translate": 1, "mixup": 0.4}
EXACT = {"name": "batch_norm", "inputs": True, "exact_statistics": True}
STACKS = {
    "mixed": [
        trial(seed=1, regularization={"dropout": 0.2}, train={"diagnostics": True}),
        trial(seed=2, optimizer="adam"),
        trial(seed=2, optimizer="adam", activation="relu"),
    ],
    "one seed": [trial(optimizer={"name": "sgd", "lr": lr}) for lr in (0.05, 0.1)],
    "weighted": [trial(1, train={"accumulate": 3, "class_weights": "balanced"})],
    "eager": [trial(2, seed=seed, train={"batch_size": 5}) for seed in (1, 2)],
    "captured": [trial(seed=seed, train={"batch_size": 5, "augmentation": AUGMENTED}) for seed in (1, 2)],
    "augmented": [trial(seed=seed, train={"augmentation": AUGMENTED}) for seed in (1, 2)],
    "statistics": [
        trial(normalization=normalization) for normalization in (EXACT, {**EXACT, "momentum": 0.5})
    ],
    "triplet": [trial(loss="triplet"), trial(loss="triplet", seed=3)],
    "full": [trial(train={"batch_size": "full"})],
}
CLOCK = {"seconds", "examples_per_second", "started_at", "ended_at", "committed_at", "attempt", "attempts"}


def plan_of(name: str) -> StackPlan:
    return StackPlan(0, tuple(enumerate(STACKS[name])))


def train_it(run: Run, plan: StackPlan, workers: Workers | None = None, give_way: int = 0) -> None:
    """Train a stack; it gives way once after epoch `give_way`, and its first member stops after the second."""

    def judge(epoch: int, members: Sequence[Member]) -> Mapping[int, Verdict] | None:
        if epoch == give_way:
            return None
        return {0: Verdict(epoch == 2 and len(plan.trials) > 1, 0)}

    run_stack(run, plan, scheduler="asha", judge=judge, workers=workers or Workers(), device=CPU)


def new_run(folder: Path, name: str) -> Run:
    return create_run(str(folder), name, "", {"metric": "validation_loss", "mode": "min"})


def measured(run: Run) -> dict[str, Any]:
    """All that a run measured, and the weights of what it finished."""
    found: dict[str, Any] = {
        table: [
            {name: value for name, value in row.items() if name not in CLOCK | {"run_id"}}
            for row in read(run.location, table).to_pylist()
        ]
        for table in ("epochs", "layers", "trials")
    }
    names = [Path(row["checkpoint"]).name for row in found["trials"] if row["checkpoint"]]
    found["weights"] = {
        name: {
            key: tensor.tolist()
            for key, tensor in load_checkpoint(run.location / "checkpoints" / name)[0].items()
        }
        for name in names
    }
    return found


@pytest.mark.parametrize("name", STACKS)
def test_it_is_trained_with_as_if_it_were_in_memory(
    name: str,
    registered: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(passes, "STEPS_BEFORE_CAPTURE", 3)
    capture, captured = passes.capture, []

    def noted(*arguments: Any) -> Any:
        result, replay = capture(*arguments)
        captured.append(replay is not None)
        return result, replay

    monkeypatch.setattr(passes, "capture", noted)
    found = {}
    for form in FORMS:
        registered(form)
        with caplog.at_level(logging.INFO):
            caplog.clear()
            run = new_run(tmp_path, form)
            train_it(run, plan_of(name))
        found[form] = measured(run)
        told = [record.getMessage() for record in caplog.records]
        eager = name == "eager" and form == "computed"
        assert any(text == "steps are not captured: they are computed" for text in told) == eager
    assert found["computed"] == found["kept"]
    assert all(captured)
    assert captured or name == "full"
    assert len(found["computed"]["epochs"]) == EPOCHS * len(STACKS[name]) - (len(STACKS[name]) > 1)
    assert found["computed"]["weights"]
    losses = [row["train_loss"] for row in found["computed"]["epochs"] if row["trial_id"] == "t00000"]
    assert losses[0] != losses[-1]


def test_it_is_taken_up_again_where_it_was_left(registered: Any, tmp_path: Path) -> None:
    registered("computed")
    runs = [new_run(tmp_path, name) for name in ("whole", "left")]
    train_it(runs[0], plan_of("mixed"))
    train_it(runs[1], plan_of("mixed"), give_way=1)
    assert {row["state"] for row in read(runs[1].location, "trials").to_pylist()} == {"RUNNING"}
    read_dataset.cache_clear()
    train_it(runs[1], plan_of("mixed"))
    assert measured(runs[1]) == measured(runs[0])


def test_it_is_trained_with_in_pieces() -> None:
    rows = []
    for form in FORMS.values():
        trials = STACKS["mixed"]
        dataset = form(trials[0].data)
        stack = Stack([Member(n, each) for n, each in enumerate(trials)], dataset, Workers(), CPU, pieces=3)
        _, found = next(train(stack, dataset, 1))
        rows.append([{k: v for k, v in row.items() if k not in CLOCK} for row in found])
    assert rows[0] == rows[1]


def work(workers: Workers, *runs: str) -> None:
    """What one of two worker processes does: it trains FORM:STACK:URI after FORM:STACK:URI."""
    for form, name, uri in (each.split(":", 2) for each in runs):
        read_dataset.cache_clear()
        SOURCES["digits"] = FORMS[form]
        train_it(run_at(locate(uri)), plan_of(name), workers)


def test_two_workers_share_it(registered: Any, tmp_path: Path) -> None:
    names = ("mixed", "augmented", "statistics", "triplet")
    runs = {
        (form, name): new_run(tmp_path, f"{form}-{names.index(name)}") for form in FORMS for name in names
    }
    given = [f"{form}:{name}:{run.uri}" for (form, name), run in runs.items()]
    here = str(Path(__file__).parent)
    work = (
        f"import sys; sys.path.insert(0, {here!r}); import test_growth; test_growth.work(workers, *arguments)"
    )
    run_workers(work, *given)
    registered("computed")
    for name in names:
        found = measured(runs["computed", name])
        assert found == measured(runs["kept", name])
        if name != "triplet":  # each worker seeks in its own share of a batch
            alone = new_run(tmp_path, f"alone-{names.index(name)}")
            train_it(alone, plan_of(name))
            for row, expected in zip(found["epochs"], measured(alone)["epochs"], strict=True):
                assert row["validation_loss"] == pytest.approx(expected["validation_loss"], rel=2e-5)


def test_its_facts_are_told_and_it_is_handed_over(registered: Any) -> None:
    registered("computed")
    spec = STACKS["one seed"][0]
    summary = summarize(spec)
    assert summary.examples == {"train": 120, "validation": 30, "test": 31}
    assert summary.parameters == 20 * 8 + 8 + 8 * 7 + 7 + 7 * 3 + 3
    dataset = load_dataset(spec.data)
    counts = dataset.class_counts
    assert counts is not None
    assert counts.tolist() == torch.bincount(in_memory(Computed(0, 120)).targets).tolist()
    shared = share(spec.data, dataset)
    assert shared is not None
    assert shared.dataset is dataset


def test_a_probe_times_it(registered: Any) -> None:
    registered("computed")
    plan = plan_of("one seed")
    found = probe(plan, load_dataset(plan.trials[0][1].data), CPU)
    assert found.steps == 8
    assert found.cost.epoch_seconds(2) > 0


def test_it_is_all_that_the_seam_asks_for() -> None:
    examples: Examples = Computed(0, 5)
    asked = {name for name in vars(Examples) if not name.startswith("_")} | {"__len__"}
    assert asked <= set(dir(examples))

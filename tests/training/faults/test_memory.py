"""Memory that runs out: batches go in smaller pieces, the training ends as it would have, no step is made twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pretend_device import GPU, PretendDevice, training_on

from raydnn.analysis.course import memory_lacked
from raydnn.data.examples import Labels
from raydnn.data.load import load_dataset
from raydnn.errors import RaydnnError
from raydnn.search.packing import StackPlan
from raydnn.spec.trial import TrialSpec
from raydnn.store.read import read
from raydnn.store.run import Run
from raydnn.training.faults.memory import depends_on_batch, is_out_of_memory
from raydnn.training.loop import train
from raydnn.training.measures import evaluation
from raydnn.training.session import run_stack
from raydnn.training.stack.member import Member
from raydnn.training.stack.stack import Stack
from raydnn.training.steps import passes
from raydnn.training.steps.batch import Batch, in_pieces
from raydnn.training.steps.gradients import Outcome
from raydnn.training.workers import Workers

CPU = torch.device("cpu")
LOSSES = ("train_loss", "validation_loss", "grad_norm")
MEMBERS: list[list[dict[str, Any]]] = [
    [{}],
    [{"optimizer": {"name": "adam", "lr": 0.01}, "train": {"accumulate": 2}}],
    [{"seed": 1}, {"seed": 2, "optimizer": {"name": "sgd", "lr": 0.05, "momentum": 0.9}}],
    [{"train": {"augmentation": {"mixup": 0.4}}, "regularization": {"l2": 0.01}}],
    [{"train": {"batch_size": "full"}}],
]

Make = Callable[..., TrialSpec]
NewRun = Callable[..., Run]


def _train(run: Run, trials: list[TrialSpec]) -> None:
    plan = StackPlan(0, tuple(enumerate(trials)))
    run_stack(run, plan, scheduler="none", judge=lambda *_: {}, workers=Workers(), device=CPU)


def _curves(run: Run) -> list[list[float]]:
    return [[row[name] for name in LOSSES] for row in read(run.location, "epochs").to_pylist()]


def _events(run: Run) -> list[dict[str, Any]]:
    rows = read(run.location, "events").to_pylist()
    assert {row["kind"] for row in rows} <= {"out_of_memory"}
    return [json.loads(row["detail"]) for row in rows]


def _lack(monkeypatch: pytest.MonkeyPatch, most: int, error: Exception, after: int = 0) -> list[int]:
    """Let memory be for `most` examples in a pass, and lack only once the gradients are computed and applied."""
    sizes = []
    computed = passes.backpropagate

    def backpropagate(stack: Any, batch: Batch, *arguments: Any, **more: Any) -> Outcome:
        sizes.append(batch.size)
        outcome = computed(stack, batch, *arguments, **more)
        if batch.size > most and len(sizes) > after:
            raise error
        return outcome

    monkeypatch.setattr(passes, "backpropagate", backpropagate)
    return sizes


@pytest.mark.parametrize("after", [0, 12])
@pytest.mark.parametrize("members", MEMBERS)
def test_training_ends_as_with_enough_memory(
    make_trial: Make,
    new_run: NewRun,
    monkeypatch: pytest.MonkeyPatch,
    members: list[dict[str, Any]],
    after: int,
) -> None:
    trials = [make_trial(**fields) for fields in members]
    enough, lacking = new_run("enough"), new_run("lacking")
    _train(enough, trials)
    whole = trials[0].train.batch_of(120)
    after = min(after, 2) if whole == 120 else after
    _lack(monkeypatch, whole // 4, torch.OutOfMemoryError("CUDA out of memory"), after)
    _train(lacking, trials)
    for found, expected in zip(_curves(lacking), _curves(enough), strict=True):
        assert found == pytest.approx(expected, rel=2e-4)
    assert [(event["pieces"], event["exact"]) for event in _events(lacking)] == [(2, True), (4, True)]
    assert [row["state"] for row in read(lacking.location, "trials").to_pylist()] == ["COMPLETED"] * len(
        trials
    )


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("HIP out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."),
        MemoryError(),
    ],
)
def test_three_halvings_are_tried(
    make_trial: Make, new_run: NewRun, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    run = new_run()
    sizes = _lack(monkeypatch, 1, error)
    with pytest.raises(
        RaydnnError, match=f"^memory ran out, even with each batch in 8 pieces: {type(error).__name__}"
    ):
        _train(run, [make_trial()])
    assert sizes == [16, 8, 4, 2]
    assert [event["pieces"] for event in _events(run)] == [2, 4, 8]
    (row,) = read(run.location, "trials").to_pylist()
    assert (row["state"], row["error_type"]) == ("FAILED", type(error).__name__)


def test_what_a_training_needed_it_has_at_once_when_it_goes_on(
    make_trial: Make, new_run: NewRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run()
    sizes = _lack(monkeypatch, 8, MemoryError())

    def interrupted(epoch: int, _members: Any) -> dict[int, Any]:
        if epoch == 2:
            raise SystemExit
        return {}

    trial = make_trial()
    with pytest.raises(SystemExit):
        run_stack(
            run,
            StackPlan(0, ((0, trial),)),
            scheduler="none",
            judge=interrupted,
            workers=Workers(),
            device=CPU,
        )
    del sizes[:]
    _train(run, [trial])
    assert max(sizes) == 8
    assert len(_events(run)) == 1


def test_evaluation_goes_in_pieces_too(
    make_trial: Make, new_run: NewRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    hits = evaluation.hits

    def counting(task: str, outputs: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
        seen.append(len(answers))
        if len(answers) > 20:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return hits(task, outputs, answers)  # type: ignore[arg-type]

    monkeypatch.setattr(evaluation, "hits", counting)
    monkeypatch.setattr(evaluation, "CHUNK", {"cpu": 40})
    run = new_run()
    _train(run, [make_trial()])
    assert seen[0] == 30
    assert max(seen[1:]) == 20
    assert [event["pieces"] for event in _events(run)] == [2]


def test_what_depends_on_the_batchs_size_is_marked(make_trial: Make) -> None:
    assert not depends_on_batch([make_trial(), make_trial(normalization="layer_norm")])
    for fields in (
        {"normalization": "batch_norm"},
        {"regularization": {"input_dropout": 0.1}},
        {"activation": "rrelu"},
        {"loss": {"name": "triplet"}},
        {"model": {"name": "autoencoder", "widths": [5, 3], "noise": 0.1}},
    ):
        assert depends_on_batch([make_trial(), make_trial(**fields)]), fields


def test_a_run_is_marked_where_its_numbers_may_differ(
    make_trial: Make, new_run: NewRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropping = {"regularization": {"dropout": 0.2}}
    for name, fields in (("exact", {}), ("inexact", dropping)):
        run = new_run(name)
        with monkeypatch.context() as patch:
            _lack(patch, 8, torch.OutOfMemoryError("CUDA out of memory"))
            _train(run, [make_trial(**fields)])
        (line,) = memory_lacked(run)
        assert line.startswith("memory: it ran out in stack 0, whose batches then went in 2 pieces")
        assert ("(inexact: " in line) == (name == "inexact")
    assert memory_lacked(new_run("enough")) == []


def test_pieces_on_a_device_are_the_batch(make_trial: Make) -> None:
    trials = [make_trial(seed=seed, optimizer={"name": "adam", "lr": 0.01}) for seed in (1, 2)]

    def rows(pieces: int) -> list[list[float]]:
        dataset = load_dataset(trials[0].data).to(GPU)
        stack = Stack([Member(n, trial) for n, trial in enumerate(trials)], dataset, Workers(), GPU, pieces)
        return [[row[name] for name in LOSSES] for row in next(train(stack, dataset, 1))[1]]

    with PretendDevice() as pretend, training_on(pretend):
        for found, expected in zip(rows(4), rows(1), strict=True):
            assert found == pytest.approx(expected, rel=2e-4)
    assert len(pretend.captures) == 2


def test_other_errors_say_nothing_of_memory() -> None:
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_out_of_memory(ValueError("out of memory"))


@given(st.integers(1, 40), st.sampled_from([1, 2, 4, 8]), st.integers(1, 4), st.booleans())
def test_pieces_are_the_batch(size: int, count: int, workers: int, own: bool) -> None:
    rows = torch.arange(2 * size).view(2, size) if own else torch.arange(size)
    seen = []
    for rank in range(workers):
        mine = rows[..., rank::workers]
        labels = Labels(mine, mine.float())
        inputs = (mine if own else mine.unsqueeze(0))[..., None, None].expand(-1, -1, 2, 3)
        batch = Batch(inputs, labels, labels, torch.tensor(0.5), size)
        pieces = in_pieces(batch, count, Workers(rank, workers))
        assert len(pieces) <= count
        assert sum(piece.size for piece in pieces) == size
        for piece in pieces:
            assert piece.partners is not None
            assert torch.equal(piece.inputs[..., 1, 2], piece.labels.targets.view(len(inputs), -1))
            assert torch.equal(piece.partners.targets.float(), piece.labels.weights)
            assert piece.inputs.shape[1] == len(range(rank, piece.size, workers))
        seen.append([piece.labels.targets for piece in pieces])
        assert torch.equal(torch.cat(seen[-1], dim=-1), mine)
    assert len({len(pieces) for pieces in seen}) == 1

"""Stacks in parts: the rule that cuts them, and that a member's rows are the same however a stack is computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pretend_device import GPU as PRETENDED
from pretend_device import PretendDevice, training_on
from sessions import Died, Judge, dying_at, train_plan

from raydnn.data.load import load_dataset
from raydnn.nn.layers.dense import DenseLayer
from raydnn.nn.models.architecture import Architecture, Chain
from raydnn.search.packing import StackPlan, pack
from raydnn.spec.job import Training
from raydnn.spec.trial import TrialSpec
from raydnn.store.read import read
from raydnn.store.run import Run
from raydnn.training.stack import parts
from raydnn.training.stack.footprint import footprint
from raydnn.training.stack.member import Member
from raydnn.training.stack.parts import (
    MOST_FUSED,
    part_sizes,
    share_of_mixed,
    sizes_that_fit,
    stack_limit,
    step_numbers,
)
from raydnn.training.verdict import Verdict
from raydnn.training.workers import Workers

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def _dense(*widths: int) -> Architecture:
    """Dense layers without biases."""
    layers = [DenseLayer(f"layers.{k}", *fans, bias=False) for k, fans in enumerate(pairwise(widths))]
    return Architecture(widths[:1], tuple(layers), Chain)


TRIAL = TrialSpec.from_training(Training.model_validate({"data": "digits", "optimizer": "sgd"}))
REFERENCE = _dense(784, 300, 100, 10)
DIGITS = _dense(64, 64, 10)
CLOCK = {"seconds", "examples_per_second", "attempt", "committed_at", "run_id", "trial_id"}
"""Columns of time and restarts; the rows' order tells the trial."""


def _sizes(n: int, network: Architecture, device: torch.device = CPU, batch_size: int = 32) -> list[int]:
    return part_sizes(n, step_numbers(network, TRIAL, batch_size), device)


def test_the_rule() -> None:
    assert _sizes(1, REFERENCE) == [1]
    assert _sizes(8, REFERENCE) == [4, 4]
    assert _sizes(9, REFERENCE) == [3, 3, 3]
    assert _sizes(64, DIGITS) == [64]
    assert _sizes(200, DIGITS) == [100, 100]
    assert _sizes(3, _dense(4096, 4096)) == [1, 1, 1]
    assert _sizes(256, REFERENCE, GPU) == [256]


def _on_a_gpu(free: int | None) -> list[int]:
    trials, dataset = [TRIAL] * 64, load_dataset(TRIAL.data)
    return sizes_that_fit(trials, dataset, free, "cuda")


def test_a_gpus_stack_is_cut_where_memory_is_lacking() -> None:
    dataset = load_dataset(TRIAL.data)
    whole = footprint([TRIAL] * 64, dataset, "cuda")
    assert _on_a_gpu(None) == [64]
    assert _on_a_gpu(2 * whole) == [64]
    assert _on_a_gpu(int(0.8 * whole)) == [32, 32]
    assert _on_a_gpu(1) == [1] * 64
    sizes = [len(_on_a_gpu(int(share * whole))) for share in (1.2, 0.9, 0.6, 0.4, 0.3)]
    assert sizes == sorted(sizes), "the less memory, the more parts"
    assert len(set(sizes)) > 2


def test_a_session_asks_what_is_free(
    make_trial: Callable[..., TrialSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    members = [Member(n, make_trial(seed=n)) for n in range(4)]
    dataset = load_dataset(members[0].spec.data)
    with PretendDevice() as pretend, training_on(pretend):
        there = dataset.to(PRETENDED)
        assert [len(part.members) for part in parts.cut(members, there, Workers(), PRETENDED)] == [4]
        monkeypatch.setattr(parts, "free_bytes", lambda _device: 1)
        assert [len(part.members) for part in parts.cut(members, there, Workers(), PRETENDED)] == [1] * 4


def test_free_memory_has_what_torch_holds_in_reserve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (100, 1000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _device: 50)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _device: 20)
    assert parts.free_bytes(GPU) == 130
    assert parts.free_bytes(CPU) is None


@given(n=st.integers(1, 2000), width=st.integers(1, 3000), batch_size=st.integers(1, 4096))
def test_parts_are_balanced_and_hold_every_member(n: int, width: int, batch_size: int) -> None:
    sizes = _sizes(n, _dense(width, width), CPU, batch_size)
    assert sum(sizes) == n
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 1
    assert max(sizes) <= MOST_FUSED


OPTIMIZERS: list[Any] = [
    {"name": "sgd", "lr": 0.1},
    {"name": "sgd", "lr": 0.05, "momentum": 0.9, "nesterov": True},
    *("adam", "adamw", "adamax", "nadam", "radam", "rmsprop", "adagrad", "adadelta", "lion", "muon"),
]
ACTIVATIONS = ["relu", "tanh", "elu", "selu", "gelu", "silu", "mish", "softplus", "sigmoid", "rrelu"]
MIXES = st.fixed_dictionaries(
    {
        "optimizer": st.sampled_from(OPTIMIZERS),
        "activation": st.sampled_from(ACTIVATIONS),
        "schedule": st.sampled_from(["constant", "cosine", "one_cycle", "exponential", "performance"]),
        "init": st.sampled_from(["auto", "orthogonal", "glorot_normal"]),
        "regularization": st.fixed_dictionaries(
            {
                "dropout": st.sampled_from([0.0, 0.3]),
                "l2": st.sampled_from([0.0, 1e-3]),
                "max_norm": st.sampled_from([None, 1.0]),
                "label_smoothing": st.sampled_from([0.0, 0.1]),
            }
        ),
        "seed": st.sampled_from([0, 0, 1]),
    }
)
NORMALIZATIONS = st.sampled_from(["none", "none", "batch_norm", "layer_norm"])


def _assert_close(row: dict[str, Any], wanted: dict[str, Any], rel: float) -> None:
    numbers = {name: value for name, value in wanted.items() if value is not None}
    assert {name: row[name] for name in numbers} == pytest.approx(numbers, rel=rel, abs=1e-5, nan_ok=True)
    assert all(row[name] is None for name in wanted.keys() - numbers.keys())


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_random_mixes_equal_their_members_alone(
    data: st.DataObject, make_trial: Callable[..., TrialSpec], fit: Callable[..., Any]
) -> None:
    normalization = data.draw(NORMALIZATIONS)
    clips = st.sampled_from(["none", {"name": "norm", "max_grad_norm": 0.3}])
    model = {"widths": data.draw(st.sampled_from([[16], [9, 5], [16, 32, 16]]))}
    drawn = data.draw(st.lists(st.tuples(MIXES, clips), min_size=2, max_size=6))
    trials = [
        make_trial(**fields, normalization=normalization, model=model, train={"clip": clip})
        for fields, clip in drawn
    ]
    n = len(trials)
    cut = data.draw(st.integers(0, n - 1))
    leaving = data.draw(st.sets(st.integers(0, n - 1), max_size=n - 1))
    drop = {1: leaving}
    alone = [fit([trial])[0] for trial in trials]
    fused = fit(trials, drop)
    of_first = {1: {k for k in leaving if k < cut}}
    of_second = {1: {k - cut for k in leaving if k >= cut}}
    in_turn = [*(fit(trials[:cut], of_first) if cut else []), *fit(trials[cut:], of_second)]
    for strategy in (fused, in_turn):
        for k, found in enumerate(strategy):
            expected = alone[k].rows[: 1 if k in leaving else None]
            assert len(found.rows) == len(expected)
            for row, wanted in zip(found.rows, expected, strict=True):
                _assert_close(row, wanted, rel=2e-4)


def _stop_some(epoch: int, members: Sequence[Member]) -> Mapping[int, Verdict]:
    return (
        {m.number: Verdict(stop=m.number % 2 == 1, rung=0, bracket=0) for m in members} if epoch == 1 else {}
    )


def _train(run: Run, plan: StackPlan, judge: Judge = _stop_some) -> None:
    train_plan(run, plan, judge, scheduler="asha")


def _rows(run: Run, table: str = "epochs") -> list[dict[str, Any]]:
    return [
        {name: value for name, value in row.items() if name not in CLOCK}
        for row in read(run.location, table).to_pylist()
    ]


def test_in_turn_gives_the_rows_of_fused_and_resumes(
    make_trial: Callable[..., TrialSpec], new_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = [make_trial(optimizer=optimizer, model={"widths": [16]}) for optimizer in OPTIMIZERS[:7]]
    (plan,) = pack(trials, 32)
    fused = new_run("fused")
    _train(fused, plan)
    monkeypatch.setattr(parts, "CACHE_BYTES", 12_000)
    in_turn, killed = new_run("in-turn"), new_run("killed")
    _train(in_turn, plan)
    for row, wanted in zip(_rows(in_turn), _rows(fused), strict=True):
        _assert_close(row, wanted, rel=1e-5)
    strategies = [
        {row["strategy"] for row in read(run.location, "trials").to_pylist()} for run in (fused, in_turn)
    ]
    assert strategies == [{"fused"}, {"in turn"}]

    with pytest.raises(Died):
        _train(killed, plan, dying_at(2, _stop_some))
    _train(killed, plan)
    assert _rows(killed) == _rows(in_turn)


def test_a_stack_is_limited_to_one_part_on_a_cpu(make_trial: Callable[..., TrialSpec]) -> None:
    small, large = (make_trial(model={"widths": [width, width]}) for width in (16, 512))
    dataset = load_dataset(small.data).to(CPU)
    on_cpu, on_gpu = stack_limit(4.0, dataset, 0), stack_limit(4.0, dataset, 1)
    assert on_cpu([small] * 64) == MOST_FUSED
    assert 1 <= on_cpu([large] * 64) < 8
    assert on_gpu([large] * 64) > 64
    assert stack_limit(1e-9, dataset, 1)([small] * 2) == 1


def test_shapes_are_mixed_where_epochs_are_short_and_there_is_no_gpu(
    make_trial: Callable[..., TrialSpec],
) -> None:
    small, often, large = (
        make_trial(model={"widths": [width, width]}, train={"batch_size": size})
        for width, size in ((16, 16), (16, 1), (2048, 16))
    )
    dataset = load_dataset(small.data).to(CPU)
    share = share_of_mixed(dataset, 0)
    assert share is not None
    assert share(small) < 1 / 32
    assert 10 * share(small) < share(often) < 17 * share(small)
    assert share(large) > 0.5
    assert share_of_mixed(dataset, 1) is None

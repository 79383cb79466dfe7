"""Packing: every trial once, equal shapes together, sizes balanced, order fixed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydnn.search.packing import FEW, StackPlan, by_shape, pack, stacks_of
from raydnn.search.stages import Stage, seeded
from raydnn.spec.trial import TrialSpec


def trial(**fields: Any) -> TrialSpec:
    return TrialSpec.model_validate(
        {"data": "digits", "optimizer": "sgd", "init": "he_normal", "loss": "mse"} | fields
    )


def shape(member: TrialSpec) -> tuple[object, ...]:
    train = member.train
    return (
        member.data,
        member.model,
        member.loss.name,
        train.batch_size,
        train.epochs,
        train.checkpoint_every_epochs,
        train.test_time_flips,
    )


trials = st.builds(
    lambda batch, widths, activation, optimizer: trial(
        train={"batch_size": batch}, model={"widths": widths}, activation=activation, optimizer=optimizer
    ),
    st.sampled_from([16, 32]),
    st.sampled_from([[8], [8, 8]]),
    st.sampled_from(["relu", "tanh", "elu"]),
    st.sampled_from(["sgd", "adam"]),
)


@settings(deadline=None)
@given(st.lists(trials, max_size=40), st.integers(1, 12))
def test_every_trial_is_in_one_stack_of_its_shape(given_trials: list[TrialSpec], most: int) -> None:
    stacks = pack(given_trials, most)
    assert [stack.number for stack in stacks] == list(range(len(stacks)))
    members = [member for stack in stacks for member in stack.trials]
    assert sorted(number for number, _ in members) == list(range(len(given_trials)))
    assert all(given_trials[number] is member for number, member in members)
    sizes: dict[tuple[object, ...], list[int]] = {}
    for stack in stacks:
        (key,) = {shape(member) for _, member in stack.trials}
        sizes.setdefault(key, []).append(len(stack.trials))
        names = [(member.optimizer.name, member.activation.name, number) for number, member in stack.trials]
        assert names == sorted(names)
    for found in sizes.values():
        assert max(found) <= most
        assert max(found) - min(found) <= 1
        assert len(found) == -(-sum(found) // most)
    units = [sum(sum(member.model.hidden_widths) for _, member in stack.trials) for stack in stacks]
    assert units == sorted(units, reverse=True)


def test_sizes_are_balanced() -> None:
    assert [len(stack.trials) for stack in pack([trial(seed=k) for k in range(40)], 32)] == [20, 20]


def test_the_largest_stack_comes_first_and_equal_ones_in_order_of_appearance() -> None:
    batches = [64, 16, 32, 32, 16]
    stacks = pack([trial(train={"batch_size": size}) for size in batches], 8)
    assert [[number for number, _ in stack.trials] for stack in stacks] == [[1, 4], [2, 3], [0]]


def test_one_long_stack_of_a_small_group_does_not_come_last() -> None:
    stacks = pack([trial(train={"batch_size": size}) for size in [64] * 34 + [32] * 30], 32)
    assert [len(stack.trials) for stack in stacks] == [30, 17, 17]


@pytest.mark.parametrize(
    "other",
    [
        {"train": {"epochs": 3}},
        {"train": {"checkpoint_every_epochs": 2}},
        {"train": {"test_time_flips": True}},
        {"data": {"name": "digits", "scaling": "unit"}},
        {"loss": "cross_entropy"},
        {"activation": "prelu"},
    ],
)
def test_what_changes_the_loop_splits(other: dict[str, Any]) -> None:
    assert len(pack([trial(), trial(**other)], 8)) == 2


def test_what_leaves_shapes_alone_does_not_split() -> None:
    others = [
        {"seed": 7},
        {"optimizer": {"name": "adam", "lr": 0.1}},
        {"schedule": "cosine"},
        {"init": "zeros"},
        {"regularization": {"dropout": 0.5}},
        {"train": {"clip": "norm", "early_stopping": {}, "class_weights": "balanced"}},
        {"activation": {"name": "rrelu", "lower": 0.2}},
        {"output": "sigmoid"},
    ]
    (stack,) = pack([trial(), *(trial(**other) for other in others)], 16)
    assert isinstance(stack, StackPlan)


def test_parameters_of_a_loss_do_not_split_but_the_outputs_it_needs_do() -> None:
    focal = [{"name": "focal", "gamma": gamma} for gamma in (0.5, 1.0, 2.0, 5.0)]
    assert len(pack([trial(loss=loss) for loss in focal], 8)) == 1
    triplet = [{"name": "triplet", "margin": m, "embedding": e} for m, e in ((1.0, 4), (0.5, 4), (1.0, 8))]
    assert [len(stack.trials) for stack in pack([trial(loss=loss) for loss in triplet], 8)] == [2, 1]


def test_a_stack_holds_at_least_one() -> None:
    with pytest.raises(ValueError, match="at most 0"):
        pack([trial()], 0)


def test_what_does_not_change_the_graph_shares_a_stack() -> None:
    batch = {"name": "batch_norm"}
    alike = [
        trial(normalization={**batch, "momentum": 0.3, "eps": 0.1, "exact_statistics": True}),
        trial(normalization=batch, model={"layers": 2, "width": 64}),
    ]
    others = [
        trial(normalization={**batch, "position": "after_activation"}),
        trial(normalization={**batch, "inputs": True}),
        trial(normalization="layer_norm"),
        trial(normalization="group_norm"),
        trial(normalization={"name": "group_norm", "groups": 2}),
        trial(model={"name": "residual_mlp", "blocks": 1, "width": 64}),
        trial(model={"widths": [64, 64, 64]}),
        trial(),
    ]
    stacks = pack([*alike, *others], 10)
    assert [len(stack.trials) for stack in stacks] == [2] + [1] * len(others)


def test_members_of_a_module_share_class_and_arguments() -> None:
    def module(path: str, **arguments: Any) -> TrialSpec:
        model = {"name": "module", "path": path, "arguments": arguments}
        return trial(model=model, init="auto", seed=len(arguments))

    alike = [module("a:Net", width=8), module("a:Net", width=8)]
    others = [module("a:Net", width=9), module("a:Other", width=8), module("a:Net")]
    assert [len(stack.trials) for stack in pack([*alike, *others], 8)] == [2, 1, 1, 1]


def test_trials_that_need_more_memory_have_smaller_stacks() -> None:
    trials = [trial(seed=k, model={"widths": [width]}) for width in (8, 64) for k in range(12)]

    def fitting(group: Sequence[TrialSpec]) -> int:
        assert len({member.model for member in group}) == 1
        return {(8,): 100, (64,): 5}[group[0].model.hidden_widths]

    sizes = {stack.trials[0][1].model.hidden_widths: len(stack.trials) for stack in pack(trials, 12, fitting)}
    assert sizes == {(8,): 12, (64,): 4}
    assert sum(len(stack.trials) for stack in pack(trials, 12, fitting)) == 24


@settings(deadline=None)
@given(st.lists(trials, max_size=12), st.integers(1, 4), st.integers(1, 12))
def test_the_seeds_of_a_configuration_share_a_stack(
    given_trials: list[TrialSpec], seeds: int, most: int
) -> None:
    stage = Stage("search", seeds)
    stacks = stacks_of(seeded(given_trials, stage), stage, most, None, 3, 100)
    assert [stack.number for stack in stacks] == list(range(3, 3 + len(stacks)))
    assert sum(len(stack.trials) for stack in stacks) == seeds * len(given_trials)
    for stack in stacks:
        assert len(stack.trials) <= max(most, seeds)
        numbers = {number for number, _ in stack.trials}
        for number, member in stack.trials:
            configuration, repeat = divmod(number - 100, seeds)
            assert (stack.leader(number), stack.repeat(number)) == (100 + configuration * seeds, repeat)
            assert member == given_trials[configuration].with_seed(given_trials[configuration].seed + repeat)
            assert {100 + configuration * seeds + k for k in range(seeds)} <= numbers
        assert sorted(stack.leaders) == sorted({stack.leader(number) for number in numbers})


def test_memory_that_fits_fewer_does_not_part_the_seeds_of_a_configuration() -> None:
    stage = Stage("search", 3)
    stacks = stacks_of(seeded([trial(), trial(seed=9)], stage), stage, 32, lambda _: 2, 0, 0)
    assert [len(stack.trials) for stack in stacks] == [3, 3]


def test_what_is_not_judged_is_packed_freely_and_its_seeds_follow() -> None:
    stage = Stage("confirm", 3, offset=2, judged=False)
    (large, small) = stacks_of(seeded([trial(seed=5), trial(seed=5)], stage), stage, 5, None, 0, 4)
    assert (len(large.trials), len(small.trials), large.leaders) == (3, 3, [])
    assert [(large.repeat(number), member.seed) for number, member in large.trials] == [
        (2, 7),
        (3, 8),
        (4, 9),
    ]


def test_the_mean_is_over_the_trials_that_have_a_value() -> None:
    stage = Stage("search", 3)
    (stack,) = stacks_of(seeded([trial(), trial(seed=9)], stage), stage, 32, None, 0, 0)
    assert stack.means({2: 0.5, 4: 1.0, 0: 0.25}) == {0: 0.375, 3: 1.0}


mixing = st.builds(
    lambda batch, model, seed: trial(train={"batch_size": batch}, model=model, seed=seed),
    st.sampled_from([16, 32]),
    st.one_of(
        st.builds(lambda widths: {"widths": widths}, st.lists(st.integers(4, 9), min_size=1, max_size=2)),
        st.builds(lambda width: {"name": "residual_mlp", "width": width}, st.integers(4, 6)),
        st.builds(lambda width: {"name": "cnn", "channels": [width]}, st.integers(4, 6)),
    ),
    st.integers(0, 3),
)


@settings(deadline=None)
@given(st.lists(mixing, max_size=60), st.integers(1, 12), st.integers(1, 12), st.integers(1, 3))
def test_few_trials_of_several_shapes_share_a_stack(
    given_trials: list[TrialSpec], most: int, fit: int, together: int
) -> None:
    repeated = [each for each in given_trials for _ in range(together)]
    apart = pack(repeated, most, lambda _: fit, together)
    stacks = pack(repeated, most, lambda _: fit, together, share=lambda _: 0.0)
    assert sorted(n for stack in stacks for n, _ in stack.trials) == list(range(len(repeated)))
    mixed = [stack for stack in stacks if len(stack.shapes) > 1]
    for stack in mixed:
        assert all(member.model.mixes for _, member in stack.trials)
        assert len({(m.train.batch_size, m.normalization, m.loss.name) for _, m in stack.trials}) == 1
        assert len(stack.trials) <= min(most, FEW, fit), "shares add up to a stack at most"
        alike = by_shape(stack.trials, lambda member: member[1])
        assert len(alike) == len(stack.shapes), "equal shapes lie side by side"
        for portion in alike:
            assert portion == sorted(portion, key=lambda m: (m[1].optimizer.name, m[1].activation.name, m[0]))
    # What they are joined of are the stacks that there would be otherwise, and all others are as they were.
    before = {stack.trials for stack in apart}
    portions = [tuple(each) for s in stacks for each in by_shape(s.trials, lambda member: member[1])]
    assert set(portions) == before
    for stack in stacks:
        numbers = {number // together for number, _ in stack.trials}
        assert len(stack.trials) == len(numbers) * together
    assert stacks == pack(repeated, most, lambda _: fit, together, share=lambda _: 0.0)


def test_a_sweep_over_widths_has_few_stacks() -> None:
    trials = [trial(model={"layers": 1 + k % 4, "width": 16 + k}, seed=k) for k in range(64)]
    assert [len(stack.trials) for stack in pack(trials, 64)] == [1] * 64
    assert [len(stack.trials) for stack in pack(trials, 64, share=lambda _: 0.0)] == [8] * 8
    assert [len(stack.trials) for stack in pack(trials, 64, lambda _: 3, share=lambda _: 0.0)].count(3) >= 20
    alike = [trial(seed=k) for k in range(20)]
    assert pack(alike, 64, share=lambda _: 0.0) == pack(alike, 64)
    three = [trial(model={"widths": [width]}, seed=k) for width in (8, 16, 32) for k in range(FEW)]
    assert pack(three, 64, share=lambda _: 0.0) == pack(three, 64), (
        "enough of each shape for stacks of their own"
    )


def test_trials_of_long_epochs_are_not_mixed() -> None:
    trials = [trial(model={"widths": [8 + k]}, seed=k) for k in range(16)]
    assert [len(stack.trials) for stack in pack(trials, 64, share=lambda _: 0.25)] == [4] * 4
    assert [len(stack.trials) for stack in pack(trials, 64, share=lambda _: 0.51)] == [1] * 16
    assert [len(stack.trials) for stack in pack(trials, 64, share=lambda _: 7.0)] == [1] * 16
    shares = {k: 0.9 if k < 2 else 0.1 for k in range(16)}
    sizes = [len(stack.trials) for stack in pack(trials, 64, share=lambda each: shares[each.seed])]
    assert sum(sizes) == 16
    assert len(sizes) <= 5

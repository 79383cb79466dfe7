"""What a GPU would be asked for, on a pretend device: every component's step, alone and mixed.

Nothing mixes devices, no step meets the host, an epoch does so a few times, and the numbers are the reference's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
import torch
from pretend_device import (
    CPU,
    GPU,
    Crossing,
    DeviceTensor,
    ForbiddenError,
    MixedDevicesError,
    PretendDevice,
    training_on,
)
from variations import VARIATIONS

from raydnn.data.load import load_dataset
from raydnn.nn.layers import dense, normalization
from raydnn.nn.layers.pictures import folding
from raydnn.optim.optimizers import stacked
from raydnn.optim.optimizers.registry import OPTIMIZERS
from raydnn.spec.trial import TrialSpec
from raydnn.training.completing import complete
from raydnn.training.loop import train
from raydnn.training.stack.member import Member
from raydnn.training.stack.stack import Stack
from raydnn.training.workers import Workers

Make = Callable[..., TrialSpec]

MOST_CROSSINGS = 3
"""Of an epoch, between its steps: to the device what it needs and who is at its best, and back what it measured."""

IN_ONEDNN = {"cnn", "resnet", "autoencoder"}


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[PretendDevice]:
    """A pretend device is there; steps are captured from a stack's second one on."""
    pretend = PretendDevice()
    # The reference takes the code that a GPU takes, and not a CPU's own kernels.
    monkeypatch.setattr(stacked, "family_of", lambda name, _device: OPTIMIZERS[name])
    monkeypatch.setattr(dense, "ONE_BY_ONE", frozenset())
    monkeypatch.setattr(folding, "IN_TURN", frozenset())
    monkeypatch.setattr(normalization, "SLOW_VARIANCE", frozenset())
    with training_on(pretend):
        yield pretend


def _numbers(trials: Sequence[TrialSpec], at: torch.device, epochs: int) -> list[tuple[int, Any]]:
    """The rows of some epochs, without times."""
    dataset = load_dataset(trials[0].data).to(at)
    stack = Stack([Member(n, trial) for n, trial in enumerate(trials)], dataset, Workers(), at)
    found = []
    for epoch, rows in train(stack, dataset, 1):
        found += [(epoch, {k: v for k, v in row.items() if "second" not in k}) for row in rows]
        if epoch == 1 and epochs > 1 and at == GPU:
            PretendDevice.current().crossings.clear()
        if epoch == epochs:
            break
    return found


def _check(pretend: PretendDevice, trials: Sequence[TrialSpec], epochs: int) -> None:
    with pretend:
        found = _numbers(trials, GPU, epochs)
    assert pretend.captures, "steps are captured"
    if epochs > 1:
        assert pretend.crossings.total() <= MOST_CROSSINGS, pretend.crossings
    # oneDNN and MKL choose a kernel by where a tensor lies in memory, too: seldom, a convolution's last bit differs.
    rounding = any(trial.activation.name == "mish" or trial.model.name in IN_ONEDNN for trial in trials)
    for (epoch, row), (_, expected) in zip(found, _numbers(trials, CPU, epochs), strict=True):
        numbers = {name: value for name, value in expected.items() if value is not None}
        if rounding:
            assert {k: row[k] for k in numbers if k != "trial_id"} == pytest.approx(
                {k: v for k, v in numbers.items() if k != "trial_id"}, rel=1e-5
            )
        else:
            assert row == expected, epoch


def _trial(make_trial: Make, fields: Mapping[str, Any]) -> TrialSpec:
    """A trial of few steps."""
    return make_trial(**{**fields, "train": {"batch_size": 30, **fields.get("train", {})}})


ALONE = [(axis, number) for axis, variations in VARIATIONS.items() for number in range(len(variations))]


@pytest.mark.parametrize(("axis", "number"), ALONE)
def test_every_components_step_stays_on_the_device(
    device: PretendDevice, make_trial: Make, axis: str, number: int
) -> None:
    fields = VARIATIONS[axis][number]
    _check(device, [_trial(make_trial, fields), _trial(make_trial, {**fields, "seed": 7})], epochs=1)


@pytest.mark.parametrize("axis", VARIATIONS)
def test_mixed_stacks_stay_on_the_device(device: PretendDevice, make_trial: Make, axis: str) -> None:
    _check(device, [_trial(make_trial, fields) for fields in VARIATIONS[axis]], epochs=2)


def test_members_that_end_leave_the_device_together(device: PretendDevice, make_trial: Make) -> None:
    kept = []
    with device:
        trials = [make_trial(seed=n, regularization={"prune": 0.5 * (n == 0)}) for n in range(6)]
        dataset = load_dataset(trials[0].data).to(GPU)
        stack = Stack([Member(n, trial) for n, trial in enumerate(trials)], dataset, Workers(), GPU)
        device.crossings.clear()
        complete(stack, dataset, range(6), lambda member, tensors, _: kept.append((member.number, tensors)))
        # To the device: which members; back: what was tested, parameters and averages, and the scaling's two.
        assert device.crossings.total() <= 6, device.crossings
        for number, tensors in kept:
            for name, view in stack.layout.views(stack.parameters).items():
                assert torch.equal(tensors[name], view[number].cpu())
                zeros = int((tensors[name] == 0).sum())
                assert (zeros >= tensors[name].numel() // 2) == (number == 0 or name.endswith("bias")), name
    assert [number for number, _ in kept] == list(range(6))


def test_kernels_are_counted_and_views_are_not() -> None:
    with PretendDevice() as pretend:
        x = torch.ones(4, 3, device=GPU)
        pretend.kernels.clear()
        y = (x.mT @ x.view(2, 2, 3)[0].repeat(2, 1)).relu_()
        assert pretend.kernels == {"repeat": 1, "mm": 1, "relu_": 1}
        assert y.device == GPU
        assert not pretend.crossings
    assert isinstance(y, DeviceTensor)


@pytest.mark.parametrize(
    ("function", "crossing"),
    [
        (lambda x: x.sum().item(), Crossing("wait", "aten._local_scalar_dense.default")),
        (lambda x: bool(x.sum() > 0), Crossing("wait", "aten._local_scalar_dense.default")),
        (lambda x: x.tolist(), Crossing("wait", "tolist")),
        (lambda x: x[x > 0], Crossing("wait", "aten.index.Tensor")),
        (lambda x: x.cpu(), Crossing("to host", "aten._to_copy.default")),
        (lambda x: torch.zeros(2).copy_(x), Crossing("to host", "aten.copy_.default")),
        (lambda x: torch.zeros(2).to(x.device), Crossing("to device", "aten._to_copy.default")),
        (lambda x: torch.tensor([1.0, 2.0], device=x.device), Crossing("to device", "aten._to_copy.default")),
        (lambda x: x[torch.tensor([1, 0])], Crossing("to device", "aten.index.Tensor")),
    ],
)
def test_where_host_and_device_meet_is_seen(function: Callable[[Any], Any], crossing: Crossing) -> None:
    with PretendDevice() as pretend:
        x = torch.ones(2, device=GPU)
        pretend.crossings.clear()
        function(x)
        assert pretend.crossings == {crossing: 1}
        with pytest.raises(ForbiddenError):
            pretend.capture(lambda: function(x), GPU, [])


def test_a_kernel_may_not_mix_devices() -> None:
    with PretendDevice():
        x = torch.ones(2, device=GPU)
        torch.testing.assert_close((x + torch.tensor(1.0)).held, torch.full((2,), 2.0))
        with pytest.raises(MixedDevicesError):
            x + torch.ones(2)

"""Training in lower precisions: only the network's products are rounded, and a stack is still its members alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from raydnn.data.load import load_dataset
from raydnn.search.packing import pack
from raydnn.spec.catalogue.kinds import components
from raydnn.spec.checks.compatibility import GATED
from raydnn.spec.trial import TrialSpec
from raydnn.training.loop import train
from raydnn.training.stack import loss_scale
from raydnn.training.stack.member import Member
from raydnn.training.stack.stack import Stack
from raydnn.training.workers import Workers

CPU = torch.device("cpu")


def test_losses_are_near_those_of_float32(
    make_trial: Callable[..., TrialSpec], fit: Callable[..., Any]
) -> None:
    full, lowered = (make_trial(train={"precision": name}) for name in ("float32", "bfloat16"))
    (exact,), (rounded,) = fit([full]), fit([lowered])
    for found, expected in zip(rounded.rows, exact.rows, strict=True):
        assert found["train_loss"] == pytest.approx(expected["train_loss"], rel=0.05)
        assert found["train_loss"] != expected["train_loss"]
    assert rounded.parameters.dtype == torch.float32
    pair = fit([lowered, make_trial(train={"precision": "bfloat16"}, optimizer="adam")])
    for found, expected in zip(pair[0].rows, rounded.rows, strict=True):
        assert found["train_loss"] == pytest.approx(expected["train_loss"], rel=0.02)


def test_products_are_in_bfloat16_and_the_rest_is_not(make_trial: Callable[..., TrialSpec]) -> None:
    trial = make_trial(train={"precision": "bfloat16"})
    dataset = load_dataset(trial.data).to(CPU)
    stack = Stack([Member(0, trial)], dataset, Workers(), CPU)
    seen: list[torch.dtype] = []
    hook = stack.module.layers[0].register_forward_hook(lambda _module, _inputs, z: seen.append(z.dtype))
    next(train(stack, dataset, 1))
    hook.remove()
    assert set(seen) == {torch.bfloat16}
    assert stack.gradients.dtype == stack.parameters.dtype == torch.float32


def test_precisions_have_stacks_of_their_own(make_trial: Callable[..., TrialSpec]) -> None:
    trials = [make_trial(train={"precision": name}) for name in ("float32", "bfloat16", "float32")]
    assert [len(stack.trials) for stack in pack(trials, 8)] == [2, 1]


MODELS: dict[str, dict[str, Any]] = {
    "mlp": {"name": "mlp", "widths": [8]},
    "residual_mlp": {"name": "residual_mlp", "blocks": 1, "width": 8},
    "cnn": {"name": "cnn", "channels": [4], "convolutions": 1, "widths": [8]},
    "resnet": {"name": "resnet", "depth": 8, "width": 2},
    "rnn": {"name": "rnn", "units": 8},
    "lstm": {"name": "lstm", "units": 8, "bidirectional": True},
    "gru": {"name": "gru", "units": 8, "layers": 2},
    "transformer": {"name": "transformer", "width": 8, "layers": 1, "feedforward": 8},
    "autoencoder": {"name": "autoencoder", "widths": [5, 3]},
}
RECURRENT = ("rnn", "lstm", "gru")
PRODUCTS = ("mm", "bmm", "addmm", "baddbmm", "convolution")


class _Products(TorchDispatchMode):
    """Notes the types of all matrix products and convolutions, forward and backward."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: set[torch.dtype] = set()

    def __torch_dispatch__(self, kernel: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = kernel(*args, **(kwargs or {}))
        if kernel.overloadpacket.__name__.removesuffix("_backward") in PRODUCTS:
            self.seen |= {each.dtype for each in args if isinstance(each, Tensor)}
        return found


def _trial(make_trial: Callable[..., TrialSpec], folder: Path, model: str, precision: str) -> TrialSpec:
    fields: dict[str, Any] = {"model": MODELS[model], "activation": "tanh" if model in GATED else "relu"}
    if model in (*RECURRENT, "transformer"):
        rng = np.random.default_rng(0)
        inputs = rng.normal(size=(90, 5, 2)).astype(np.float32)
        arrays = {"inputs": inputs, "targets": (inputs[..., 0].sum(axis=1) > 0).astype(int)}
        np.savez(folder / "sums.npz", **arrays, **{f"test_{name}": each for name, each in arrays.items()})
        fields["data"] = {"name": "npz", "path": str(folder / "sums.npz"), "validation": 20}
    return make_trial(**fields, train={"precision": precision})


def test_every_model_is_among_them() -> None:
    assert set(MODELS) == set(components("model")) - {"perceptron", "module"}


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("model", MODELS)
def test_every_model_computes_its_products_in_it(
    make_trial: Callable[..., TrialSpec],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    precision: str,
) -> None:
    monkeypatch.setattr(loss_scale, "FIRST_SCALE", 2.0**8)  # All of the few steps are to be made.
    found = {}
    for each in ("float32", precision):
        trial = _trial(make_trial, tmp_path, model, each)
        dataset = load_dataset(trial.data).to(CPU)
        stack = Stack([Member(0, trial)], dataset, Workers(), CPU)
        with _Products() as products:
            _, (row,) = next(train(stack, dataset, 1))
        found[each] = row["train_loss"], products.seen
    assert found[precision][0] == pytest.approx(found["float32"][0], rel=0.05)
    assert found[precision][0] != found["float32"][0]
    assert getattr(torch, precision) in found[precision][1]
    # What a recurrence adds up over its steps keeps its precision.
    assert (torch.float32 in found[precision][1]) == (model in RECURRENT)

"""Recurrent networks of a stack against torch.nn.RNN, LSTM and GRU, sequence by sequence where they are padded."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from raydnn.data.inputs import Inputs
from raydnn.nn.activations import ACTIVATIONS
from raydnn.nn.layers.sequences.recurrence import Gru, Lstm
from raydnn.nn.layers.sequences.recurrent import GATES
from raydnn.nn.models.registry import architecture
from raydnn.spec.job import Training
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.roles import Role

CELLS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
STEPS, FEATURES, UNITS, OUTPUTS = 7, 3, 5, 4
LENGTHS = [7, 3, 1, 5, 7, 2]


def _trial(cell: str, seed: int = 0, activation: str = "tanh", **fields: Any) -> TrialSpec:
    model = {"name": cell, "units": UNITS, **fields.pop("model", {})}
    given = {"data": "digits", "optimizer": "sgd", "model": model, "activation": activation, **fields}
    return TrialSpec.from_training(Training.model_validate({**given, "seed": seed}))


def _trials(cell: str, model: dict[str, Any]) -> list[TrialSpec]:
    of_third = "relu" if cell == "rnn" else "tanh"
    return [_trial(cell, seed, name, model=model) for seed, name in enumerate(("tanh", "tanh", of_third))]


def _stack(trials: Sequence[TrialSpec], inputs: Inputs, dtype: torch.dtype) -> nn.Module:
    network = architecture(trials[0], inputs, OUTPUTS)
    flat = torch.stack([network.start(trial)[0] for trial in trials]).to(dtype)
    # Biases that are not 0 tell whether each is where it should be.
    flat += torch.arange(flat.shape[1], dtype=dtype).sin() / 7
    return network.module(flat, trials)


def _plain(
    trial: TrialSpec, weights: dict[str, Tensor], inputs: Tensor, lengths: Sequence[int]
) -> tuple[Tensor, dict[str, Tensor]]:
    """What torch's own layer and a dense one give, and the gradients of the sum of its squares."""
    model: Any = trial.model
    options = {"nonlinearity": trial.activation.name} if model.name == "rnn" else {}
    layer = CELLS[model.name](
        FEATURES, UNITS, model.layers, batch_first=True, bidirectional=model.bidirectional, **options
    )
    head = nn.Linear(UNITS * (2 if model.bidirectional else 1), OUTPUTS)
    both = nn.ModuleDict({model.name: layer, "layers": nn.ModuleDict({"0": head})}).to(inputs.dtype)
    both.load_state_dict(weights)
    outputs = []
    for sequence, length in zip(inputs, lengths, strict=True):
        steps, state = layer(sequence[None, :length])
        last = state[0] if model.name == "lstm" else state
        ends = torch.cat([last[-2], last[-1]], dim=-1) if model.bidirectional else last[-1]
        outputs.append(head(steps.mean(dim=1) if model.readout == "mean" else ends))
    torch.cat(outputs).square().sum().backward()
    return torch.cat(outputs).detach(), {
        name: p.grad for name, p in both.named_parameters() if p.grad is not None
    }


@pytest.mark.parametrize("padded", [False, True], ids=["whole", "padded"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("readout", ["last", "mean"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "bidirectional"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cell", CELLS)
def test_members_compute_what_torchs_own_layers_compute(
    cell: str, layers: int, bidirectional: bool, readout: str, dtype: torch.dtype, padded: bool
) -> None:
    model = {"layers": layers, "bidirectional": bidirectional, "readout": readout}
    trials = _trials(cell, model)
    module = _stack(trials, Inputs((STEPS, FEATURES), padded=padded), dtype)
    inputs = torch.randn(6, STEPS, FEATURES, dtype=dtype, generator=torch.Generator().manual_seed(3))
    lengths = LENGTHS if padded else [STEPS] * 6
    for sequence, length in zip(inputs, lengths, strict=True):
        sequence[length:] = nan
    outputs = module(inputs)
    named = dict(module.named_parameters())
    gradients = torch.autograd.grad(outputs.square().sum(), list(named.values()))
    near = 1e-9 if dtype == torch.float64 else 2e-5
    for number, trial in enumerate(trials):
        weights = {name: values[number].detach() for name, values in named.items()}
        expected, of_weights = _plain(trial, weights, inputs, lengths)
        torch.testing.assert_close(outputs[number], expected, rtol=near, atol=near)
        for name, gradient in zip(named, gradients, strict=True):
            torch.testing.assert_close(gradient[number], of_weights[name], rtol=10 * near, atol=10 * near)


@pytest.mark.parametrize("loop", [Lstm, Gru])
def test_gradients_by_hand_are_those_of_finite_differences(loop: Any) -> None:
    gates = {Lstm: 4, Gru: 3}[loop]
    stream = torch.Generator().manual_seed(1)
    shapes = [(2, 4, 3, 2), (2, gates * 3, 2), (2, gates * 3, 3), (2, gates * 3), (2, gates * 3)]
    given = [
        torch.randn(*shape, dtype=torch.float64, generator=stream, requires_grad=True) for shape in shapes
    ]
    assert torch.autograd.gradcheck(loop.apply, given)


HIDDEN = sorted(set(ACTIVATIONS) - {"heaviside", "sign", "rrelu"})


@pytest.mark.parametrize("activation", HIDDEN)
def test_a_recurrence_has_any_activation(activation: str) -> None:
    """Values and gradients are those of a loop over the steps in plain torch."""
    trials = [_trial("rnn", seed, activation) for seed in (0, 1)]
    module = _stack(trials, Inputs((STEPS, FEATURES)), torch.float64)
    inputs = torch.randn(6, STEPS, FEATURES, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    named = dict(module.named_parameters())
    outputs = module(inputs)
    found = torch.autograd.grad(outputs.square().sum(), list(named.values()))
    alpha = {"leaky_relu": 0.1}.get(activation)
    for number in range(2):
        own = {name: values[number].detach().requires_grad_() for name, values in named.items()}
        state = torch.zeros(6, UNITS, dtype=torch.float64)
        for t in range(STEPS):
            z = inputs[:, t] @ own["rnn.weight_ih_l0"].T + own["rnn.bias_ih_l0"]
            z = z + state @ own["rnn.weight_hh_l0"].T + own["rnn.bias_hh_l0"]
            slope = own.get("rnn.alpha_l0", alpha)
            state = ACTIVATIONS[activation](z) if slope is None else torch.where(z > 0, z, slope * z)
        expected = state @ own["layers.0.weight"].T + own["layers.0.bias"]
        torch.testing.assert_close(outputs[number], expected)
        gradients = torch.autograd.grad(expected.square().sum(), list(own.values()))
        for gradient, wanted in zip(found, gradients, strict=True):
            torch.testing.assert_close(gradient[number], wanted)


@pytest.mark.parametrize("cell", CELLS)
def test_every_gate_is_drawn_as_a_layer_of_its_own(cell: str) -> None:
    """Each gate's square matrix is orthogonal; Glorot's bound is that of a gate's fans; biases are 0."""
    network = architecture(_trial(cell, init="orthogonal"), Inputs((STEPS, FEATURES)), OUTPUTS)
    views = network.layout.views(network.start(_trial(cell, init="orthogonal"))[0].unsqueeze(0))
    for gate in views[f"{cell}.weight_hh_l0"][0].split(UNITS):
        torch.testing.assert_close(gate @ gate.T, torch.eye(UNITS), rtol=1e-5, atol=1e-6)
    wide = {"units": 400}
    drawn = architecture(_trial(cell, model=wide), Inputs((STEPS, FEATURES)), OUTPUTS)
    views = drawn.layout.views(drawn.start(_trial(cell, model=wide))[0].unsqueeze(0))
    weight = views[f"{cell}.weight_hh_l0"][0]
    bound = (6 / 800) ** 0.5
    assert weight.shape == (GATES[cell] * 400, 400)
    assert 0.999 * bound < float(weight.abs().max()) <= bound
    for name, parameter in drawn.layout.parameters.items():
        if parameter.role is Role.BIAS:
            assert not views[name].any()


def test_a_member_alone_is_the_member_of_a_stack_to_the_bit_where_torchs_kernel_computes() -> None:
    trials = _trials("lstm", {"layers": 2, "bidirectional": True})
    inputs = torch.randn(6, STEPS, FEATURES, generator=torch.Generator().manual_seed(3))
    together = _stack(trials, Inputs((STEPS, FEATURES)), torch.float32)
    for number, trial in enumerate(trials):
        alone = _stack([trial], Inputs((STEPS, FEATURES)), torch.float32)
        found = (module.lstm(inputs.expand(n, -1, -1, -1)) for module, n in ((together, 3), (alone, 1)))  # type: ignore[union-attr,operator]
        whole, own = found
        assert torch.equal(whole[number], own[0])

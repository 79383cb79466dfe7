"""A transformer of a stack against torch.nn.TransformerEncoderLayer with the same weights."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import nan
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from raydnn.data.inputs import Inputs
from raydnn.errors import JobError
from raydnn.nn.layers.sequences.embedding import sinusoidal
from raydnn.nn.models.registry import architecture
from raydnn.nn.models.unstacked import torch_name
from raydnn.spec.job import Training
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.context import Context
from raydnn.stacking.noise import Noise
from raydnn.stacking.roles import Role

STEPS, FEATURES, WIDTH, HEADS, WIDE, OUTPUTS = 6, 3, 8, 2, 12, 4
LENGTHS = [6, 3, 1, 5, 2]


def _trial(seed: int = 0, activation: str = "relu", **model: Any) -> TrialSpec:
    given = {"name": "transformer", "width": WIDTH, "heads": HEADS, "feedforward": WIDE, **model}
    fields = {"data": "digits", "optimizer": "sgd", "model": given, "activation": activation, "seed": seed}
    return TrialSpec.from_training(Training.model_validate(fields))


def _stack(trials: Sequence[TrialSpec], inputs: Inputs, dtype: torch.dtype = torch.float64) -> nn.Module:
    network = architecture(trials[0], inputs, OUTPUTS)
    flat = torch.stack([network.start(trial)[0] for trial in trials]).to(dtype)
    # Biases, scales and shifts that differ tell whether each is where it should be.
    flat += torch.arange(flat.shape[1], dtype=dtype).sin() / 7
    return network.module(flat, trials)


class Plain(nn.Module):
    """The same network of torch's own modules."""

    def __init__(self, trial: TrialSpec, shape: tuple[int, ...], vocabulary: int) -> None:
        super().__init__()
        model: Any = trial.model
        self.model = model
        if len(shape) == 3:
            self.patches = nn.Conv2d(shape[0], WIDTH, model.patch, model.patch)
        elif len(shape) == 2:
            self.projection = nn.Linear(shape[1], WIDTH)
        else:
            self.embedding = nn.Embedding(vocabulary, WIDTH)
        steps = shape[0] if len(shape) < 3 else shape[1] * shape[2] // model.patch**2
        if model.positions == "learned":
            self.positions = nn.Embedding(steps, WIDTH)
        layer = nn.TransformerEncoderLayer(
            WIDTH, HEADS, WIDE, 0.0, trial.activation.name, batch_first=True, norm_first=model.norm == "first"
        )
        last = nn.LayerNorm(WIDTH) if model.norm == "first" else None
        self.encoder = nn.TransformerEncoder(layer, model.layers, last, enable_nested_tensor=False)
        self.layers = nn.ModuleList([nn.Linear(WIDTH, OUTPUTS)])

    def forward(self, inputs: Tensor) -> Tensor:
        if hasattr(self, "patches"):
            values = self.patches(inputs).flatten(2).mT
        elif hasattr(self, "projection"):
            values = self.projection(inputs)
        else:
            values = self.embedding(inputs.long())
        steps = values.shape[1]
        if self.model.positions == "learned":
            values = values + self.positions.weight[:steps]
        elif self.model.positions == "sinusoidal":
            values = values + sinusoidal(steps, WIDTH).to(values)
        mask = nn.Transformer.generate_square_subsequent_mask(steps, dtype=values.dtype)
        values = self.encoder(values, mask=mask if self.model.causal else None)
        read: Tensor = values.mean(dim=1) if self.model.readout == "mean" else values[:, -1]
        outputs: Tensor = self.layers[0](read)
        return outputs


def _inputs(shape: tuple[int, ...], vocabulary: int) -> Tensor:
    stream = torch.Generator().manual_seed(3)
    if len(shape) == 1:
        return torch.randint(vocabulary, (5, *shape), generator=stream).double()
    return torch.randn(5, *shape, dtype=torch.float64, generator=stream)


@pytest.mark.parametrize(
    "model",
    [
        {},
        {"layers": 1, "norm": "first"},
        {"causal": True, "positions": "sinusoidal", "readout": "last"},
        {"causal": True, "norm": "first", "positions": "none"},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("shape", "padded"),
    [
        ((STEPS, FEATURES), False),
        ((STEPS, FEATURES), True),
        ((STEPS,), False),
        ((STEPS,), True),
        ((2, 8, 4), False),
    ],
    ids=["numbers", "padded numbers", "tokens", "padded tokens", "pictures"],
)
def test_members_compute_what_torchs_own_layers_compute(
    model: dict[str, Any], shape: tuple[int, ...], padded: bool
) -> None:
    trials = [_trial(0, "relu", **model), _trial(1, "gelu", **model), _trial(2, "relu", **model)]
    trials.sort(key=lambda trial: trial.activation.name)
    module = _stack(trials, Inputs(shape, vocabulary=9, padded=padded))
    inputs = _inputs(shape, 9)
    lengths = LENGTHS if padded else [len(inputs[0])] * 5
    for sequence, length in zip(inputs, lengths, strict=True):
        sequence[length:] = nan
    outputs = module(inputs)
    named = dict(module.named_parameters())
    gradients = torch.autograd.grad(outputs.square().sum(), list(named.values()))
    for number, trial in enumerate(trials):
        plain = Plain(trial, shape, 9).double()
        plain.load_state_dict({torch_name(name): values[number] for name, values in named.items()})
        expected = torch.cat([plain(one[None, :length]) for one, length in zip(inputs, lengths, strict=True)])
        torch.testing.assert_close(outputs[number], expected)
        expected.square().sum().backward()
        own = dict(plain.named_parameters())
        for name, gradient in zip(named, gradients, strict=True):
            torch.testing.assert_close(gradient[number], own[torch_name(name)].grad, rtol=1e-6, atol=1e-9)


def test_gradients_are_those_of_finite_differences() -> None:
    trials = [_trial(0, "tanh", layers=1), _trial(1, "tanh", layers=1)]
    module = _stack(trials, Inputs((3, 2), padded=True))
    inputs = torch.randn(2, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    inputs[1, 2] = nan
    named = dict(module.named_parameters())

    def computed(*values: Tensor) -> Tensor:
        outputs: Tensor = torch.func.functional_call(module, dict(zip(named, values, strict=True)), (inputs,))
        return outputs

    given = [values.detach().clone().requires_grad_() for values in named.values()]
    assert torch.autograd.gradcheck(computed, given, fast_mode=True)


def test_sinusoidal_places_are_those_of_the_formula() -> None:
    found = sinusoidal(5, 7)
    for t in range(5):
        for k in range(7):
            angle = torch.tensor(t / 10_000 ** ((k - k % 2) / 7), dtype=torch.float64)
            assert float(found[t, k]) == pytest.approx(
                float(angle.cos() if k % 2 else angle.sin()), abs=1e-12
            )


def test_every_matrix_is_drawn_as_a_layer_of_its_own_and_tokens_normally() -> None:
    fields = {"data": "digits", "optimizer": "sgd", "init": "orthogonal"}
    model = {"name": "transformer", "width": WIDTH, "heads": HEADS}
    trial = TrialSpec.from_training(Training.model_validate({**fields, "model": model}))
    network = architecture(trial, Inputs((STEPS,), vocabulary=2000), OUTPUTS)
    views = network.layout.views(network.start(trial)[0].unsqueeze(0))
    for matrix in views["encoder.layers.1.self_attn.in_proj_weight"][0].split(WIDTH):
        torch.testing.assert_close(matrix @ matrix.T, torch.eye(WIDTH), rtol=1e-5, atol=1e-6)
    tokens = views["embedding.weight"][0]
    assert float(tokens.mean()) == pytest.approx(0, abs=0.05)
    assert float(tokens.std()) == pytest.approx(1, abs=0.05)
    assert float(views["positions.weight"].std()) == pytest.approx(0.02, abs=0.005)
    roles = {name: parameter.role for name, parameter in network.layout.parameters.items()}
    assert {name for name, role in roles.items() if role is Role.EMBEDDING} == {
        "embedding.weight",
        "positions.weight",
    }


def test_dropout_acts_on_the_attention_and_after_each_part_in_training_alone() -> None:
    fields = {"data": "digits", "optimizer": "sgd", "regularization": {"dropout": 0.2}}
    model = {"name": "transformer", "width": WIDTH, "heads": HEADS, "layers": 1}
    trial = TrialSpec.from_training(
        Training.model_validate({**fields, "model": model, "normalization": "none"})
    )
    module = _stack([trial], Inputs((STEPS, FEATURES)), torch.float32)
    inputs = _inputs((STEPS, FEATURES), 0).float()
    drawn: list[int] = []
    noise = Noise([0], 1, torch.device("cpu"))

    class Counting(Context):
        def uniform(self, width: int, stream: str = "noise") -> Tensor:
            drawn.append(width)
            return super().uniform(width, stream)

    first, second = (module(inputs, Counting(noise, 5)) for _ in range(2))
    assert drawn[:4] == [HEADS * STEPS**2, STEPS * WIDTH, STEPS * 256, STEPS * WIDTH]
    assert not torch.allclose(first, second)
    assert torch.equal(module(inputs), module(inputs))
    assert len(drawn) == 8


@pytest.mark.parametrize(
    ("inputs", "model", "message"),
    [
        (Inputs((3, 8, 6)), {}, "model.patch: 4 with pictures of 8 × 6; allowed: 1, 2"),
        (Inputs((9, 9), is_picture=True), {}, "model.patch: 4 with pictures of 9 × 9; allowed: 1, 3, 9"),
        (Inputs((6,)), {}, "transformer with examples of 6 numbers, which are no tokens; needed: sequences"),
    ],
)
def test_what_it_cannot_take_is_refused(inputs: Inputs, model: dict[str, Any], message: str) -> None:
    with pytest.raises(JobError, match=re.escape(message)):
        architecture(_trial(**model), inputs, OUTPUTS)


def test_the_inputs_of_patches_are_normalized_where_a_trial_wants_it() -> None:
    trial = TrialSpec.from_training(
        Training.model_validate(
            {
                "data": "digits",
                "optimizer": "sgd",
                "model": {"name": "transformer", "patch": 4},
                "normalization": {"name": "batch_norm", "inputs": True},
            }
        )
    )
    layout = architecture(trial, Inputs((3, 8, 8)), 10).layout
    assert layout.parameters["input_norm.scale"].shape == (3,)

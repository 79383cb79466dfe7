"""Which weights give the outputs: Muon takes another way with these, whatever the order in which they are declared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from raydnn.data.inputs import Inputs
from raydnn.nn.models.registry import MODELS, architecture
from raydnn.spec.job import Training
from raydnn.spec.trial import TrialSpec

PICTURE, TOKENS = Inputs((1, 8, 8)), Inputs((6,), vocabulary=5)
CODER: dict[str, Any] = {"name": "autoencoder", "widths": [5, 3]}
CASES: dict[str, tuple[Any, Inputs, set[str]]] = {
    "perceptron": ("perceptron", PICTURE, {"layers.0.weight"}),
    "mlp": ({"widths": [5, 4]}, PICTURE, {"layers.2.weight"}),
    "residual_mlp": ({"name": "residual_mlp", "blocks": 1}, PICTURE, {"layers.3.weight"}),
    "cnn": ({"name": "cnn", "channels": [2], "widths": [3]}, PICTURE, {"layers.1.weight"}),
    "resnet": ({"name": "resnet", "depth": 8, "width": 2, "shortcut": "B"}, PICTURE, {"layers.0.weight"}),
    "rnn": ("rnn", TOKENS, {"layers.0.weight"}),
    "lstm": ("lstm", TOKENS, {"layers.0.weight"}),
    "gru": ("gru", TOKENS, {"layers.0.weight"}),
    "transformer": ("transformer", TOKENS, {"layers.0.weight"}),
    "autoencoder": (CODER, PICTURE, {"decoder.1.weight"}),
    "autoencoder, convolutional": ({**CODER, "convolutional": True}, PICTURE, {"decoder.1.weight"}),
    "autoencoder, tied": ({**CODER, "tied": True}, PICTURE, {"encoder.0.weight"}),
    "module": ("nets_of_outputs:HeadFirst", PICTURE, {"head.weight"}),
    "module, of one layer": ("nets_of_outputs:One", PICTURE, {"only.parametrizations.weight.original1"}),
    "module, unknown": ("nets_of_outputs:Unknown", PICTURE, set()),
}
CLASSES = """
import torch
from torch import nn


class HeadFirst(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.head = nn.Linear(4, outputs)
        self.body = nn.Linear(inputs, 4)

    def forward(self, x):
        return self.head(self.body(x).tanh())


class One(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.only = nn.utils.parametrizations.weight_norm(nn.Linear(inputs, outputs))

    def forward(self, x):
        return self.only(x)


class Unknown(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.matrix = nn.Parameter(torch.zeros(inputs, outputs))

    def forward(self, x):
        return x @ self.matrix
"""


def test_every_model_is_here() -> None:
    assert {name.partition(",")[0] for name in CASES} == set(MODELS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the users' classes are."""
    found = tmp_path_factory.mktemp("classes")
    (found / "nets_of_outputs.py").write_text(CLASSES)
    return found


@pytest.mark.parametrize("name", CASES)
def test_the_output_layer_is_marked(name: str, folder: Path) -> None:
    model, inputs, expected = CASES[name]
    if name.startswith("module"):
        model = {"name": "module", "path": f"{folder}/{model}"}
    fields = {"data": "digits", "optimizer": "muon", "model": model}
    if name.startswith("autoencoder"):
        fields["data"] = {"name": "digits", "reconstruct": True}
    trial = TrialSpec.from_training(Training.model_validate(fields))
    outputs = 64 if name.startswith("autoencoder") else 10
    found = architecture(trial, inputs, outputs)
    assert found.layout.outputs == expected
    # What comes out is a product of these weights: with zeros there, inputs make no difference.
    parameters, statistics = found.start(trial)
    views = found.layout.views(parameters[None])
    for weight in expected:
        views[weight].zero_()
    module = found.module(parameters[None], [trial], statistics[None])
    examples = torch.randint(5, (3, *inputs.shape)).float()
    with torch.no_grad():
        outcome = module(examples)[0]
    if expected and "one layer" not in name:  # whose directions have another one's lengths
        torch.testing.assert_close(outcome[0], outcome[1])

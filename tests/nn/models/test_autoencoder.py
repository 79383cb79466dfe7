"""Autoencoders against networks of torch's own layers, their noise and their penalty against formulas."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from raydnn.data.inputs import Inputs
from raydnn.errors import JobError
from raydnn.nn.models.autoencoder import autoencoder
from raydnn.spec.job import Training
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.context import Context
from raydnn.stacking.noise import Noise

CPU = torch.device("cpu")


def _trial(seed: int = 0, more: dict[str, Any] | None = None, **model: Any) -> TrialSpec:
    given = {"data": "digits", "optimizer": "sgd", "activation": "tanh", "seed": seed, **(more or {})}
    return TrialSpec.from_training(
        Training.model_validate({**given, "model": {"name": "autoencoder", **model}})
    )


def _network(trials: list[TrialSpec], shape: tuple[int, ...]) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    outputs = torch.Size(shape).numel()
    network = autoencoder(trials[0], Inputs(shape), outputs)
    flat = torch.stack([network.start(trial)[0] for trial in trials])
    flat += 0.01 * torch.randn(flat.shape, generator=torch.Generator().manual_seed(0))
    return network.module(flat, trials), network.layout.views(flat)


def _training(trials: list[TrialSpec], batch: int) -> Context:
    return Context(Noise([trial.seed for trial in trials], 1, CPU), batch)


def test_a_dense_one_mirrors_its_encoder() -> None:
    trials = [_trial(seed, widths=[7, 3]) for seed in (0, 1)]
    module, views = _network(trials, (4, 5))
    theirs = nn.Sequential(
        *(nn.Linear(20, 7), nn.Tanh(), nn.Linear(7, 3), nn.Tanh()),
        *(nn.Linear(3, 7), nn.Tanh(), nn.Linear(7, 20)),
    )
    inputs = torch.randn(6, 4, 5)
    found = module(inputs)
    for member in range(2):
        own = [view[member] for view in views.values()]
        theirs.load_state_dict(dict(zip(theirs.state_dict(), own, strict=True)))
        assert torch.allclose(found[member], theirs(inputs.flatten(1)), atol=1e-6)


def test_a_tied_one_decodes_by_the_transposed_weights_and_learns_them_once() -> None:
    trials = [_trial(seed, widths=[7, 3], tied=True) for seed in (0, 1)]
    module, views = _network(trials, (20,))
    assert set(views) == {
        *(f"encoder.{k}.{which}" for k in (0, 1) for which in ("weight", "bias")),
        *(f"decoder.{k}.bias" for k in (0, 1)),
    }
    inputs = torch.randn(6, 20)
    outputs = module(inputs)
    outputs.square().sum().backward()
    for member in range(2):
        v = {name: view[member].clone().requires_grad_() for name, view in views.items()}
        hidden = torch.tanh(inputs @ v["encoder.0.weight"].T + v["encoder.0.bias"])
        code = torch.tanh(hidden @ v["encoder.1.weight"].T + v["encoder.1.bias"])
        hidden = torch.tanh(code @ v["encoder.1.weight"] + v["decoder.0.bias"])
        expected = hidden @ v["encoder.0.weight"] + v["decoder.1.bias"]
        assert torch.allclose(outputs[member], expected, atol=1e-5)
        expected.square().sum().backward()
        for name, parameter in module.named_parameters():
            assert parameter.grad is not None
            assert torch.allclose(parameter.grad[member], v[name].grad, rtol=1e-4, atol=1e-4), name


@pytest.mark.parametrize("shape", [(8, 8), (3, 7, 10), (1, 5, 1), (2, 9, 6)])
def test_a_convolutional_one_gives_back_the_shape_of_its_pictures(shape: tuple[int, ...]) -> None:
    trials = [_trial(seed, widths=[4, 5], convolutional=True) for seed in (0, 1)]
    module, views = _network(trials, shape)
    channels = shape[0] if len(shape) == 3 else 1
    pictures = torch.randn(3, channels, *shape[-2:])
    found = module(pictures.view(3, *shape))
    assert found.shape == (2, 3, torch.Size(shape).numel())
    for member in range(2):
        v = {name: view[member] for name, view in views.items()}
        sizes, hidden = [], pictures
        for stage in range(2):
            sizes.append(hidden.shape[2:])
            hidden = torch.tanh(
                nn.functional.conv2d(hidden, v[f"encoder.{stage}.weight"], v[f"encoder.{stage}.bias"], 2, 1)
            )
        for stage in range(2):
            up = nn.ConvTranspose2d(*v[f"decoder.{stage}.weight"].shape[:2], 3, 2, 1)
            up.load_state_dict({"weight": v[f"decoder.{stage}.weight"], "bias": v[f"decoder.{stage}.bias"]})
            hidden = up(hidden, output_size=list(sizes.pop()))
            hidden = torch.tanh(hidden) if stage == 0 else hidden
        assert torch.allclose(found[member], hidden.flatten(1), atol=1e-5)


def test_noise_has_its_deviation_and_is_there_in_training_alone() -> None:
    trials = [_trial(seed, widths=[3], noise=noise) for seed, noise in ((0, 0.0), (0, 0.5), (1, 0.2))]
    module, _ = _network(trials, (40,))
    corruption = module.get_submodule("corruption")
    inputs = torch.randn(1, 2000, 40).expand(3, 2000, 40)
    assert torch.equal(corruption(inputs), inputs)
    changed = corruption(inputs, _training(trials, 2000)) - inputs
    assert torch.equal(changed[0], torch.zeros(2000, 40))
    assert changed[1].std().item() == pytest.approx(0.5, rel=0.01)
    assert changed[2].std().item() == pytest.approx(0.2, rel=0.01)
    assert changed[1].mean().item() == pytest.approx(0, abs=0.01)
    alone, _ = _network(trials[2:], (40,))
    own = alone.get_submodule("corruption")(inputs[2:], _training(trials[2:], 2000))
    assert torch.equal(own[0], corruption(inputs, _training(trials, 2000))[2])


@pytest.mark.parametrize("convolutional", [False, True])
def test_sparsity_adds_the_mean_of_the_codes_to_what_is_minimized(convolutional: bool) -> None:
    trials = [_trial(0, widths=[6, 3], convolutional=convolutional, sparsity=s) for s in (0.0, 0.1, 2.0)]
    module, _ = _network(trials, (6, 6))
    code = torch.randn(3, 5, *((3, 2, 2) if convolutional else (3,)))
    context = _training(trials, 5)
    assert module.get_submodule("sparsity")(code, context) is code
    (penalty,) = context.penalties
    means = code.abs().flatten(2).mean(2)
    assert torch.allclose(penalty, means * torch.tensor([[0.0], [0.1], [2.0]]))
    module(torch.randn(5, 6, 6))  # nothing is added at evaluation
    assert len(context.penalties) == 1


def test_what_it_cannot_be_is_told() -> None:
    with pytest.raises(JobError, match=r"model: autoencoder with examples of shape 6; needed: pictures"):
        autoencoder(_trial(convolutional=True), Inputs((6,)), 6)
    with pytest.raises(JobError, match=r"model.widths: 4 stages .* 8 × 8.* 3 leave .* at most 3"):
        autoencoder(_trial(convolutional=True, widths=[2] * 4), Inputs((8, 8)), 64)
    autoencoder(_trial(convolutional=True, widths=[2] * 3), Inputs((8, 8)), 64)
    with pytest.raises(ValueError, match=r"tied: true with convolutional: true; allowed: one of the two"):
        _trial(convolutional=True, tied=True)

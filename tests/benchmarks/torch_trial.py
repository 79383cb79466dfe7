"""A trial as one writes it in PyTorch: a torch.nn.Module, a torch.optim optimizer and a scheduler of its own.

It trains the configurations that raydnn proposes, on the same split of the same data, in memory as tensors, and
measures nothing but what the search needs. The peers of stacks and sweeps share it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

ACTIVATIONS = {"relu": nn.ReLU, "elu": nn.ELU, "tanh": nn.Tanh}
INITIALIZERS: dict[str, Callable[[Tensor], Tensor]] = {
    "glorot_uniform": nn.init.xavier_uniform_,
    "he_normal": lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"),
}


@dataclass(frozen=True)
class Work:
    """What a peer's process is given: a folder's work.json and data.npz."""

    trials: list[dict[str, Any]]
    """Configurations as JSON values, a trial's number being its position."""
    data: dict[str, np.ndarray[Any, Any]]
    """`inputs`, `targets` and the same with `validation_`."""
    metric: str
    mode: str
    asha: dict[str, Any] | None
    """`max_t`, `grace_period`, `reduction_factor`; None: every trial is trained for all its epochs."""

    @classmethod
    def read(cls, folder: Path) -> Work:
        """Read a folder that `sweep.py` wrote."""
        return cls(data=dict(np.load(folder / "data.npz")), **json.loads((folder / "work.json").read_text()))


def train(
    trial: dict[str, Any], data: dict[str, Tensor], validate: bool = True
) -> Iterator[dict[str, float]]:
    """Train one configuration, epoch by epoch.

    Args:
        trial: The configuration.
        data: As in `Work`.
        validate: Whether an epoch ends with loss and accuracy on the validation part.

    Yields:
        What was measured after each epoch.
    """
    torch.manual_seed(trial["seed"])
    inputs, targets = data["inputs"], data["targets"]
    epochs, batch_size = trial["train"]["epochs"], trial["train"]["batch_size"]
    steps = math.ceil(len(inputs) / batch_size)
    model = NETWORKS[trial["model"]["name"]](trial, inputs.shape[1:], int(targets.max()) + 1)
    if inputs.ndim > 2:
        model = model.to(memory_format=torch.channels_last)
    optimizer = optimizer_of(trial, model)
    schedule = schedule_of(trial["schedule"], optimizer, steps, epochs)
    for _ in range(epochs):
        model.train()
        for rows in torch.randperm(len(inputs)).split(batch_size):
            optimizer.zero_grad()
            functional.cross_entropy(model(inputs[rows]), targets[rows]).backward()
            optimizer.step()
            if schedule is not None:
                schedule.step()
        yield _validate(model, data) if validate else {}


def _validate(model: nn.Module, data: dict[str, Tensor]) -> dict[str, float]:
    model.eval()
    with torch.no_grad():
        outputs, answers = model(data["validation_inputs"]), data["validation_targets"]
        loss = functional.cross_entropy(outputs, answers).item()
        accuracy = (outputs.argmax(dim=1) == answers).float().mean().item()
    return {"validation_loss": loss, "validation_accuracy": accuracy}


def convolutional(trial: dict[str, Any], shape: Sequence[int], classes: int) -> nn.Module:
    """The trial's stages of a convolution and a maximum's pooling, and its dense layers; pictures (H, W)."""
    model, kernel = trial["model"], trial["model"]["kernel"]
    assert model["convolutions"] == 1, model
    assert model["pooling"] == "max", model
    activation = ACTIVATIONS[trial["activation"]["name"]]
    layers: list[nn.Module] = [nn.Unflatten(1, (1, shape[0]))]
    for fan_in, fan_out in pairwise([1, *model["channels"]]):
        layers += [nn.Conv2d(fan_in, fan_out, kernel, padding=kernel // 2), activation(), nn.MaxPool2d(2)]
    halvings = 2 ** len(model["channels"])
    sizes = [model["channels"][-1] * math.prod(size // halvings for size in shape), *model["widths"]]
    layers.append(nn.Flatten())
    for fan_in, fan_out in pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out), activation()]
    return _initialized(nn.Sequential(*layers, nn.Linear(sizes[-1], classes)), trial)


def perceptron(trial: dict[str, Any], shape: Sequence[int], classes: int) -> nn.Module:
    """The trial's perceptron; no dropout layer where nothing is dropped."""
    (features,) = shape
    dropout = trial["regularization"]["dropout"]
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise([features, *trial["model"]["widths"]]):
        layers += [nn.Linear(fan_in, fan_out), ACTIVATIONS[trial["activation"]["name"]]()]
        layers += [nn.Dropout(dropout)] if dropout else []
    return _initialized(nn.Sequential(*layers, nn.Linear(trial["model"]["widths"][-1], classes)), trial)


NETWORKS = {"mlp": perceptron, "cnn": convolutional}


def _initialized(model: nn.Sequential, trial: dict[str, Any]) -> nn.Sequential:
    for layer in model:
        if isinstance(layer, nn.Linear | nn.Conv2d):
            INITIALIZERS[trial["init"]["name"]](layer.weight)
            nn.init.zeros_(layer.bias)
    return model


def optimizer_of(trial: dict[str, Any], model: nn.Module) -> torch.optim.Optimizer:
    """The trial's optimizer."""
    chosen = {name: value for name, value in trial["optimizer"].items() if name != "name"}
    assert chosen.pop("decay_bias"), "torch decays biases, too"
    if trial["optimizer"]["name"] == "sgd":
        # torch refuses Nesterov without momentum; there it means nothing.
        chosen["nesterov"] = chosen["nesterov"] and chosen["momentum"] > 0
        return torch.optim.SGD(model.parameters(), **chosen)
    betas = (chosen.pop("beta1"), chosen.pop("beta2"))
    return torch.optim.AdamW(model.parameters(), betas=betas, **chosen)


def schedule_of(
    schedule: dict[str, Any], optimizer: torch.optim.Optimizer, steps: int, epochs: int
) -> torch.optim.lr_scheduler.LambdaLR | None:
    """The learning rate's scheduler, stepped after every step; None: the rate is constant."""
    if schedule["name"] == "constant":
        return None
    if schedule["name"] == "exponential":
        gamma, span = schedule["gamma"], schedule["decay_epochs"] * steps
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: gamma ** (step / span))
    assert schedule["name"] == "cosine", schedule
    alpha, share = schedule["alpha"], math.pi / (epochs * steps)
    return torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: (1 - alpha) * (1 + math.cos(share * step)) / 2 + alpha
    )

"""The peer of `sweep.py`: trials as one writes them for Ray Tune, a torch.nn.Module and a torch.optim optimizer each.

Follows Ray Tune's guide: a function trainable that reports once an epoch, `tune.with_parameters` for the data,
`tune.with_resources` for one CPU a trial, `ASHAScheduler`. Ray is started once, quiet and without a dashboard;
the data lies in memory as tensors; nothing is measured but what the search needs, and no checkpoint is written.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ |= {"RAY_AIR_NEW_OUTPUT": "0", "RAY_USAGE_STATS_ENABLED": "0"}

import numpy as np
import ray
import torch
from ray import tune
from torch import nn
from torch.nn import functional

ACTIVATIONS = {"relu": nn.ReLU, "elu": nn.ELU, "tanh": nn.Tanh}
INITIALIZERS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "glorot_uniform": nn.init.xavier_uniform_,
    "he_normal": lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"),
}


def train_digits(config: dict[str, Any], data: dict[str, Any], trials: list[dict[str, Any]]) -> None:
    """Train one configuration and report its validation loss after every epoch."""
    torch.set_num_threads(1)
    trial = trials[config["number"]]
    torch.manual_seed(trial["seed"])
    tensors = {name: torch.from_numpy(array) for name, array in data.items()}
    inputs, targets = tensors["inputs"], tensors["targets"]
    epochs, batch_size = trial["train"]["epochs"], trial["train"]["batch_size"]
    steps = math.ceil(len(inputs) / batch_size)
    model = network(trial, inputs.shape[1], int(targets.max()) + 1)
    optimizer = optimizer_of(trial, model)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor(trial["schedule"], steps, epochs))
    for epoch in range(1, epochs + 1):
        model.train()
        for rows in torch.randperm(len(inputs)).split(batch_size):
            optimizer.zero_grad()
            functional.cross_entropy(model(inputs[rows]), targets[rows]).backward()
            optimizer.step()
            schedule.step()
        model.eval()
        with torch.no_grad():
            outputs = model(tensors["validation_inputs"])
            answers = tensors["validation_targets"]
            loss = functional.cross_entropy(outputs, answers).item()
            accuracy = (outputs.argmax(dim=1) == answers).float().mean().item()
        tune.report({"epoch": epoch, "validation_loss": loss, "validation_accuracy": accuracy})


def network(trial: dict[str, Any], features: int, classes: int) -> nn.Module:
    """The trial's perceptron."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise([features, *trial["model"]["widths"]]):
        activation = ACTIVATIONS[trial["activation"]["name"]]()
        layers += [nn.Linear(fan_in, fan_out), activation, nn.Dropout(trial["regularization"]["dropout"])]
    model = nn.Sequential(*layers, nn.Linear(trial["model"]["widths"][-1], classes))
    for layer in model:
        if isinstance(layer, nn.Linear):
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


def factor(schedule: dict[str, Any], steps: int, epochs: int) -> Callable[[int], float]:
    """The factor on the learning rate at a step."""
    if schedule["name"] == "exponential":
        gamma, span = schedule["gamma"], schedule["decay_epochs"] * steps
        return lambda step: gamma ** (step / span)
    if schedule["name"] == "cosine":
        alpha = schedule["alpha"]
        share = math.pi / (epochs * steps)
        return lambda step: (1 - alpha) * (1 + math.cos(share * step)) / 2 + alpha
    assert schedule["name"] == "constant", schedule
    return lambda step: 1.0


def main() -> None:
    """Train every trial of FOLDER/work.json and write FOLDER/found.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--reuse", action=argparse.BooleanOptionalAction, required=True)
    given = parser.parse_args()
    work = json.loads((given.folder / "work.json").read_text())
    data = dict(np.load(given.folder / "data.npz"))
    ray.init("local", include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    trainable = tune.with_parameters(train_digits, data=data, trials=work["trials"])
    scheduler = tune.schedulers.ASHAScheduler(**work["asha"]) if work["asha"] else None
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        param_space={"number": tune.grid_search(list(range(len(work["trials"]))))},
        tune_config=tune.TuneConfig(
            metric=work["metric"],
            mode=work["mode"],
            scheduler=scheduler,
            **({"reuse_actors": True} if given.reuse else {}),
        ),
        run_config=tune.RunConfig(storage_path=tempfile.mkdtemp(dir=given.folder.resolve()), verbose=0),
    )
    results = tuner.fit()
    trained = [len(result.metrics_dataframe) for result in results]
    best = results.get_best_result(scope="all").metrics_dataframe[work["metric"]].min()
    found = {"epochs_trained": sum(trained), "best_value": float(best)}
    (given.folder / "found.json").write_text(json.dumps(found))
    print(results.get_dataframe().nsmallest(10, work["metric"]).to_string())
    ray.shutdown()


if __name__ == "__main__":
    main()

"""The same training loop in the frameworks people use, as their documentation shows it, with their defaults.

Each function is given the work and gives a loop (see loops.py). What a framework does once a call of `fit` is not
counted: seconds are those of its epoch alone.
"""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from time import perf_counter
from typing import Any

import torch
from loops import Loop, Work, plain_loop, timed
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def data_loader(work: Work) -> Loop:
    """The plain PyTorch loop of the tutorials, over a DataLoader."""
    loader = _loader(work)
    model, criterion = work.network(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=work.lr)

    def epoch() -> None:
        for inputs, targets in loader:
            optimizer.zero_grad()
            criterion(model(inputs), targets).backward()
            optimizer.step()

    return lambda: timed(epoch)


def skorch(work: Work) -> Loop:
    """`NeuralNetClassifier`, fitted epoch by epoch without a validation split."""
    from skorch import NeuralNetClassifier

    net = NeuralNetClassifier(
        work.network(),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.SGD,
        lr=work.lr,
        batch_size=work.batch_size,
        max_epochs=1,
        iterator_train__shuffle=True,
        train_split=None,
    ).initialize()
    inputs, targets = work.inputs.numpy(), work.targets.numpy()

    def epoch() -> float:
        with _quiet():
            return timed(lambda: net.partial_fit(inputs, targets))

    return epoch


def accelerate(work: Work) -> Loop:
    """The loop of accelerate's quick tour."""
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    plain, criterion = work.network(), nn.CrossEntropyLoss()
    sgd = torch.optim.SGD(plain.parameters(), lr=work.lr)
    model, optimizer, loader = accelerator.prepare(plain, sgd, _loader(work))

    def epoch() -> None:
        for inputs, targets in loader:
            optimizer.zero_grad()
            accelerator.backward(criterion(model(inputs), targets))
            optimizer.step()

    return lambda: timed(epoch)


def lightning(work: Work) -> Loop:
    """`Trainer.fit` with its defaults: progress bar, logger, a checkpoint an epoch."""
    import lightning

    class Perceptron(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = work.network()

        def training_step(self, batch: Any, _number: int) -> torch.Tensor:
            inputs, targets = batch
            loss = nn.functional.cross_entropy(self.network(inputs), targets)
            self.log("train_loss", loss)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=work.lr)

    class Clock(lightning.Callback):
        started = ended = 0.0

        def on_train_epoch_start(self, *_: Any) -> None:
            self.started = perf_counter()

        def on_train_epoch_end(self, *_: Any) -> None:
            self.ended = perf_counter()

    module, loader, clock = Perceptron(), _loader(work), Clock()

    def epoch() -> float:
        with _quiet(), tempfile.TemporaryDirectory() as folder:
            trainer = lightning.Trainer(
                max_epochs=1, accelerator="cpu", default_root_dir=folder, callbacks=[clock]
            )
            trainer.fit(module, loader)
        return clock.ended - clock.started

    return epoch


def keras(work: Work) -> Loop:
    """`compile` and `fit` of a Sequential on the torch backend, with the metric of its guides."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    class Clock(keras.callbacks.Callback):
        started = ended = 0.0

        def on_epoch_begin(self, _epoch: int, logs: Any = None) -> None:
            self.started = perf_counter()

        def on_epoch_end(self, _epoch: int, logs: Any = None) -> None:
            self.ended = perf_counter()

    features, *hidden, classes = work.widths
    layers = [keras.layers.Dense(width, activation="relu") for width in hidden]
    with keras.device("cpu"):
        model = keras.Sequential([keras.Input((features,)), *layers, keras.layers.Dense(classes)])
    model.compile(
        optimizer=keras.optimizers.SGD(learning_rate=work.lr),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    inputs, targets, clock = work.inputs.numpy(), work.targets.numpy(), Clock()

    def epoch() -> float:
        with _quiet(), keras.device("cpu"):
            model.fit(inputs, targets, batch_size=work.batch_size, epochs=1, callbacks=[clock])
        return clock.ended - clock.started

    return epoch


def ray_train(work: Work) -> Loop:
    """The training function of Ray Train's guide for PyTorch, in its local mode: a checkpoint and report an epoch."""
    import ray.train
    from ray.train.torch import TorchTrainer, prepare_data_loader, prepare_model

    seconds: list[float] = []

    def train_func() -> None:
        model, criterion = prepare_model(work.network()), nn.CrossEntropyLoss()
        optimizer = torch.optim.SGD(model.parameters(), lr=work.lr)
        loader = prepare_data_loader(_loader(work))
        started = perf_counter()
        for inputs, targets in loader:
            loss = criterion(model(inputs), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with tempfile.TemporaryDirectory() as folder:
            torch.save(model.state_dict(), os.path.join(folder, "model.pt"))
            checkpoint = ray.train.Checkpoint.from_directory(folder)
            ray.train.report({"loss": loss.item(), "epoch": 0}, checkpoint=checkpoint)
        seconds.append(perf_counter() - started)

    def epoch() -> float:
        with _quiet(), tempfile.TemporaryDirectory() as folder:
            TorchTrainer(
                train_func,
                scaling_config=ray.train.ScalingConfig(num_workers=0),
                run_config=ray.train.RunConfig(storage_path=folder),
            ).fit()
        return seconds[-1]

    return epoch


PEERS: dict[str, tuple[str, str, Callable[[Work], Loop]]] = {
    "plain": ("plain PyTorch loop", "torch", plain_loop),
    "data-loader": ("PyTorch loop with a DataLoader", "torch", data_loader),
    "skorch": ("skorch", "skorch", skorch),
    "accelerate": ("accelerate", "accelerate", accelerate),
    "ray-train": ("Ray Train's example", "ray", ray_train),
    "lightning": ("Lightning, defaults", "lightning", lightning),
    "keras": ("Keras on torch, defaults", "keras", keras),
}
"""Key → name in the table, package it needs, and what makes the loop."""


def _loader(work: Work) -> DataLoader[Any]:
    return DataLoader(TensorDataset(work.inputs, work.targets), batch_size=work.batch_size, shuffle=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """Progress bars and reports are written as they would be, but nobody sees them."""
    logging.disable(logging.WARNING)
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logging.disable(logging.NOTSET)

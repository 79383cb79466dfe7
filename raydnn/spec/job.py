"""The job: everything a job file says, typed and frozen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, ModelWrapValidatorHandler, model_validator

from raydnn.spec.axes.activation import Activation, Relu
from raydnn.spec.axes.init import Auto, Init
from raydnn.spec.axes.loss import AutoLoss, Loss
from raydnn.spec.axes.networks.model import OWN, Mlp, Model
from raydnn.spec.axes.normalization import NoNormalization, Normalization
from raydnn.spec.axes.optimizer import Optimizer
from raydnn.spec.axes.output import AutoOutput, Output
from raydnn.spec.axes.regularization import Regularization
from raydnn.spec.axes.schedule import Constant, Schedule
from raydnn.spec.base import Spec, StoragePath, parameter
from raydnn.spec.data import Data
from raydnn.spec.resources import Resources
from raydnn.spec.search import Search
from raydnn.spec.train import Train

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]


class Training(Spec):
    """All that decides how one network is trained: the part a job and a trial have in common."""

    seed: int = parameter(
        0,
        "seed of every random draw: weights, order of batches, dropout; all trials of a sweep share it, "
        "unless its space has seed or search.repeats gives further ones",
        ge=0,
        lt=2**63,
    )
    data: Data = parameter(..., "the data set")
    model: Model = parameter(Mlp(), "the network")
    activation: Activation = parameter(Relu(), "activation of the hidden layers")
    init: Init = parameter(Auto(), "initializer of the weights")
    normalization: Normalization = parameter(NoNormalization(), "normalization inside the network")
    regularization: Regularization = parameter(Regularization(), "regularization")
    output: Output = parameter(AutoOutput(), "activation of the output layer")
    loss: Loss = parameter(AutoLoss(), "what is minimized")
    optimizer: Optimizer = parameter(..., "the optimizer", descends=("sgd",))
    schedule: Schedule = parameter(Constant(), "learning-rate schedule")
    train: Train = parameter(Train(), "the training loop")

    @model_validator(mode="wrap")
    @classmethod
    def _own_of_model(cls, given: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        """Some models have an activation or a normalization of their own, unless another one is given."""
        if not isinstance(given, Mapping):
            return read(given)
        name = _model_name(given)
        own = {axis: value for axis, value in OWN.get(name, {}).items() if axis not in given}
        made = read({**given, **own})
        # They are the model's: where another one is drawn, they hold no longer.
        made.model_fields_set.difference_update(own)
        return made

    @model_validator(mode="before")
    @classmethod
    def _inputs_are_learned(cls, given: Any) -> Any:
        """Some models learn their inputs, whatever else the data has."""
        if not isinstance(given, Mapping) or _model_name(given) != "autoencoder":
            return given
        data = given.get("data")
        if isinstance(data, str):
            return {**given, "data": {"name": data, "reconstruct": True}}
        return {**given, "data": {"reconstruct": True, **data}} if isinstance(data, Mapping) else given


def _model_name(given: Mapping[str, Any]) -> Any:
    """The name of the model that is given, by itself, in a mapping, or as a spec."""
    model = given.get("model")
    return model.get("name") if isinstance(model, Mapping) else getattr(model, "name", model)


class Job(Training):
    """A job file: a training, and where it runs, where its results go, and what a sweep searches."""

    name: Name = parameter(..., "name of the job; run ids begin with it")
    resources: Resources = parameter(Resources(), "what one training may use")
    storage: StoragePath = parameter(
        "results",
        "folder (or s3://, gs:// address) that holds the runs; a relative one is in the shell's folder, "
        "wherever the job file is",
    )
    search: Search | None = parameter(None, "what a sweep searches")

    def as_sweep(self) -> SweepJob | None:
        """The same job as one that searches; None where it does not."""
        return None if self.search is None else SweepJob.model_construct(self.model_fields_set, **dict(self))


class SweepJob(Job):
    """A job that searches."""

    search: Search = parameter(..., "what a sweep searches")

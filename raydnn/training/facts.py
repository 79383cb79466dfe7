"""What a finished network's checkpoint says of it beside its weights: all that prediction needs, as JSON."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from functools import cache
from importlib.metadata import version
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from raydnn.data.dataset import Dataset
from raydnn.data.named import Named
from raydnn.data.preparation import Preparation
from raydnn.data.scaling import ScalingState
from raydnn.data.targets import TargetScale
from raydnn.spec.data import Label, Task
from raydnn.spec.trial import TrialSpec

SCHEMA_VERSION = 2
"""Version of what is kept; checkpoints of the first one do not say it, and lack most of it."""


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Versions(_Facts):
    """By what a checkpoint was written."""

    raydnn: str
    torch: str
    schema_version: int


class InputFacts(_Facts):
    """What raw inputs are."""

    shape: tuple[int, ...]
    types: tuple[str, ...]
    vocabulary: int | None = None
    padding: int | None = None
    padded: bool = False
    named: Named = ()

    def further(self) -> dict[str, Any]:
        """What is said of tokens, padding and inputs by name."""
        return {
            "vocabulary": self.vocabulary,
            "padding": self.padding,
            "padded": self.padded,
            "named": self.named,
        }


class ScalingFacts(_Facts):
    """How inputs are scaled."""

    name: str
    tensors: dict[str, str]
    """`shift`, `scale` and perhaps `matrix` → the name of the checkpoint's tensor."""


class TargetScaleFacts(_Facts):
    """How a regression's targets are scaled."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]


class NetworkFacts(_Facts):
    """What `facts.json` holds of a finished network beside `member`; what there is not has no entry."""

    features: tuple[int, ...] = Field(description="shape of one input as the network gets it")
    outputs: int = Field(description="units of the output layer")
    versions: Versions | None = Field(None, description="of `raydnn`, `torch` and of this schema")
    configuration: dict[str, Any] | None = Field(None, description="the trial's whole resolved configuration")
    task: Task | None = Field(None, description="what is learned")
    loss: dict[str, Any] | None = Field(None, description="the loss's `name` and parameters")
    output_activation: dict[str, Any] | None = Field(
        None, description="the output layer's activation, its `name` and parameters"
    )
    inputs: InputFacts | None = Field(
        None,
        description="`shape` of one raw input; `types` of the named columns, or the type of all of it, "
        "`number` or `picture`; of whole numbers that may be tokens the `vocabulary`, the largest one of training + 1; "
        "whether sequences are `padded`, by NaN, or by the token `padding`; inputs by name, which lie side by side, "
        "are `named`, each with its `shape`, and `whole`, the smallest and the largest of whole numbers",
    )
    columns: tuple[str, ...] | None = Field(None, description="names of the inputs, in their order")
    scaling: ScalingFacts | None = Field(
        None,
        description="scaling of the inputs, (x − shift) / scale, and then the product with `matrix`: its `name`, and "
        "which of the `tensors` are its numbers",
    )
    class_count: int | None = Field(
        None, description="number of classes; 0 where the targets are no class numbers"
    )
    classes: tuple[Label, ...] | None = Field(
        None,
        description="what the data call the classes, in the order of their numbers; none: by these numbers",
    )
    targets: tuple[str, ...] | None = Field(None, description="names of the targets")
    target_scale: TargetScaleFacts | None = Field(
        None,
        description="`mean` and `deviation` of a regression's targets, which are learned as (y − mean) / deviation",
    )
    baseline: dict[str, Any] | None = Field(
        None, description="what one and the same answer to all inputs reaches"
    )

    def lacking(self) -> list[str]:
        """What is not said, since the checkpoint is of an earlier version."""
        return [] if self.versions else [name for name in _SINCE_VERSION_2 if getattr(self, name) is None]

    def scaling_tensors(self, tensors: Collection[str]) -> Mapping[str, str]:
        """`shift`, `scale` and perhaps `matrix` → which of a checkpoint's tensors it is."""
        if self.scaling:
            return self.scaling.tensors
        names = ["shift", "scale", *(["matrix"] if "scaling.matrix" in tensors else [])]
        return {name: f"scaling.{name}" for name in names}

    def preparation(self, spec: TrialSpec, tensors: Mapping[str, Tensor]) -> Preparation:
        """What raw examples go through.

        Args:
            spec: The trial's configuration, which says what an earlier version's checkpoint does not.
            tensors: The checkpoint's.

        Raises:
            KeyError: A tensor of the scaling is missing.
        """
        fitted = self.scaling_tensors(tensors)
        name = self.scaling.name if self.scaling else spec.data.scaling.name
        state = ScalingState(name, **{what: tensors[key] for what, key in fitted.items()})
        shape = self.inputs.shape if self.inputs else tuple(state.shift.shape) or None
        scale = self.target_scale
        return Preparation(
            self.task or spec.data.learns,
            shape,
            state,
            self.class_count or 0,
            self.classes,
            self.columns,
            self.inputs.types if self.inputs else None,
            self.targets,
            TargetScale(scale.mean, scale.deviation) if scale else None,
            **({} if self.inputs is None else self.inputs.further()),
        )


_SINCE_VERSION_2 = (
    "versions",
    "configuration",
    "task",
    "loss",
    "output_activation",
    "inputs",
    "scaling",
    "class_count",
    "targets",
)


def facts_of_data(
    dataset: Dataset, outputs: int, taken: Collection[str]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What is kept beside the weights of all networks that were trained on a data set.

    Args:
        dataset: The data set.
        outputs: Units of the output layer.
        taken: Names of the tensors of the weights.

    Returns:
        Tensors by name, none of which is taken, and JSON values.
    """
    prepared = dataset.preparation
    prefix = "scaling"
    while any(name.startswith(f"{prefix}.") for name in taken):
        prefix = f"fitted_{prefix}"
    numbers = prepared.scaling.tensors()
    scale = prepared.target_scale
    facts = NetworkFacts(
        features=dataset.features,
        outputs=outputs,
        versions=Versions(**_versions()),
        task=prepared.task,
        inputs=InputFacts(
            shape=prepared.shape or dataset.features,
            types=prepared.feature_types or (),
            vocabulary=prepared.vocabulary,
            padding=prepared.padding,
            padded=prepared.padded,
            named=prepared.named,
        ),
        columns=prepared.feature_names,
        scaling=ScalingFacts(
            name=prepared.scaling.name, tensors={name: f"{prefix}.{name}" for name in numbers}
        ),
        class_count=prepared.classes,
        classes=prepared.class_names,
        targets=prepared.target_names,
        target_scale=TargetScaleFacts(mean=scale.mean, deviation=scale.deviation) if scale else None,
        baseline=dataset.baseline or None,
    )
    told = {name: value for name, value in facts.model_dump(mode="json").items() if value is not None}
    told["inputs"] = {
        name: value
        for name, value in told["inputs"].items()
        if value is not None and value is not False and (value or name != "named")
    }
    return {f"{prefix}.{name}": tensor.cpu() for name, tensor in numbers.items()}, told


def facts_of_trial(spec: TrialSpec) -> dict[str, Any]:
    """What is kept of a trial's configuration, as JSON values."""
    configuration = json.loads(spec.config_json)
    return {
        "configuration": configuration,
        "loss": configuration["loss"],
        "output_activation": configuration["output"],
    }


@cache
def _versions() -> dict[str, Any]:
    return {"raydnn": version("raydnn"), "torch": torch.__version__, "schema_version": SCHEMA_VERSION}

"""A trial: one fully concrete configuration, its identity, and its parameters as flat columns."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Self

from raydnn.spec.axes.init import Auto
from raydnn.spec.axes.networks.model import UserModule
from raydnn.spec.axes.output import AutoOutput
from raydnn.spec.catalogue.kinds import components
from raydnn.spec.checks.compatibility import loss_of
from raydnn.spec.job import Job, Training


class TrialSpec(Training):
    """A training with nothing left to choose: no domain, no scheduler's budget, no `auto` but a module's init."""

    @classmethod
    def from_training(cls, training: Training) -> Self:
        """Resolve every `auto` of a job (or another training) into the choice it stands for."""
        fields = {name: getattr(training, name) for name in Training.model_fields}
        if isinstance(training.init, Auto) and not isinstance(training.model, UserModule):
            name = training.activation.init
            fields["init"] = components("init")[name](name=name)
        loss = fields["loss"] = loss_of(training)
        if isinstance(training.output, AutoOutput):
            name = loss.outputs.get(training.data.learns, "linear")
            fields["output"] = components("output")[name](name=name)
        return cls(**fields)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read back what `config_json` wrote."""
        return cls.model_validate(json.loads(text))

    def with_seed(self, seed: int) -> Self:
        """The same configuration with another seed."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return self if seed == self.seed else type(self)(**{**fields, "seed": seed})

    @cached_property
    def config_json(self) -> str:
        """The whole configuration as JSON with sorted keys: the same text for the same configuration."""
        return json.dumps(self.model_dump(), sort_keys=True, separators=(",", ":"))

    @cached_property
    def config_hash(self) -> str:
        """Identity of the configuration without its seed: 16 hexadecimal digits, stable over processes."""
        configuration = self.model_dump(exclude={"seed"})
        text = json.dumps(configuration, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def parameters(self) -> dict[str, Any]:
        """Every parameter that is not null by its dotted path: `optimizer.lr` → 0.1; the seed is not one."""
        return dict(flatten(self.model_dump(exclude={"seed"})))


def trial_of_job(job: Job) -> TrialSpec:
    """The one trial that `raydnn train` trains."""
    return TrialSpec.from_training(job)


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every field that is not null, with its dotted path; lists stay whole."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key}", value

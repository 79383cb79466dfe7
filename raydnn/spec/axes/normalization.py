"""Normalization inside the network."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from raydnn.spec.base import Component, NameOrMapping, parameter

Position = Literal["before_activation", "after_activation"]


class NormalizationLayer(Component):
    """What every normalization has: fields in which the members of a stack may differ, and others."""

    of_member: ClassVar[frozenset[str]] = frozenset({"eps", "momentum", "exact_statistics"})
    """Fields that do not change the network's graph."""

    @property
    def graph(self) -> tuple[object, ...]:
        """Name and fields that all members of a stack share."""
        return tuple(value for field, value in self if field not in self.of_member)


class NoNormalization(NormalizationLayer):
    """Layers feed one another as they are."""

    name: Literal["none"] = "none"


class BatchNorm(NormalizationLayer):
    """Each unit is normalized over the batch; the layer before it has no bias."""

    formula: ClassVar[str] = (
        "y = γ(z − μ)/√(σ² + ε) + β; μ, σ² of the batch in training, running averages at evaluation: "
        "r ← (1−m)r + m·batch"
    )
    source: ClassVar[str] = "Ioffe & Szegedy 2015, arXiv:1502.03167; torch.nn.BatchNorm1d"

    name: Literal["batch_norm"] = "batch_norm"
    position: Position = parameter("before_activation", "before or after the activation")
    inputs: bool = parameter(False, "normalize the inputs of the network, too")
    momentum: float = parameter(
        0.1, "share m of the batch in the running averages", gt=0, le=1, search="loguniform(0.01, 0.5)"
    )
    eps: float = parameter(1e-5, "ε, added to the variance", gt=0)
    exact_statistics: bool = parameter(
        False, "at the end, replace the running averages by the statistics of the whole training set"
    )


class LayerNorm(NormalizationLayer):
    """Each example is normalized over the units of a layer."""

    formula: ClassVar[str] = "y = γ(z − μ)/√(σ² + ε) + β; μ, σ² over the layer's units"
    source: ClassVar[str] = "Ba et al. 2016, arXiv:1607.06450; torch.nn.LayerNorm"

    name: Literal["layer_norm"] = "layer_norm"
    position: Position = parameter("before_activation", "before or after the activation")
    eps: float = parameter(1e-5, "ε, added to the variance", gt=0)


class GroupNorm(NormalizationLayer):
    """Each example is normalized over groups of the units of a layer."""

    formula: ClassVar[str] = "y = γ(z − μ_g)/√(σ_g² + ε) + β; μ_g, σ_g² over the units of a group"
    source: ClassVar[str] = "Wu & He 2018, arXiv:1803.08494; torch.nn.GroupNorm"

    name: Literal["group_norm"] = "group_norm"
    groups: int = parameter(
        4, "number of groups; it must divide every hidden width", ge=1, search="choice(1, 2, 4, 8)"
    )
    position: Position = parameter("before_activation", "before or after the activation")
    eps: float = parameter(1e-5, "ε, added to the variance", gt=0)


Normalization = Annotated[
    NoNormalization | BatchNorm | LayerNorm | GroupNorm, NameOrMapping, Field(discriminator="name")
]

"""What the layers' tests share: trials, members of a layer with random parameters in float64, training contexts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from raydnn.nn.layers.layer import Layer
from raydnn.nn.layers.members import Members
from raydnn.spec.job import Training
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.context import Context
from raydnn.stacking.noise import Noise


@pytest.fixture
def make_trial() -> Callable[..., TrialSpec]:
    """A trial on the digits; fields by keyword."""

    def make(**fields: Any) -> TrialSpec:
        return TrialSpec.from_training(
            Training.model_validate({"data": "digits", "optimizer": "sgd", **fields})
        )

    return make


@pytest.fixture
def members_of() -> Callable[[Layer, Sequence[TrialSpec]], Members]:
    """Members of a layer alone, whose parameters and averages are random numbers in float64."""

    def make(layer: Layer, trials: Sequence[TrialSpec]) -> Members:
        generator = torch.Generator().manual_seed(5)
        flat = torch.randn(len(trials), layer.layout.size, generator=generator, dtype=torch.float64)
        statistics = torch.rand(
            len(trials), layer.layout.statistics_size, generator=generator, dtype=torch.float64
        )
        return Members(trials, layer.layout, flat, statistics)

    return make


@pytest.fixture
def normal() -> Callable[..., Tensor]:
    """Normal numbers of a shape in float64, the same for the same seed."""

    def draw(*shape: int, seed: int = 0) -> Tensor:
        return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)

    return draw


@pytest.fixture
def training() -> Callable[[int], Context]:
    """The context of a training pass of so many examples."""
    return lambda examples: Context(Noise([0, 1], 1, torch.device("cpu")), examples)

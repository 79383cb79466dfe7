"""Embeddings of a stack: vectors of tokens, and what is added to the steps of a sequence to tell their places."""

from __future__ import annotations

from dataclasses import dataclass
from math import log, prod

import torch
from torch import Tensor, nn

from raydnn.nn.layers.costs import Costs
from raydnn.nn.layers.layer import Row, Shape, Views, row
from raydnn.nn.layers.members import Members
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.context import EVALUATION, Context
from raydnn.stacking.layout import Layout
from raydnn.stacking.random import generator
from raydnn.stacking.roles import Parameter, Role

PLACE_DEVIATION = 0.02
"""Standard deviation of the first vectors of places (Dosovitskiy et al. 2021)."""


@dataclass(frozen=True)
class EmbeddingLayer:
    """A vector for each token of a vocabulary, as torch.nn.Embedding has it; its first ones are N(0, 1) as there."""

    name: str
    steps: int
    vocabulary: int
    width: int

    @property
    def layout(self) -> Layout:
        """`NAME.weight` (vocabulary, width)."""
        return _vectors(self.name, self.vocabulary, self.width)

    @property
    def shape(self) -> Shape:
        """(T, width)."""
        return self.steps, self.width

    def costs(self, _trial: TrialSpec) -> Costs:
        """The vectors of an example, and their gradient."""
        numbers = prod(self.shape)
        return Costs(numbers, numbers, numbers, 0, passing=numbers)

    def rows(self, trial: TrialSpec) -> tuple[Row, ...]:
        """One."""
        return row(self, trial)

    def start(self, trial: TrialSpec, parameters: Views, _statistics: Views) -> None:
        """Draw the vectors."""
        _draw(trial, f"{self.name}.weight", parameters, 1.0)

    def module(self, members: Members) -> Embedding:
        """The vectors of N members."""
        return Embedding(members.parameters[f"{self.name}.weight"])


class Embedding(nn.Module):
    """The vectors of N members' tokens."""

    def __init__(self, weight: Tensor) -> None:
        """Wrap the vectors (N, vocabulary, width), which stay views of the stack's matrix."""
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, inputs: Tensor, _context: Context = EVALUATION) -> Tensor:
        """Look the tokens (N, B, T), whole numbers as floats, up: (N, B, T, width)."""
        members, vocabulary, _ = self.weight.shape
        tokens = inputs.long()
        if members > 1:
            # The vocabularies one below the other, so that one look-up finds all.
            tokens = tokens + vocabulary * torch.arange(members, device=inputs.device).view(-1, 1, 1)
        return nn.functional.embedding(tokens, self.weight.flatten(0, 1))


@dataclass(frozen=True)
class PositionsLayer:
    """What is added to each step of a sequence: a vector that is learned, or sines and cosines of its place."""

    name: str
    shape: Shape
    """(T, width), of what comes in and out."""
    learned: bool

    @property
    def layout(self) -> Layout:
        """`NAME.weight` (T, width) where they are learned."""
        return _vectors(self.name, *self.shape) if self.learned else Layout({})

    def costs(self, _trial: TrialSpec) -> Costs:
        """What comes out."""
        numbers = prod(self.shape)
        return Costs(numbers, numbers, numbers, numbers)

    def rows(self, trial: TrialSpec) -> tuple[Row, ...]:
        """One."""
        return row(self, trial)

    def start(self, trial: TrialSpec, parameters: Views, _statistics: Views) -> None:
        """Draw the vectors that are learned, small beside those of tokens."""
        if self.learned:
            _draw(trial, f"{self.name}.weight", parameters, PLACE_DEVIATION)

    def module(self, members: Members) -> Positions:
        """The vectors of N members."""
        weight = members.parameters[f"{self.name}.weight"] if self.learned else None
        return Positions(weight, self.shape, members.flat)


class Positions(nn.Module):
    """Adds what tells a step's place."""

    def __init__(self, weight: Tensor | None, shape: Shape, like: Tensor) -> None:
        """Wrap the vectors (N, T, width) that are learned, or make sines and cosines in the type of `like`."""
        super().__init__()
        self.weight = None if weight is None else nn.Parameter(weight)
        self._fixed = None if self.weight is not None else sinusoidal(*shape).to(like)

    def forward(self, inputs: Tensor, _context: Context = EVALUATION) -> Tensor:
        """Add them to (N, B, T, width)."""
        own = self._fixed if self.weight is None else self.weight.unsqueeze(1)
        assert own is not None, "one of the two is there"
        return inputs + own


def sinusoidal(steps: int, width: int) -> Tensor:
    """p(t, 2k) = sin(t/10000^(2k/width)), p(t, 2k + 1) = cos of the same: (steps, width) (Vaswani et al. 2017)."""
    rates = torch.exp(-log(10_000.0) / width * torch.arange(0, width, 2, dtype=torch.float64))
    angles = torch.arange(steps, dtype=torch.float64).unsqueeze(1) * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :width]


def _vectors(name: str, count: int, width: int) -> Layout:
    return Layout({f"{name}.weight": Parameter((count, width), Role.EMBEDDING, name, count, width)})


def _draw(trial: TrialSpec, name: str, parameters: Views, deviation: float) -> None:
    view = parameters[name]
    view[0] = torch.randn(view.shape[1:], generator=generator("init", trial.seed, name)) * deviation

"""The dense layer of a stack, and its gradients by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from raydnn.nn.layers.costs import Costs
from raydnn.nn.layers.layer import Row, Shape, Views, draw, row
from raydnn.nn.layers.members import Members, named_under
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.context import EVALUATION, Context
from raydnn.stacking.layout import ALIGNMENT, Layout
from raydnn.stacking.roles import Parameter, Role


@dataclass(frozen=True)
class DenseLayer:
    """A dense layer: y ← xWᵀ + b; what comes in is made one row an example."""

    name: str
    inputs: int
    """Numbers of an example that come in."""
    units: int
    bias: bool = True

    @property
    def layout(self) -> Layout:
        """`NAME.weight` (units, inputs), as in torch.nn.Linear, and `NAME.bias` (units) where wanted."""
        return dense_layout(self.name, self.inputs, self.units, self.bias)

    @property
    def shape(self) -> Shape:
        """(units,)."""
        return (self.units,)

    def costs(self, _trial: TrialSpec) -> Costs:
        """It keeps its outputs, what a loss or an activation makes of them, and the gradients of both."""
        return Costs(KEPT * self.units, self.units, self.units, self.inputs * self.units)

    def rows(self, trial: TrialSpec) -> tuple[Row, ...]:
        """One."""
        return row(self, trial)

    def start(self, trial: TrialSpec, parameters: Views, _statistics: Views) -> None:
        """Draw the weights; biases are 0."""
        draw(self.layout, trial, parameters)

    def module(self, members: Members) -> Dense:
        """The layer of N members."""
        return Dense(named_under(self.name, members.parameters))


def dense_layout(name: str, fan_in: int, fan_out: int, bias: bool = True) -> Layout:
    """The parameters `NAME.weight` (fan_out, fan_in), as in torch.nn.Linear, and `NAME.bias` (fan_out) where wanted."""
    weight = Parameter((fan_out, fan_in), Role.WEIGHT, name, fan_in, fan_out)
    biases = {f"{name}.bias": Parameter((fan_out,), Role.BIAS, name)} if bias else {}
    return Layout({f"{name}.weight": weight, **biases})


ONE_BY_ONE = frozenset({"cpu"})
"""Devices that do batched products into rows of the stack's matrix, which are apart, one by one: slower than a copy."""

KEPT = 4
"""Numbers that a step keeps of each unit and example: before and after the activation, and the gradients of both."""


@dataclass(frozen=True)
class Destination:
    """Where the gradients of one parameter go, for all members or for some neighbours."""

    tensor: Tensor
    """(n, *shape), changed in place."""
    members: slice | None
    """The n members; None: all."""
    adds: bool
    """Whether the gradient is added to what is there, instead of replacing it."""

    def of(self, stacked: Tensor) -> Tensor:
        """The members' rows of a tensor with leading member dimension."""
        return stacked if self.members is None else stacked[self.members]


Destinations = Mapping[str, Sequence[Destination]]
"""Parameter → where its gradients go; together they have every member once."""


class Dense(nn.Module):
    """A dense layer of N members: y ← xWᵀ + b, x (N, B, fan_in), y (N, B, fan_out).

    Outputs lie in memory unit by unit, (N, fan_out, B): products of narrow layers, softmax and sums over a batch
    are several times faster so, since processors take numbers that lie side by side at once.
    """

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        """Wrap parameters, which stay views of the stack's matrix.

        Args:
            parameters: `weight` (N, fan_out, fan_in), and `bias` (N, fan_out) where there is one.
        """
        super().__init__()
        self.weight = nn.Parameter(parameters["weight"])
        self.bias = nn.Parameter(parameters["bias"]) if "bias" in parameters else None
        self._gathered: Tensor | None = None
        # The same memory for the passes by hand: a module looks its parameters up slowly.
        self._rows = self._weight = parameters["weight"]
        self._bias = parameters["bias"].unsqueeze(2) if "bias" in parameters else None

    def gather(self) -> Tensor | None:
        """Let the passes by hand have the weights side by side, where batched products can change them all at once.

        They lie apart, each in its row of the stack's matrix, and can lie side by side where a member's weights begin
        at 64 bytes there, too (`ALIGNMENT`). It is the same memory every time.

        Returns:
            The weights (N, fan_out, fan_in), or None where they stay as they are.
        """
        if self._rows.is_contiguous() or self._rows[0].numel() % ALIGNMENT:
            return None
        if self._gathered is None:
            self._gathered = torch.empty(self._rows.shape, dtype=self._rows.dtype, device=self._rows.device)
        self._weight = self._gathered.copy_(self._rows)
        return self._gathered

    def scatter(self) -> None:
        """Put weights that `gather` gave back into the members' rows."""
        if self._gathered is not None:
            self._rows.copy_(self._gathered)
            self._weight = self._rows

    def forward(self, inputs: Tensor, _context: Context = EVALUATION) -> Tensor:
        """Compute y."""
        return _units(self.weight, None if self.bias is None else self.bias.unsqueeze(2), inputs.mT).mT

    def units(self, inputs: Tensor) -> Tensor:
        """Compute y unit by unit, (N, fan_out, B), of inputs (N, fan_in, B), for `backward` instead of autograd."""
        return _units(self._weight, self._bias, inputs)

    def backward(self, inputs: Tensor, of_units: Tensor, destinations: Destinations, add: bool) -> None:
        """Give the parameters their gradients: dW = dy·xᵀ, db = Σ dy.

        Args:
            inputs: What `units` got.
            of_units: The gradient dy of what it returned.
            destinations: Where those of `weight` and `bias` go.
            add: Whether to add to what is there in any case.
        """
        in_place = of_units.device.type not in ONE_BY_ONE
        for destination in destinations["weight"]:
            left, right = destination.of(of_units), destination.of(inputs).mT
            if destination.adds or in_place:
                _add_product(destination.tensor, left, right, add or destination.adds)
            elif add or len(left) > 1:
                _put(torch.bmm(left, right), destination.tensor, add)
            else:
                torch.bmm(left, right, out=destination.tensor)
        if self._bias is not None:
            for destination in destinations["bias"]:
                if not (add or destination.adds):
                    torch.sum(destination.of(of_units), dim=2, out=destination.tensor)
                elif in_place:
                    units = destination.of(of_units)
                    ones = _ones(units.shape[2], units.dtype, units.device).expand(len(units), -1, -1)
                    _add_product(destination.tensor.unsqueeze(2), units, ones, True)
                else:
                    destination.tensor.add_(destination.of(of_units).sum(dim=2))

    def of_inputs(self, of_units: Tensor) -> Tensor:
        """The gradient dx = Wᵀdy of the inputs (N, fan_in, B)."""
        return torch.bmm(self._weight.mT, of_units)


def _units(weight: Tensor, bias: Tensor | None, inputs: Tensor) -> Tensor:
    return torch.bmm(weight, inputs) if bias is None else torch.baddbmm(bias, weight, inputs)


def _add_product(tensor: Tensor, left: Tensor, right: Tensor, add: bool) -> None:
    """tensor ← left·right, or tensor + left·right, in place."""
    tensor.baddbmm_(left, right, beta=int(add))


@cache
def _ones(examples: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """What units are multiplied by to be summed over a batch, (1, B, 1)."""
    return torch.ones(1, examples, 1, dtype=dtype, device=device)


def put(gradient: Tensor, destinations: Sequence[Destination], add: bool) -> None:
    """Put a gradient (N, *shape) in its destinations, or `add` it to what is there in any case."""
    for destination in destinations:
        _put(destination.of(gradient), destination.tensor, add or destination.adds)


def _put(gradient: Tensor, tensor: Tensor, add: bool) -> None:
    if add:
        tensor.add_(gradient)
    else:
        tensor.copy_(gradient)

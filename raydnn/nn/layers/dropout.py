"""Dropout of a stack: what each member drops of its inputs and its hidden units in training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from raydnn.nn.activations import SELU_ALPHA, SELU_SCALE
from raydnn.nn.features import is_picture
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.context import Context

SELU_FLOOR = -SELU_SCALE * SELU_ALPHA
"""What SELU tends to for small inputs, −λα."""


@dataclass(frozen=True)
class Terms:
    """What dropout makes of hidden units h: factor·h + addend."""

    factor: Tensor
    addend: Tensor | None = None

    def of(self, hidden: Tensor) -> Tensor:
        """Drop units."""
        return hidden * self.factor if self.addend is None else hidden * self.factor + self.addend

    def shaped(self, shape: tuple[int, ...]) -> Terms:
        """The same for units in a shape, (n, B, *shape) instead of (n, B, units)."""
        factor = self.factor.reshape(*self.factor.shape[:2], *shape)
        return Terms(factor, None if self.addend is None else self.addend.reshape(factor.shape))


def dropout(draws: Tensor, rates: Tensor, scales: Tensor | None = None) -> Terms:
    """Zero a share of the units and scale the others by 1/(1 − rate), so that the mean stays; perhaps by `scales`."""
    return Terms(_kept(draws, rates).mul_(1 / (1 - rates) if scales is None else scales))


def alpha_dropout(draws: Tensor, rates: Tensor) -> Terms:
    """Put a share of the units to SELU's floor, and scale and shift all so that mean 0 and variance 1 stay.

    With f = −λα and q = 1 − rate: y = a(f where dropped, else h) + b, a = (q + f²q(1 − q))^(−1/2), b = −af(1 − q)
    (Klambauer et al. 2017, arXiv:1706.02515).
    """
    kept = _kept(draws, rates)
    a = ((1 - rates) * (1 + SELU_FLOOR**2 * rates)).rsqrt()
    # Members that drop nothing have the factor 1 and the addend 0, exactly.
    return Terms(a * kept, a * SELU_FLOOR * (1 - kept).sub(rates))


def _kept(draws: Tensor, rates: Tensor) -> Tensor:
    """1 where a unit is kept, else 0: at once as numbers, since turning booleans into them takes ten times as long."""
    members = max(len(draws), len(rates))
    unit_by_unit = draws.new_empty(members, draws.shape[2], draws.shape[1])
    return torch.ge(draws, rates, out=unit_by_unit.mT)


class Dropout:
    """The rates of N members; each kind draws from a stream of its own, and costs nothing where no member has it."""

    def __init__(self, trials: Sequence[TrialSpec], device: torch.device) -> None:
        """Lay the rates out.

        Args:
            trials: The members.
            device: Where the stack is trained.
        """
        specs = [trial.regularization for trial in trials]
        everywhere = [not spec.dropout_last_layer_only for spec in specs]
        self._inputs = _columns([spec.input_dropout for spec in specs], everywhere, device)
        self._hidden = _columns([spec.dropout for spec in specs], everywhere, device)
        self._alpha = _columns([spec.alpha_dropout for spec in specs], everywhere, device)
        # Once, instead of in every step.
        self._scales = {last: 1 / (1 - rates) for last, rates in (self._hidden or {}).items()}

    def of_inputs(self, inputs: Tensor, context: Context) -> Tensor:
        """Drop numbers of inputs (N, B, *shape) in training."""
        if self._inputs is None or not context.trains:
            return inputs
        shape = inputs.shape[2:]
        terms = dropout(context.uniform(prod(shape), "input_dropout"), self._inputs[True])
        return (terms if len(shape) == 1 else terms.shaped(shape)).of(inputs)

    def of_hidden(self, shape: tuple[int, ...], context: Context, last: bool) -> Terms | None:
        """What happens to the hidden units (N, B, *shape) of a layer; None: nothing, as at evaluation.

        Of pictures whole channels are dropped, since neighbouring pixels say the same (Tompson et al. 2015,
        arXiv:1411.4280; torch.nn.Dropout2d). Draws are made for every layer, so that what a member gets in its last
        one does not depend on its stack.
        """
        terms = None
        if not context.trains:
            return None
        drawn = (shape[0], 1, 1) if is_picture(shape) else shape
        width = prod(drawn)
        if self._hidden is not None:
            terms = dropout(context.uniform(width), self._hidden[last], self._scales[last])
        if self._alpha is not None:
            alpha = alpha_dropout(context.uniform(width, "alpha_dropout"), self._alpha[last])
            terms = alpha if terms is None else Terms(terms.factor * alpha.factor, alpha.addend)
        return terms if terms is None or len(drawn) == 1 else terms.shaped(drawn)

    def of_attention(self, shape: tuple[int, ...], context: Context, last: bool) -> Terms | None:
        """What happens to the weights (N, B, *shape) of an attention, which alpha dropout leaves alone."""
        if not context.trains or self._hidden is None:
            return None
        return dropout(context.uniform(prod(shape)), self._hidden[last], self._scales[last]).shaped(shape)


def _columns(
    rates: Sequence[float], everywhere: Sequence[bool], device: torch.device
) -> dict[bool, Tensor] | None:
    """Rates (N, 1, 1) in the last hidden layer (True) and in the others (False); None where all are 0."""
    if not any(rates):
        return None
    last = torch.tensor(rates, device=device).view(-1, 1, 1)
    return {True: last, False: last * torch.tensor(everywhere, device=device).view(-1, 1, 1)}

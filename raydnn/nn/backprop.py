"""Backpropagation through a stack of perceptrons by hand: autograd's numbers at a fraction of its cost.

Dense layers, common activations and dropout have their gradients written out; what is left of a layer's tail
(normalization, learned slopes, ...) is differentiated by autograd, layer by layer.
What goes from layer to layer lies unit by unit, (N, H, B), as Dense has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from raydnn.nn.activations import DERIVATIVES, activate, pull_back
from raydnn.nn.dense import Dense, put
from raydnn.nn.hidden import Hidden
from raydnn.nn.mlp import Mlp, below
from raydnn.nn.noise import Noise

Pullback = Callable[[Tensor, bool], tuple[Tensor, Tensor | None]]
"""(gradient of a tail's activations, whether to add to the parameters' gradients) → those of z and of the skip."""


class Backprop:
    """The passes of a training step, forward and backward, of N perceptrons on one worker."""

    def __init__(self, module: Mlp, gradients: Mapping[str, Tensor]) -> None:
        """Note where the gradients go.

        Args:
            module: The perceptrons.
            gradients: Name of a parameter → its gradient, overwritten in place.
        """
        self._module = module
        self._of_input_norm = below("input_norm", gradients)
        self._of_norms = [below(f"layers.{k}.norm", gradients) for k in range(len(module.hidden))]
        self._of_layers = [below(f"layers.{k}", gradients) for k in range(len(module.layers))]
        self._inputs: list[Tensor] = []
        self._pullbacks: list[Pullback] = []
        self._begin: Callable[[Tensor], Sequence[Tensor]] | None = None

    def forward(self, inputs: Tensor, noise: Noise, batch_size: int) -> Tensor:
        """Compute the outputs as the module does, and remember what `backward` needs.

        Args:
            inputs: (B, features), shared by all members, or (N, B, features).
            noise: The step's noise.
            batch_size: Examples of the batch.

        Returns:
            Outputs (N, B, K).
        """
        module = self._module
        self._inputs, self._pullbacks = [], []
        if module.input_norm is None:
            hidden = module.begin(inputs, noise, batch_size).mT
        else:
            normalized, self._begin = differentiated(
                lambda: module.begin(inputs, noise, batch_size), [], list(module.input_norm.parameters())
            )
            hidden = normalized.mT
        skip = None
        for number, layer in enumerate(module.hidden):
            self._inputs.append(hidden)
            joined = skip if layer.tail.ends_block else None
            hidden, pullback = self._finish(number, layer.units(hidden), joined, noise, batch_size)
            self._pullbacks.append(pullback)
            if layer.tail.starts_block:
                skip = hidden
        self._inputs.append(hidden)
        return module.output.units(hidden).mT

    def backward(self, of_outputs: Tensor, add: bool) -> None:
        """Give every parameter its gradient.

        Args:
            of_outputs: The gradient of the outputs (N, B, K).
            add: Whether to add to the gradients there are, instead of replacing them.
        """
        module = self._module
        depth = len(module.hidden)
        of_hidden = of_outputs.mT
        module.output.backward(self._inputs[depth], of_hidden, self._of_layers[depth], add)
        below_it: Dense = module.output
        of_skip = None
        for number in reversed(range(depth)):
            layer = module.hidden[number]
            of_hidden = below_it.of_inputs(of_hidden)
            if layer.tail.starts_block and of_skip is not None:
                of_hidden = of_hidden + of_skip
            of_hidden, from_skip = self._pullbacks[number](of_hidden, add)
            of_skip = of_skip if from_skip is None else from_skip
            layer.backward(self._inputs[number], of_hidden, self._of_layers[number], add)
            below_it = layer
        if self._begin is not None and module.input_norm is not None:
            of_norm = self._begin(below_it.of_inputs(of_hidden).mT)
            for (name, _), gradient in zip(module.input_norm.named_parameters(), of_norm, strict=True):
                put(gradient, self._of_input_norm[name], add)

    def _finish(
        self, number: int, z: Tensor, skip: Tensor | None, noise: Noise, batch_size: int
    ) -> tuple[Tensor, Pullback]:
        layer = self._module.hidden[number]
        if layer.norm is None and all(run.name in DERIVATIVES for run in layer.tail.activations):
            return _by_hand(layer, z, skip, noise, batch_size)
        return self._by_autograd(number, z, skip, noise, batch_size)

    def _by_autograd(
        self, number: int, z: Tensor, skip: Tensor | None, noise: Noise, batch_size: int
    ) -> tuple[Tensor, Pullback]:
        layer = self._module.hidden[number]
        learned = [] if layer.alpha is None else [layer.alpha]
        places = [] if layer.alpha is None else [self._of_layers[number]["alpha"]]
        for name, parameter in [] if layer.norm is None else layer.norm.named_parameters():
            learned.append(parameter)
            places.append(self._of_norms[number][name])
        given = [z.mT] if skip is None else [z.mT, skip.mT]
        hidden, differentiate = differentiated(
            lambda z, skip=None: layer.finish(z, skip, noise, batch_size), given, learned
        )

        def pullback(of_hidden: Tensor, add: bool) -> tuple[Tensor, Tensor | None]:
            found = differentiate(of_hidden.mT)
            for gradient, place in zip(found[len(given) :], places, strict=True):
                put(gradient, place, add)
            return found[0].mT, None if skip is None else found[1].mT

        return hidden.mT, pullback


def _by_hand(
    layer: Hidden, z: Tensor, skip: Tensor | None, noise: Noise, batch_size: int
) -> tuple[Tensor, Pullback]:
    """A tail without normalization, whose activations have their derivatives written out."""
    tail = layer.tail
    if skip is not None:
        z = z + skip
    active = activate(tail.activations, z)
    dropped = layer.dropped(noise, batch_size)

    def pullback(of_hidden: Tensor, _add: bool) -> tuple[Tensor, Tensor | None]:
        of_active = of_hidden if dropped is None else of_hidden * dropped.factor.mT
        of_z = pull_back(tail.activations, of_active, z, active)
        return of_z, None if skip is None else of_z

    return active if dropped is None else dropped.of(active.mT).mT, pullback


def differentiated(
    function: Callable[..., Tensor], arguments: Sequence[Tensor], parameters: Sequence[nn.Parameter]
) -> tuple[Tensor, Callable[[Tensor], Sequence[Tensor]]]:
    """Call a function, and return its value and the function that pulls a gradient of it back by autograd.

    Args:
        function: Of the arguments.
        arguments: Tensors to differentiate by.
        parameters: Parameters that the function uses, to differentiate by, too.

    Returns:
        The value, and: gradient of the value → gradients of the arguments and of the parameters.
    """
    with torch.enable_grad():
        leaves = [argument.detach().requires_grad_() for argument in arguments]
        value = function(*leaves)

    def pull(of_value: Tensor) -> Sequence[Tensor]:
        if not value.requires_grad:
            # A step function hides whatever it is made of.
            return [torch.zeros_like(tensor) for tensor in (*leaves, *parameters)]
        return torch.autograd.grad(value, [*leaves, *parameters], of_value, materialize_grads=True)

    return value.detach(), pull

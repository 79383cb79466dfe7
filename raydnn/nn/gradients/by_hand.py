"""Backpropagation through a stack of perceptrons by hand: autograd's numbers at a fraction of its cost.

Dense layers, common activations and dropout have their gradients written out; what is left of a layer's tail
(normalization, learned slopes, ...) is differentiated by autograd, layer by layer.
What goes from layer to layer lies unit by unit, (N, H, B), as Dense has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from raydnn.nn.activations import BY_HAND, activate_by_hand, pull_back
from raydnn.nn.gradients.gradients import Criterion
from raydnn.nn.layers.dense import Dense, Destination, put
from raydnn.nn.layers.hidden import Hidden
from raydnn.nn.layers.members import named_under
from raydnn.nn.models.mlp import Mlp
from raydnn.optim.optimizers.descent import others
from raydnn.stacking.context import Context

Pullback = Callable[[Tensor, bool], tuple[Tensor, Tensor | None]]
"""(gradient of a tail's activations, whether to add to the parameters' gradients) → those of z and of the skip."""


class Backprop:
    """The passes of a training step, forward and backward, of N perceptrons on one worker."""

    why_eager = ""

    def __init__(
        self,
        module: Mlp,
        parameters: dict[str, Tensor],
        gradients: dict[str, Tensor],
        descending: Sequence[slice] = (),
    ) -> None:
        """Note where the gradients go.

        Args:
            module: The perceptrons.
            parameters: Name → the parameter of all members, (N, *shape).
            gradients: Name → its gradient, overwritten in place.
            descending: Members that descend in `descent`, ascending slices of neighbours.
        """
        self._module = module
        self._layers: list[Dense] = [*module.hidden, module.output]
        self._parameters, self._gradients, self.descending = parameters, gradients, descending
        self.moved: list[Tensor] = []
        self._inputs: list[Tensor] = []
        self._pullbacks: list[Pullback] = []
        self._begin: Callable[[Tensor], Sequence[Tensor]] | None = None
        self._arrange({name: [Destination(gradient, None, False)] for name, gradient in gradients.items()})

    def _arrange(self, destinations: dict[str, list[Destination]]) -> None:
        """Sort destinations by what they belong to."""
        self._destinations = destinations
        self._of_input_norm = named_under("input_norm", destinations)
        self._of_norms = [
            named_under(f"layers.{k}.norm", destinations) for k in range(len(self._module.hidden))
        ]
        self._of_layers = [named_under(f"layers.{k}", destinations) for k in range(len(self._layers))]

    @contextmanager
    def descent(self) -> Iterator[None]:
        """Add the gradients of the members that descend to their parameters, at once, instead of putting them away.

        With outputs' gradients that are scaled by −η this is a step of gradient descent, without a gradient that is
        written, and read again.
        """
        members, n = self.descending, self._module.members
        if not members:
            yield
            return
        whole = members[0] == slice(0, n)
        gathered = {f"layers.{k}.weight": layer.gather() for k, layer in enumerate(self._layers) if whole}
        # `data`, since autograd takes a change of any view of the stack's matrix for a change of what it still needs:
        # here a layer's parameters change when their own gradients have been computed.
        parameters = {
            name: (own if (own := gathered.get(name)) is not None else tensor).data
            for name, tensor in self._parameters.items()
        }
        before, self.moved = self._destinations, list(parameters.values())
        self._arrange(
            {
                name: [Destination(parameters[name][own], None if whole else own, True) for own in members]
                + [Destination(gradient[own], own, False) for own in others(members, 0, n)]
                for name, gradient in self._gradients.items()
            }
        )
        try:
            yield
        finally:
            for layer in self._layers:
                layer.scatter()
            self.moved = []
            self._arrange(before)

    def of_batch(
        self,
        inputs: Tensor,
        context: Context,
        criterion: Criterion,
        scale: Tensor,
        *,
        first: bool,
        last: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """As Gradients has it."""
        outputs = self.forward(inputs, context)
        losses = None
        of_outputs = criterion.gradient(outputs)
        if of_outputs is None:
            losses, pull = differentiated(criterion.losses, [outputs], [])
            (of_outputs,) = pull(torch.ones_like(losses))
        elif not criterion.told_by_outputs:
            losses = criterion.losses(outputs)
        self.backward(of_outputs.mul_(scale), add=not first)
        return outputs, losses

    def forward(self, inputs: Tensor, context: Context) -> Tensor:
        """Compute the outputs as the module does, and remember what `backward` needs.

        Args:
            inputs: (1, B, *features), shared by all members, or (N, B, *features).
            context: Of the forward pass, one of training.

        Returns:
            Outputs (N, B, K).
        """
        module = self._module
        self._inputs, self._pullbacks, self._begin = [], [], None
        if module.input_norm is None:
            hidden = module.begin(inputs, context).mT
        else:
            normalized, self._begin = differentiated(
                lambda: module.begin(inputs, context), [], list(module.input_norm.parameters())
            )
            hidden = normalized.mT
        skip = None
        for number, layer in enumerate(module.hidden):
            self._inputs.append(hidden)
            joined = skip if layer.tail.ends_block else None
            hidden, pullback = self._finish(number, layer.units(hidden), joined, context)
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
        of_units = of_outputs.mT
        of_skip = None
        for number in reversed(range(len(self._layers))):
            layer = self._layers[number]
            if number < len(module.hidden):
                if module.hidden[number].tail.starts_block and of_skip is not None:
                    of_units = of_units + of_skip
                of_units, from_skip = self._pullbacks[number](of_units, add)
                of_skip = of_skip if from_skip is None else from_skip
            # Before the layer's weights may change.
            of_inputs = layer.of_inputs(of_units) if number or self._begin is not None else None
            layer.backward(self._inputs[number], of_units, self._of_layers[number], add)
            if of_inputs is not None:
                of_units = of_inputs
        if self._begin is not None and module.input_norm is not None:
            of_norm = self._begin(of_units.mT)
            for (name, _), gradient in zip(module.input_norm.named_parameters(), of_norm, strict=True):
                put(gradient, self._of_input_norm[name], add)
        # What autograd has kept of this pass must not live into the capture of another.
        self._inputs, self._pullbacks, self._begin = [], [], None

    def _finish(
        self, number: int, z: Tensor, skip: Tensor | None, context: Context
    ) -> tuple[Tensor, Pullback]:
        layer = self._module.hidden[number]
        if layer.norm is None and all(run.name in BY_HAND for run in layer.tail.activations):
            return _by_hand(layer, z, skip, context)
        return self._by_autograd(number, z, skip, context)

    def _by_autograd(
        self, number: int, z: Tensor, skip: Tensor | None, context: Context
    ) -> tuple[Tensor, Pullback]:
        layer = self._module.hidden[number]
        learned = [] if layer.alpha is None else [layer.alpha]
        destinations = [] if layer.alpha is None else [self._of_layers[number]["alpha"]]
        for name, parameter in [] if layer.norm is None else layer.norm.named_parameters():
            learned.append(parameter)
            destinations.append(self._of_norms[number][name])
        given = [z.mT] if skip is None else [z.mT, skip.mT]
        hidden, differentiate = differentiated(
            lambda z, skip=None: layer.finish(z, skip, context), given, learned
        )

        def pullback(of_hidden: Tensor, add: bool) -> tuple[Tensor, Tensor | None]:
            found = differentiate(of_hidden.mT)
            for gradient, own in zip(found[len(given) :], destinations, strict=True):
                put(gradient, own, add)
            return found[0].mT, None if skip is None else found[1].mT

        return hidden.mT, pullback


def _by_hand(layer: Hidden, z: Tensor, skip: Tensor | None, context: Context) -> tuple[Tensor, Pullback]:
    """A tail without normalization, whose activations have their derivatives written out."""
    tail = layer.tail
    if skip is not None:
        z.add_(skip)
    active, kept = activate_by_hand(tail.activations, z)
    dropped = layer.dropped(context)

    def pullback(of_hidden: Tensor, _add: bool) -> tuple[Tensor, Tensor | None]:
        of_active = of_hidden if dropped is None else of_hidden.mul_(dropped.factor.mT)
        of_z = pull_back(tail.activations, of_active, kept)
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

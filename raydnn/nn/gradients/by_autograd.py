"""Gradients by autograd: of every model, in every precision, and over any number of workers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from raydnn.nn.gradients.compiling import Network
from raydnn.nn.gradients.gradients import Criterion
from raydnn.stacking.context import Context

Precision = Callable[[], AbstractContextManager[None]]
"""Where a network computes in its precision."""


class ByAutograd:
    """The gradients of a module's parameters on one worker."""

    descending: Sequence[slice] = ()
    moved: Sequence[Tensor] = ()

    def __init__(
        self,
        module: nn.Module,
        gradients: Mapping[str, Tensor],
        precision: Precision,
        why_eager: str = "",
        network: Network | None = None,
    ) -> None:
        """Note where the gradients go.

        Args:
            module: N networks; (inputs, context) → outputs (N, B, K).
            gradients: Name of each of its parameters → its gradient, overwritten in place.
            precision: Where the network computes.
            why_eager: Why its kernels cannot be captured; empty: they can.
            network: What computes as the module does; None: itself.
        """
        self._network, self._precision, self.why_eager = network or module, precision, why_eager
        named = dict(module.named_parameters())
        self._parameters = list(named.values())
        self._gradients = [gradients[name] for name in named]

    @contextmanager
    def descent(self) -> Iterator[None]:
        """Nobody descends."""
        yield

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
        """As Gradients has it; a parameter that takes no part has a gradient of 0."""
        outputs, losses, total = _forward(self._network, self._precision, inputs, context, criterion, scale)
        found = torch.autograd.grad(total, self._parameters, materialize_grads=True)
        for gradient, place in zip(found, self._gradients, strict=True):
            if first:
                place.copy_(gradient)
            else:
                place.add_(gradient)
        return outputs, losses


class OverWorkers:
    """The same over several workers, each with a share of every batch, by torch's DistributedDataParallel."""

    descending: Sequence[slice] = ()
    moved: Sequence[Tensor] = ()
    why_eager = "data-parallel workers exchange gradients within a step"

    def __init__(
        self,
        module: nn.Module,
        gradients: Mapping[str, Tensor],
        precision: Precision,
        workers: int,
        all_take_part: bool,
    ) -> None:
        """Wrap the module.

        Args:
            module: N networks.
            gradients: Name of each parameter → its gradient.
            precision: Where the network computes.
            workers: Their number.
            all_take_part: Whether each parameter takes part in every pass, as in a user's code it need not.
        """
        self._module, self._gradients, self._precision, self._workers = module, gradients, precision, workers
        # It looks for parameters without a part in every pass, and says so where there are none.
        warnings.filterwarnings("ignore", "find_unused_parameters=True was specified", UserWarning)
        self._shared = DistributedDataParallel(
            module, gradient_as_bucket_view=True, find_unused_parameters=not all_take_part
        )

    @contextmanager
    def descent(self) -> Iterator[None]:
        """Nobody descends."""
        yield

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
        """As Gradients has it; they come from all workers with the step's last batch."""
        # Gradients are averaged over the workers, whose shares of a batch may differ in size.
        scale = self._workers * scale
        with nullcontext() if last else self._shared.no_sync():
            outputs, losses, total = _forward(
                self._shared, self._precision, inputs, context, criterion, scale
            )
            total.backward()  # type: ignore[no-untyped-call]
        if last:
            for name, parameter in self._module.named_parameters():
                if parameter.grad is None:
                    self._gradients[name].zero_()
                else:
                    self._gradients[name].copy_(parameter.grad)
            self._module.zero_grad(set_to_none=False)
        return outputs, losses


def _forward(
    network: Network,
    precision: Precision,
    inputs: Tensor,
    context: Context,
    criterion: Criterion,
    scale: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs and losses without their past, and the number to differentiate: Σ scale · (losses + penalties)."""
    with torch.enable_grad():
        with precision():
            outputs = network(inputs, context)
        outputs = outputs.float()
        losses = criterion.losses(outputs)
        total = (sum(context.penalties, losses) * scale.squeeze(2)).sum()
    return outputs.detach(), losses.detach(), total

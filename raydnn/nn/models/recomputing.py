"""Activations computed again in the backward pass, `train.recompute`: less memory for about a third more time.

A network's layers are cut into about √L segments. A segment keeps what comes into it and nothing else; its backward
pass computes it again (Chen et al. 2016, arXiv:1604.06174; torch.utils.checkpoint). What is drawn there is drawn as it
was, and running averages move once. The first use of torch's checkpoint in a process imports torch's compiler, which
takes a second or more and some 80 MB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from raydnn.nn.layers.costs import segments
from raydnn.nn.layers.norm_layer import NormLayer
from raydnn.stacking.context import Context
from raydnn.stacking.noise import Noise

State = tuple[Tensor, Tensor | None]
"""What goes from layer to layer: values, and what a residual block skips with."""
Step = Callable[[State, Context], State]
"""A layer."""


def recomputed(network: nn.Module, steps: Sequence[Step], values: Tensor, context: Context) -> Tensor:
    """Go through the layers of a network in training; all but its last segment are computed twice.

    Args:
        network: The network.
        steps: Its layers.
        values: What the first of them gets.
        context: Of the forward pass, one of training.
    """
    state: State = (values, None)
    *others, last = segments(len(steps))
    for segment in others:
        state = _twice(network, steps[segment], state, context)
    # Its backward pass comes at once.
    return _through(steps[last], state, context)[0]


def _through(steps: Sequence[Step], state: State, context: Context) -> State:
    for step in steps:
        state = step(state, context)
    return state


def _twice(network: nn.Module, steps: Sequence[Step], state: State, context: Context) -> State:
    assert context.noise is not None, "it is a pass of training"
    again = _as_before(network, context.noise)

    def contexts() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
        return nullcontext(), again

    found: State = checkpoint(
        lambda values, skip: _through(steps, (values, skip), context),
        *state,
        use_reentrant=False,
        preserve_rng_state=False,
        context_fn=contexts,
    )
    return found


def _as_before(network: nn.Module, noise: Noise) -> AbstractContextManager[None]:
    """Where a segment is computed again: from the draws that come now, and without a trace."""
    drawn = {id(stream): stream.get_state() for stream in noise.generators}

    @contextmanager
    def again() -> Iterator[None]:
        now = [(stream, stream.get_state()) for stream in noise.generators]
        averages = [(each, each.clone()) for each in _averages(network)]
        for stream, _ in now:
            if id(stream) in drawn:
                stream.set_state(drawn[id(stream)])
            else:
                # The segment was the first to draw from it.
                stream.manual_seed(stream.initial_seed())
        try:
            yield
        finally:
            for stream, state in now:
                stream.set_state(state)
            with torch.no_grad():
                for each, value in averages:
                    each.copy_(value)

    return again()


def _averages(network: nn.Module) -> list[Tensor]:
    """The running averages of all normalizations."""
    norms = [module for module in network.modules() if isinstance(module, NormLayer)]
    return [each for norm in norms if hasattr(norm, "momentum") for each in (norm.mean, norm.variance)]

"""Capturing what a user has written: it is captured only where replays are equal to the bit to running it.

A capture repeats kernels and nothing else. What Python does between them - counting calls, drawing numbers of its own,
going on in numpy - would stay as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from raydnn.training.steps.capture import capture, say_why
from raydnn.training.steps.gradients import Outcome

Outcomes = list[Outcome]
Replay = Callable[[], Outcomes]


def capture_checked(
    function: Callable[[], Outcomes],
    device: torch.device,
    generators: Sequence[torch.Generator],
    *,
    rows: Tensor,
    examples: int,
    state: Sequence[Tensor],
    remembered: Callable[[], object],
) -> tuple[Outcomes, Replay | None]:
    """Run a step once, and capture its kernels if they are all there is to it.

    Args:
        function: The passes of a step.
        device: Where its tensors are.
        generators: Those that it draws from.
        rows: The examples that it computes with, which it reads anew each time.
        examples: Number of examples to choose from.
        state: What it changes.
        remembered: What the user's code remembers from call to call, for comparison.

    Returns:
        What it returned, and what launches the kernels again; None where it would not be the same.
    """
    before, known = _saved(state, generators), remembered()
    outcomes = [outcome.copy() for outcome in function()]
    after = _saved(state, generators)
    if remembered() != known:
        say_why("the user's code keeps what it computes with from call to call")
        return outcomes, None
    _restore(before, state, generators)
    _, replay = capture(function, device, generators)
    own = rows.clone()
    if replay is not None:
        for shift in (0, 1):
            rows.copy_((own + shift) % examples)
            if not _same(function, replay, before, state, generators):
                say_why("the user's code does other than it did when it is called again")
                replay = None
                break
    rows.copy_(own)
    _restore(after, state, generators)
    return outcomes, replay


def _same(
    function: Replay,
    replay: Replay,
    before: Sequence[Tensor],
    state: Sequence[Tensor],
    generators: Sequence[torch.Generator],
) -> bool:
    """Whether two ways to do a step give the same bits."""
    found = []
    for run in (function, replay):
        _restore(before, state, generators)
        outcomes = [tensor for outcome in run() for tensor in outcome if tensor is not None]
        found.append([tensor.clone() for tensor in (*outcomes, *state)])
    # As bytes, since what is not a number equals nothing.
    return all(
        torch.equal(one.contiguous().view(torch.uint8), other.contiguous().view(torch.uint8))
        for one, other in zip(*found, strict=True)
    )


def _saved(state: Sequence[Tensor], generators: Sequence[torch.Generator]) -> list[Tensor]:
    return [*(tensor.clone() for tensor in state), *(stream.get_state() for stream in generators)]


def _restore(saved: Sequence[Tensor], state: Sequence[Tensor], generators: Sequence[torch.Generator]) -> None:
    for tensor, value in zip(state, saved, strict=False):
        tensor.copy_(value)
    for stream, value in zip(generators, saved[len(state) :], strict=True):
        stream.set_state(value)

"""The forward and backward passes of a stack's steps; most steps are alike, and are captured and replayed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from raydnn.data.examples import Examples
from raydnn.nn.user_code import paths_of_users
from raydnn.optim.penalties import add_penalties
from raydnn.stacking.noise import Noise
from raydnn.training.stack.stack import Stack
from raydnn.training.steps.batch import in_pieces, make_batch
from raydnn.training.steps.capture import capture, say_why
from raydnn.training.steps.checked import capture_checked
from raydnn.training.steps.gradients import Outcome, backpropagate

STEPS_BEFORE_CAPTURE = 16
"""Steps of a stack after which capturing one, which takes as long as some ten, is worth it."""


class Passes:
    """The passes of one stack over its training examples, for as long as it keeps its members."""

    def __init__(self, stack: Stack, examples: Examples, steps_before_capture: int | None = None) -> None:
        """Prepare for a stack's first epoch.

        Args:
            stack: The members.
            examples: The training examples, on the stack's device.
            steps_before_capture: Steps after which one is captured; None: STEPS_BEFORE_CAPTURE.
        """
        first, n = stack.members[0].spec, len(examples)
        self.stack, self.examples = stack, examples
        self.batch_size, self.step_size = first.train.batch_of(n), first.train.step_of(n)
        seeds = [member.spec.seed for member in stack.members]
        self._noise = Noise(seeds, 0, stack.device, stack.workers.rank, stack.workers.count)
        self._module = stack.module
        self._of_users = bool(paths_of_users(first))
        self._may_capture = True
        self._steps_before_capture = (
            STEPS_BEFORE_CAPTURE if steps_before_capture is None else steps_before_capture
        )
        self._replay: Callable[[], list[Outcome]] | None = None
        self._rows = self._scale = torch.empty(0)
        self._mixes: Tensor | None = None

    @property
    def fit(self) -> bool:
        """Whether the stack still is as it was: one that lost members needs other passes."""
        return self.stack.module is self._module

    def begin(self, epoch: int) -> None:
        """Begin an absolute epoch, from 1: its noise is its own."""
        self._noise.begin(epoch)

    def __call__(self, rows: Tensor, scale: Tensor, mixes: Tensor | None) -> Sequence[Outcome]:
        """Compute the gradients of a step, `stack.gradients` (N, P); those that descend take it.

        Args:
            rows: Numbers of the step's examples (B,), or (N, B) where the members' differ.
            scale: What the gradients of a member's summed losses are multiplied by, a column (N, 1, 1).
            mixes: How each batch is mixed, where a member mixes, (batches, rows, 1 or N).

        Returns:
            The outcome of each batch.
        """
        return self._run(rows, scale, mixes)

    def one_of_many(self, rows: Tensor, scale: Tensor, mixes: Tensor | None) -> Sequence[Outcome]:
        """The same, for steps of `step_size` that differ in nothing but the arguments."""
        if self._replay is not None:
            self._rows.copy_(rows)
            self._scale.copy_(scale)
            if self._mixes is not None and mixes is not None:
                self._mixes.copy_(mixes)
            return [each.copy() for each in self._replay()]
        if not self._may_capture or self._steps_before_capture:
            self._steps_before_capture = max(self._steps_before_capture - 1, 0)
            return self._run(rows, scale, mixes)
        self._may_capture = False
        why_eager = self.examples.why_eager or self.stack.backprop.why_eager
        if why_eager:
            say_why(why_eager)
            return self._run(rows, scale, mixes)
        self._rows, self._scale = rows.clone(), scale.clone()
        self._mixes = None if mixes is None else mixes.clone()
        outcomes, self._replay = self._captured()
        return [each.copy() for each in outcomes]

    def _captured(self) -> tuple[list[Outcome], Callable[[], list[Outcome]] | None]:
        """Run the passes with the arguments that are kept, and capture them."""
        stack, generators = self.stack, self._noise.generators

        def run() -> list[Outcome]:
            return self._run(self._rows, self._scale, self._mixes)

        if not self._of_users:
            return capture(run, stack.device, generators)
        return capture_checked(
            run,
            stack.device,
            generators,
            rows=self._rows,
            examples=len(self.examples),
            state=(stack.gradients, stack.statistics, *stack.backprop.moved),
            remembered=stack.remembered_by_users,
        )

    def _run(self, rows: Tensor, scale: Tensor, mixes: Tensor | None) -> list[Outcome]:
        stack, noise, scaling = self.stack, self._noise, self.stack.loss_scale
        if scaling is not None:
            scale = scaling.of(scale)
        one = rows.shape[-1] <= self.batch_size
        batches = (rows,) if one else torch.split(rows, self.batch_size, dim=-1)
        outcomes = []
        for number, of_batch in enumerate(batches):
            mix = None if mixes is None else mixes[number]
            batch = make_batch(stack, self.examples, of_batch, mix, noise)
            pieces = in_pieces(batch, stack.pieces, stack.workers)
            for k, piece in enumerate(pieces):
                first = number == k == 0
                last = number == len(batches) - 1 and k == len(pieces) - 1
                outcomes.append(backpropagate(stack, piece, noise, scale=scale, first=first, last=last))
        if scaling is not None:
            scaling.unscale(stack.gradients)
        add_penalties(stack.penalties, stack.parameters, stack.gradients)
        return outcomes

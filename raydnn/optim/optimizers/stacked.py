"""The optimizer of a stack: each run of members is updated by its own family."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from raydnn.optim.optimizers.descent import others
from raydnn.optim.optimizers.registry import family_of
from raydnn.optim.optimizers.step import Coefficients, Horizon, Step
from raydnn.optim.penalties import PENALIZED
from raydnn.spec.axes.optimizer import momentum_field
from raydnn.spec.base import Component
from raydnn.stacking.groups import MemberGroup, member_groups
from raydnn.stacking.layout import Layout


class StackOptimizer:
    """Updates the parameters (N, P) of N members, each with its own optimizer and hyperparameters."""

    def __init__(
        self, specs: Sequence[Component], layout: Layout, device: torch.device, dtype: torch.dtype
    ) -> None:
        """Start N optimizers.

        Args:
            specs: One optimizer spec a member, in the stack's order.
            layout: Of a member's parameters in its row of P.
            device: Where the state lives.
            dtype: Precision of the parameters.
        """
        self.steps = torch.zeros(len(specs), 1, dtype=torch.float64, device=device)
        self._specs = list(specs)
        self._layout = layout
        self._weights = layout.mask(*PENALIZED).to(device)
        self._device = device
        self._dtype = dtype
        self._planned: list[list[Coefficients]] = []
        self._next = 0
        self._arrange([])

    def _arrange(self, old: Sequence[tuple[list[int], dict[str, Tensor]]]) -> None:
        """Build the runs and their buffers; `old` gives, in order, new positions and the buffers they had."""
        self.runs = member_groups(self._specs, self._device)
        self._families = [family_of(run.name, self._device) for run in self.runs]
        self._decayed = [self._decayed_by(run) for run in self.runs]
        self._states = []
        for run in self.runs:
            state = self._begin(run)
            for positions, buffers in old:
                if run.start <= positions[0] < run.stop:
                    local = slice(positions[0] - run.start, positions[-1] + 1 - run.start)
                    for name in state.keys() & buffers.keys():
                        state[name][local] = buffers[name]
            self._states.append(state)

    def _begin(self, run: MemberGroup) -> dict[str, Tensor]:
        family, rows = family_of(run.name, self._device), run.stop - run.start
        names = [*family.buffers, *(buffer for name, buffer in family.buffers_if if name in run.used)]
        state = {
            name: torch.zeros(rows, len(self._weights), dtype=self._dtype, device=self._device)
            for name in names
        }
        for name in family.columns:
            state[name] = torch.zeros(rows, 1, dtype=torch.float64, device=self._device)
        return state

    def _decayed_by(self, run: MemberGroup) -> Tensor | None:
        """Which parameters (n, P) weight decay acts on; None where no member exempts any."""
        if "weight_decay" not in run.used or bool(run.vectors["decay_bias"].all()):
            return None
        return run.vectors["decay_bias"].unsqueeze(1) | self._weights

    def plan(self, lr: Tensor, momentum: Tensor | None = None) -> None:
        """Prepare the next S steps; `step` then goes through them.

        Args:
            lr: Learning rates (S, N), float64.
            momentum: Momenta (S, N), or the Adam family's β₁; None: the specs' own.
        """
        count = torch.arange(1, len(lr) + 1, dtype=torch.float64, device=self._device).view(-1, 1, 1)
        self._planned = []
        for run, family, state in zip(self.runs, self._families, self._states, strict=True):
            hyper = {name: vector.unsqueeze(1) for name, vector in run.vectors.items()}
            cycled = momentum_field(hyper)
            members = slice(run.start, run.stop)
            if momentum is not None and cycled is not None:
                hyper[cycled] = momentum[:, members].unsqueeze(2)
            plan = Horizon(lr[:, members].unsqueeze(2), run.of(self.steps) + count, hyper, state)
            self._planned.append(self._each_step(family.coefficients(plan), len(lr), family.exact))
        self.steps += len(lr)
        self._next = 0

    def plan_step(self, lr: Tensor, momentum: Tensor, without: Sequence[slice]) -> None:
        """Prepare one step that not all members take, whose next one is the first where this is.

        Args:
            lr: Learning rates (N,), float64.
            momentum: Momenta (N,).
            without: Ascending slices of members that do without it; `step` is to be told that they are done.
        """
        counts = [(0, self.steps)]
        for run, family, state in zip(self.runs, self._families, self._states, strict=True):
            counts += [(run.start, state[name]) for name in family.columns]
        before = [count.clone() for _, count in counts]
        self.plan(lr.unsqueeze(0), momentum.unsqueeze(0))
        for (start, count), old in zip(counts, before, strict=True):
            for own in without:
                rows = slice(max(own.start - start, 0), max(own.stop - start, 0))
                count[rows] = old[rows]

    def _each_step(self, found: Coefficients, steps: int, exact: bool) -> list[Coefficients]:
        """Split coefficients into those of each step, rounded once to the parameters' precision unless `exact`."""
        rounded = {
            name: column if exact or column.dtype == torch.bool else column.to(self._dtype)
            for name, column in found.items()
        }
        each = {
            name: column.unbind(0) if column.dim() == 3 else (column,) * steps
            for name, column in rounded.items()
        }
        return [dict(zip(each, columns, strict=True)) for columns in zip(*each.values(), strict=True)]

    def step(self, parameters: Tensor, gradients: Tensor, done: Sequence[slice] = ()) -> None:
        """Take the next planned step: update all members' parameters in place.

        Args:
            parameters: (N, P).
            gradients: (N, P); they are overwritten.
            done: Ascending slices of members that have taken it already.
        """
        for run, family, state, planned, decayed in zip(
            self.runs, self._families, self._states, self._planned, self._decayed, strict=True
        ):
            for own in others(done, run.start, run.stop):
                step = Step(planned[self._next], run.used, decayed, self._layout)
                if own == slice(run.start, run.stop):
                    family.update(run.of(parameters), run.of(gradients), state, step)
                else:
                    local = slice(own.start - run.start, own.stop - run.start)
                    rows = {name: buffer[local] for name, buffer in state.items()}
                    family.update(parameters[own], gradients[own], rows, step.of_members(local))
        self._next += 1

    def keep(self, kept: Sequence[int]) -> None:
        """Drop all members but those at the ascending positions `kept`."""
        old = []
        position = 0
        for run, state in zip(self.runs, self._states, strict=True):
            local = [p - run.start for p in kept if run.start <= p < run.stop]
            if local:
                positions = list(range(position, position + len(local)))
                old.append((positions, {name: buffer[local] for name, buffer in state.items()}))
                position += len(local)
        self._specs = [self._specs[p] for p in kept]
        self.steps = self.steps[list(kept)]
        self._arrange(old)

    def change(self, specs: Sequence[Component]) -> None:
        """Give the members other hyperparameters of the optimizers that they have; what they remember stays."""
        old = [
            (list(range(run.start, run.stop)), state)
            for run, state in zip(self.runs, self._states, strict=True)
        ]
        self._specs = list(specs)
        self._arrange(old)

    def state_tensors(self) -> dict[str, Tensor]:
        """The whole state by name, as it is saved."""
        tensors = {"steps": self.steps}
        for number, state in enumerate(self._states):
            tensors |= {f"{number}.{name}": buffer for name, buffer in state.items()}
        return tensors

    def load_state_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Take over a state saved by an optimizer of the same members.

        Raises:
            KeyError: A buffer is missing.
        """
        for name, buffer in self.state_tensors().items():
            buffer.copy_(tensors[name])

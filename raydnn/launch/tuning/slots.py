"""How many stacks the machines of an engine can train side by side, now."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from time import monotonic

from raydnn.errors import ClusterError
from raydnn.launch.engine.capacity import require_slots, slots
from raydnn.spec.resources import Resources

ASK_SECONDS = 1.0
"""Shortest time between two questions to the engine."""
WAIT_SECONDS = 300.0
"""How long a sweep waits for machines when it has lost all that could train a stack."""


class Slots:
    """Counts the slots; asks again as machines are lost and join."""

    def __init__(
        self,
        resources: Resources,
        nodes: Callable[[], Sequence[Mapping[str, float]]],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Count for the first time.

        Args:
            resources: What one stack takes.
            nodes: Gives what each machine has.
            clock: Gives the time in seconds.

        Raises:
            ClusterError: Not even one fits.
        """
        self._resources, self._nodes, self._clock = resources, nodes, clock
        self._slots = require_slots(resources, nodes())
        self._asked_at = self._fitted_at = clock()

    def __call__(self) -> int:
        """The number of slots.

        Raises:
            ClusterError: There has been none for WAIT_SECONDS.
        """
        now = self._clock()
        if now - self._asked_at < ASK_SECONDS:
            return self._slots
        before, self._slots = self._slots, slots(self._resources, self._nodes())
        self._asked_at = now
        if self._slots:
            self._fitted_at = now
        elif before:
            warnings.warn(
                f"no machine of the cluster can train a stack any more; waiting {WAIT_SECONDS:g} s for one",
                stacklevel=2,
            )
        elif now - self._fitted_at > WAIT_SECONDS:
            raise ClusterError(f"no machine of the cluster could train a stack for {WAIT_SECONDS:g} s")
        return self._slots

"""Whose turn it is to be trained: a stack that waits for others' verdicts gives way where slots are short.

A stack at a rung of a scheduler that lets trials wait for one another (hyperband, bohb, pbt) keeps its slot, and its
members stay in memory, as long as no other stack needs the slot. Else it saves its state, and goes on
from there once its verdicts are known. Stacks are queued by their numbers, the order in which
they are judged. So at any time a stack that nobody has to wait for is in training, whatever the number of slots.

How many slots there are is asked at each turn, for machines are lost and join. Under any scheduler, a stack that
waits gives way to one that lost its slot: the lost one may be what it waits for.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic

from raydnn.launch.tuning.judging import Answer, Judging
from raydnn.training.verdict import Verdict

PATIENCE_SECONDS = 60.0
"""A stack without a process for so long has lost its slot to somebody else, however many slots there seem to be."""


class StackQueue:
    """Hands out the stacks in their turn, and passes on what they report and what is decided of them."""

    def __init__(
        self,
        stacks: Sequence[int],
        slots: Callable[[], int],
        follow: Callable[[], Sequence[int]],
        over: Callable[[], bool],
        answer: Callable[[int, int, Mapping[int, Verdict] | None], None],
        judging: Judging | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Begin with nothing handed out.

        Args:
            stacks: The stacks to train now.
            slots: Gives how many can be trained at once now.
            follow: Called when all that were handed out have ended; gives the next generation's.
            over: Whether no others follow.
            answer: Called with (stack, epoch, verdicts); None: it is to leave its slot.
            judging: Judges the stacks' results; None where nobody does.
            clock: Gives the time in seconds.
        """
        self._judging = judging
        self._queue = sorted(stacks)
        self._slots, self._clock = slots, clock
        self._follow, self._over = follow, over
        self._answer = answer
        self._training: set[int] = set()
        """The stacks that have a slot, or had one and lost it with its machine."""
        self._since: dict[int, float] = {}
        """Of these, those that have no process yet, or no more → since when."""
        self._waiting: dict[int, int] = {}
        """Of these, those without their verdicts → the epoch."""
        self._asked: set[int] = set()
        """Of these, those that were asked to give way."""
        self._away: set[int] = set()
        """The stacks that gave way and still lack their verdicts."""
        self._resuming: set[int] = set()
        """The stacks that gave way and have not started again yet."""

    @property
    def finished(self) -> bool:
        """Whether nothing will be handed out any more, unless a stack that is in training gives way."""
        return not (self._queue or self._training or self._away) and self._over()

    def next(self) -> int | None:
        """The next stack to train; None while there is none."""
        if not (self._queue or self._training or self._away or self._over()):
            self._queue = sorted(self._follow())
        if not self._queue or len(self._training) >= self._slots():
            return None
        stack = self._queue.pop(0)
        self._training.add(stack)
        self._since[stack] = self._clock()
        return stack

    def started(self, stack: int) -> bool:
        """Note that a stack has a process, perhaps again.

        Returns:
            Whether it gave way before; told once.
        """
        self._since.pop(stack, None)
        resumes = stack in self._resuming
        self._resuming.discard(stack)
        return resumes

    def lost(self, stack: int) -> None:
        """Note that a stack's process died; it starts again where there is room, and tells its last results again."""
        self._since[stack] = self._clock()
        self._waiting.pop(stack, None)
        self._asked.discard(stack)
        self.make_room()

    def result(self, stack: int, epoch: int, values: Mapping[int, float]) -> None:
        """Take a stack's results at a rung."""
        assert self._judging is not None
        self._waiting[stack] = epoch
        self.answer(self._judging.result(stack, epoch, values))
        self.make_room()

    def answer(self, answers: Iterable[Answer]) -> None:
        """Pass verdicts on; their stacks go on, at once or when it is their turn."""
        for stack, epoch, verdicts in answers:
            self._answer(stack, epoch, verdicts)
            if self._waiting.get(stack) == epoch:
                del self._waiting[stack]
                self._asked.discard(stack)
            if stack in self._away:
                self._away.remove(stack)
                insort(self._queue, stack)

    def gave_way(self, stack: int) -> None:
        """Note that a stack has left its slot, its state saved."""
        self._training.discard(stack)
        self._since.pop(stack, None)
        self._asked.discard(stack)
        self._resuming.add(stack)
        if self._waiting.pop(stack, None) is None:
            # Its verdicts became known while it was leaving.
            insort(self._queue, stack)
        else:
            self._away.add(stack)
        self.make_room()

    def ended(self, stack: int) -> None:
        """Note that a stack has left its slot for good."""
        self._training.discard(stack)
        self._since.pop(stack, None)
        self._waiting.pop(stack, None)
        self._asked.discard(stack)
        if self._judging is not None:
            self.answer(self._judging.ended(stack))
        self.make_room()

    def make_room(self) -> None:
        """Ask stacks that wait to give way, as many as others need their slots."""
        if self._judging is None or not self._waiting:
            return
        for stack in sorted(self._waiting.keys() - self._asked)[: self._lacking(self._judging)]:
            self._asked.add(stack)
            self._answer(stack, self._waiting[stack], None)

    def _lacking(self, judging: Judging) -> int:
        """How many slots others need, besides those of stacks that are asked already."""
        lacking = len(self._training) - self._slots()
        overdue = self._clock() - PATIENCE_SECONDS
        if lost := sum(since < overdue for since in self._since.values()):
            lacking = max(lacking, lost)
        if judging.synchronous:
            lacking += len(self._queue)
        elif self._queue and len(self._waiting) == len(self._training):
            # What all of them wait for, the lowest one, has lost its slot and is the first in the queue.
            lacking = max(lacking, 1)
        return max(lacking - len(self._asked), 0)

"""The watchdog of a process that trains: it notices that no step is done any more, says where it stands, and ends it.

The training thread counts its steps; a thread beside it looks at the count every second. A first note of where all
threads stand comes early. Only a silence of `timeout_seconds` counts as a hang, and none that is usual: not twice the
longest so far, not while somebody debugs, not while the whole process was stopped, not outside of the steps.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Event, Thread, current_thread, get_ident, main_thread
from time import monotonic
from types import FrameType

NOTE_SECONDS = 30.0
"""Silence after which it is written down where the training stands."""
USUAL = 2.0
"""A silence is not unusual up to so many times the longest one so far."""
FIRST = 4.0
"""The first step may take so many times longer: something may be compiled."""
TICK_SECONDS = 1.0
STOPPED_SECONDS = 5.0
"""A watchdog that itself could not look for so long was stopped with its process, or its machine."""
LAST_WORDS_SECONDS = 10.0
"""Longest wait for what is written of a hang, and for a training thread that is asked to leave."""
_DEBUGGERS = ("pdb", "bdb", "pydevd", "debugpy", "IPython.core.debugger")

_steps = 0


def beat() -> None:
    """Say that the training of this process goes on."""
    global _steps
    _steps += 1


class Watchdog:
    """Watches one training of this process."""

    def __init__(
        self, timeout_seconds: float, note: Callable[[str], None], hung: Callable[[float, str], None]
    ) -> None:
        """Begin to watch; nothing is expected before `expecting`.

        Args:
            timeout_seconds: Silence that counts as a hang.
            note: Takes where the training stands, when it has been silent for a while.
            hung: Takes the seconds of silence and where it stands, when it hangs.
        """
        self.fired = False
        """Whether the training was ended because it hung."""
        self._timeout_seconds, self._note, self._hung = timeout_seconds, note, hung
        self._training = get_ident()
        self._in_main = current_thread() is main_thread()
        self._expected = 0
        """Odd while something is expected, and another number each time."""
        self._first = _steps
        self._ended = Event()
        Thread(target=self._watch, name="watchdog", daemon=True).start()

    @contextmanager
    def expecting(self) -> Iterator[None]:
        """The time in which the training must say again and again that it goes on."""
        self._expected += 1
        try:
            yield
        finally:
            self._expected += 1

    def close(self) -> None:
        """Watch no longer."""
        self._ended.set()

    def _watch(self) -> None:
        seen, noted, longest = (self._expected, _steps), False, 0.0
        since = woke = monotonic()
        while not self._ended.wait(TICK_SECONDS):
            now = monotonic()
            if now - woke > STOPPED_SECONDS:
                since += now - woke
            woke, silent = now, now - since
            if self._expected % 2 == 0 or (self._expected, _steps) != seen:
                if self._expected == seen[0]:
                    longest = max(longest, silent)
                seen, since, noted = (self._expected, _steps), now, False
                continue
            limit = self._timeout_seconds * (1 if _steps > self._first else FIRST)
            if silent >= max(limit, USUAL * longest):
                if not self._debugged():
                    self._end(silent)
                    return
                since = now
            elif not noted and silent >= max(NOTE_SECONDS, USUAL * longest):
                noted = True
                text = f"no step for {silent:.0f} s; where all threads stand:\n{self._stacks()}"
                _within(LAST_WORDS_SECONDS, partial(self._note, text))

    def _end(self, silent: float) -> None:
        stacks = self._stacks()
        self.fired = True
        _within(LAST_WORDS_SECONDS, partial(self._hung, silent, stacks))
        if self._in_main:
            # The driver's own process: what hangs is interrupted, and is tried again from the last checkpoint.
            signal.pthread_kill(self._training, signal.SIGINT)
            if self._ended.wait(LAST_WORDS_SECONDS):
                return
        os._exit(1)

    def _stacks(self) -> str:
        """Where all threads stand, the one that trains first."""
        frames = sys._current_frames()
        frames.pop(get_ident(), None)
        order = sorted(frames, key=lambda thread: thread != self._training)
        return "\n".join(
            f"thread {thread}{', which trains' if thread == self._training else ''}:\n"
            + "".join(traceback.format_stack(frames[thread]))
            for thread in order
        )

    def _debugged(self) -> bool:
        frame: FrameType | None = sys._current_frames().get(self._training)
        while frame is not None:
            if str(frame.f_globals.get("__name__")).startswith(_DEBUGGERS):
                return True
            frame = frame.f_back
        return False


def _within(seconds: float, work: Callable[[], None]) -> None:
    """Do something that may hang, too, and wait for it no longer than some time."""
    thread = Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)

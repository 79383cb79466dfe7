"""The signals that ask a run to stop: Ctrl-C, SIGTERM of `kill` and batch systems, SIGHUP of a terminal that closes."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from types import FrameType

from raydnn.errors import Interrupt

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ONCE = (signal.SIGTERM, signal.SIGHUP)
"""Those that come several times: from a terminal and its shell, from a batch system."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Let the signals interrupt this block.

    What this process was started to ignore stays ignored, but for SIGTERM: SIGINT in a script's background, where it
    is meant for the script, and SIGHUP under nohup. In a thread other than the main one, as a notebook's may be,
    signals stay with the main one.
    """
    if current_thread() is not main_thread():
        yield
        return
    before = {each: signal.getsignal(each) for each in STOPPING}
    for each, handler in before.items():
        if each == signal.SIGTERM or handler != signal.SIG_IGN:
            signal.signal(each, _interrupt)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def interrupt_thread(ident: int) -> None:
    """Interrupt the thread of this process that drives a run, from another one.

    The main thread hears it as a signal. Another one, in which no signal arrives, gets the exception at its next step.
    """
    if ident == main_thread().ident:
        os.kill(os.getpid(), signal.SIGTERM)
    else:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(Interrupt))


@contextmanager
def handlers_kept() -> Iterator[None]:
    """Have the same handlers after this block, in which Ray puts its own in their place and beneath Python's."""
    if current_thread() is not main_thread():
        yield
        return
    before = {each: signal.getsignal(each) for each in STOPPING}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    # What is done then must not be interrupted again, unless by hand.
    for each in _ONCE:
        signal.signal(each, signal.SIG_IGN)
    raise Interrupt

"""Settings of a training process, for speed."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
_GIBIBYTE = 1 << 30


@contextmanager
def fit_for_training() -> Iterator[None]:
    """The time in which a process trains.

    Numbers below 1e-38 count as 0, as on a GPU: processors take thirty times as long for each, and an adaptive
    optimizer has many of them once a network is trained well. And freed memory is kept for the next step.
    """
    _keep_freed_memory()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def _keep_freed_memory() -> None:
    """Let the process keep the memory it frees.

    By default glibc gives blocks over 128 KiB back to the system, and every step gets its activations as new pages
    that the system must clear first: about a tenth of a step. Where the C library is another one nothing happens.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(_MMAP_THRESHOLD, _GIBIBYTE)
    mallopt(_TRIM_THRESHOLD, _GIBIBYTE)

"""The memory of a training process."""

from __future__ import annotations

import ctypes

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
_GIBIBYTE = 1 << 30


def keep_freed_memory() -> None:
    """Let the process keep the memory it frees, for its next step.

    By default glibc gives blocks over 128 KiB back to the system, and every step gets its activations as new pages
    that the system must clear first: about a tenth of a step. Where the C library is another one nothing happens.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(_MMAP_THRESHOLD, _GIBIBYTE)
    mallopt(_TRIM_THRESHOLD, _GIBIBYTE)

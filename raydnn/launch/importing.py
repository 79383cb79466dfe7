"""Importing what is large in less time."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_resting() -> Iterator[None]:
    """Import in this block without Python's cyclic garbage collector.

    While torch and Ray are imported it looks through all that is there again and again, a fifth of the time.
    """
    rests_already = not gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if not rests_already:
            gc.enable()

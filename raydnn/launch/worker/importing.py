"""Importing what is large in less time."""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_resting() -> Iterator[None]:
    """Import in this block without Python's cyclic garbage collector.

    While torch and Ray are imported it looks through all that is there again and again, a fifth of the time; what
    they have made stays, so it is not looked at later either, before the process ends.
    """
    rests_already = not gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        atexit.unregister(gc.unfreeze)
        # Some libraries complain when what they made is not taken away at the end.
        atexit.register(gc.unfreeze)
        if not rests_already:
            gc.enable()

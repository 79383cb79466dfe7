"""Commands of raydnn, written so that they work when they are pasted into a shell, in any folder."""

from __future__ import annotations

import shlex


def command(*words: object) -> str:
    """Return `raydnn WORD ...`, each word quoted where a POSIX shell would need it.

    Args:
        words: The command's name, its arguments and options, one word each.
    """
    return shlex.join(["raydnn", *map(str, words)])

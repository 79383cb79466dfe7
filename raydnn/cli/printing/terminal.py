"""What reaches the terminal: through here, on one border that no control character of data or errors crosses.

`tell` prints. The standard streams themselves are replaced by an `Outlet` while a command runs, so that what
libraries print crosses the same border, and so that a terminal that is closed, full, or lacks a character ends
no training.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import re
import sys
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import accumulate
from threading import RLock
from typing import TextIO

from raydnn.errors import StoreError
from raydnn.secrets import hidden

STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 and C1 without tab and line end
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # they turn the direction of what follows
    "\u2028\u2029\ud800-\udfff]"
)
"""Characters that steer a terminal or that it cannot show."""
_COLOUR = re.compile("\x1b\\[[0-9;]*m")
_PLAIN = str.maketrans(
    {"·": "-", "─": "-", "×": "x", "→": "->", "…": "...", "–": "-", "λ": "lambda", "α": "alpha", "β": "beta"}
    | dict(zip("▁▂▃▄▅▆▇█", "_.-:=+*#", strict=True))
)
_ERRORS = "raydnn_plain"


def harmless(text: str) -> str:
    """The text without secrets, every character that would steer a terminal written as an escape: `\\x1b`."""
    return STEERING.sub(lambda found: _escape(found[0]), hidden(text))


def tell(text: object = "", *, err: bool = False, end: str = "\n", exact: bool = False) -> None:
    """Print on stdout or stderr; all that the command line prints is printed by this.

    Args:
        text: What to print.
        err: On stderr.
        end: What follows it.
        exact: Data for a program: as it is, unless a terminal shows it.
    """
    stream = sys.stderr if err else sys.stdout
    shown = str(text)
    if not exact or stream.isatty():
        shown = harmless(shown)
    stream.write(shown + end)
    stream.flush()


def show_live(line: str) -> None:
    """Show a line on stderr, a terminal, that the next one or anything else that is printed there erases."""
    if isinstance(sys.stderr, Outlet):
        sys.stderr.show_live(harmless(line))


def can_erase() -> bool:
    """Whether stderr is a terminal on which a line can be written over."""
    return isinstance(sys.stderr, Outlet) and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def width(text: str) -> int:
    """Columns that a text takes on a terminal: two for a wide character, none for one that combines."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def fitted(text: str, columns: int) -> str:
    """The text cut to at most so many columns, with `…` where something is missing."""
    if width(text) <= columns:
        return text
    taken = list(accumulate(map(_columns, text)))
    return f"{text[: bisect_right(taken, columns - 1)]}…"


def _columns(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


class ReaderGoneError(Exception):
    """Who read stdout has closed it, as `head` does when it has seen enough; no OSError, for click takes those."""


class Outlet(io.TextIOWrapper):
    """A standard stream that never raises for what it is given, nor, once it is `patient`, for where it leads to."""

    def __init__(self, stream: TextIO, *, patient: bool) -> None:
        """Take a stream's place.

        Args:
            stream: The stream; it is given back by `detach`.
            patient: Drop what cannot be written; else `write` raises a StoreError, or ReaderGoneError.
        """
        super().__init__(
            stream.buffer,
            encoding=stream.encoding,
            errors=_ERRORS,
            newline="",
            write_through=True,
        )
        self.patient = patient
        self._before = stream  # where it is forgotten it closes what both write to
        self._shows = stream.isatty()
        self._live = ""
        self._lock = RLock()

    def write(self, text: str) -> int:
        """Write; a terminal gets no character that steers it, but the carriage returns of libraries."""
        with self._lock:
            shown = self._erasure()
            shown += _without_steering(text) if self._shows else text
            self._put(shown)
        return len(text)

    def flush(self) -> None:
        """Hand over what was written."""
        self._put("")

    def show_live(self, line: str) -> None:
        """Show a line in the place of the one before."""
        with self._lock:
            self._put(self._erasure() + line)
            self._live = line

    def _erasure(self) -> str:
        """What erases the live line, also where a terminal that has become narrower broke it into several."""
        if not self._live:
            return ""
        rows = max(0, width(self._live) - 1) // max(1, columns_of_terminal())
        self._live = ""
        return "\r" + (f"\x1b[{rows}A" if rows else "") + "\x1b[J"

    def _put(self, text: str) -> None:
        try:
            super().write(text)
            super().flush()
        except (OSError, ValueError) as error:
            if not self.patient:
                self.patient = True  # nothing that is printed from here on can be read
                if isinstance(error, BrokenPipeError):
                    raise ReaderGoneError from error
                reason = error.strerror if isinstance(error, OSError) else error
                raise StoreError(f"the output cannot be written: {reason}") from error


def columns_of_terminal() -> int:
    """Columns of the terminal that stderr leads to."""
    with suppress(OSError, ValueError):
        return os.get_terminal_size(sys.stderr.fileno()).columns
    return 80


def outlast_the_terminal() -> None:
    """From here on a stdout that is closed or full is no error: what the command does counts, not what it prints."""
    if isinstance(sys.stdout, Outlet):
        sys.stdout.patient = True


@contextmanager
def guarded_streams() -> Iterator[None]:
    """Put an Outlet in the place of stdout and of stderr while the block runs."""
    codecs.register_error(_ERRORS, _plain)
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _outlet(before[0], patient=False), _outlet(before[1], patient=True)
    outlets = sys.stdout, sys.stderr
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        for outlet in outlets:
            if isinstance(outlet, Outlet):
                outlet.patient = True
                with suppress(OSError, ValueError):
                    outlet.detach()


def open_missing_streams() -> None:
    """Open `/dev/null` where stdin, stdout or stderr is closed, before a table's file gets its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError as error:
            if error.errno != errno.EBADF:
                raise
            os.open(os.devnull, os.O_RDWR)
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def _outlet(stream: TextIO, *, patient: bool) -> TextIO:
    """An Outlet in a stream's place; what is kept in memory needs none."""
    return Outlet(stream, patient=patient) if hasattr(stream, "buffer") else stream


def _without_steering(text: str) -> str:
    lines = _COLOUR.sub("", text).split("\r")
    return "\r".join(map(harmless, lines))


def _escape(char: str) -> str:
    return f"\\x{ord(char):02x}" if ord(char) < 256 else f"\\u{ord(char):04x}"


def _plain(error: UnicodeError) -> tuple[str, int]:
    """What is written for characters that the stream's encoding lacks: ASCII that looks like them, or `?`."""
    assert isinstance(error, UnicodeEncodeError)
    lacking = error.object[error.start : error.end].translate(_PLAIN)
    return "".join(char if char.isascii() else "?" for char in lacking), error.end

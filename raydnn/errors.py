"""What can go wrong, in the user's words; every error knows its exit code."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

MOST_SHOWN = 20
"""Problems of a job that a message names; it says how many more there are."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a job: where it stands, which field, and what is allowed there."""

    place: str
    """`FILE:LINE`, or `command line` for an override."""
    field: str
    """Dotted path of the field; empty for the file as a whole."""
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.place, self.field, self.message) if part)


class RaydnnError(Exception):
    """The run failed (exit code 1)."""

    exit_code = 1


class UserCodeError(RaydnnError):
    """The user's own code raised an error, or gave what cannot be used (exit code 1)."""

    def __init__(self, message: str, error_type: str = "UserCodeError") -> None:
        super().__init__(message, error_type)
        self.error_type = error_type

    def __str__(self) -> str:
        return str(self.args[0])


class HungError(RaydnnError):
    """A training did no step for longer than it may; it goes on from its last checkpoint (exit code 1)."""


class Interrupt(KeyboardInterrupt):
    """A signal asked this process to stop."""


class JobError(RaydnnError):
    """A job file or its overrides are wrong; holds every problem found (exit code 2)."""

    exit_code = 2

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        lines = [str(problem) for problem in self.problems[:MOST_SHOWN]]
        more = len(self.problems) - MOST_SHOWN
        super().__init__("\n".join([*lines, *([f"... and {more:,} more problems"] if more > 0 else [])]))

    def __reduce__(self) -> tuple[type[JobError], tuple[tuple[Problem, ...]]]:
        """Travel between processes with the problems, from which the text is made again."""
        return type(self), (self.problems,)


def job_error(field: str, message: str) -> JobError:
    """The error of one field whose place in a file is not known where it is found; whoever knows it adds it."""
    return JobError([Problem("", field, message)])


class UsageError(RaydnnError):
    """The command was called wrongly (exit code 2)."""

    exit_code = 2


class NotFoundError(RaydnnError):
    """A run or trial does not exist (exit code 3)."""

    exit_code = 3


class ClusterError(RaydnnError):
    """The cluster is unreachable or refused the request (exit code 4)."""

    exit_code = 4


class DataError(RaydnnError):
    """Data is missing, damaged or unreadable (exit code 5)."""

    exit_code = 5

    def __init__(self, message: str, *, field: str = "", path: str = "") -> None:
        """Say what is wrong, and where the job's own field is to blame, which one it is and the path that it holds."""
        super().__init__(message)
        self.field, self.path = field, path


class StoreError(RaydnnError):
    """The store is damaged or cannot be written (exit code 5)."""

    exit_code = 5


class InterruptedRunError(RaydnnError):
    """The user or the system asked the run to stop; what was committed stays (exit code 130)."""

    exit_code = 130


def nearest(given: str, allowed: Iterable[str]) -> str:
    """Return ` Did you mean 'x'?` for the closest allowed name, or an empty string."""
    match = get_close_matches(given, list(allowed), n=1, cutoff=0.6)
    return f" Did you mean '{match[0]}'?" if match else ""


def one_of(given: object, allowed: Iterable[str]) -> str:
    """Return `allowed: a, b, c`, followed by the nearest of them where one is near."""
    names = list(allowed)
    hint = nearest(str(given), names)
    return f"allowed: {', '.join(names) or 'none'}{'.' if hint else ''}{hint}"


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its class where it has none; control characters are blanks."""
    try:
        lines = str(getattr(error, "strerror", None) or error).strip().splitlines()
    except Exception:  # An error of the user's own may fail to say what it is.
        lines = []
    line = "".join(letter if letter.isprintable() else " " for letter in lines[0]) if lines else ""
    return line.strip() or type(error).__name__

"""Problems that are found after a job was read, by who reads its data or builds its network, get their places."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from raydnn.errors import DataError, JobError
from raydnn.spec.reading.positions import Positions
from raydnn.spec.reading.source import COMMAND_LINE


@contextmanager
def placed(positions: Positions) -> Iterator[None]:
    """Give the problems that are found in this block the places of their fields.

    Args:
        positions: Where the job's fields stand.

    Raises:
        JobError: One was raised; each of its problems has a place now.
        DataError: One was raised; where it is of a field, it names the place.
    """
    try:
        yield
    except JobError as error:
        if all(problem.place for problem in error.problems):
            raise
        found = [replace(each, place=each.place or positions.of(each.field)) for each in error.problems]
        raise JobError(found) from error
    except DataError as error:
        place = positions.of(error.field) if error.field else ""
        if not place:
            raise
        raise DataError(f"{place}: {error.field}: {error}{_here(place, error.path)}") from error


def _here(place: str, path: str) -> str:
    """Say how to write a path that was meant to be relative to the shell's folder and stands in a job file."""
    if not path or place == COMMAND_LINE or os.path.exists(path):
        return ""
    folder = os.path.dirname(os.path.abspath(place.rpartition(":")[0]))
    meant = os.path.join(os.getcwd(), os.path.relpath(path, folder))
    if not os.path.exists(meant):
        return ""
    return f"; a path in a job file is relative to that file: write {os.path.relpath(meant, folder)}"

"""What is behind an error of Ray's: it wraps the error that counts in several ways."""

from __future__ import annotations

from raydnn.errors import RaydnnError

_LINKS = ("cause", "_base_exc", "controller_failure", "__cause__", "__context__")
"""Attributes in which errors of Ray and of Python keep the error they stem from."""


def our_error(error: BaseException) -> RaydnnError | None:
    """The innermost error of raydnn that an error stems from, or None."""
    for each in _behind(error):
        if (found := our_error(each)) is not None:
            return found
    return error if isinstance(error, RaydnnError) else None


def innermost(error: BaseException) -> BaseException:
    """The error that an error stems from in the end."""
    return next((innermost(each) for each in _behind(error)), error)


def _behind(error: BaseException) -> list[BaseException]:
    linked = [getattr(error, name, None) for name in _LINKS]
    linked += getattr(error, "worker_failures", {}).values()
    return [each for each in linked if isinstance(each, BaseException)]

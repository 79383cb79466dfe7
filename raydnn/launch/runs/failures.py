"""What is behind an error of Ray's, which wraps the error that counts in several ways; and whose fault it is."""

from __future__ import annotations

import errno
from collections.abc import Iterable

from raydnn.errors import ClusterError, RaydnnError, StoreError, UserCodeError, first_line
from raydnn.training.faults.machinery import is_of_machinery

_LINKS = ("cause", "_base_exc", "controller_failure", "__cause__", "__context__")
"""Attributes in which errors of Ray and of Python keep the error they stem from."""
_OF_DISKS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE)
"""What an OSError says where a file cannot be written, whoever wanted to."""


def our_error(error: BaseException) -> RaydnnError | None:
    """The innermost error of raydnn that an error stems from, or None."""
    for each in _behind(error):
        if (found := our_error(each)) is not None:
            return found
    return error if isinstance(error, RaydnnError) else None


def failure_of_training(error: Exception) -> RaydnnError:
    """Why a training failed, by what Ray Train says of it.

    Returns:
        A ClusterError, unless the training itself is to blame.
    """
    failures = list(getattr(error, "worker_failures", {}).values())
    lost = next(filter(is_rays, map(innermost, failures)), error)
    of_ray = ClusterError(f"Ray lost the training, which is not to blame: {described(lost)}")
    return our_error(error) or of_user(failures) or of_ray


def told(error: Exception) -> Exception:
    """An error that ended a run, in the user's words: what Ray or a disk is to blame for says so.

    Returns:
        An error of raydnn, or the error itself where neither of them is to blame.
    """
    ours = our_error(error)
    if ours is not None:
        return ours
    reason = innermost(error)
    if isinstance(reason, OSError) and reason.errno in _OF_DISKS:
        return StoreError(f"{reason.filename or 'a file'}: {first_line(reason)}")
    if any(is_rays(each) for each in (error, reason)) or isinstance(reason, ConnectionError | TimeoutError):
        return ClusterError(f"Ray failed, which the training is not to blame for: {described(error)}")
    return error


def described(error: BaseException) -> str:
    """What is behind an error, on one line."""
    reason = innermost(error)
    return f"{type(reason).__name__}: {first_line(reason)}"


def of_user(failures: Iterable[BaseException]) -> UserCodeError | None:
    """The error of the user's code among those of all workers; None where a lost worker made the others fail.

    Args:
        failures: What each failed worker raised, or Ray for it.
    """
    reasons = [innermost(each) for each in failures]
    if any(is_rays(each) for each in reasons):
        return None
    for each in reasons:
        if not is_of_machinery(each):
            return UserCodeError(f"the training failed: {described(each)}", type(each).__name__)
    return None


def is_rays(error: BaseException) -> bool:
    """Whether an error is one of Ray's own."""
    return any(each.__module__.partition(".")[0] == "ray" for each in type(error).__mro__)


def innermost(error: BaseException) -> BaseException:
    """The error that an error stems from in the end."""
    return next((innermost(each) for each in _behind(error)), error)


def _behind(error: BaseException) -> list[BaseException]:
    linked = [getattr(error, name, None) for name in _LINKS]
    linked += getattr(error, "worker_failures", {}).values()
    return [each for each in linked if isinstance(each, BaseException)]

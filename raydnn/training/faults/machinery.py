"""Errors of what a training runs on, which are no fault of the training: it goes on from its last checkpoint."""

from __future__ import annotations

import re

from raydnn.errors import first_line

_SAID = re.compile(
    r"gloo|NCCL|Connection (closed|reset) by|Broken pipe|CUDA error|CUDA driver|ECC error", re.I
)
"""In what torch raises as a plain RuntimeError where another worker or a device is lost."""
_NOT_SAID = re.compile(r"device-side assert|out of memory", re.I)
"""What a training itself is to blame for: a target that is no class, say."""


def is_of_machinery(error: BaseException) -> bool:
    """Whether an error says that another worker, the network or a device is lost."""
    from torch import distributed  # here, since commands that train nothing ask whose fault an error is, too

    if isinstance(error, distributed.DistError | ConnectionError):
        return True
    if not isinstance(error, RuntimeError):
        return False
    text = first_line(error)
    return bool(_SAID.search(text)) and not _NOT_SAID.search(text)

"""When a device's memory runs out: the stack computes each batch in twice as many pieces, whose gradients are added.

It goes on from its last checkpoint, as one whose process died: whatever the failed step has done is forgotten, so that
no step is made twice. A step's examples stay the same, and so does what it computes, but for what depends on how many
examples are computed at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from raydnn.errors import first_line
from raydnn.spec.axes.networks.model import UserModule
from raydnn.spec.checks.compatibility import loss_of
from raydnn.spec.trial import TrialSpec
from raydnn.store.read import read
from raydnn.store.run import Run
from raydnn.training.faults.incidents import detail_of

OUT_OF_MEMORY = "out_of_memory"
"""Kind of the event."""
MOST_HALVINGS = 3
_SAYS_SO = ("can't allocate memory", "cannot allocate memory", "out of memory", "ALLOC_FAILED")
"""What errors of torch say that have no class of their own, as a CPU's."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory could not be had, of a device or of this machine."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(part in first_line(error) for part in _SAYS_SO)


def pieces_of(run: Run, stack: int, attempt: int) -> int:
    """In how many pieces a stack computes each batch: twice as many as before for each attempt that lacked memory.

    Args:
        run: The run.
        stack: The stack's number.
        attempt: The stack's attempt that begins.
    """
    if attempt == 1:
        return 1
    rows = read(run.location, "events", ["kind", "detail"]).to_pylist()
    details = [detail_of(row) for row in rows if row["kind"] == OUT_OF_MEMORY]
    # All workers of an attempt may have lacked memory at once.
    lacking = {each["attempt"] for each in details if each.get("stack") == stack}
    return 1 << min(len(lacking), MOST_HALVINGS)


def depends_on_batch(trials: Sequence[TrialSpec]) -> bool:
    """Whether a trial's numbers depend on how many examples are computed at once.

    So they do where a batch is normalized or compared example by example, where random numbers are drawn for each,
    and perhaps where the code is the user's.
    """
    return any(
        trial.normalization.name == "batch_norm"
        or trial.activation.name == "rrelu"
        or any(getattr(trial.regularization, f"{kind}dropout") for kind in ("", "input_", "alpha_"))
        or loss_of(trial).name in ("triplet", "function")
        or getattr(trial.model, "noise", 0)
        or isinstance(trial.model, UserModule)
        for trial in trials
    )

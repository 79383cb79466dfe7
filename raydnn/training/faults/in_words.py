"""What ended a training, in the user's words."""

from __future__ import annotations

from collections.abc import Sequence

from raydnn.errors import RaydnnError, UserCodeError
from raydnn.nn.user_code import blamed, described
from raydnn.training.faults.memory import MOST_HALVINGS, is_out_of_memory


def in_words(error: BaseException, pieces: int, paths: Sequence[str]) -> BaseException | None:
    """The error as the user is to be told of it.

    Args:
        error: What ended the training; no fault of the machinery around it.
        pieces: In how many pieces each batch was computed.
        paths: Where code of the user's own is that may be at fault though no frame of it is left.

    Returns:
        None where the process is to end without a trial's fault.
    """
    if is_out_of_memory(error):
        if pieces < 1 << MOST_HALVINGS:
            return None
        return RaydnnError(
            f"memory ran out, even with each batch in {pieces} pieces: {described(error)}; "
            "a smaller network, stack (search.stack) or train.batch_size needs less"
        )
    if isinstance(error, RaydnnError):
        return error
    if (of_users := blamed(error)) is not None:
        return of_users
    if not isinstance(error, Exception):
        return None
    if paths:
        # Autograd, say, refuses what they have computed only when they have returned.
        return UserCodeError(f"{' or '.join(paths)}: {described(error)}", type(error).__name__)
    return error

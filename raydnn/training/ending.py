"""How a member's training ends: at its last epoch, stopped by its scheduler or by itself, or diverged."""

from __future__ import annotations

from math import isfinite

from raydnn.store.states import State
from raydnn.training.stack.early_stopping import has_converged, should_stop
from raydnn.training.stack.member import MUST_BE_FINITE, Member
from raydnn.training.verdict import Verdict


def end_if_done(member: Member, verdict: Verdict | None, epoch: int, scheduler: str) -> None:
    """End a member that has trained long enough, or that its scheduler stops.

    Args:
        member: The member, which has trained an epoch.
        verdict: What the scheduler decided of it; None: nothing.
        epoch: The epoch.
        scheduler: Name of the scheduler, noted as the reason.
    """
    if verdict is not None:
        member.bracket = verdict.bracket
        member.rung = member.rung if verdict.rung is None else verdict.rung
    stopping = member.spec.train.early_stopping
    if epoch >= member.spec.train.epochs:
        member.end(State.COMPLETED, "epochs")
    elif verdict is not None and verdict.stop:
        member.end(State.STOPPED, scheduler)
    elif verdict is not None and verdict.exploit:
        return  # What it has copied is judged after the next epoch.
    elif stopping is not None and should_stop(stopping, member.course[stopping.monitor]):
        member.end(State.COMPLETED, "early_stopping")
    elif stopping is not None and has_converged(stopping, member.grad_norm):
        member.end(State.COMPLETED, "min_grad_norm")


def non_finite(member: Member) -> str | None:
    """The first loss whose last value is infinite or not a number; None where all are finite."""
    return next((name for name in MUST_BE_FINITE if not isfinite(member.history[name][-1])), None)

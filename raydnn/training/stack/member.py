"""A member of a stack: one trial, what it measured so far, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isfinite
from typing import Any, Self

from raydnn.spec.metrics import MODES, Mode
from raydnn.spec.trial import TrialSpec
from raydnn.store.states import State

MUST_BE_FINITE = ("train_loss", "validation_loss")
"""A trial with another value in one of these has diverged, and no scheduler hears of it."""


@dataclass
class Member:
    """One trial in training."""

    number: int
    spec: TrialSpec
    history: dict[str, list[float]] = field(default_factory=lambda: {metric: [] for metric in MODES})
    """Metric → its value after each finished epoch; a metric the task lacks stays empty."""
    metric: str = "validation_loss"
    """The metric it is ranked by."""
    mode: Mode = "min"
    """Which of its values are better."""
    ranked: float | None = None
    """The best finite one so far."""
    ranked_spec: TrialSpec | None = None
    """The configuration whose weights had that value, where it has another one since."""
    grad_norm: float | None = None
    """Norm of the gradient at the last step of the last finished epoch."""
    copied: dict[str, list[float]] = field(default_factory=dict)
    """Of a trial that copied another's weights: metric → its value after each epoch that had trained these."""
    state: State = State.RUNNING
    stop_reason: str | None = None
    bracket: int | None = None
    rung: int | None = None
    seconds: float = 0.0
    """Wall seconds of its stack's epochs, shared equally by the members that were trained in them."""
    started_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat())
    ended_at: str | None = None
    test: dict[str, float] = field(default_factory=dict)
    checkpoint: str | None = None
    stage: str = "search"
    """The stage of its sweep."""
    repeat: int = 0
    """How many seeds of its configuration come before its own."""

    @property
    def trial_id(self) -> str:
        """The trial's id in every table."""
        return trial_id(self.number)

    @property
    def epochs(self) -> int:
        """Number of finished epochs."""
        return len(self.history["train_loss"])

    @property
    def course(self) -> Mapping[str, Sequence[float]]:
        """Metric → its value after each epoch that trained the present weights, also where others trained them."""
        if not self.copied:
            return self.history
        return {
            metric: [*values, *self.history[metric][len(values) :]] for metric, values in self.copied.items()
        }

    @property
    def running(self) -> bool:
        """Whether it goes on being trained."""
        return self.state == State.RUNNING

    @property
    def has_weights(self) -> bool:
        """Whether it has come to an end with weights of use: of a diverged one those of its best epoch."""
        if self.state == State.DIVERGED:
            return self.spec.train.keeps_best and self.ranked is not None
        return self.state == State.COMPLETED

    def copy(self, source: Member, spec: TrialSpec) -> None:
        """Go on from another member's weights with another configuration; what was measured so far stays."""
        self.copied = {metric: list(values) for metric, values in source.course.items()}
        if self.ranked is not None and self.ranked_spec is None:
            self.ranked_spec = self.spec
        self.spec = spec

    def improves(self) -> bool:
        """Take the last value of the metric it is ranked by; whether that is the best so far."""
        value = self.history[self.metric][-1]
        sign = 1.0 if self.mode == "min" else -1.0
        if not isfinite(value) or (self.ranked is not None and sign * value >= sign * self.ranked):
            return False
        self.ranked, self.ranked_spec = value, None
        return True

    def end(self, state: State, reason: str) -> None:
        """Note how and when it ended."""
        self.state = state
        self.stop_reason = reason
        self.ended_at = datetime.now(UTC).isoformat()

    def best(self, metric: str, mode: Mode) -> tuple[float, int] | None:
        """The best finite value of a metric and its epoch (from 1), or None where there is none."""
        sign = 1.0 if mode == "min" else -1.0
        finite = [
            (sign * value, epoch) for epoch, value in enumerate(self.history[metric], 1) if isfinite(value)
        ]
        if not finite:
            return None
        value, epoch = min(finite)
        return sign * value, epoch

    def to_json(self) -> dict[str, Any]:
        """Everything as JSON values, which do not change with the member any more."""
        history = {metric: list(values) for metric, values in self.history.items()}
        ranked_spec = None if self.ranked_spec is None else self.ranked_spec.config_json
        return {
            **vars(self),
            "spec": self.spec.config_json,
            "ranked_spec": ranked_spec,
            "history": history,
            "test": dict(self.test),
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Read back what `to_json` gave."""
        ranked_spec = values.get("ranked_spec")
        specs = {
            "spec": TrialSpec.from_json(values["spec"]),
            "ranked_spec": None if ranked_spec is None else TrialSpec.from_json(ranked_spec),
        }
        return cls(**{**values, **specs})


def trial_id(number: int) -> str:
    """`t00012` for trial number 12."""
    return f"t{number:05d}"

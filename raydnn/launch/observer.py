"""Who watches a run being made and driven: the command line, a notebook, or nobody."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from raydnn.store.run import Run
    from raydnn.training.stack.summary import Summary


class Observer(Protocol):
    """Is told what is done, in the order in which it is."""

    def note(self, line: str) -> None:
        """A line on what is done, or what a user should know of it."""

    def summary(self, summary: Summary) -> None:
        """The network and the data of a training."""

    def training(self, run: Run) -> AbstractContextManager[None]:
        """The time in which a training's epochs are watched."""

    def sweep(self, run: Run, trials: int, epochs: int) -> AbstractContextManager[None]:
        """The time in which a sweep is watched; `epochs`: most that all trials together can be trained."""


class Silent:
    """Watches nothing."""

    def note(self, line: str) -> None:
        """Say nothing."""

    def summary(self, summary: Summary) -> None:
        """Say nothing."""

    def training(self, run: Run) -> AbstractContextManager[None]:
        """Show nothing."""
        return nullcontext()

    def sweep(self, run: Run, trials: int, epochs: int) -> AbstractContextManager[None]:
        """Show nothing."""
        return nullcontext()

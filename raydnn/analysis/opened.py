"""A run as it is read from Python: its tables as Arrow, its trials, its best one."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from raydnn.analysis.tables import row_of, top, with_prefix
from raydnn.errors import NotFoundError
from raydnn.spec.trial import flatten
from raydnn.store.finding import STORAGE, find_run
from raydnn.store.read import load
from raydnn.store.run import Run

if TYPE_CHECKING:
    import pyarrow as pa

    from raydnn.spec.job import Job


@dataclass(frozen=True)
class OpenedTrial:
    """One trial of a run."""

    id: str
    state: str
    parameters: Mapping[str, Any]
    """Every field of its configuration that is set, by dotted path: overrides that make it again of any job."""
    metrics: Mapping[str, Any]
    """Its final, best and test metrics, by name."""


@dataclass(frozen=True, eq=False)
class OpenedRun:
    """A run that was opened; what it says is read from the store each time it is asked for."""

    run: Run

    @property
    def id(self) -> str:
        """The run's id."""
        return self.run.run_id

    @cached_property
    def job(self) -> Job:
        """The job it executes."""
        return self.run.job()

    @property
    def trials(self) -> pa.Table:
        """The table `trials`: a row a trial."""
        return load(self.run.uri, "trials")

    @property
    def epochs(self) -> pa.Table:
        """The table `epochs`: a row a trial and epoch."""
        return load(self.run.uri, "epochs")

    @property
    def events(self) -> pa.Table:
        """The table `events`: a row a decision or incident."""
        return load(self.run.uri, "events")

    def trial(self, trial_id: str) -> OpenedTrial:
        """A trial by its id.

        Raises:
            NotFoundError: There is no such trial; names the nearest ones.
        """
        row = row_of(self.run, trial_id)
        return OpenedTrial(
            trial_id, row["state"], dict(flatten(json.loads(row["config_json"]))), with_prefix(row, "m_")
        )

    def best(self) -> OpenedTrial:
        """The trial that is ranked first by the run's metric.

        Raises:
            NotFoundError: No trial has come to an end.
        """
        ranked = top(self.run, 1)
        if ranked.num_rows == 0:
            raise NotFoundError(f"no trial of {self.id} has come to an end")
        return self.trial(ranked["trial_id"][0].as_py())

    def __repr__(self) -> str:
        """The run's id and where it is."""
        return f"<run {self.id} in {self.run.uri}>"


def open_run(run: str | os.PathLike[str], storage: str = STORAGE) -> OpenedRun:
    """Open a run.

    Args:
        run: Its id, its folder or address, or `latest`.
        storage: The storage to look in when `run` is no path.

    Raises:
        NotFoundError: There is no such run; names the nearest ids.
    """
    return OpenedRun(find_run(os.fspath(run), storage))

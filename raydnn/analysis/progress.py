"""How far a run is, read from its store while it is going."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import numpy as np
import pyarrow as pa

from raydnn.errors import StoreError
from raydnn.store.parts import decode, part_entries, wanted_columns
from raydnn.store.read import row_numbers
from raydnn.store.run import Run
from raydnn.store.storage import files


@dataclass
class Progress:
    """What has been seen of a run; `poll` reads only what is new."""

    run: Run
    states: dict[str, str] = field(default_factory=dict)
    """Trial id → state."""
    epochs: set[tuple[str, int]] = field(default_factory=set)
    """(trial id, epoch) of every epoch trained."""
    highest_rungs: dict[str, int] = field(default_factory=dict)
    """Trial id → highest rung at which it has been judged, from 0, as of its row of `trials`."""
    best: tuple[float, str] | None = None
    """Best value of the run's metric and the trial that had it."""
    _seen: dict[str, int] = field(default_factory=dict)

    def poll(self) -> list[dict[str, Any]]:
        """Look again.

        Returns:
            The rows of `epochs` that are new, oldest first.
        """
        for part in self._new_parts("trials", ["trial_id", "state", "rung"]):
            for row in part.to_pylist():
                self.states[row["trial_id"]] = row["state"]
                if row["rung"] is not None:
                    self.highest_rungs[row["trial_id"]] = row["rung"]
        rows = []
        for part in self._new_parts("epochs", None):
            for row in self._unseen(part):
                self.epochs.add((row["trial_id"], row["epoch"]))
                self._rank(row)
                rows.append(row)
        return rows

    def count(self) -> Mapping[str, int]:
        """State → number of trials."""
        return Counter(self.states.values())

    def rungs(self) -> list[int]:
        """How many trials have been judged at each rung, the lowest first."""
        highest = max(self.highest_rungs.values(), default=-1)
        return [sum(own >= rung for own in self.highest_rungs.values()) for rung in range(highest + 1)]

    def _rank(self, row: dict[str, Any]) -> None:
        value = row[self.run.metric]
        if value is None or not isfinite(value):
            return
        sign = 1 if self.run.mode == "min" else -1
        if self.best is None or sign * value < sign * self.best[0]:
            self.best = (value, row["trial_id"])

    def _unseen(self, part: pa.Table) -> list[dict[str, Any]]:
        """The rows of epochs not seen before; a compacted file repeats what its parts held, and may hold more."""
        keys = zip(part["trial_id"].to_pylist(), part["epoch"].to_pylist(), strict=True)
        places = [place for place, key in enumerate(keys) if key not in self.epochs]
        if not places:
            return []
        rows: list[dict[str, Any]] = part.take(row_numbers(np.array(places, dtype=np.int64))).to_pylist()
        return rows

    def _new_parts(self, table: str, columns: list[str] | None) -> list[pa.Table]:
        """The files of a table that have appeared or changed."""
        found = []
        for entry in part_entries(self.run.location, table):
            name = f"{table}/{entry.name}"
            if self._seen.get(name) == entry.modified_ns:
                continue
            part = _read(self.run, table, entry.name, columns)
            if part is not None:
                self._seen[name] = entry.modified_ns
                found.append(part)
        return found


def _read(run: Run, table: str, name: str, columns: list[str] | None) -> pa.Table | None:
    """A part, or None where it has just been compacted away or is damaged: reading the store proper says so."""
    try:
        data = files.read_bytes(run.location / table / name)
        return decode(data, table, wanted_columns(table, columns))
    except (FileNotFoundError, StoreError, ValueError):
        return None

"""The segments of a run, as its resolved.json keeps them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from raydnn.errors import StoreError
from raydnn.launch.runs.runs import segment_json
from raydnn.launch.runs.warm_start import start_assignments
from raydnn.search.segments import Segment
from raydnn.space.domains.syntax import freeze
from raydnn.space.space import Space, build_space, make_trial
from raydnn.spec.job import SweepJob
from raydnn.spec.reading.load import LoadedJob, Positions, require_sweep
from raydnn.store.run import Run, rewrite_resolved


def begun(loaded: LoadedJob, find: Callable[[str], Run]) -> Segment:
    """The segment that a new sweep begins with.

    Args:
        loaded: Its job.
        find: Opens a run by what the user wrote, for `search.start`.

    Raises:
        JobError: The space or the start is wrong.
        NotFoundError: There is no such run to start from.
    """
    job = require_sweep(loaded)
    space = build_space(job, loaded.positions)
    return Segment(space, job, job.search.trials, start_assignments(space, job, loaded.positions, find))


def kept(run: Run) -> list[Segment]:
    """The segments of a run, the first one first.

    Raises:
        StoreError: Its resolved.json is damaged.
    """
    resolved = run.resolved()
    alone = [{"job": resolved["job"], "trials": None, "start": []}]
    found: list[Segment] = []
    for each in resolved.get("segments", alone):
        job = run.sweep_job(each["job"])
        start = tuple({path: freeze(value) for path, value in values.items()} for values in each["start"])
        trials = each["trials"] or job.search.trials
        found.append(Segment(_space(job, trials, found, Positions({})), job, trials, start))
    return found


def extended(run: Run, segments: Sequence[Segment], loaded: LoadedJob, find: Callable[[str], Run]) -> Segment:
    """The segment that an extension adds to a run.

    Args:
        run: The run.
        segments: Those that it has.
        loaded: The extension's job.
        find: Opens a run by what the user wrote, for `search.start`.

    Raises:
        JobError: The space or the start is wrong.
        NotFoundError: There is no such run to start from.
    """
    job, last = require_sweep(loaded), segments[-1].job
    trials = (job.search.trials or 0) - configurations(run, segments)
    space = _space(job, trials, segments, loaded.positions)
    # What the run began with, it has; another run that it came from may be gone.
    same = job.search.start == last.search.start
    start = () if same else start_assignments(space, job, loaded.positions, find)
    return Segment(space, job, trials, start)


def keep(run: Run, segments: Sequence[Segment], trials: int) -> None:
    """Write the segments of an extended run into its resolved.json.

    Args:
        run: The run.
        segments: All of them.
        trials: Number of all trials.

    Raises:
        StoreError: It cannot be written.
    """
    last = segments[-1]
    resolved: dict[str, Any] = {
        **run.resolved(),
        "job": last.job.model_dump(mode="json"),
        "training": make_trial(last.job, {}).model_dump(mode="json"),
        "space": last.space.tree(),
        "trials": trials,
        "segments": [segment_json(each.job, each.trials or 0, each.start) for each in segments],
    }
    rewrite_resolved(run, resolved)


def configurations(run: Run, segments: Sequence[Segment]) -> int:
    """How many configurations the segments of a run have.

    Raises:
        StoreError: It was made before resolved.json kept them.
    """
    if any(each.trials is None for each in segments):
        raise StoreError(f"{run.uri}/resolved.json does not say how many trials the whole grid has")
    return sum(each.trials or 0 for each in segments)


def _space(job: SweepJob, trials: int | None, before: Sequence[Segment], positions: Positions) -> Space:
    """A segment's space, which must have room for the trials that are looked for there."""
    for segment in reversed(before):
        if segment.job.search.space != job.search.space:
            break
        trials = None if trials is None or segment.trials is None else trials + segment.trials
    search = job.search.model_copy(update={"trials": trials})
    return build_space(job.model_copy(update={"search": search}), positions)

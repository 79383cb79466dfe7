"""Job file and overrides → a checked job; every problem is reported at once."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from raydnn.errors import JobError, Problem
from raydnn.shell import command
from raydnn.spec.checks.contradictions import cross_field_problems, salvage
from raydnn.spec.job import Job, SweepJob
from raydnn.spec.reading.merge import apply_overrides, dropped, merge
from raydnn.spec.reading.paths import Moved, with_absolute_paths
from raydnn.spec.reading.positions import Positions, plain, positions
from raydnn.spec.reading.presets import over_preset
from raydnn.spec.reading.problems import broken_fields, show, validation_problems
from raydnn.spec.reading.source import MAPPING, Node, Source, read_source, read_value

__all__ = ["JobLike", "LoadedJob", "Positions", "job_over", "load_job", "require_sweep", "require_training"]

MOST_FILES = 32
"""Files in a chain that extend one another."""


@dataclass(frozen=True)
class LoadedJob:
    """A job, the text it came from, and where each of its fields was written."""

    job: Job
    text: str
    """The job file as given, without the files it extends and without overrides."""
    positions: Positions
    moved: Mapping[str, Moved] = field(default_factory=dict)
    """Fields that were given relative paths, by dotted path."""


JobLike = str | Path | Mapping[str, Any] | Job
"""A job: the path of its file, a mapping of fields as a file holds it, or the spec itself."""


def load_job(given: JobLike, overrides: Sequence[str] = ()) -> LoadedJob:
    """Read a job, the files it extends, and overrides from the command line.

    Args:
        given: The job file; or its fields, in which paths are relative to the present folder.
        overrides: `dotted.path=value` each; the value is YAML.

    Raises:
        JobError: Anything is wrong; it holds every problem that could be found.
    """
    source = read_source(Path(given)) if isinstance(given, str | Path) else _source_of(given)
    root, problems = _extended(source, (source.path,))
    root, preset = _without_preset(root)
    try:
        root = over_preset(root, _preset_of(overrides) or preset)
    except JobError as error:
        problems += error.problems
    written = root
    root, override_problems = apply_overrides(root, [o for o in overrides if not _of_preset(o)])
    if lost := dropped(written, root):
        named = ", ".join(f"{name}: {show(value)}" for name, value in lost.items())
        warnings.warn(
            f"the command line names another component, which drops {named} of {source.path}; give them again "
            "where they are meant",
            stacklevel=2,
        )
    root, moved = with_absolute_paths(root)
    return LoadedJob(_checked(root, problems + override_problems), source.text, positions(root), moved)


def _source_of(given: Mapping[str, Any] | Job) -> Source:
    fields = given.model_dump(mode="json") if isinstance(given, Job) else given
    text = json.dumps(fields, indent=2, ensure_ascii=False, default=plain_value)
    # Tuples become lists and paths texts, as in a file.
    return Source(Path(MAPPING), text + "\n", _node(json.loads(text), MAPPING), ())


def plain_value(value: Any) -> Any:
    """What JSON has no form of, as it stands in a job file: NumPy's numbers and arrays, paths and other texts."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def job_over(job: Job, overrides: Sequence[str], place: str) -> LoadedJob:
    """Lay overrides over a job that is no file.

    Args:
        job: The job.
        overrides: `dotted.path=value` each.
        place: Where the job stands, for the messages.

    Raises:
        JobError: Anything is wrong; it holds every problem that could be found.
    """
    root, problems = apply_overrides(_node(job.model_dump(mode="json"), place), overrides)
    root, moved = with_absolute_paths(root)
    return LoadedJob(_checked(root, problems), "", positions(root), moved)


def _node(value: Any, place: str) -> Node:
    if isinstance(value, dict):
        return Node({key: _node(child, place) for key, child in value.items()}, place)
    if isinstance(value, list):
        return Node([_node(child, place) for child in value], place)
    return Node(value, place)


def _checked(root: Node, problems: list[Problem]) -> Job:
    """The job of a tree, unless there are problems."""
    where = positions(root)
    data = plain(root)
    try:
        job = Job.model_validate(data)
    except ValidationError as error:
        problems += validation_problems(error, where)
        broken = broken_fields(error)
        problems += cross_field_problems(salvage(data, broken), where, broken)
        raise JobError(sorted(problems, key=_by_line)) from None
    problems += cross_field_problems(job, where)
    if problems:
        raise JobError(sorted(problems, key=_by_line))
    return job


def require_training(loaded: LoadedJob) -> None:
    """Refuse a job with `search`: it is a sweep.

    Raises:
        JobError: The job searches; the message names `raydnn sweep`.
    """
    if loaded.job.search is not None:
        instead = _run_by("sweep", loaded)
        message = f"this job is a sweep, and `{command('train')}` runs one training; run it with `{instead}`"
        raise JobError([Problem(loaded.positions.of("search"), "search", message)])


def require_sweep(loaded: LoadedJob) -> SweepJob:
    """Refuse a job without `search`: it is one training.

    Returns:
        The job.

    Raises:
        JobError: The job searches nothing; the message names `raydnn train`.
    """
    job = loaded.job.as_sweep()
    if job is None:
        message = f"missing, and `{command('sweep')}` needs a search; run this job with `{_run_by('train', loaded)}`"
        raise JobError([Problem(loaded.positions.of("search"), "search", message)])
    return job


def _run_by(name: str, loaded: LoadedJob) -> str:
    file = loaded.positions.of("").rpartition(":")[0]
    return command(name, file or "JOB")


def _of_preset(override: str) -> bool:
    return override.startswith("preset=")


def _preset_of(overrides: Sequence[str]) -> Node | None:
    """The preset that the command line names last."""
    given = list(filter(_of_preset, overrides))
    return read_value(given[-1].partition("=")[2], "preset") if given else None


def _without_preset(root: Node) -> tuple[Node, Node | None]:
    fields = dict(root.value)
    preset = fields.pop("preset", None)
    return Node(fields, root.place), preset


def _extended(source: Source, chain: tuple[Path, ...]) -> tuple[Node, list[Problem]]:
    """A file over the chain of files it extends; the nearer file wins."""
    fields = dict(source.root.value)
    extends = fields.pop("extends", None)
    root = Node(fields, source.root.place)
    problems = list(source.problems)
    if extends is None:
        return root, problems
    if not isinstance(extends.value, str) or not extends.value or not extends.value.isprintable():
        problem = Problem(
            extends.place, "extends", f"{show(plain(extends))}; allowed: the path of a job file"
        )
        raise JobError([*problems, problem])
    path = Path(os.path.normpath(source.path.parent / extends.value))
    if path.resolve() in {file.resolve() for file in chain}:
        names = " -> ".join(file.name for file in (*chain, path))
        message = f"the files extend one another in a circle: {names}; allowed: a chain that ends"
        raise JobError([*problems, Problem(extends.place, "extends", message)])
    if len(chain) == MOST_FILES:
        message = (
            f"the {MOST_FILES} files before it extend one another; allowed: up to {MOST_FILES} in a chain"
        )
        raise JobError([*problems, Problem(extends.place, "extends", message)])
    parent = read_source(path, named_at=extends.place)
    parent_root, parent_problems = _extended(parent, (*chain, path))
    return merge(parent_root, root), [*problems, *parent_problems]


def _by_line(problem: Problem) -> tuple[str, int]:
    file, _, line = problem.place.rpartition(":")
    return (file, int(line)) if line.isdecimal() else (problem.place, 0)

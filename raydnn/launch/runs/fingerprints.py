"""What a run was begun with besides its job: data files, user code, versions; told where they have changed since."""

from __future__ import annotations

import ast
import hashlib
import os
import platform
import re
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from raydnn.spec.job import Job
from raydnn.store.run import Run

PACKAGES = ("raydnn", "ray", "torch", "pyarrow", "numpy", "pydantic", "optuna", "cmaes")
WHOLE_BYTES = 256 * 2**20
"""Files up to this size are read whole; of larger ones blocks spread evenly from the first to the last."""
_BLOCKS = 64
_BLOCK_BYTES = 2**20
_ALONE = re.compile(r"(?:(.*)/)?([A-Za-z_][\w.]*):[A-Za-z_]\w*")
"""An import path: package.module:name, perhaps after a folder."""
_CODE = re.compile(r"(?:([^\s\"'(),\[\]]*)/)?([A-Za-z_][\w.]*):[A-Za-z_]\w*")


def versions() -> dict[str, str]:
    """Package → version, and Python's."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found


def fingerprints(job: Job) -> dict[str, dict[str, Any]]:
    """`data` and `code` → path of a file → its size in bytes and its SHA-256; addresses are left out."""
    written = job.model_dump(mode="json")
    data, modules = written.pop("data"), {name: written[name] for name in ("model", "loss", "train")}
    searched = (written["search"] or {}).get("space")
    return {
        "data": dict(_marks(_data_files(data))),
        "code": dict(_marks(_code_files([modules, searched]))),
    }


def changes(run: Run) -> list[str]:
    """What has changed since a run was begun, a sentence each.

    Raises:
        StoreError: Its resolved.json is damaged.
    """
    resolved = run.resolved()
    told = []
    before, now = resolved.get("versions") or {}, versions()
    differing = [
        f"{name} {before[name]}, now {now[name]}" for name in now if before.get(name, now[name]) != now[name]
    ]
    if differing:
        told.append(
            f"run {run.run_id} was begun with other versions: {'; '.join(differing)}; numbers may differ"
        )
    for kind, files in (resolved.get("fingerprints") or {}).items():
        what = "the data file" if kind == "data" else "the code in"
        told += [
            f"{what} {path} has changed since run {run.run_id} was begun; from here on the new one is used"
            for path, mark in files.items()
            if (found := _mark(path)) is not None and found != mark
        ]
    return told


def _marks(paths: Iterator[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted(set(paths)):
        mark = _mark(path)
        if mark is not None:
            yield path, mark


def _mark(path: str) -> dict[str, Any] | None:
    """A file's size and digest; None where it cannot be read, which is told where it is read."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if size <= WHOLE_BYTES:
                while block := stream.read(_BLOCK_BYTES):
                    digest.update(block)
            else:
                for number in range(_BLOCKS):
                    stream.seek((size - _BLOCK_BYTES) * number // (_BLOCKS - 1))
                    digest.update(stream.read(_BLOCK_BYTES))
    except OSError:
        return None
    return {"bytes": size, "sha256": digest.hexdigest()}


def _strings(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """The texts inside of JSON values, each with the name of its field."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _strings(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner, key)


def _data_files(data: Any) -> Iterator[str]:
    for key, text in _strings(data):
        if key.endswith("path") and "://" not in text:
            path = os.path.abspath(os.path.expanduser(text))
            inside = (
                (str(each) for each in Path(path).iterdir() if each.is_file())
                if os.path.isdir(path)
                else [path]
            )
            yield from inside


def _code_files(values: Any) -> Iterator[str]:
    """The files of the modules that a job names, and of those beside them that they import."""
    for _, text in _strings(values):
        alone = _ALONE.fullmatch(text)
        for match in [alone] if alone else _CODE.finditer(text):
            folder = os.path.expanduser(match[1]) if match[1] else None
            folders = [*([folder] if folder else []), os.getcwd(), *sys.path]
            yield from _module_files(match[2], folders, set())


def _module_files(module: str, folders: list[str], seen: set[str]) -> Iterator[str]:
    """A module's file, or all of a package's; nothing is imported."""
    found = PathFinder.find_spec(module.partition(".")[0], folders)
    if found is None or found.origin is None or not found.origin.endswith(".py"):
        return
    origin = Path(found.origin).resolve()
    # What is installed has a version, and may be large.
    whole = bool(found.submodule_search_locations) and "site-packages" not in origin.parts
    files = sorted(origin.parent.rglob("*.py")) if whole else [origin]
    beside = [str(origin.parent.parent if found.submodule_search_locations else origin.parent)]
    for file in files:
        if str(file) in seen:
            continue
        seen.add(str(file))
        yield str(file)
        if "site-packages" not in file.parts:
            for name in _imports(file):
                yield from _module_files(name, beside, seen)


def _imports(file: Path) -> Iterator[str]:
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module

"""Files of a run are damaged, one at a time: what reads them names it or is not harmed, and a resume goes on."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from raydnn.errors import RaydnnError
from raydnn.store.read import load
from raydnn.store.tables import TABLES

GOOD = {"named", "harmless"}
TEMPLATES = ("finished", "interrupted")
SAMPLE = 14
GONE = ("the files that held them are missing", "has lost its checkpoint")
"""What is said of files that are not there any more."""


def _flip(data: bytes, rng: Random) -> bytes:
    place = rng.randrange(len(data))
    return data[:place] + bytes([data[place] ^ (1 << rng.randrange(8))]) + data[place + 1 :]


def _zero(data: bytes, rng: Random) -> bytes:
    place, length = rng.randrange(len(data)), rng.choice([1, 16, 512, 4096])
    return data[:place] + bytes(min(length, len(data) - place)) + data[place + length :]


CHANGES: dict[str, Callable[[bytes, Random], bytes]] = {
    "flip": _flip,
    "zero": _zero,
    "truncate": lambda data, rng: data[: rng.randrange(len(data))],
    "empty": lambda _data, _rng: b"",
    "garbage": lambda data, rng: rng.randbytes(len(data)),
    "twice": lambda data, _rng: data + data,
}
WAYS = (*CHANGES, "delete", "duplicate", "swap")


def mutate(file: Path, way: str, rng: Random, others: list[Path]) -> list[str]:
    """Damage a file; returns the names of which one must be told."""
    data = file.read_bytes()
    if way == "delete":
        file.unlink()
    elif way == "duplicate":
        file.with_name(f"copy-{file.name}").write_bytes(data)
    elif way == "swap":
        other = rng.choice(others)
        file.write_bytes(other.read_bytes())
        other.write_bytes(data)
        return [*_names(file), *_names(other)]
    else:
        file.write_bytes(CHANGES[way](data, rng) if data else b"x")
    return _names(file)


def _names(file: Path) -> list[str]:
    # A checkpoint is one thing: three files that are named by their folder.
    return [f"{file.parent.parent.name}/{file.parent.name}"] if "checkpoints" in file.parts else [file.name]


def _loaded(storage: Path) -> tuple[dict[str, Any], str]:
    tables, said = {}, ""
    for table in TABLES:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                tables[table] = load(storage / "r", table).to_pylist()
            except RaydnnError as error:
                said += str(error)
        said += " ".join(str(each.message) for each in caught)
    return tables, said


def classify(
    chaos: Any,
    template: str,
    way: str,
    number: int,
    rng: Random,
    epochs_of: Callable[[Path], Any],
    raw_keys_twice: Callable[[Path], int],
    truth: Any,
) -> tuple[str, str]:
    """Damage a copy of a template, read it, go on with it.

    Returns:
        `named`, `harmless`, `silent`, `crash`, `unnamed` or `twice`; and what was done and said.
    """
    storage = chaos.copy(template)
    before, _ = _loaded(storage)
    files = sorted(path for path in (storage / "r").rglob("*") if path.is_file() and ".tmp" not in path.parts)
    files = [path for path in files if path.name != "driver.json"]
    file = files[number % len(files)]
    names = mutate(file, way, rng, [path for path in files if path != file])
    done = f"{template}: {way} {file.relative_to(storage)}"

    uri, everything = str(storage / "r"), ["results", "list", "--storage", str(storage)]
    commands = [
        everything,
        ["results", "show", uri],
        ["results", "show", uri, "t00000", "-o", "json"],
        ["results", "top", uri],
        ["results", "sql", uri, "select count(*) from epochs"],
    ]
    said = [chaos.command(*command) for command in commands]
    after, told = _loaded(storage)
    resumed = chaos.resume(storage)
    text = "\n".join([each.text for each in (*said, resumed)] + [told])
    named = any(name in text for name in names) or any(word in text for word in GONE)
    done = f"{done}\n  {names}\n  resume: exit {resumed.code}\n{text}"
    if any(each.crashed for each in (*said, resumed)):
        return "crash", done
    if resumed.code not in (0, 5):
        return "crash", done
    if resumed.code == 5 and not named:
        return "unnamed", done
    if resumed.code == 0 and raw_keys_twice(storage):
        return "twice", done
    found = epochs_of(storage)
    if any(truth.get(key) != values for key, values in found.items()):
        return "silent", done
    whole = resumed.code == 0 and found == truth and after == before
    return ("named" if named else "harmless" if whole else "silent"), done


def campaign(chaos: Any, count: int, rng: Random, *tools: Any) -> Iterator[tuple[str, str]]:
    """`count` damages, over templates, ways and files in turn."""
    epochs_of, raw_keys_twice = tools
    truth = epochs_of(chaos.template("finished"))
    for number in range(count):
        template = TEMPLATES[number % 2]
        way = WAYS[number // 2 % len(WAYS)]
        yield classify(chaos, template, way, rng.randrange(1000), rng, epochs_of, raw_keys_twice, truth)


def test_a_few_damages_are_named_or_harmless(
    chaos: Any, seed: int, epochs_of: Any, raw_keys_twice: Any, hold: Any
) -> None:
    hold(campaign(chaos, SAMPLE, Random(seed), epochs_of, raw_keys_twice), GOOD)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_many_damages_are_named_or_harmless(
    chaos: Any, seed: int, campaign_count: int, epochs_of: Any, raw_keys_twice: Any, hold: Any
) -> None:
    hold(campaign(chaos, campaign_count, Random(seed + 1), epochs_of, raw_keys_twice), GOOD)

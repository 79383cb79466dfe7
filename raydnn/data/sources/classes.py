"""Labels as a user writes them → class numbers; what a class is called is kept."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from raydnn.data.sources.raw import RowPlace
from raydnn.errors import DataError, JobError, Problem, nearest
from raydnn.spec.data import Label
from raydnn.spec.reading.problems import show

Key = tuple[int, Any]
"""What two labels have in common that are the same, and what they are sorted by: kind and value."""

_BOOLEAN, _NUMBER, _TEXT = range(3)
_INTEGER_TEXT = re.compile(r"[+-]?[0-9]+")
_NUMBER_TEXT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_MISSING = ("nan", "na", "n/a", "<na>", "null", "none", "-", "?")
_NAMED = 10
"""Classes that a message lists."""
_FEW = 20
"""So many classes are never taken for a number's many values."""


@dataclass(frozen=True)
class Classes:
    """The classes of a target, in the order of their numbers."""

    keys: tuple[Key, ...]
    names: tuple[Label, ...]

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def are_numbers(self) -> bool:
        """Whether every class is called by its number."""
        return all(type(name) is int and name == number for number, name in enumerate(self.names))

    def numbers(self, keys: Sequence[Key], rows: NDArray[np.int64], where: RowPlace) -> NDArray[np.int64]:
        """Return class numbers.

        Args:
            keys: Different labels.
            rows: (n,): which of them each row has.
            where: File and column or array, for the message.

        Raises:
            DataError: A label is none of the classes; its row is named.
        """
        known = {key: number for number, key in enumerate(self.keys)}
        numbers = np.array([known.get(key, -1) for key in keys], dtype=np.int64)[rows]
        unknown = np.flatnonzero(numbers < 0)
        if unknown.size:
            row = int(unknown[0])
            label = keys[rows[row]][1]
            if self.are_numbers and not isinstance(label, str):
                allowed = f"with {len(self)} classes the labels 0 to {len(self) - 1} are allowed"
                raise DataError(f"{where.at(row)}: label {label} is given; {allowed}")
            names = [str(name) for name in self.names]
            listed = f"it has {', '.join(names[:_NAMED])}{', ...' if len(names) > _NAMED else ''}"
            raise DataError(
                f"{where.at(row)}: label {show(label)} does not occur in the training data; {listed}."
                f"{nearest(str(label), names)}"
            )
        return numbers


def text_keys(texts: Sequence[str], decimal: str) -> list[Key]:
    """What different texts mean: 1, 1.0 and 01 are one number, true and True are one boolean.

    Args:
        texts: Labels without spaces around them.
        decimal: The decimal point of numbers.
    """
    if all(text.lower() in ("true", "false") for text in texts):
        return [(_BOOLEAN, text.lower() == "true") for text in texts]
    return [_key(text, text if decimal == "." else text.replace(decimal, ".")) for text in texts]


def array_keys(values: NDArray[Any]) -> list[Key]:
    """The keys of different integers or booleans."""
    kind = _BOOLEAN if values.dtype.kind == "b" else _NUMBER
    return [(kind, value) for value in values.tolist()]


def find_classes(keys: Sequence[Key], texts: Sequence[str] | None, examples: int, where: RowPlace) -> Classes:
    """Return the classes of training labels, numbers before texts and smaller before larger ones.

    Args:
        keys: Different labels; some may be the same in other words.
        texts: How each is written, where it is text.
        examples: How many rows there are.
        where: File and column or array, for messages.

    Raises:
        DataError: There is only one class.
        JobError: The labels are numbers of which hardly any occurs twice: a regression's.
    """
    spellings: dict[Key, str | None] = {}
    for number, key in enumerate(keys):
        spellings.setdefault(key, None if texts is None else texts[number])
    classes = tuple(sorted(spellings))
    if len(classes) < 2:
        label = next(iter(spellings.values())) or classes[0][1]
        told = show(label).strip("'")
        raise DataError(f"{where}: every label is {told}; at least two classes are needed")
    _tell_regression(classes, examples, where)
    if texts is None or (
        all(kind != _TEXT for kind, _ in classes) and not any(map(_is_code, spellings.values()))
    ):
        return Classes(classes, tuple(value for _, value in classes))
    names = tuple(str(spellings[key]) for key in classes)
    _tell_spellings(names, where)
    return Classes(classes, names)


def csv_labels(column: pa.ChunkedArray, where: RowPlace) -> tuple[list[str], NDArray[np.int64]]:
    """The different texts of a column, and which of them each row has.

    Raises:
        DataError: A label is missing.
    """
    encoded = pc.utf8_trim_whitespace(column).combine_chunks().dictionary_encode()
    texts = [text.strip('"').strip() if text[:1] == '"' else text for text in encoded.dictionary.to_pylist()]
    rows = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    if "" in texts:
        raise DataError(f"{where.at(int(np.flatnonzero(rows == texts.index(''))[0]))}: the value is missing")
    given = [text for text in texts if text.lower() not in _MISSING]
    if len(given) < len(texts) and given and all(map(_NUMBER_TEXT.fullmatch, given)):
        lacking = next(number for number, text in enumerate(texts) if text.lower() in _MISSING)
        row = int(np.flatnonzero(rows == lacking)[0])
        raise DataError(f"{where.at(row)}: {show(texts[lacking])} stands among numbers: the value is missing")
    return texts, rows


def _key(text: str, number: str) -> Key:
    if _INTEGER_TEXT.fullmatch(number):
        return _NUMBER, int(number)
    if _NUMBER_TEXT.fullmatch(number) and isfinite(float(number)):
        value = float(number)
        return _NUMBER, int(value) if value.is_integer() else value
    return _TEXT, text


def _is_code(text: str | None) -> bool:
    """Whether a number is written as a code is, such as 007."""
    return text is not None and re.fullmatch(r"[+-]?0[0-9]+", text) is not None


def _tell_regression(classes: Sequence[Key], examples: int, where: RowPlace) -> None:
    """Say that labels look like the numbers that a regression learns."""
    numbers = [value for kind, value in classes if kind == _NUMBER]
    fractions = [value for value in numbers if isinstance(value, float)]
    learns = "data.kind: regression learns a number"
    if fractions and 2 * len(classes) > examples > 2:
        raise JobError(
            [
                Problem(
                    "",
                    "data.kind",
                    f"classification is given; {where} holds {len(numbers)} different numbers such as "
                    f"{fractions[0]} in {examples} rows. {learns}",
                )
            ]
        )
    if fractions:
        warnings.warn(
            f"{where}: the {len(classes)} classes are fractions such as {fractions[0]}; {learns}, not a class",
            stacklevel=3,
        )
    elif len(classes) > _FEW and 3 * len(classes) > examples:
        more = f"; {learns}" if numbers else "; is it an id?"
        warnings.warn(f"{where}: {len(classes)} classes in {examples} rows{more}", stacklevel=3)


def _tell_spellings(names: Sequence[str], where: RowPlace) -> None:
    """Say which two classes differ in capitals or spaces alone."""
    seen: dict[str, str] = {}
    for name in names:
        plain = " ".join(name.casefold().split())
        if plain in seen:
            warnings.warn(f"{where}: {show(seen[plain])} and {show(name)} are two classes", stacklevel=3)
            return
        seen[plain] = name

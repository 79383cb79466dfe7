"""How a CSV file is written: encoding, separator, where the header stands and what it names."""

from __future__ import annotations

import codecs
import csv
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from raydnn.data.sources.files import looks_like, opened, start_of
from raydnn.errors import DataError
from raydnn.spec.data import Csv

SEPARATORS = {",": "`,`", ";": "`;`", "\t": "a tab", "|": "`|`"}
"""What detection looks for → how a message calls it."""
ENCODINGS = ("utf-8", "cp1252", "latin-1")
"""What is tried where the file's first bytes do not say it, in this order; the last one takes any bytes."""

_FIRST_BYTES = 2**20
_LONGEST_HEADER_BYTES = 2**28
_SAMPLED_ROWS = 50
_LINE_END = re.compile(r"\r\n|\r|\n")
_NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class Dialect:
    """What has to be known to read a CSV file."""

    encoding: str
    """Name of a codec of Python's."""
    separator: str
    names: tuple[str, ...]
    """One a column of the rows, spaces and quotes around them taken away; empty where the header has none."""
    skipped_lines: int
    """Physical lines before the header."""
    block_bytes: int
    """How much has to be read at once for the longest of the first lines to fit."""
    first_rows: tuple[Sequence[str], ...] = ()

    def called(self) -> str:
        """The separator in words."""
        return SEPARATORS.get(self.separator, f"`{self.separator}`")


def detect(path: Path, spec: Csv, encoding: str | None = None) -> Dialect:
    """Find out how a CSV file is written; what the spec says is not looked for.

    Args:
        path: The file.
        spec: Its `separator` and `encoding` may be `auto`; its `target` is expected in the header.
        encoding: The encoding, if an attempt has shown that the first bytes deceive.

    Raises:
        DataError: The file is empty, or is no CSV file.
    """
    start = _start(path)
    _check_text(path, start)
    encoding = encoding or (_encoding(start) if spec.encoding == "auto" else spec.encoding)
    text = _decoded(start, encoding, path)
    body = text.lstrip("\r\n")
    declared = re.match(r"sep=(.)(\r\n|\r|\n)", body)  # a line that Excel writes and reads
    if declared:
        body = body[declared.end() :]
    separators = (
        [spec.separator] if spec.separator != "auto" else list(declared[1] if declared else SEPARATORS)
    )
    body = _after_comments(body, path)
    whole = len(start) < _FIRST_BYTES
    samples = {each: _rows(body, each, whole) for each in separators}
    separator = max(separators, key=lambda each: _likeness(samples[each], spec.target))
    rows = samples[separator]
    if not rows:
        raise DataError(f"{path}: there is neither a header nor a row")
    before = _LINE_END.findall(text[: len(text) - len(body)])
    longest = max(map(len, _LINE_END.split(body, _SAMPLED_ROWS + 1)))
    return Dialect(
        encoding,
        separator,
        _names(rows),
        len(before),
        # A line takes at most four bytes a character, and a block has to hold a whole one.
        min(max(2**20, 8 * longest), 2**30),
        tuple(rows[1:]),
    )


def rows_of(path: Path, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """Read a file's rows one by one with the physical line each begins at; slow, for messages.

    Args:
        path: The file.
        dialect: How it is written.
    """
    with (
        closing(opened(path)) as file,
        io.TextIOWrapper(file, dialect.encoding, errors="replace", newline="") as text,
    ):
        for _ in range(dialect.skipped_lines):
            text.readline()
        reader = csv.reader(text, delimiter=dialect.separator)
        next(reader, None)
        before = reader.line_num
        with suppress(csv.Error):  # a value longer than the module takes
            for row in reader:
                if any(map(str.strip, row)) or len(row) > 1:
                    yield dialect.skipped_lines + before + 1, row
                before = reader.line_num


def decodes(path: Path, encoding: str) -> bool:
    """Whether a whole file is text in an encoding."""
    decoder = codecs.getincrementaldecoder(encoding)()
    with closing(opened(path)) as file:
        try:
            while piece := file.read(_FIRST_BYTES):
                decoder.decode(piece)
            decoder.decode(b"", final=True)
        except UnicodeError:
            return False
    return True


def _start(path: Path) -> bytes:
    """The first MiB, or more where the header is longer."""
    count = _FIRST_BYTES
    start = start_of(path, count)
    while len(start) == count < _LONGEST_HEADER_BYTES and not re.search(rb"[\r\n][^\r\n]+[\r\n]", start):
        count *= 8
        start = start_of(path, count)
    return start


def _check_text(path: Path, start: bytes) -> None:
    if not start.strip():
        raise DataError(f"{path}: is empty")
    what = looks_like(start)
    if what is None and not _mark(start):
        strange = sum(start.count(code) for code in (*range(1, 9), *range(14, 26), *range(28, 32)))
        if b"\0" in start or strange > len(start) / 100:
            what = "binary content, no text"
    if what is not None:
        raise DataError(f"{path}: looks like {what}; a CSV file is needed")


def _mark(start: bytes) -> str | None:
    """The encoding that a byte order mark tells."""
    marks = (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF32_LE, "utf-32"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    )
    return next((encoding for mark, encoding in marks if start.startswith(mark)), None)


def _encoding(start: bytes) -> str:
    marked = _mark(start)
    if marked is not None:
        return marked
    for encoding in ENCODINGS[:-1]:
        try:
            codecs.getincrementaldecoder(encoding)().decode(start)
        except UnicodeDecodeError:
            continue
        return encoding
    return ENCODINGS[-1]


def _decoded(start: bytes, encoding: str, path: Path) -> str:
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(start)
    except UnicodeDecodeError as error:
        line = 1 + len(_LINE_END.findall(start[: error.start].decode("latin-1")))
        raise DataError(
            f"{path}, line {line}: is not written in {encoding}: {error.reason}; data.encoding says another"
        ) from None
    return text.removeprefix("\ufeff")


def _after_comments(body: str, path: Path) -> str:
    """Leave out lines before the header that begin with `#` and hold no fields as the next line does."""
    lines = re.findall(r"[^\r\n]*(?:\r\n|\r|\n|$)", body)
    comments = 0
    while comments < len(lines) and lines[comments].startswith("#"):
        comments += 1
    if comments in (0, len(lines)):
        return body
    if comments == 1 and any(
        0 < lines[0].count(separator) == lines[1].count(separator) for separator in SEPARATORS
    ):
        return body  # a header whose first name begins so
    warnings.warn(
        f"{path}: {comments} line{'s' if comments > 1 else ''} before the header "
        "that begin with # are left out as comments",
        stacklevel=2,
    )
    return "".join(lines[comments:]).lstrip("\r\n")


def _rows(body: str, separator: str, whole: bool) -> list[list[str]]:
    """The header and the first rows; the last of a text that goes on is left out, for it may be cut."""
    rows: list[list[str]] = []
    with suppress(csv.Error):  # a value longer than the module takes
        for row in islice(csv.reader(io.StringIO(body, newline=""), delimiter=separator), _SAMPLED_ROWS + 1):
            if any(map(str.strip, row)):
                rows.append(row)
    return rows if whole or len(rows) <= 1 or len(rows) > _SAMPLED_ROWS else rows[:-1]


def _likeness(rows: Sequence[Sequence[str]], target: str | None) -> tuple[bool, float, int]:
    """How much a separator's rows look like a table: is the target named, do widths agree, how many are there."""
    if not rows or len(rows[0]) < 2:
        return False, 0.0, 0
    width = len(rows[0])
    alike = sum(0 <= len(row) - width <= 1 for row in rows) / len(rows)
    return target in list(map(_trimmed, rows[0])), alike, width


def _names(rows: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The columns' names; where every row has one value more than the header, the odd column has none."""
    names = tuple(map(_trimmed, rows[0]))
    below = rows[1:]
    if below and all(len(row) == len(names) + 1 for row in below):
        if not any(row[-1].strip() for row in below):
            return (*names, "")  # a separator at the end of each row
        return ("", *names)  # names of rows, as R writes them
    return names


def _trimmed(name: str) -> str:
    name = name.strip()
    return name[1:-1].strip() if len(name) > 1 and name[0] == name[-1] == '"' else name


def holds_numbers(names: Sequence[str]) -> bool:
    """Whether a header's names are all numbers, so that it is perhaps the first row of data."""
    counted = [str(number) for number in range(len(names))]
    given = [name for name in names if name]
    return list(names) != counted and bool(given) and all(map(_NUMBER.fullmatch, given))

"""How domains are written: read by a small tokenizer, never evaluated, and written back the same way."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TypeAlias

Value: TypeAlias = "bool | int | float | str | tuple[Value, ...] | None"
"""What a domain may hold: a scalar, or a list of them as a tuple."""

MAX_LENGTH = 10_000
"""Characters of the longest domain that is read."""

_CALL = re.compile(r"\s*([A-Za-z_]\w*)\s*\(")
_TOKEN = re.compile(r"""\s*(?:([\[\](),])|("(?:[^"\\]|\\.)*"|'[^']*')|([^\s\[\](),"']+))""")
_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_WORDS: dict[str, bool | None] = {"null": None, "true": True, "false": False}


def read_call(text: str) -> tuple[str, tuple[Value, ...]] | None:
    """Read `name(argument, ...)`.

    Returns:
        Name and arguments, or None where the text does not begin like a call.

    Raises:
        ValueError: The text begins like a call and is not one.
    """
    start = _CALL.match(text)
    if start is None:
        return None
    if len(text) > MAX_LENGTH:
        raise ValueError(f"{text[:40]}... has {len(text)} characters; allowed: at most {MAX_LENGTH}")
    tokens = _tokens(text, start.end())
    arguments = _read_values(tokens, ")", text)
    if next(tokens, None) is not None:
        raise ValueError(f"{text!r} goes on after its closing parenthesis")
    return start.group(1), arguments


def freeze(value: object) -> Value:
    """Turn plain data (scalars, lists of scalars) into a hashable value; a mapping is a ValueError."""
    if isinstance(value, (list, tuple)):
        return tuple(freeze(item) for item in value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ValueError(
        f"{value!r} in a list of choices; allowed: names, numbers, true, false, null, lists of them"
    )


def write_value(value: Value) -> str:
    """Write a value so that reading it gives it back."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(write_value, value))}]"
    if isinstance(value, str):
        token = _TOKEN.fullmatch(value)
        bare = token is not None and token.group(3) == value and isinstance(_read_word(value), str)
        return value if bare else json.dumps(value, ensure_ascii=False)
    return repr(value) if type(value) in (int, float) else json.dumps(value)


def _tokens(text: str, position: int) -> Iterator[tuple[str, str]]:
    """Kind (`mark`, `quoted`, `word`) and text of each token from a position on."""
    end = len(text.rstrip())
    while position < end:
        token = _TOKEN.match(text, position)
        if token is None:
            raise ValueError(f"{text!r} has an unclosed quote")
        yield ("mark", "quoted", "word")[(token.lastindex or 1) - 1], token.group(token.lastindex or 1)
        position = token.end()


def _read_values(tokens: Iterator[tuple[str, str]], closing: str, text: str) -> tuple[Value, ...]:
    """Read values with commas between them, up to and with the closing mark."""
    values: list[Value] = []
    comma_due = False
    for kind, token in tokens:
        if kind == "mark" and token == closing and (comma_due or not values):
            return tuple(values)
        if comma_due != (kind == "mark" and token == ","):
            raise ValueError(
                f"{text!r} is not understood at {token!r}; allowed: values with commas between them"
            )
        if not comma_due:
            if kind == "mark" and (token != "[" or closing == "]"):
                raise ValueError(f"{text!r} is not understood at {token!r}")
            values.append(_read_value(kind, token, tokens, text))
        comma_due = not comma_due
    raise ValueError(f"{text!r} is not closed; '{closing}' is missing")


def _read_value(kind: str, token: str, tokens: Iterator[tuple[str, str]], text: str) -> Value:
    if kind == "mark":
        return _read_values(tokens, "]", text)
    if kind == "word":
        return _read_word(token)
    if token.startswith("'"):
        return token[1:-1]
    try:
        return str(json.loads(token))
    except json.JSONDecodeError as error:
        raise ValueError(f"{text!r} has a string that is not understood: {token}") from error


def _read_word(word: str) -> Value:
    if word in _WORDS:
        return _WORDS[word]
    if _INTEGER.fullmatch(word) and len(word) <= 20:
        return int(word)
    if _FLOAT.fullmatch(word):
        return float(word)
    return word

"""Sequences for tasks that need a memory (Hochreiter & Schmidhuber 1997)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from raydnn.data.sources.raw import Arrays, Raw
from raydnn.data.tokens import token_range
from raydnn.spec.data import Sequences

SYMBOLS, PLACES = 8, 3
"""Of `copy`: as many classes, and as many symbols to be kept in mind."""
CYCLES = (2.0, 3.0, 4.5, 6.5)
"""Of `sines`: oscillations in a sequence, a class each; so far apart that a sequence without noise tells them."""


def make_sequences(spec: Sequences) -> Raw:
    """Return `spec.count` sequences of `spec.length` steps of a task, no test part."""
    return _TASKS[spec.task](spec, np.random.default_rng(spec.seed))


def _adding(spec: Sequences, rng: Generator) -> Raw:
    """Numbers of 0 to 1 and marks (n, T, 2): one is marked in each half; the target (n, 1) is the sum of both."""
    rows, half = np.arange(spec.count), spec.length // 2
    inputs = np.zeros((spec.count, spec.length, 2), np.float32)
    inputs[..., 0] = rng.random((spec.count, spec.length), np.float32)
    for low, high in ((0, half), (half, spec.length)):
        inputs[rows, rng.integers(low, high, spec.count), 1] = 1
    sums = (inputs[..., 0] * inputs[..., 1]).sum(axis=1, dtype=np.float64)
    return Raw(Arrays(inputs, sums[:, None]), None, 0, "regression")


def _copy(spec: Sequences, rng: Generator) -> Raw:
    """Tokens (n, T): 3 symbols of 1 to 8, blanks 0, and 9 to 11 that ask for the first to third; class 0 to 7."""
    symbols = rng.integers(SYMBOLS, size=(spec.count, PLACES))
    asked = rng.integers(PLACES, size=spec.count)
    tokens = np.zeros((spec.count, spec.length), np.int64)
    tokens[:, :PLACES] = 1 + symbols
    tokens[:, -1] = 1 + SYMBOLS + asked
    examples = Arrays(tokens.astype(np.float32), symbols[np.arange(spec.count), asked])
    known = token_range(tokens, "data: sequences")
    return Raw(examples, None, SYMBOLS, "classification", tokens=(known,))


def _sines(spec: Sequences, rng: Generator) -> Raw:
    """Sines of one of 4 frequencies (n, T, 1), of any phase and an amplitude of 0.5 to 1.5, in noise of deviation 1."""
    targets = rng.integers(len(CYCLES), size=spec.count)
    amplitude, phase = rng.uniform(0.5, 1.5, spec.count), rng.uniform(0, 2 * np.pi, spec.count)
    turns = np.outer(np.take(CYCLES, targets), np.arange(spec.length) / spec.length)
    values = amplitude[:, None] * np.sin(2 * np.pi * turns + phase[:, None])
    values += rng.standard_normal(values.shape)
    return Raw(Arrays(values[..., None].astype(np.float32), targets), None, len(CYCLES), "classification")


_TASKS: dict[str, Callable[[Sequences, Generator], Raw]] = {
    "adding": _adding,
    "copy": _copy,
    "sines": _sines,
}

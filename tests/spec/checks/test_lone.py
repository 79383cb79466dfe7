"""Batch norm over one example: which batches hold a single one."""

from __future__ import annotations

import pytest

from raydnn.spec.checks.lone import lone_example_warnings
from raydnn.spec.job import Training


@pytest.mark.parametrize(
    ("batch_size", "accumulate", "examples"),
    [
        (1, 1, 10),
        (1, 4, 10),
        (4, 1, 10),
        (3, 1, 10),
        (3, 2, 10),
        (9, 1, 10),
        (10, 1, 10),
        (11, 1, 10),
        (4, 1, 1),
    ],
)
@pytest.mark.parametrize("normalization", ["batch_norm", "layer_norm"])
def test_it_is_told_where_a_batch_has_one_example(
    batch_size: int, accumulate: int, examples: int, normalization: str
) -> None:
    """The oracle cuts the examples into batches."""
    trial = Training.model_validate(
        {
            "data": "digits",
            "optimizer": "adam",
            "normalization": normalization,
            "train": {"batch_size": batch_size, "accumulate": accumulate},
        }
    )
    sizes = [len(range(examples)[start : start + batch_size]) for start in range(0, examples, batch_size)]
    warned = lone_example_warnings(trial, examples)
    assert bool(warned) == (normalization == "batch_norm" and 1 in sizes)
    assert all("normalization" in line and "train.batch_size" in line for line in warned)

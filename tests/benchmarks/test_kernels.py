"""A step launches no more kernels than it did."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pretend_device  # noqa: F401  # its backend has to be there before any gradient is computed
import pytest

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def _as_scripts() -> Iterator[None]:
    """Modules of this folder are found as they are when one of them is started."""
    sys.path.insert(0, str(HERE))
    yield
    sys.path.remove(str(HERE))


@pytest.mark.parametrize("name", ["sgd", "momentum", "adam", "dropout", "eleven", "much"])
def test_a_step_launches_no_more_kernels_than_before(name: str) -> None:
    kernels = import_module("kernels")
    assert set(kernels.CASES) == {"sgd", "momentum", "adam", "dropout", "eleven", "much"}
    _, trials, most = kernels.CASES[name]
    counted = kernels.kernels_a_step(trials)
    assert counted <= most
    assert counted > most - 5, "where there are fewer, that is the new bound"


def test_a_stack_of_eight_launches_hardly_more_than_one_plain_trial() -> None:
    rows = {row.key: row for row in import_module("kernels").measure(1, None)}
    assert rows["kernels/adam"].ratios[0] > 1
    assert rows["kernels/sgd"].ratios[0] > 0.9
    assert rows["kernels/eleven"].absent

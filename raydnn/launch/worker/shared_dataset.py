"""A data set that is read once, by the driver, and handed to the processes that train through Ray's object store."""

from __future__ import annotations

from dataclasses import dataclass

from raydnn.data.dataset import Dataset
from raydnn.spec.data import DataSet
from raydnn.training.stack.footprint import dataset_bytes

LARGEST_BYTES = 2**30
"""A larger data set is read by each process itself: Ray's object store is a share of the memory."""


@dataclass(frozen=True, eq=False)
class SharedDataset:
    """A data set; pickled, its large arrays are such that processes on one machine share them without a copy."""

    spec: DataSet
    """What it was read from."""
    dataset: Dataset


def share(spec: DataSet, dataset: Dataset) -> SharedDataset | None:
    """Prepare a data set for being handed over; None where it is too large.

    Args:
        spec: What it was read from.
        dataset: As it was read.
    """
    if dataset_bytes(dataset) > LARGEST_BYTES:
        return None
    return SharedDataset(spec, dataset)

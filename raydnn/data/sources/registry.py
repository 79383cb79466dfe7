"""The sources of data sets by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from raydnn.data.dataset import Dataset
from raydnn.data.sources.csv import load_csv
from raydnn.data.sources.digits import load_digits
from raydnn.data.sources.idx import load_idx
from raydnn.data.sources.made.pictures import make_pictures
from raydnn.data.sources.made.sequences import make_sequences
from raydnn.data.sources.npz import load_npz
from raydnn.data.sources.raw import Raw

SOURCES: dict[str, Callable[[Any], Raw | Dataset]] = {
    "digits": load_digits,
    "fashion_mnist": load_idx,
    "mnist": load_idx,
    "csv": load_csv,
    "npz": load_npz,
    "sequences": make_sequences,
    "pictures": make_pictures,
}
"""Name of a spec class of `raydnn.spec.data` → function from such a spec to its arrays, which are then split and
prepared as the spec asks; or to a data set, where the source has seen to that itself."""

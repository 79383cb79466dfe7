"""Handwritten digits that come with scikit-learn."""

from __future__ import annotations

from importlib.metadata import distribution

import numpy as np

from raydnn.data.sources.raw import Arrays, Raw
from raydnn.spec.data import Digits

FILE = "sklearn/datasets/data/digits.csv.gz"
"""Rows of 64 pixels and the class; read by itself, since importing scikit-learn takes 1.7 s."""


def load_digits(spec: Digits) -> Raw:
    """Return the 1,797 digits: inputs (1797, 8, 8) from 0 to 16, ten classes, no test part."""
    rows = np.loadtxt(str(distribution("scikit-learn").locate_file(FILE)), delimiter=",", dtype=np.float32)
    train = Arrays(rows[:, :-1].reshape(-1, 8, 8), rows[:, -1].astype(np.int64))
    return Raw(train, None, 10, "classification", feature_types=("picture",))

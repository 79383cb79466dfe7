"""Handwritten digits that come with scikit-learn."""

from __future__ import annotations

import numpy as np

from raydnn.data.raw import Arrays, Raw
from raydnn.spec.data import Digits


def load_digits(spec: Digits) -> Raw:
    """Return the 1,797 digits: inputs (1797, 8, 8) from 0 to 16, ten classes, no test part."""
    from sklearn.datasets import load_digits as sklearn_digits

    digits = sklearn_digits()
    train = Arrays(digits.images.astype(np.float32), digits.target.astype(np.int64))
    return Raw(train, None, 10, "classification")

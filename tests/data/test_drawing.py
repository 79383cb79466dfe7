"""Drawing against scikit-learn's own function."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from raydnn.data.drawing import draw


@settings(max_examples=150, deadline=None)
@given(
    counts=st.lists(st.integers(2, 60), min_size=2, max_size=12),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**32 - 1),
    stratified=st.booleans(),
)
def test_the_same_rows_as_scikit_learn(
    counts: list[int], fraction: float, seed: int, stratified: bool
) -> None:
    n = sum(counts)
    classes = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    try:
        expected = train_test_split(
            np.arange(n), test_size=fraction, random_state=seed, stratify=classes if stratified else None
        )
    except ValueError:
        with pytest.raises(ValueError, match=r"left|classes"):
            draw(n, fraction, seed, classes if stratified else None)
        return
    found = draw(n, fraction, seed, classes if stratified else None)
    for rows, of_sklearn in zip(found, expected, strict=True):
        np.testing.assert_array_equal(rows, np.sort(of_sklearn))


def test_a_class_of_one_example_cannot_be_in_both_parts() -> None:
    with pytest.raises(ValueError, match="class 7 has one example only"):
        draw(5, 0.5, 0, np.array([3, 3, 3, 7, 3]))

from __future__ import annotations

import numpy as np
from sklearn.linear_model import RidgeClassifier

from raydnn.data.load import load_dataset
from raydnn.data.sources.made.pictures import CHUNK, make_pictures
from raydnn.spec.data import Pictures


def test_pictures_are_in_the_shape_and_the_numbers_of_cifar() -> None:
    dataset = load_dataset(Pictures(count=200, scaling="unit", test_fraction=0.2))
    assert (dataset.features, dataset.classes, dataset.examples["test"]) == ((3, 32, 32), 10, 40)
    assert dataset.inputs.is_picture
    raw = make_pictures(Pictures(count=205, size=16)).train
    assert raw.inputs.shape == (205, 3, 16, 16)
    assert (raw.inputs.min(), raw.inputs.max()) == (0, 255)
    assert np.array_equal(raw.inputs, np.rint(raw.inputs))
    assert np.ptp(np.bincount(raw.targets)) == 1, "classes are even"


def test_the_seed_alone_decides_what_is_made() -> None:
    first, again, other = (
        make_pictures(Pictures(count=CHUNK + 20, size=8, seed=seed)).train for seed in (3, 3, 4)
    )
    assert np.array_equal(first.inputs, again.inputs)
    assert np.array_equal(first.targets, again.targets)
    assert not np.array_equal(first.inputs, other.inputs)


def test_colour_tells_half_of_the_class_and_no_pixel_the_other() -> None:
    raw = make_pictures(Pictures(count=3000, size=16, noise=0)).train
    red, _, blue = raw.inputs.reshape(len(raw.inputs), 3, -1).mean(axis=2).T
    warm = raw.targets % 2 == 0
    assert 0.6 < ((red > blue) == warm).mean() < 0.95
    rows = raw.inputs.reshape(len(raw.inputs), -1) / 255
    linear = RidgeClassifier(alpha=100).fit(rows[:2000], raw.targets[:2000] // 2)
    assert linear.score(rows[2000:], raw.targets[2000:] // 2) < 0.4, "of five things"

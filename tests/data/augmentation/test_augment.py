"""Augmentation against what SciPy and NumPy make of the same draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import shift

from raydnn.data.augmentation.augment import Augmenter
from raydnn.data.augmentation.geometry import transformed
from raydnn.errors import JobError
from raydnn.spec.axes.augmentation import Augmentation
from raydnn.stacking.noise import Noise

CPU = torch.device("cpu")
IMAGES = torch.from_numpy(np.random.default_rng(0).uniform(1, 2, (300, 5, 4)).astype(np.float32))
SHARED = IMAGES.unsqueeze(0)


def augmented(*specs: dict[str, Any], seeds: tuple[int, ...] = (0,), epoch: int = 1) -> torch.Tensor:
    augment = Augmenter([Augmentation(**spec) for spec in specs], (5, 4), CPU)
    found = augment(SHARED, Noise(seeds, epoch, CPU), len(IMAGES))
    return found[0] if len(found) == 1 else found


def test_nothing_is_changed_unless_asked_for() -> None:
    assert augmented({}).equal(IMAGES)


def test_flip_mirrors_the_given_share() -> None:
    assert augmented({"flip": 1.0}).equal(IMAGES.flip(2))
    found = augmented({"flip": 0.3})
    flipped = (found == IMAGES.flip(2)).all(2).all(1)
    assert (found[~flipped] == IMAGES[~flipped]).all()
    assert 0.2 < flipped.float().mean() < 0.4


def test_translate_shifts_every_way_and_fills_with_zeros() -> None:
    found = augmented({"translate": 2})
    ways = [(down, right) for down in range(-2, 3) for right in range(-2, 3)]
    seen = set()
    for image, result in zip(IMAGES, found, strict=True):
        matching = [way for way in ways if np.array_equal(shift(image, way, order=0, cval=0), result)]
        assert len(matching) == 1
        seen.update(matching)
    assert seen == set(ways)


def test_a_crop_is_a_translation_of_its_own() -> None:
    found = augmented({"crop": 2})
    padded = np.pad(IMAGES.numpy(), ((0, 0), (2, 2), (2, 2)))
    seen = set()
    for image, result in zip(padded, found, strict=True):
        places = [(top, left) for top in range(5) for left in range(5)]
        matching = [p for p in places if np.array_equal(image[p[0] : p[0] + 5, p[1] : p[1] + 4], result)]
        assert len(matching) == 1
        seen.update(matching)
    assert len(seen) == 25
    assert not found.equal(augmented({"translate": 2}))


class Fixed:
    """Draws that are all the same."""

    def __init__(self, value: float) -> None:
        self.value = value

    def uniform(self, batch_size: int, width: int, stream: str) -> torch.Tensor:
        return torch.full((1, batch_size, width), self.value)


@pytest.mark.parametrize(
    ("draw", "spec", "rotation", "factor", "shear"),
    [
        (0.0, {"rotate": 40}, -40, 1, 0),
        (1.0, {"scale": 0.5}, 0, 1.5, 0),
        (0.0, {"scale": 0.5}, 0, 0.5, 0),
        (0.75, {"shear": 30}, 0, 1, 15),
        (0.75, {"rotate": 180, "scale": 0.2, "shear": 20}, 90, 1.1, 10),
    ],
)
def test_transforms_are_drawn_evenly_both_ways(
    draw: float, spec: dict[str, Any], rotation: float, factor: float, shear: float
) -> None:
    found = Augmenter([Augmentation(**spec)], (5, 4), CPU)(SHARED, Fixed(draw), len(IMAGES))
    given = [torch.full((1, len(IMAGES)), float(value)) for value in (rotation, factor, shear)]
    torch.testing.assert_close(found, transformed(SHARED, *given))


def test_noise_is_normal() -> None:
    noise = (augmented({"noise": 0.5}) - IMAGES).flatten()
    assert noise.mean().abs() < 0.02
    assert noise.std().item() == pytest.approx(0.5, rel=0.03)
    assert (noise.abs() < 0.5).float().mean().item() == pytest.approx(0.6827, abs=0.02)


def test_cutout_clears_one_square_that_the_border_may_cut() -> None:
    found = augmented({"cutout": 3})
    assert ((found == 0) | (found == IMAGES)).all()
    cleared = found == 0
    rows, columns = cleared.any(2), cleared.any(1)
    assert cleared.equal(rows[:, :, None] & columns[:, None, :])
    assert set(rows.sum(1).tolist()) == set(columns.sum(1).tolist()) == {2, 3}


ALL = {
    "flip": 0.5,
    "rotate": 20.0,
    "scale": 0.2,
    "shear": 10.0,
    "crop": 1,
    "translate": 1,
    "noise": 0.1,
    "cutout": 2,
}


def test_a_member_draws_what_it_draws_alone() -> None:
    cases: list[tuple[dict[str, Any], int]] = [(ALL, 3), ({"noise": 0.2}, 3), ({}, 4), (ALL, 5)]
    cases += [({name: value}, 5) for name, value in ALL.items()]
    together = augmented(*(spec for spec, _ in cases), seeds=tuple(seed for _, seed in cases))
    for position, (spec, seed) in enumerate(cases):
        assert together[position].equal(augmented(spec, seeds=(seed,)))
    assert together[2].equal(IMAGES)


def test_the_members_draw_from_all_techniques() -> None:
    assert {*ALL, "mixup"} == set(Augmentation.model_fields)


def test_equal_seeds_and_settings_share_their_images() -> None:
    assert augmented(ALL, ALL, seeds=(1, 1)).shape == IMAGES.shape
    assert augmented(ALL, epoch=2).equal(augmented(ALL, epoch=2))
    assert not augmented(ALL, epoch=2).equal(augmented(ALL, epoch=3))


def test_workers_share_one_batch() -> None:
    augment = Augmenter([Augmentation(**ALL)], (5, 4), CPU)
    for rank in range(2):
        mine = augment(SHARED[:, rank::2], Noise([0], 1, CPU, rank, 2), len(IMAGES))
        assert mine[0].equal(augmented(ALL)[rank::2])


def test_a_worker_without_examples_of_a_small_batch_gets_none() -> None:
    augment = Augmenter([Augmentation(**ALL)], (5, 4), CPU)
    assert augment(SHARED[:, :0], Noise([0], 1, CPU, 1, 2), 1).shape == (1, 0, 5, 4)


@pytest.mark.parametrize(("features", "said"), [((6,), "6"), ((3, 5, 4), "3 × 5 × 4")])
def test_only_images_can_be_augmented(features: tuple[int, ...], said: str) -> None:
    Augmenter([Augmentation(mixup=0.2)], features, CPU)
    message = f"train.augmentation: needs images of height × width; the inputs are {said} numbers each"
    with pytest.raises(JobError) as error:
        Augmenter([Augmentation(flip=0.5)], features, CPU)
    assert str(error.value) == message

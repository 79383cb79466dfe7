"""Augmentation against what SciPy and NumPy make of the same draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import shift
from scipy.stats import kstest, uniform

from raydnn.data.augmentation.augment import TECHNIQUES, Augmenter, check_images
from raydnn.data.augmentation.geometry import transformed
from raydnn.data.augmentation.shades import Shades
from raydnn.data.inputs import Inputs
from raydnn.errors import JobError
from raydnn.spec.axes.augmentation import HOW_RANDAUGMENT, OF_PAIRS, Augmentation
from raydnn.spec.train import Train
from raydnn.stacking.noise import Noise

CPU = torch.device("cpu")
IMAGES = torch.from_numpy(np.random.default_rng(0).uniform(1, 2, (300, 5, 4)).astype(np.float32))
SHARED = IMAGES.unsqueeze(0)


COLOR = torch.from_numpy(np.random.default_rng(1).uniform(1, 2, (300, 3, 5, 4)).astype(np.float32))
SHADES = Shades(torch.tensor(1.0), torch.tensor(-1.0))
"""From 1 to 2."""


def augmenter(*specs: dict[str, Any]) -> Augmenter:
    return Augmenter([Augmentation(**spec) for spec in specs], CPU, lambda: SHADES)


def augmented(
    *specs: dict[str, Any],
    seeds: tuple[int, ...] = (0,),
    epoch: int = 1,
    images: torch.Tensor = IMAGES,
) -> torch.Tensor:
    found = augmenter(*specs)(images.unsqueeze(0), Noise(seeds, epoch, CPU), len(images))
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
    found = augmenter(spec)(SHARED, Fixed(draw), len(IMAGES))
    given = [torch.full((1, len(IMAGES)), float(value)) for value in (rotation, factor, shear)]
    torch.testing.assert_close(found, transformed(SHARED.unsqueeze(2), *given).squeeze(2))


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


def test_erasing_covers_a_rectangle_inside_of_some_images() -> None:
    images = torch.from_numpy(np.random.default_rng(2).uniform(1, 2, (2000, 30, 40)).astype(np.float32))
    found = augmented({"random_erasing": 0.4}, images=images)
    cleared = found == 0
    assert (cleared | (found == images)).all()
    erased = cleared.any(2).any(1)
    assert erased.float().mean().item() == pytest.approx(0.4, abs=0.03)
    height, width = (cleared[erased].any(side).sum(1) for side in (2, 1))
    assert (height * width == cleared[erased].sum((1, 2))).all(), "one rectangle"
    area, aspect = (height * width).double() / 1200, height.double() / width
    # A side of whole pixels is off by half of one, and none is longer than the image.
    assert (area > 0.01).all()
    assert (area < 0.35).all()
    assert kstest(area, uniform(0.02, 0.31).cdf).pvalue > 1e-3
    assert aspect.log().mean().item() == pytest.approx(0, abs=0.1)
    assert aspect.quantile(0.25).item() == pytest.approx(0.3**0.5, rel=0.1)
    assert aspect.quantile(0.75).item() == pytest.approx(3.3**0.5, rel=0.1)
    # Anywhere it fits: as far from one border as from the other one.
    first = cleared[erased].any(2).int().argmax(1)
    assert (first / (30 - height).clamp(min=1)).mean().item() == pytest.approx(0.5, abs=0.05)


MOVES = {"flip": 0.5, "rotate": 20.0, "scale": 0.2, "shear": 10.0, "crop": 1, "translate": 1}
COVERS = {"cutout": 2, "random_erasing": 0.5}


@pytest.mark.parametrize(("name", "value"), (MOVES | COVERS).items())
def test_all_channels_are_moved_and_covered_as_one_image_is(name: str, value: float) -> None:
    found = augmented({name: value}, images=COLOR)
    assert found.shape == COLOR.shape
    assert not found.equal(COLOR)
    for channel in range(3):
        assert found[:, channel].equal(augmented({name: value}, images=COLOR[:, channel]))


def test_every_channel_has_noise_of_its_own() -> None:
    noise = (augmented({"noise": 0.5}, images=COLOR) - COLOR).transpose(0, 1).flatten(1)
    assert noise.std(1).numpy() == pytest.approx(0.5, rel=0.03)
    assert torch.corrcoef(noise)[~torch.eye(3, dtype=torch.bool)].abs().max() < 0.05


ALL = {
    "flip": 0.5,
    "rotate": 20.0,
    "scale": 0.2,
    "shear": 10.0,
    "crop": 1,
    "translate": 1,
    "randaugment": 2,
    "color_jitter": 0.4,
    "noise": 0.1,
    "cutout": 2,
    "random_erasing": 0.5,
}


@pytest.mark.parametrize("images", [IMAGES, COLOR], ids=["grey", "color"])
def test_a_member_draws_what_it_draws_alone(images: torch.Tensor) -> None:
    cases: list[tuple[dict[str, Any], int]] = [(ALL, 3), ({"noise": 0.2}, 3), ({}, 4), (ALL, 5)]
    cases += [({name: value}, 5) for name, value in ALL.items()]
    cases += [({"randaugment": 3, "randaugment_magnitude": 20}, 3), ({"color_jitter": 1.0}, 3)]
    together = augmented(*(spec for spec, _ in cases), seeds=tuple(seed for _, seed in cases), images=images)
    for position, (spec, seed) in enumerate(cases):
        assert together[position].equal(augmented(spec, seeds=(seed,), images=images))
        assert bool(spec) != together[position].equal(images)
    assert together[2].equal(images)


def test_the_members_draw_from_all_techniques() -> None:
    fields = {name for names in TECHNIQUES for name in names}
    assert set(ALL) == fields == {*Augmentation.model_fields} - {*OF_PAIRS, *HOW_RANDAUGMENT}
    assert list(Augmentation(**ALL).techniques) == list(ALL), "they act in the order of the fields"
    assert [name for names in TECHNIQUES for name in names] == list(ALL)


def test_equal_seeds_and_settings_share_their_images() -> None:
    assert augmented(ALL, ALL, seeds=(1, 1)).shape == IMAGES.shape
    assert augmented(ALL, epoch=2).equal(augmented(ALL, epoch=2))
    assert not augmented(ALL, epoch=2).equal(augmented(ALL, epoch=3))


def test_workers_share_one_batch() -> None:
    augment = augmenter(ALL)
    for rank in range(2):
        mine = augment(SHARED[:, rank::2], Noise([0], 1, CPU, rank, 2), len(IMAGES))
        assert mine[0].equal(augmented(ALL)[rank::2])


def test_a_worker_without_examples_of_a_small_batch_gets_none() -> None:
    augment = augmenter(ALL)
    assert augment(SHARED[:, :0], Noise([0], 1, CPU, 1, 2), 1).shape == (1, 0, 5, 4)


@pytest.mark.parametrize(("features", "said"), [((6,), "6"), ((2, 3, 5, 4), "2 × 3 × 5 × 4")])
def test_only_images_can_be_augmented(features: tuple[int, ...], said: str) -> None:
    check_images(Train(augmentation=Augmentation(mixup=0.2)), Inputs(features))
    message = (
        f"needs images of height × width, or of channels × height × width; the inputs are {said} numbers each"
    )
    for field, train in (
        ("augmentation", Train(augmentation=Augmentation(flip=0.5))),
        ("test_time_flips", Train(test_time_flips=True)),
    ):
        with pytest.raises(JobError) as error:
            check_images(train, Inputs(features))
        assert str(error.value) == f"train.{field}: {message}"


def test_sequences_are_no_images() -> None:
    for train, begin, end in (
        (Train(augmentation=Augmentation(cutmix=0.5, mixup=1)), "augmentation.cutmix: 0.5", "0"),
        (Train(test_time_flips=True), "test_time_flips: true", "false"),
    ):
        with pytest.raises(JobError) as error:
            check_images(train, Inputs((7, 3)), taken_for="padded sequences")
        message = "with padded sequences, which are no images of height × width; allowed:"
        assert str(error.value) == f"train.{begin} {message} {end}"

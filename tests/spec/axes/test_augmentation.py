"""The fields of the augmentation: ranges to search, bounds, and which of them need images, pairs, colors."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from raydnn.spec.axes.augmentation import HOW_RANDAUGMENT, Augmentation
from raydnn.spec.catalogue.fields import search_range
from raydnn.spec.checks.compatibility import (
    colors_are_left,
    flips_keep_targets,
    mixing_has_partners,
)
from raydnn.spec.job import Training

FIELDS = Augmentation.model_fields


@pytest.mark.parametrize("name", FIELDS)
def test_every_technique_is_off_by_default_and_has_a_search_range(name: str) -> None:
    assert bool(FIELDS[name].default) == (name in HOW_RANDAUGMENT)
    assert search_range(FIELDS[name])


def test_nothing_is_on_by_default() -> None:
    assert Augmentation().techniques == ()
    assert Augmentation(randaugment_magnitude=20, flip=0.5).techniques == ("flip",)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("rotate", 181.0),
            ("scale", 0.91),
            ("shear", 90.0),
            ("crop", 0.5),
            ("mixup", -0.1),
            ("rotate", -1.0),
        ),
        *(("randaugment", 11), ("randaugment_magnitude", 31), ("color_jitter", 1.1), ("random_erasing", 1.1)),
        ("cutmix", -0.1),
    ],
)
def test_settings_out_of_bounds_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValidationError, match=name):
        Augmentation.model_validate({name: value})


@pytest.mark.parametrize("name", sorted(set(FIELDS) - HOW_RANDAUGMENT))
def test_only_mixup_takes_inputs_of_any_shape(name: str) -> None:
    value = 1 if FIELDS[name].annotation is int else 0.5
    spec = Augmentation.model_validate({name: value})
    assert spec.changes_images == (name != "mixup")
    assert spec.mixes == (name in ("mixup", "cutmix"))
    assert spec.changes_colors == (name in ("color_jitter", "randaugment"))


@pytest.mark.parametrize("technique", ["mixup", "cutmix"])
@pytest.mark.parametrize(("batch_size", "refused"), [(1, True), (2, False), ("full", False)])
def test_mixing_needs_a_second_example_in_the_batch(
    technique: str, batch_size: int | str, refused: bool
) -> None:
    train = {"batch_size": batch_size, "augmentation": {technique: 0.2}}
    training = Training.model_validate({"data": "digits", "optimizer": "sgd", "train": train})
    lines = [f"{field}: {message}" for field, message in mixing_has_partners(training)]
    expected = (
        f"train.augmentation.{technique}: 0.2 with train.batch_size 1, where no example has another to be mixed with; "
        "allowed: 0"
    )
    assert lines == ([expected] if refused else [])


@pytest.mark.parametrize(("technique", "told"), [("color_jitter", "0.5"), ("randaugment", "2")])
def test_whitened_pixels_have_no_colors(technique: str, told: str) -> None:
    def problems(scaling: str) -> list[str]:
        train = {"augmentation": {technique: float(told) if "." in told else int(told), "flip": 0.5}}
        data = {"name": "digits", "scaling": scaling}
        training = Training.model_validate({"data": data, "optimizer": "sgd", "train": train})
        return [f"{field}: {message}" for field, message in colors_are_left(training)]

    assert problems("standardize") == []
    assert problems("whiten") == [
        f"train.augmentation.{technique}: {told} with data.scaling whiten, which leaves no pixel its brightness; "
        "allowed: 0"
    ]


def test_a_mirror_image_is_another_target_where_images_are_learned() -> None:
    def problems(reconstruct: bool) -> list[str]:
        data = {"name": "digits", "reconstruct": reconstruct}
        training = Training.model_validate(
            {"data": data, "optimizer": "sgd", "train": {"test_time_flips": True}}
        )
        return [f"{field}: {message}" for field, message in flips_keep_targets(training)]

    assert problems(False) == []
    assert problems(True) == [
        "train.test_time_flips: true with data.reconstruct, where a mirror image is another target; allowed: false"
    ]

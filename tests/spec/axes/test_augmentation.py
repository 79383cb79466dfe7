"""The fields of the augmentation: ranges to search, bounds, and which of them need images."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from raydnn.spec.axes.augmentation import Augmentation
from raydnn.spec.catalogue.fields import search_range
from raydnn.spec.checks.compatibility import mixup_has_partners
from raydnn.spec.job import Training

FIELDS = Augmentation.model_fields


@pytest.mark.parametrize("name", FIELDS)
def test_every_technique_is_off_by_default_and_has_a_search_range(name: str) -> None:
    assert FIELDS[name].default == 0
    assert search_range(FIELDS[name])


@pytest.mark.parametrize(
    ("name", "value"),
    [("rotate", 181.0), ("scale", 0.91), ("shear", 90.0), ("crop", 0.5), ("mixup", -0.1), ("rotate", -1.0)],
)
def test_settings_out_of_bounds_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValidationError, match=name):
        Augmentation.model_validate({name: value})


@pytest.mark.parametrize("name", FIELDS)
def test_only_mixup_takes_inputs_of_any_shape(name: str) -> None:
    value = 1 if FIELDS[name].annotation is int else 0.5
    assert Augmentation.model_validate({name: value}).changes_images == (name != "mixup")


@pytest.mark.parametrize(("batch_size", "refused"), [(1, True), (2, False), ("full", False)])
def test_mixup_needs_a_second_example_in_the_batch(batch_size: int | str, refused: bool) -> None:
    train = {"batch_size": batch_size, "augmentation": {"mixup": 0.2}}
    training = Training.model_validate({"data": "digits", "optimizer": "sgd", "train": train})
    lines = [f"{field}: {message}" for field, message in mixup_has_partners(training)]
    expected = (
        "train.augmentation.mixup: 0.2 with train.batch_size 1, where no example has another to be mixed with; "
        "allowed: 0"
    )
    assert lines == ([expected] if refused else [])

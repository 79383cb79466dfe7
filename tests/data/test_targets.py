"""The scaling of a regression's targets, against NumPy in float64."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from raydnn.data.load import load_dataset
from raydnn.data.targets import TargetScale, fit_targets
from raydnn.launch.worker.shared_dataset import share
from raydnn.spec.data import Csv, Npz
from raydnn.spec.job import Job
from raydnn.spec.trial import trial_of_job
from raydnn.training.stack.summary import summarize


@pytest.mark.parametrize(
    ("targets", "scaled"),
    [
        ([1.0, 1.0, 1.0, 3.0], False),
        ([-9.0, 9.0], False),
        ([150_000.0, 250_000.0], True),
        ([20.0, 21.0], True),  # the deviation is small, the mean is not
        ([-200.0, 200.0], True),
        ([0.001, 0.002], True),
        ([3.0, 3.0], False),
        ([3e6, 3e6], True),
    ],
)
def test_auto_scales_what_is_far_from_one(targets: list[float], scaled: bool) -> None:
    column = np.array(targets)[:, None]
    assert (fit_targets("auto", column) is not None) == scaled
    assert fit_targets("none", column) is None
    always = fit_targets("standardize", column)
    assert always is not None
    assert always.mean == pytest.approx((np.mean(targets),))
    assert always.deviation == pytest.approx((np.std(targets) or 1.0,))


def test_one_of_several_targets_far_from_one_scales_them_all() -> None:
    found = fit_targets("auto", np.array([[0.0, 1e4], [2.0, 3e4]]))
    assert found == TargetScale((1.0, 2e4), (1.0, 1e4))
    assert found.apply(np.array([[0.0, 4e4]])).tolist() == [[-1.0, 2.0]]
    assert (found.unit(2), found.unit(1), found.unit(None)) == (1.0, 1.0, 1.0)


def test_a_target_of_many_digits_keeps_them() -> None:
    """float32 has steps of 64 at 1e9."""
    targets = 1e9 + np.arange(50.0)
    found = fit_targets("auto", targets[:, None])
    assert found is not None
    expected = (targets - targets.mean()) / targets.std()
    assert found.apply(targets[:, None])[:, 0] == pytest.approx(expected, rel=1e-6)
    assert found.unit(2) == pytest.approx(targets.var())
    assert found.unit(1) == pytest.approx(targets.std())


@pytest.fixture
def houses(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(60, 2))
    prices = 200_000 + 50_000 * inputs[:, 0]
    path = tmp_path / "houses.csv"
    lines = [f"{a},{b},{price}" for (a, b), price in zip(inputs, prices, strict=True)]
    path.write_text("\n".join(["a,b,price", *lines]))
    np.savez(tmp_path / "houses.npz", inputs=inputs, targets=prices)
    return path


@pytest.mark.parametrize("source", ["csv", "npz"])
def test_every_part_is_scaled_as_the_training_part_says(houses: Path, source: str) -> None:
    fields: dict[str, Any] = {"kind": "regression", "validation": 10, "test_fraction": 0.2}
    spec = (
        Csv(path=str(houses), target="price", **fields)
        if source == "csv"
        else Npz(path=str(houses.with_suffix(".npz")), **fields)
    )
    plain = load_dataset(spec.model_copy(update={"target_scaling": "none"}))
    found = load_dataset(spec)
    assert plain.target_scale is None
    assert "target_scale" not in plain.facts()
    train = plain.train.targets.double().numpy()
    for part in ("train", "validation", "test"):
        raw, scaled = getattr(plain, part).targets, getattr(found, part).targets
        expected = (raw.double().numpy() - train.mean()) / train.std()
        assert scaled.numpy() == pytest.approx(expected, abs=1e-5)
    assert found.facts()["target_scale"] == {
        "mean": pytest.approx([train.mean()]),
        "deviation": pytest.approx([train.std()]),
    }
    handed = share(spec, found)
    assert handed is not None
    assert handed.dataset.target_scale == found.target_scale


def test_a_scaled_target_is_told_with_its_mean_and_deviation(houses: Path) -> None:
    spec = Csv(path=str(houses), target="price", kind="regression")
    job = {"name": "houses", "data": spec.model_dump(mode="json"), "optimizer": "adam"}
    summary = summarize(trial_of_job(Job.model_validate(job)))
    (line,) = summary.told
    scale = summary.facts["target_scale"]
    assert line.startswith("target: standardized")
    assert f"{scale['mean'][0]:,.6g}" in line
    assert f"{scale['deviation'][0]:,.6g}" in line


def test_classes_are_not_scaled(houses: Path) -> None:
    with pytest.raises(
        ValidationError, match="target_scaling: standardize is given with kind: classification"
    ):
        Csv(path=str(houses), target="price", target_scaling="standardize")

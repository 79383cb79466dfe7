from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from raydnn.data.in_memory import InMemory
from raydnn.data.load import load_dataset
from raydnn.data.scaling import ScalingState
from raydnn.data.sources.npz import load_npz
from raydnn.errors import DataError, JobError
from raydnn.spec.data import Csv, Digits, FashionMnist, Npz

FASHION_MNIST = Path(__file__).parents[3] / "shared" / "data" / "fashion-mnist-resplit"


def rows(split: InMemory) -> list[bytes]:
    return [
        row.numpy().tobytes() + bytes([int(target)])
        for row, target in zip(split.inputs, split.targets, strict=True)
    ]


def saved(folder: Path, **arrays: np.ndarray) -> str:
    path = folder / "data.npz"
    np.savez(path, **arrays)
    return str(path)


def test_digits_are_those_of_scikit_learn_parted_without_loss() -> None:
    dataset = load_dataset(Digits(test_fraction=0.1))
    assert dataset.test is not None
    assert (dataset.features, dataset.classes, dataset.outputs, dataset.task) == (
        (8, 8),
        10,
        10,
        "classification",
    )
    expected = load_digits()
    source = InMemory(torch.from_numpy(expected.images).float(), torch.from_numpy(expected.target))
    parts = [dataset.train, dataset.validation, dataset.test]
    assert [len(part) for part in parts] == [1293, 324, 180]
    assert sorted(row for part in parts for row in rows(part)) == sorted(rows(source))
    for part in parts:
        assert part.inputs.dtype == torch.float32
        assert part.targets.dtype == torch.int64


def test_drawn_parts_hold_every_class_in_its_share() -> None:
    dataset = load_dataset(Digits(validation_fraction=0.25))
    assert dataset.test is None
    total = torch.bincount(torch.cat([dataset.train.targets, dataset.validation.targets]))
    assert ((torch.bincount(dataset.validation.targets) - total / 4).abs() <= 1).all()


def test_the_split_seed_alone_decides_what_is_drawn() -> None:
    first, again, other = (load_dataset(Digits(split_seed=seed, test_fraction=0.2)) for seed in (0, 0, 1))
    assert rows(first.train) == rows(again.train)
    assert rows(first.validation) == rows(again.validation)
    assert set(rows(first.validation)) != set(rows(other.validation))


def test_a_counted_validation_part_is_the_first_examples() -> None:
    dataset = load_dataset(Digits(validation=100))
    expected = torch.from_numpy(load_digits().images).float()
    assert dataset.validation.inputs.equal(expected[:100])
    assert dataset.train.inputs.equal(expected[100:])


def test_scaling_is_fitted_on_the_training_part_only(tmp_path: Path) -> None:
    inputs = np.array([[100.0], [200.0], [1.0], [3.0]])
    path = saved(
        tmp_path, inputs=inputs, targets=inputs, test_inputs=inputs[:2] + 50, test_targets=inputs[:2]
    )
    dataset = load_dataset(Npz(path=path, kind="regression", validation=2, scaling="standardize"))
    assert dataset.test is not None
    assert dataset.train.inputs.tolist() == [[-1], [1]]
    assert dataset.validation.inputs.tolist() == [[98], [198]]
    assert dataset.test.inputs.tolist() == [[148], [248]]


def test_regression_counts_outputs_and_no_classes(tmp_path: Path) -> None:
    path = saved(tmp_path, inputs=np.zeros((20, 2, 3)), targets=np.zeros((20, 4)))
    dataset = load_dataset(Npz(path=path, kind="regression", test_fraction=0.5))
    assert (dataset.classes, dataset.outputs, dataset.features) == (0, 4, (2, 3))
    assert (len(dataset.train), len(dataset.validation)) == (8, 2)
    assert dataset.train.targets.dtype == torch.float32


def test_a_data_set_moves_with_all_its_parts() -> None:
    moved = load_dataset(Digits(test_fraction=0.1, scaling="center")).to("meta")
    assert moved.test is not None
    tensors = [moved.scaling.shift, moved.scaling.scale]
    tensors += [
        t for part in (moved.train, moved.validation, moved.test) for t in (part.inputs, part.targets)
    ]
    assert {tensor.device.type for tensor in tensors} == {"meta"}


def test_a_validation_count_leaves_something_to_train_on() -> None:
    with pytest.raises(JobError) as error:
        load_dataset(Digits(validation=1797))
    message = "data.validation: 1797 is given; with 1797 training examples less than 1797 is allowed"
    assert str(error.value) == message
    assert len(load_dataset(Digits(validation=1796)).train) == 1


def test_a_drawn_test_part_beside_one_of_its_own_is_refused(tmp_path: Path) -> None:
    inputs, targets = np.zeros((4, 1)), np.array([0, 1, 0, 1])
    path = saved(tmp_path, inputs=inputs, targets=targets, test_inputs=inputs, test_targets=targets)
    with pytest.raises(
        JobError, match=r"^data.test_fraction: 0.5 is given; the data has a test set of its own$"
    ):
        load_dataset(Npz(path=path, test_fraction=0.5))


@pytest.mark.parametrize(
    ("targets", "reason"),
    [([0, 0, 0, 1], "class 1 has one example only"), ([0, 1, 0, 1], "2 classes, and fewer examples")],
    ids=["a single example", "too small a share"],
)
def test_a_share_that_cannot_be_drawn_class_by_class_is_refused(
    tmp_path: Path, targets: list[int], reason: str
) -> None:
    path = saved(tmp_path, inputs=np.zeros((4, 1)), targets=np.array(targets))
    with pytest.raises(JobError, match=rf"^data.validation_fraction: 0.2 is given.* 4 examples: .*{reason}"):
        load_dataset(Npz(path=path))


@pytest.mark.skipif(not FASHION_MNIST.is_dir(), reason="the real files are not here")
def test_fashion_mnist_files_are_read() -> None:
    dataset = load_dataset(FashionMnist(path=str(FASHION_MNIST), validation=5000, scaling="unit"))
    assert dataset.test is not None
    assert (len(dataset.validation), dataset.features, dataset.outputs) == (5000, (28, 28), 10)
    assert (float(dataset.train.inputs.min()), float(dataset.train.inputs.max())) == (0, 1)
    assert torch.bincount(dataset.test.targets).min() > 0


def test_weights_stay_with_their_examples(tmp_path: Path) -> None:
    inputs, targets = np.arange(20.0).reshape(20, 1), np.arange(20) % 2
    np.savez(tmp_path / "a.npz", inputs=inputs, targets=targets, w=np.arange(20.0))
    dataset = load_dataset(
        Npz(path=str(tmp_path / "a.npz"), kind="binary", weights="w", test_fraction=0.2, split_seed=3)
    )
    for split in (dataset.train, dataset.validation, dataset.test):
        assert split is not None
        assert split.weights is not None
        assert torch.equal(split.weights, split.inputs[:, 0])
        assert abs(split.targets.double().mean() - 0.5) < 0.2
    assert dataset.class_counts is not None
    assert dataset.class_counts.tolist() == np.bincount(dataset.train.targets.numpy()).tolist()
    assert dataset.to("cpu").train.weights is not None
    assert dataset.outputs == 2


SMALL = np.random.default_rng(0).normal(size=(200, 2)).round(3)
CLOCK = 1_700_000_000 + SMALL


@pytest.mark.parametrize("scaling", ["standardize", "minmax", "center", "whiten"])
@pytest.mark.parametrize("source", ["csv", "npz", "integers"])
def test_small_differences_of_large_numbers_are_scaled_right(
    tmp_path: Path, source: str, scaling: str
) -> None:
    both = []
    for inputs in (SMALL, CLOCK):
        labels = np.arange(200) % 2
        if source == "csv":
            rows = "".join(f"{a!r},{b!r},{c}\n" for (a, b), c in zip(inputs.tolist(), labels, strict=True))
            (tmp_path / "t.csv").write_text(f"a,b,y\n{rows}")
            spec = Csv(path=str(tmp_path / "t.csv"), target="y", scaling={"name": scaling})  # type: ignore[arg-type]
        else:
            if source == "integers":
                inputs = (inputs * 1000).round().astype(np.int64)
            path = saved(tmp_path, inputs=inputs, targets=labels, test_inputs=inputs, test_targets=labels)
            spec = Npz(path=path, scaling={"name": scaling})  # type: ignore[arg-type]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            both.append(load_dataset(spec))
    plain, shifted = both
    for part in ("train", "validation") + (("test",) if source != "csv" else ()):
        expected, found = getattr(plain, part).inputs, getattr(shifted, part).inputs
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    again = ScalingState(shifted.scaling.name, **shifted.scaling.tensors())
    assert again.apply(torch.from_numpy(CLOCK)).dtype == torch.float32


def test_digits_that_are_lost_without_a_scaling_are_told(tmp_path: Path) -> None:
    path = saved(tmp_path, inputs=CLOCK, targets=np.arange(200) % 2)
    with pytest.warns(UserWarning, match=r"^data\.scaling: none: the numbers of feature 0 differ by less"):
        load_dataset(Npz(path=path))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_dataset(Npz(path=path, scaling="standardize"))
        load_dataset(Npz(path=saved(tmp_path, inputs=SMALL, targets=np.arange(200) % 2)))


def test_what_float32_holds_is_not_made_larger(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    for inputs in (
        random.normal(size=(50, 3)),
        random.normal(20, 1, size=(50, 3)),
        random.integers(0, 2**24, (50, 3)),
        np.full((50, 3), 1_700_000_000.3),
        np.where(np.arange(50)[:, None] == 0, 254, 255) * np.ones(3, np.int64),
    ):
        raw = load_npz(Npz(path=saved(tmp_path, inputs=inputs, targets=np.arange(50) % 2)))
        assert raw.train.inputs.dtype == np.float32
        assert np.array_equal(raw.train.inputs, inputs.astype(np.float32))


def test_a_number_that_is_too_large_is_called_so(tmp_path: Path) -> None:
    inputs = np.where(np.arange(20)[:, None] == 7, 1e39, 1.0)
    with pytest.raises(
        DataError, match=r"'inputs', row 8: 1e\+39 is given; too large: numbers up to 3\.4e\+38"
    ):
        load_dataset(Npz(path=saved(tmp_path, inputs=inputs, targets=np.arange(20) % 2)))

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raydnn.data.sources.npz import load_npz
from raydnn.errors import DataError
from raydnn.spec.data import Npz, Task

INPUTS = np.arange(12).reshape(4, 3)
LABELS = np.array([0, 1, 2, 1])


def written(folder: Path, **arrays: Any) -> str:
    path = folder / "data.npz"
    np.savez(path, **arrays)
    return str(path)


def test_arrays_are_read_and_others_left_alone(tmp_path: Path) -> None:
    path = written(
        tmp_path, inputs=INPUTS, targets=LABELS, test_inputs=INPUTS[:2], test_targets=LABELS[:2], names=["a"]
    )
    raw = load_npz(Npz(path=path))
    assert raw.test is not None
    assert (raw.classes, raw.task) == (3, "classification")
    assert raw.train.inputs.dtype == np.float32
    assert raw.train.targets.dtype == np.int64
    assert np.array_equal(raw.train.inputs, INPUTS)
    assert np.array_equal(raw.test.targets, LABELS[:2])


@pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 2)])
def test_regression_targets_have_an_axis_of_outputs(tmp_path: Path, shape: tuple[int, ...]) -> None:
    raw = load_npz(Npz(path=written(tmp_path, inputs=INPUTS, targets=np.ones(shape)), kind="regression"))
    assert raw.train.targets.shape == (4, shape[1] if len(shape) == 2 else 1)
    assert raw.train.targets.dtype == np.float64  # until they are scaled
    assert raw.classes == 0


def test_whole_numbers_are_classes_however_they_are_stored(tmp_path: Path) -> None:
    raw = load_npz(Npz(path=written(tmp_path, inputs=INPUTS, targets=LABELS + 3.0)))
    assert raw.train.targets.tolist() == LABELS.tolist()
    assert (raw.classes, raw.class_names) == (3, (3, 4, 5))


def test_binary_classes_labels_and_probabilities(tmp_path: Path) -> None:
    two = np.array([0, 1, 1, 0])
    raw = load_npz(Npz(path=written(tmp_path, inputs=INPUTS, targets=two), kind="binary"))
    assert (raw.classes, raw.task, raw.train.targets.dtype) == (2, "binary", np.int64)
    several = np.array([[0, 1, 1], [0, 0, 0], [1, 1, 1], [1, 0, 0]])
    raw = load_npz(Npz(path=written(tmp_path, inputs=INPUTS, targets=several), kind="multi_label"))
    assert (raw.classes, raw.task, raw.train.targets.dtype) == (0, "multi_label", np.float32)
    shares = np.array([[0.5, 0.5], [1, 0], [0.1, 0.9], [0.25, 0.75]])
    raw = load_npz(Npz(path=written(tmp_path, inputs=INPUTS, targets=shares), kind="distribution"))
    assert raw.train.targets.shape == (4, 2)


def test_weights_of_the_training_examples(tmp_path: Path) -> None:
    path = written(tmp_path, inputs=INPUTS, targets=LABELS, importance=[1, 0, 2.5, 1])
    weights = load_npz(Npz(path=path, weights="importance")).train.weights
    assert weights is not None
    assert weights.dtype == np.float32
    assert weights.tolist() == [1, 0, 2.5, 1]
    assert load_npz(Npz(path=path)).train.weights is None


@pytest.mark.parametrize(
    ("importance", "message"),
    [
        ([1, 2, 3], r"has the shape \(3,\); one weight an example, \(4,\), is needed"),
        ([1, -2, 3, 4], r"row 2: -2.0 is given; a weight is at least 0"),
        ([0, 0, 0, 0], "every weight is 0"),
        ([1, np.nan, 1, 1], "row 2: nan is given"),
    ],
)
def test_bad_weights_are_refused(tmp_path: Path, importance: list[float], message: str) -> None:
    path = written(tmp_path, inputs=INPUTS, targets=LABELS, importance=importance)
    with pytest.raises(DataError, match=rf"data\.npz, array 'importance'.*{message}"):
        load_npz(Npz(path=path, weights="importance"))
    with pytest.raises(DataError, match=r"no array 'weight' .*"):
        load_npz(Npz(path=path, weights="weight"))


NAN = np.where(np.arange(12).reshape(4, 3) == 7, np.nan, 1.0)
BAD: list[tuple[Task, dict[str, Any], str]] = [
    ("classification", {"inputs": INPUTS}, r"no array 'targets' \(arrays: inputs\)"),
    ("classification", {"input": INPUTS, "targets": LABELS}, r"no array 'inputs' .*Did you mean 'input'\?"),
    ("classification", {"inputs": INPUTS[:3], "targets": LABELS}, "'targets': 4 targets for 3 inputs"),
    ("classification", {"inputs": INPUTS[:, 0], "targets": LABELS}, r"'inputs': has the shape \(4,\)"),
    ("classification", {"inputs": INPUTS[:, :0], "targets": LABELS}, r"'inputs': has the shape \(4, 0\)"),
    ("classification", {"inputs": INPUTS, "targets": np.array(5)}, r"'targets': holds int64 of shape \(\)"),
    ("regression", {"inputs": INPUTS, "targets": np.array(5)}, r"'targets': has the shape \(\)"),
    ("classification", {"inputs": NAN, "targets": LABELS}, "'inputs', row 3: nan is given"),
    ("classification", {"inputs": INPUTS * 1e40, "targets": LABELS}, r"'inputs', row 1: 1e\+40 is given"),
    ("classification", {"inputs": INPUTS.astype(str), "targets": LABELS}, "'inputs': holds <U21; numbers"),
    ("classification", {"inputs": INPUTS, "targets": LABELS * 1.5}, "'targets': holds float64 of shape"),
    (
        "classification",
        {"inputs": INPUTS, "targets": LABELS + 1, "test_inputs": INPUTS, "test_targets": LABELS},
        "'test_targets', row 1: label 0 does not occur in the training data; it has 1, 2, 3",
    ),
    ("classification", {"inputs": INPUTS, "targets": LABELS * 0}, "every label is 0; at least two classes"),
    (
        "classification",
        {"inputs": INPUTS, "targets": LABELS, "test_inputs": INPUTS},
        "only one of test_inputs",
    ),
    (
        "classification",
        {"inputs": INPUTS, "targets": LABELS, "test_inputs": INPUTS, "test_targets": LABELS * 2},
        "'test_targets', row 3: label 4 is given; with 3 classes the labels 0 to 2",
    ),
    (
        "classification",
        {"inputs": INPUTS, "targets": LABELS, "test_inputs": INPUTS[:, :2], "test_targets": LABELS},
        r"'test_inputs': an example has the shape \(2,\); in 'inputs' it is \(3,\)",
    ),
    (
        "regression",
        {"inputs": INPUTS, "targets": np.ones((4, 2, 2))},
        r"'targets': has the shape \(4, 2, 2\)",
    ),
    ("binary", {"inputs": INPUTS, "targets": LABELS}, "'targets': holds 3 classes; kind: binary needs two"),
    (
        "multi_label",
        {"inputs": INPUTS, "targets": np.array([[0, 1], [1, 1], [0.5, 1], [0, 0]])},
        r"'targets', row 3: \[0.5, 1.0\] is given; 0 or 1 for each label is needed",
    ),
    (
        "distribution",
        {"inputs": INPUTS, "targets": np.array([[0, 1], [0.5, 0.6], [0.5, 0.5], [1, 0]])},
        r"'targets', row 2: \[0.5, 0.6.*\] is given; its probabilities must add up to 1",
    ),
    (
        "distribution",
        {"inputs": INPUTS, "targets": np.array([[0, 1], [-0.5, 1.5], [0.5, 0.5], [1, 0]])},
        r"'targets', row 2: \[-0.5, 1.5\] is given; a probability is at least 0",
    ),
    (
        "regression",
        {"inputs": INPUTS, "targets": np.array([1, 2, np.inf, 0])},
        "'targets', row 3: inf is given",
    ),
]


@pytest.mark.parametrize(("kind", "arrays", "message"), BAD)
def test_bad_arrays_are_refused(tmp_path: Path, kind: Task, arrays: dict[str, Any], message: str) -> None:
    path = written(tmp_path, **arrays)
    with pytest.raises(DataError, match=rf"data\.npz.*{message}") as error:
        load_npz(Npz(path=path, kind=kind))
    assert "\n" not in str(error.value)


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    touched = tmp_path / "touched"

    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (touched,)

    path = written(tmp_path, inputs=np.array([[Hostile()]], dtype=object), targets=LABELS)
    with pytest.raises(DataError, match="holds Python objects"):
        load_npz(Npz(path=path))
    assert not touched.exists()


def test_missing_truncated_and_foreign_files_are_refused(tmp_path: Path) -> None:
    path = Path(written(tmp_path, inputs=INPUTS, targets=LABELS))
    content = path.read_bytes()
    contents = [b"", b"no archive", content[: len(content) // 2], content.replace(b"\x93NUMPY", b"\x93NUMPX")]
    for damaged in contents:
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"data\.npz: "):
            load_npz(Npz(path=str(path)))
    with pytest.raises(DataError, match=r"nowhere\.npz: there is no such file"):
        load_npz(Npz(path=str(tmp_path / "nowhere.npz")))
    np.save(tmp_path / "one.npy", INPUTS)
    with pytest.raises(DataError, match="is a single array"):
        load_npz(Npz(path=str(tmp_path / "one.npy")))

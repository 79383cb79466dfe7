"""Checkpoints come back bit by bit, and a damaged or unfinished one is never taken for whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from raydnn.errors import StoreError
from raydnn.store.parts import DamagedFileWarning
from raydnn.store.storage.files import Location, locate
from raydnn.training.checkpoint import (
    FACTS,
    MANIFEST,
    TENSORS,
    load_checkpoint,
    load_stack_checkpoint,
    newest_epoch,
    remove_stack_checkpoints,
    save_checkpoint,
    save_stack_checkpoint,
)

TENSOR = {
    "a": torch.tensor([[1.5, float("nan"), -0.0]]),
    "b": torch.arange(4, dtype=torch.float64),
    "c": torch.zeros(()),
    "view": torch.arange(6.0).view(2, 3).T,
}
FACT = {"epoch": 3, "members": [{"loss": [0.1, float("nan")], "name": "ü"}]}


@pytest.fixture
def folder(tmp_path: Path) -> Location:
    return locate(tmp_path / "checkpoint")


def _assert_equal(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert found[name].numpy().tobytes() == tensor.contiguous().numpy().tobytes()


def test_what_is_saved_comes_back(folder: Location) -> None:
    save_checkpoint(folder, TENSOR, FACT)
    tensors, facts = load_checkpoint(folder)
    _assert_equal(tensors, TENSOR)
    assert json.dumps(facts) == json.dumps(FACT)


@pytest.mark.parametrize("name", [TENSORS, FACTS, MANIFEST])
def test_a_missing_file_makes_it_incomplete(folder: Location, name: str) -> None:
    save_checkpoint(folder, TENSOR, FACT)
    (Path(folder.path) / name).unlink()
    with pytest.raises(StoreError, match=f"{folder.path} is incomplete"):
        load_checkpoint(folder)


@pytest.mark.parametrize("name", [TENSORS, FACTS, MANIFEST])
def test_a_truncated_file_is_found(folder: Location, name: str) -> None:
    save_checkpoint(folder, TENSOR, FACT)
    path = Path(folder.path) / name
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(StoreError):
            load_checkpoint(folder)


@pytest.mark.parametrize("name", [TENSORS, FACTS, MANIFEST])
def test_a_flipped_bit_changes_nothing_or_is_found(folder: Location, name: str) -> None:
    save_checkpoint(folder, TENSOR, FACT)
    path = Path(folder.path) / name
    whole = path.read_bytes()
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        try:
            tensors, facts = load_checkpoint(folder)
        except StoreError:
            continue
        assert name == MANIFEST
        _assert_equal(tensors, TENSOR)
        assert json.dumps(facts) == json.dumps(FACT)


def test_a_manifest_that_is_no_manifest_is_found(folder: Location) -> None:
    save_checkpoint(folder, TENSOR, FACT)
    for text in ("[]", "3", "{}", '{"sha256": 1}', '{"sha256": {}}', "null"):
        (Path(folder.path) / MANIFEST).write_text(text)
        with pytest.raises(StoreError):
            load_checkpoint(folder)


def test_only_the_newest_state_of_a_stack_is_kept(folder: Location) -> None:
    assert load_stack_checkpoint(folder) is None
    for epoch in (1, 2, 9, 10, 11):
        save_stack_checkpoint(folder, epoch, {"a": torch.tensor(float(epoch))}, {"epoch": epoch})
    assert [path.name for path in Path(folder.path).iterdir()] == ["epoch-000011"]
    saved = load_stack_checkpoint(folder)
    assert saved is not None
    assert saved[0]["a"] == 11
    assert saved[1] == {"epoch": 11}
    remove_stack_checkpoints(folder)
    assert not Path(folder.path).exists()


def test_an_unfinished_newer_state_leaves_the_older_one(folder: Location) -> None:
    save_checkpoint(folder / "epoch-000003", TENSOR, {"epoch": 3})
    save_checkpoint(folder / "epoch-000004", TENSOR, {"epoch": 4})
    (Path(folder.path) / "epoch-000004" / MANIFEST).unlink()
    saved = load_stack_checkpoint(folder)
    assert saved is not None
    assert saved[1] == {"epoch": 3}


def test_a_damaged_newer_state_is_named_and_leaves_the_older_one(folder: Location) -> None:
    save_checkpoint(folder / "epoch-000003", TENSOR, {"epoch": 3})
    save_checkpoint(folder / "epoch-000004", TENSOR, {"epoch": 4})
    path = Path(folder.path) / "epoch-000004" / TENSORS
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.warns(UserWarning, match="epoch-000004 is damaged: tensors.safetensors"):
        saved = load_stack_checkpoint(folder)
    assert saved is not None
    assert saved[1] == {"epoch": 3}


def test_a_state_in_another_epochs_folder_is_named_and_other_folders_are_passed_over(
    folder: Location,
) -> None:
    for epoch in (1, 2):
        save_checkpoint(folder / f"epoch-{epoch:06d}", TENSOR, {"epoch": 1})
    save_checkpoint(folder / "epoch-000009.bak", TENSOR, {"epoch": 9})
    assert newest_epoch(folder) == 2
    with pytest.warns(DamagedFileWarning, match=r"epoch-000002 is damaged: it is that of epoch 1"):
        found = load_stack_checkpoint(folder)
    assert found is not None
    assert found[1]["epoch"] == 1


def test_saving_costs_as_much_after_many_epochs_as_after_few(object_store: Any) -> None:
    folder = object_store.location / "checkpoints" / "stack-00000"
    costs = []
    for epoch in range(1, 9):
        before = object_store.calls.total()
        save_stack_checkpoint(folder, epoch, TENSOR, FACT)
        costs.append(object_store.calls.total() - before)
    assert len(set(costs[1:])) == 1, costs
    assert newest_epoch(folder) == 8
    remove_stack_checkpoints(folder)
    assert load_stack_checkpoint(folder) is None

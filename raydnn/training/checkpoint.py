"""Checkpoints: tensors as safetensors, facts as JSON, and a manifest of hashes that makes them complete.

A folder without a manifest, or whose files do not match it, is no checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Collection
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as dump_tensors
from torch import Tensor

from raydnn.errors import StoreError, first_line
from raydnn.store.parts import DamagedFileWarning
from raydnn.store.storage import files, listing
from raydnn.store.storage.files import Location

TENSORS, FACTS, MANIFEST = "tensors.safetensors", "facts.json", "manifest.json"
_EPOCH = "epoch-"


def save_checkpoint(folder: Location, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write a checkpoint; when this returns it survives any crash.

    Args:
        folder: Where; made if it does not exist.
        tensors: Name → tensor.
        facts: Anything JSON can hold.

    Raises:
        StoreError: It cannot be written.
    """
    contents = {
        TENSORS: dump_tensors({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}),
        FACTS: json.dumps(facts).encode(),
    }
    manifest = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    files.make_folder(folder)
    contents[MANIFEST] = json.dumps({"sha256": manifest}, indent=2).encode()
    files.write_together(folder, contents)


def load_checkpoint(folder: Location) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a checkpoint back.

    Raises:
        StoreError: It is incomplete, or a file's hash differs from the manifest.
    """
    try:
        hashes = dict(json.loads(files.read_bytes(folder / MANIFEST))["sha256"])
        contents = {name: files.read_bytes(folder / name) for name in (TENSORS, FACTS)}
    except FileNotFoundError as error:
        missing = next((name for name in (MANIFEST, TENSORS, FACTS) if not files.exists(folder / name)), "it")
        raise StoreError(f"checkpoint {folder.uri} is incomplete: {missing} is missing") from error
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"checkpoint {folder.uri} is incomplete: {MANIFEST} is no manifest") from error
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != hashes.get(name):
            raise StoreError(f"checkpoint {folder.uri} is damaged: {name} does not match its manifest")
    try:
        return load_tensors(contents[TENSORS]), json.loads(contents[FACTS])
    except (SafetensorError, ValueError) as error:
        raise StoreError(f"checkpoint {folder.uri} is damaged: {first_line(error)}") from error


def save_stack_checkpoint(
    folder: Location,
    epoch: int,
    tensors: dict[str, Tensor],
    facts: dict[str, Any],
    kept: Collection[int] = (),
) -> None:
    """Write a stack's state after an epoch, then remove those after other epochs than the `kept` ones."""
    files.make_folder(folder)
    save_checkpoint(folder / _epoch_name(epoch), tensors, facts)
    names = {_epoch_name(each) for each in (epoch, *kept)}
    for name in listing.list_folders(folder):
        if name not in names:
            _remove(folder / name)


def load_state_after(folder: Location, epoch: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a stack's state after an epoch.

    Raises:
        StoreError: It is not there, or damaged.
    """
    return load_checkpoint(folder / _epoch_name(epoch))


def newest_epoch(folder: Location) -> int:
    """The last epoch after which a stack's state was saved; 0 where there is none."""
    whole = (name for name in _epoch_names(folder) if files.exists(folder / name / MANIFEST))
    return max((int(name.removeprefix(_EPOCH)) for name in whole), default=0)


def load_stack_checkpoint(folder: Location) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Read a stack's newest whole state; None where there is none, and training starts over.

    One that was never finished is passed over; one that was and is damaged also gives a warning.
    """
    for name in sorted(_epoch_names(folder), reverse=True):
        try:
            tensors, facts = load_checkpoint(folder / name)
            if facts["epoch"] != int(name.removeprefix(_EPOCH)):
                raise StoreError(
                    f"checkpoint {folder / name} is damaged: it is that of epoch {facts['epoch']}"
                )
            return tensors, facts
        except StoreError as error:
            if files.exists(folder / name / MANIFEST):
                warnings.warn(f"{error}; the stack goes on without it", DamagedFileWarning, stacklevel=2)
    return None


def remove_stack_checkpoints(folder: Location) -> None:
    """Remove all states of a stack that has ended."""
    for name in listing.list_folders(folder):
        _remove(folder / name)
    files.remove_folder(folder)


def _remove(folder: Location) -> None:
    # The manifest goes first, so that what is left after a crash is no checkpoint.
    files.remove(folder / MANIFEST)
    files.remove_tree(folder)


def _epoch_names(folder: Location) -> list[str]:
    """The folders of a stack's states, whole or not."""
    names = listing.list_folders(folder)
    return [name for name in names if name.startswith(_EPOCH) and name.removeprefix(_EPOCH).isdecimal()]


def _epoch_name(epoch: int) -> str:
    return f"{_EPOCH}{epoch:06d}"

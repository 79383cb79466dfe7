"""The space on a disk, looked at before anything is written there."""

from __future__ import annotations

import os
from pathlib import Path

from raydnn.errors import StoreError, first_line
from raydnn.store.storage.files import Location


def check_space(folder: Location, needed_bytes: int) -> None:
    """Refuse a disk that cannot take so much; object stores can.

    Raises:
        StoreError: There is too little space; the message says how much there is and how much is needed.
    """
    if not folder.local:
        return
    place = Path(folder.path)
    try:
        while not place.exists() and place != place.parent:
            place = place.parent
        disk = os.statvfs(place)
    except OSError as error:
        raise StoreError(f"{folder} cannot be read: {first_line(error)}") from error
    free_bytes = disk.f_bavail * disk.f_frsize
    if free_bytes < needed_bytes:
        raise StoreError(
            f"{folder} has {free_bytes / 2**20:.1f} MiB of free space, and checkpoints and rows take "
            f"{needed_bytes / 2**20:.1f} MiB; make room, or give another `storage`"
        )

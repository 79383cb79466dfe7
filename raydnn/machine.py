"""What this machine has left: memory and disk."""

from __future__ import annotations

import shutil
from pathlib import Path

GIB = 2**30
MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")


def free_memory_bytes() -> int | None:
    """Memory that new processes can have, as Linux sees it and as a container limits it; None where unknown."""
    return min((bytes for bytes in (_available(), _left_in_container()) if bytes is not None), default=None)


def free_disk_bytes(folder: Path) -> int:
    """Bytes that can be written to a folder, or to the nearest one above that exists.

    Raises:
        OSError: It cannot be looked at.
    """
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free


def _available() -> int | None:
    try:
        fields = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines())
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None


def _left_in_container() -> int | None:
    try:
        limit, used = ((CGROUP / name).read_text().strip() for name in ("memory.max", "memory.current"))
        return None if limit == "max" else max(0, int(limit) - int(used))
    except (OSError, ValueError):
        return None

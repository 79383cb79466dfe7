"""Too little space is told before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from raydnn.errors import StoreError
from raydnn.store.storage.disk import check_space
from raydnn.store.storage.files import locate


def test_too_little_space_is_told_before_anything_is_written(tmp_path: Path) -> None:
    folder = locate(tmp_path / "not" / "there")
    check_space(folder, 1)
    with pytest.raises(
        StoreError, match=r"not/there has [0-9.]+ MiB of free space, .* take 1125899906842624.0 MiB"
    ):
        check_space(folder, 2**70)
    assert list(tmp_path.iterdir()) == []

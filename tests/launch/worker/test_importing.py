"""Python's garbage collector rests while large packages are imported, and only then."""

from __future__ import annotations

import gc

import pytest

from raydnn.launch.worker.importing import collector_resting


def test_the_collector_rests_and_goes_on() -> None:
    with collector_resting():
        assert not gc.isenabled()
        with collector_resting():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ImportError), collector_resting():
        raise ImportError("no such package")
    assert gc.isenabled()

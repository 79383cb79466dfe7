"""What all tests share."""

from __future__ import annotations

from contextlib import nullcontext

import pytest


@pytest.fixture(autouse=True)
def no_ray_ahead(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweeps that are called inside the tests' process, and end before they train, start no Ray in it."""
    if request.node.get_closest_marker("ray") is None:
        monkeypatch.setattr("raydnn.launch.local.ray_ahead", lambda _verbose: nullcontext())

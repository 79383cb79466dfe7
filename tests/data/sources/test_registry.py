from __future__ import annotations

from raydnn.data.sources.registry import SOURCES
from raydnn.spec.catalogue.kinds import components


def test_every_data_set_of_the_catalogue_has_a_source() -> None:
    assert set(SOURCES) == set(components("data"))

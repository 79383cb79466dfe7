"""Normalization inside the network."""

from __future__ import annotations

from typing import Annotated, Literal

from raydnn.spec.base import Component, NameOrMapping


class NoNormalization(Component):
    """Layers feed one another as they are."""

    name: Literal["none"] = "none"


Normalization = Annotated[NoNormalization, NameOrMapping]
"""One choice so far; a second one turns this into a union told apart by `name`."""

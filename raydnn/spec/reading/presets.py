"""Presets: combinations that textbooks recommend, as defaults below all that a job says itself."""

from __future__ import annotations

from typing import Any

from raydnn.errors import JobError, Problem, one_of
from raydnn.spec.reading.merge import merge
from raydnn.spec.reading.positions import plain
from raydnn.spec.reading.source import Node

PRESETS: dict[str, dict[str, Any]] = {
    "elu": {
        "optimizer": "adam",
        "activation": "elu",
        "init": "he_normal",
        "schedule": "performance",
        "train": {"early_stopping": {}},
    },
    "selu": {
        "data": {"scaling": "standardize"},
        "optimizer": "adam",
        "activation": "selu",
        "init": "lecun_normal",
        "schedule": "performance",
        "regularization": {"alpha_dropout": 0.1},
        "train": {"early_stopping": {}},
    },
    "batchnorm": {
        "model": {"name": "mlp", "widths": [200, 100]},
        "optimizer": "adam",
        "activation": "relu",
        "normalization": "batch_norm",
        "regularization": {"dropout": 0.5},
    },
}
"""Name → fields of a job, as a file writes them."""


def over_preset(root: Node, chosen: Node | None) -> Node:
    """Lay a job over a preset; a component of another name replaces the preset's, as with `extends`.

    Args:
        root: The job.
        chosen: The preset's name, and where it is written: its fields stand there, too; None: no preset.

    Raises:
        JobError: There is no such preset.
    """
    if chosen is None or chosen.value is None:
        return root
    if not isinstance(chosen.value, str) or chosen.value not in PRESETS:
        message = f"unknown preset {plain(chosen)!r}; {one_of(chosen.value, list(PRESETS))}"
        raise JobError([Problem(chosen.place, "preset", message)])
    return merge(_node(PRESETS[chosen.value], chosen.place), root)


def _node(value: Any, place: str) -> Node:
    if isinstance(value, dict):
        return Node({key: _node(child, place) for key, child in value.items()}, place)
    if isinstance(value, list):
        return Node([_node(item, place) for item in value], place)
    return Node(value, place)

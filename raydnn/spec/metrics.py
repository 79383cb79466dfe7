"""The numbers measured after every epoch, and which direction is better."""

from __future__ import annotations

from typing import Literal

Metric = Literal["train_loss", "train_accuracy", "validation_loss", "validation_accuracy"]
Mode = Literal["min", "max"]

MODES: dict[str, Mode] = {
    "train_loss": "min",
    "train_accuracy": "max",
    "validation_loss": "min",
    "validation_accuracy": "max",
}
"""Metric → the direction that is better."""

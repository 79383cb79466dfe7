"""What the parts of a data set hold of the classes, and what answers without a network reach."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

from raydnn.data.dataset import Dataset
from raydnn.data.examples import CHUNK, Examples, targets_of
from raydnn.spec.data import WITHOUT_ACCURACY
from raydnn.spec.reading.problems import show


def baseline(dataset: Dataset) -> dict[str, Any]:
    """What one and the same answer to all inputs reaches.

    Returns:
        Of classes: `class`, the name (or number) of the one that is most frequent in training, and how often it is
        right: `train_accuracy`, `validation_accuracy` and, with a test part, `test_accuracy`. Of numbers: the mean
        squared errors of their training means, `train_mse` and so on, in the unit of the losses; of inputs that are
        learned likewise. Else nothing.
    """
    counts = _counts(dataset)
    if dataset.task in WITHOUT_ACCURACY:
        unit = 1.0 if dataset.target_scale is None else dataset.target_scale.unit(2)
        sums = [targets.double().sum(dim=0) for _, targets in dataset.train.chunks(CHUNK)]
        mean = torch.stack(sums).sum(dim=0) / len(dataset.train)
        return {f"{name}_mse": _mean_square(part, mean) * unit for name, part in dataset.parts.items()}
    if not counts:
        return {}
    most = int(counts["train"].argmax())
    shares = {f"{part}_accuracy": float(of[most] / of.sum()) for part, of in counts.items()}
    return {"class": _name(dataset, most), **shares}


def _mean_square(part: Examples, mean: Tensor) -> float:
    """The mean square of what targets differ from a mean by, in little memory."""
    squares = [(targets.double() - mean).square().mean(dim=1).sum() for _, targets in part.chunks(CHUNK)]
    return float(torch.stack(squares).sum()) / len(part)


def tell_lacking_classes(dataset: Dataset) -> None:
    """Warn of a part with one class only, by which nothing can be judged, and of classes that training lacks."""
    counts = _counts(dataset)
    for part, of in counts.items():
        present = torch.nonzero(of).flatten().tolist()
        if len(present) == 1:
            which = show(_name(dataset, present[0]))
            warnings.warn(
                f"the {part} part has one class only, {which}; data.validation takes the first rows of the file, "
                "validation_fraction draws some of each class",
                stacklevel=3,
            )
    if not counts:
        return
    learned = counts["train"] > 0
    for part in ("validation", "test"):
        unknown = torch.nonzero((counts.get(part, counts["train"]) > 0) & ~learned).flatten().tolist()
        if unknown:
            named = ", ".join(show(_name(dataset, number)) for number in unknown[:5])
            more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
            warnings.warn(
                f"no training example is of class {named}{more}, which the {part} part has; "
                "validation_fraction draws some of each class",
                stacklevel=3,
            )


def _counts(dataset: Dataset) -> dict[str, Tensor]:
    """Part → examples of each class (classes,); empty where the targets are no classes."""
    return {
        name: torch.bincount(targets_of(part), minlength=dataset.classes)
        for name, part in dataset.parts.items()
        if dataset.classes
    }


def _name(dataset: Dataset, number: int) -> Any:
    names = dataset.preparation.class_names
    return number if names is None else names[number]

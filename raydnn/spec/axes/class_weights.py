"""Weights of the classes in the training loss, against classes of unequal size."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from raydnn.spec.base import Component, ListOrTuple, NameOrMapping, parameter


class EqualWeights(Component):
    """Every example counts the same."""

    name: Literal["none"] = "none"


class Balanced(Component):
    """Every class counts the same, however many training examples it has."""

    formula: ClassVar[str] = "w_k = n / (K n_k): n examples, n_k of them in class k of K; they average to 1"
    note: ClassVar[str] = (
        "The weighted losses of a batch are summed and divided by the number of its examples, as in "
        "Keras; torch's CrossEntropyLoss(weight=w) divides by the sum of their weights."
    )
    source: ClassVar[str] = "King & Zeng 2001; sklearn.utils.class_weight"

    name: Literal["balanced"] = "balanced"


class GivenWeights(Component):
    """One weight a class; a list stands for it."""

    formula: ClassVar[str] = "L ← w_y L"

    note: ClassVar[str] = (
        "The weighted losses of a batch are summed and divided by the number of its examples, as in "
        "Keras; torch's CrossEntropyLoss(weight=w) divides by the sum of their weights. Weights that "
        "average to 1 leave the size of steps as it is."
    )

    name: Literal["given"] = "given"
    weights: Annotated[tuple[Annotated[float, Field(ge=0)], ...], Field(min_length=1), ListOrTuple] = (
        parameter(..., "weight of each class, in the order of the class numbers")
    )


def _list_as_given(value: Any) -> Any:
    return {"name": "given", "weights": value} if isinstance(value, list | tuple) else value


ClassWeights = Annotated[
    EqualWeights | Balanced | GivenWeights,
    Field(discriminator="name"),
    NameOrMapping,
    BeforeValidator(_list_as_given),
]

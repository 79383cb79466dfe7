"""Data sets: where the examples come from and how they are split and scaled."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from raydnn.spec.base import Component, DataPath, NameOrMapping, parameter
from raydnn.spec.scaling import NoScaling, Scaling

Targets = Literal["classification", "regression", "binary", "multi_label", "distribution"]
"""What targets are: one class of several, numbers, one of two classes, several labels at once, probabilities."""

Task = Literal[Targets, "reconstruction"]
"""What is learned: the targets, or the inputs themselves."""

WITHOUT_ACCURACY = frozenset({"regression", "reconstruction"})
"""Tasks that learn numbers, which are never just right."""

Label = str | int | float | bool
"""What the data call a class."""


class DataSet(Component):
    """What every data set has: a validation split and a scaling fitted on the training part only."""

    validation: int | None = parameter(None, "the first n training examples are the validation set", ge=1)
    validation_fraction: float | None = parameter(
        0.2,
        "share of the training examples drawn, class by class, as the validation set; or give `validation`",
        gt=0,
        lt=1,
    )
    split_seed: int = parameter(0, "seed of the drawn splits", ge=0)
    scaling: Scaling = parameter(NoScaling(), "scaling of the inputs, fitted on the training examples")
    reconstruct: bool = parameter(
        False, "learn the scaled inputs themselves, and ignore targets; true with the model autoencoder"
    )

    @model_validator(mode="before")
    @classmethod
    def _count_replaces_fraction(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("validation") is not None:
            return {"validation_fraction": None, **values}
        return values

    @model_validator(mode="after")
    def _one_validation_split(self) -> Self:
        if self.validation is not None and self.validation_fraction is not None:
            raise ValueError(
                f"validation: {self.validation} and validation_fraction: {self.validation_fraction} "
                "are both given; only one of them can be"
            )
        if self.validation is None and self.validation_fraction is None:
            raise ValueError("neither validation nor validation_fraction is given; one of them must be")
        return self

    @property
    def learns(self) -> Task:
        """What is learned."""
        return "reconstruction" if self.reconstruct else self.targets_are

    @property
    def targets_are(self) -> Targets:
        """What the targets are; images are classified."""
        return "classification"


class Digits(DataSet):
    """1,797 handwritten digits of 8 × 8 pixels, ten classes, shipped with scikit-learn."""

    name: Literal["digits"] = "digits"
    test_fraction: float | None = parameter(None, "share drawn, class by class, as the test set", gt=0, lt=1)


class FashionMnist(DataSet):
    """70,000 pictures of clothing of 28 × 28 pixels, ten classes, in IDX files."""

    name: Literal["fashion_mnist"] = "fashion_mnist"
    path: DataPath | None = parameter(None, "folder with the four IDX files; null: downloaded once")


class Mnist(DataSet):
    """70,000 handwritten digits of 28 × 28 pixels, ten classes, in IDX files."""

    name: Literal["mnist"] = "mnist"
    path: DataPath | None = parameter(None, "folder with the four IDX files; null: downloaded once")


TargetScaling = Literal["auto", "none", "standardize"]
"""Whether a regression's targets are learned as (y − mean) / deviation of the training targets."""


def _target_scaling() -> Any:
    return parameter(
        "auto",
        "scaling of a regression's target, fitted on the training examples: none, standardize, or auto: standardize "
        "where its mean or deviation is far from 1 (a mean beyond ±10, a deviation below 0.1 or above 10); mse, huber "
        "and mae of one target are told in its own unit, squared for the first two, other losses as they are minimized",
    )


def _scales_numbers(scaling: TargetScaling, kind: Targets) -> None:
    if scaling == "standardize" and kind != "regression":
        raise ValueError(
            f"target_scaling: standardize is given with kind: {kind}, whose targets are no numbers; "
            "allowed: auto, none"
        )


class Csv(DataSet):
    """A CSV file with a header, compressed or not; every named column but the target is a numeric feature."""

    name: Literal["csv"] = "csv"
    path: DataPath = parameter(..., "the training file")
    test_path: DataPath | None = parameter(None, "the test file, with the same columns")
    target: str | None = parameter(None, "name of the target column; only an autoencoder needs none")
    kind: Literal["classification", "regression", "binary"] = parameter(
        "classification", "what the target is: one class of several, a number, one of two classes"
    )
    weights: str | None = parameter(
        None, "column with the weight of each example in the training loss; it is no feature"
    )
    separator: str = parameter("auto", "what stands between values: one character; auto: , ; | or a tab")
    decimal: Literal["auto", ".", ","] = parameter(
        "auto", "decimal point of numbers; auto: the one that fits"
    )
    encoding: str = parameter(
        "auto", "encoding of the text, such as utf-8 or cp1252; auto: the one that fits"
    )
    test_fraction: float | None = parameter(None, "share drawn as the test set", gt=0, lt=1)
    target_scaling: TargetScaling = _target_scaling()

    @field_validator("separator")
    @classmethod
    def _one_character(cls, separator: str) -> str:
        if separator != "auto" and (len(separator) != 1 or separator in '"\r\n\0' or not separator.isascii()):
            raise ValueError(
                f"{separator!r}; allowed: auto, or one ASCII character that is no quote or line end"
            )
        return separator

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, encoding: str) -> str:
        if encoding == "auto":
            return encoding
        try:
            "".encode(encoding)  # codecs that make no text of bytes are refused here, too
        except (LookupError, UnicodeError, ValueError):
            raise ValueError(
                f"{encoding!r}; allowed: auto, or an encoding that Python knows, such as utf-8, cp1252, utf-16"
            ) from None
        return encoding

    @model_validator(mode="after")
    def _only_numbers_are_scaled(self) -> Self:
        _scales_numbers(self.target_scaling, self.kind)
        return self

    @model_validator(mode="after")
    def _decimal_is_no_separator(self) -> Self:
        if self.decimal == self.separator != "auto":
            raise ValueError(f"separator and decimal are both {self.decimal!r}; they must differ")
        return self

    @model_validator(mode="after")
    def _something_is_learned(self) -> Self:
        if self.target is None and not self.reconstruct:
            raise ValueError("target: missing; allowed: the name of a column; only an autoencoder needs none")
        return self

    @property
    def targets_are(self) -> Targets:
        """What the target column is said to be."""
        return self.kind


class Npz(DataSet):
    """A NumPy archive with arrays `inputs` and `targets`, and perhaps `test_inputs` and `test_targets`.

    An autoencoder needs no targets. Where there is no array `inputs`, several others beside `targets`, such as `image`
    (n, 1, 8, 8), `age` (n, 3) and `word` (n,), and with a test part `test_image`, `test_age` and `test_word`, are
    inputs by name, which only the model module takes: each is an argument of its forward. Whole numbers, up to 2²⁴,
    stay as they are, and are not scaled; so give pictures as floating-point numbers.
    """

    name: Literal["npz"] = "npz"
    path: DataPath = parameter(..., "the archive")
    kind: Targets = parameter(
        "classification",
        "what the targets are: classes, numbers, one of two classes, 0 or 1 for each label, or probabilities",
    )
    weights: str | None = parameter(None, "array (n,) with the weight of each example in the training loss")
    padding: int | None = parameter(
        None,
        "of sequences of tokens, the token that fills up those that are shorter; or give arrays `lengths` and "
        "`test_lengths` (n,), the steps that are there, also of sequences (n, T, F) of numbers",
    )
    test_fraction: float | None = parameter(None, "share drawn as the test set", gt=0, lt=1)
    target_scaling: TargetScaling = _target_scaling()

    @model_validator(mode="after")
    def _only_numbers_are_scaled(self) -> Self:
        _scales_numbers(self.target_scaling, self.kind)
        return self

    @property
    def targets_are(self) -> Targets:
        """What the targets are said to be."""
        return self.kind


class Sequences(DataSet):
    """Sequences that are made on the spot, for tasks that need a memory.

    adding: two numbers a step, one of 0 to 1 and a mark; the target is the sum of the two marked numbers; 0.167 is the
    mean squared error of always 1. copy: tokens; 3 of 8 symbols, blanks, and at the end the question for one of the
    three, which is the class. sines: one number a step; which of 4 frequencies stands in noise is the class.
    """

    formula: ClassVar[str] = (
        "adding: y = Σ mark · x; copy: y = symbol[place]; sines: x = a sin(2πft/T + φ) + N(0, 1)"
    )
    source: ClassVar[str] = (
        "Hochreiter & Schmidhuber 1997; adding as in Le et al. 2015, arXiv:1504.00941; copy asks for one symbol, where "
        "the original repeats them all"
    )

    name: Literal["sequences"] = "sequences"
    task: Literal["adding", "copy", "sines"] = parameter("adding", "what is made")
    count: int = parameter(2000, "number of sequences", ge=10, le=1_000_000)
    length: int = parameter(50, "steps of a sequence", ge=10, le=10_000)
    seed: int = parameter(0, "seed of what is made", ge=0)
    test_fraction: float | None = parameter(None, "share drawn as the test set", gt=0, lt=1)

    @property
    def targets_are(self) -> Targets:
        """A sum, or one of several classes."""
        return "regression" if self.task == "adding" else "classification"


class Pictures(DataSet):
    """Colour pictures that are made on the spot, in the shape of CIFAR-10: (3, size, size), 0 to 255, ten classes.

    A class is one of five things (disc, ring, cross, stripes, checks) in a warm or a cold colour. Place, size, angle,
    brightness, the background's colours and noise differ from picture to picture, and hues overlap, so that no pixel
    tells the class.
    """

    name: Literal["pictures"] = "pictures"
    count: int = parameter(10_000, "number of pictures", ge=20, le=1_000_000)
    size: int = parameter(32, "side of a picture, in pixels", ge=8, le=512)
    noise: float = parameter(25.0, "deviation of the noise of each number, of 255", ge=0)
    seed: int = parameter(0, "seed of what is made", ge=0)
    test_fraction: float | None = parameter(None, "share drawn, class by class, as the test set", gt=0, lt=1)


Data = Annotated[
    Digits | FashionMnist | Mnist | Csv | Npz | Sequences | Pictures,
    NameOrMapping,
    Field(discriminator="name"),
]

"""Reading spec classes: fields, bounds, types and search ranges."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import Field
from pydantic.fields import FieldInfo

from raydnn.spec.base import Component, Spec, parameter
from raydnn.spec.catalogue.fields import (
    bounds,
    component_classes,
    component_name,
    item_type,
    leaves,
    members,
    nested_spec,
    optional,
    python_type,
    search_range,
    type_name,
)
from raydnn.spec.job import Job, Training


class Red(Component):
    """Red."""

    name: Literal["red"] = "red"
    depth: float = parameter(0.5, "how red", gt=0, le=1, search="uniform(0.1, 1)")


class Blue(Component):
    """Blue."""

    name: Literal["blue"] = "blue"
    depth: float = parameter(0.5, "how blue", ge=0)
    waves: int | None = parameter(None, "how many")


class Frame(Spec):
    """A frame."""

    width: int = parameter(1, "how wide", ge=1, lt=9)


class Picture(Spec):
    """A picture."""

    color: Annotated[Red | Blue, Field(discriminator="name")] = parameter(Red(), "its color")
    only: Red = parameter(Red(), "one choice")
    frame: Frame | None = parameter(None, "its frame")
    sizes: tuple[int, ...] = parameter((1,), "its sizes")
    style: Literal["oil", "ink"] = parameter("oil", "its style")
    sold: bool = parameter(False, "whether it is sold")


def field(name: str) -> FieldInfo:
    return Picture.model_fields[name]


def test_leaves_are_the_fields_of_all_components_and_nested_specs() -> None:
    assert [path for path, _ in leaves(Picture)] == [
        "color.name",
        "color.depth",
        "color.name",
        "color.depth",
        "color.waves",
        "only.name",
        "only.depth",
        "frame.width",
        "sizes",
        "style",
        "sold",
    ]


def test_components_and_nested_specs_are_told_apart() -> None:
    assert component_classes(field("color").annotation) == {"red": Red, "blue": Blue}
    assert component_classes(field("only").annotation) == {"red": Red}
    assert component_classes(field("frame").annotation) == {}
    assert nested_spec(field("frame").annotation) is Frame
    assert nested_spec(field("color").annotation) is None
    assert nested_spec(field("style").annotation) is None
    assert component_name(Blue) == "blue"


def test_types() -> None:
    assert python_type(Blue.model_fields["waves"].annotation) is int
    assert python_type(Red.model_fields["depth"].annotation) is float
    assert python_type(field("sizes").annotation) is tuple
    assert item_type(field("sizes").annotation) is int
    assert item_type(Annotated[tuple[Annotated[float, Field(gt=0)], ...], "x"] | None) is float
    assert item_type(field("style").annotation) is None
    assert python_type(field("style").annotation) is str
    assert python_type(field("sold").annotation) is bool
    with pytest.raises(TypeError):
        python_type(dict[str, int])


def test_types_as_a_user_reads_them() -> None:
    assert type_name(Blue.model_fields["waves"].annotation) == "int or null"
    assert type_name(field("sizes").annotation) == "list of int"
    assert type_name(field("style").annotation) == "oil | ink"
    assert type_name(field("sold").annotation) == "bool"


def test_unions_are_seen_through_annotations_and_null() -> None:
    assert members(Annotated[int | None, "x"]) == (int,)
    assert members(Annotated[Annotated[int, 1] | str, "x"]) == (int, str)
    assert optional(Annotated[int | None, "x"])
    assert not optional(Annotated[int | str, "x"])


def test_bounds_and_search_ranges() -> None:
    assert bounds(Red.model_fields["depth"]) == {"gt": 0, "le": 1}
    assert bounds(Frame.model_fields["width"]) == {"ge": 1, "lt": 9}
    assert bounds(field("sold")) == {}
    assert search_range(Red.model_fields["depth"]) == "uniform(0.1, 1)"
    assert search_range(Blue.model_fields["depth"]) is None


def test_every_leaf_of_a_training_has_a_column_type_and_a_meaning() -> None:
    for path, leaf in leaves(Training):
        assert python_type(leaf.annotation) in (bool, int, float, str, tuple), path
        assert leaf.description or path.endswith(".name"), path


def test_a_job_holds_all_of_a_training() -> None:
    assert set(dict(leaves(Training))) < set(dict(leaves(Job)) | {"search.space": None})

"""The catalogue on the command line, compared with the spec classes it is read from."""

from __future__ import annotations

import csv
import io
import json

import pytest

from raydnn.spec.catalogue.kinds import KINDS
from raydnn.spec.catalogue.kinds import components as components_of


def test_kinds_are_counted(cli) -> None:
    listed = {row["kind"]: row for row in json.loads(cli("components", "-o", "json").out)}
    assert set(KINDS) <= set(listed)
    for kind in KINDS:
        assert listed[kind]["names"] == list(components_of(kind))
        assert listed[kind]["count"] == len(components_of(kind))
    assert "dropout" in listed["regularization"]["names"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("output", ["table", "json", "csv"])
def test_every_kind_and_component_has_a_page(cli, kind: str, output: str) -> None:
    listing = cli("components", kind, "-o", output)
    assert listing.code == 0
    for name, spec in components_of(kind).items():
        assert name in listing.out
        page = cli("components", kind, name, "-o", output)
        assert page.code == 0
        for parameter, field in spec.model_fields.items():
            if parameter != "name":
                assert parameter in page.out
                assert field.description
        if output == "json":
            described = json.loads(page.out)
            assert described["meaning"].endswith(".")
            assert {entry["parameter"] for entry in described["parameters"]} == set(spec.model_fields) - {
                "name"
            }


def test_a_page_says_bounds_default_range_and_source(cli) -> None:
    page = json.loads(cli("components", "optimizer", "sgd", "-o", "json").out)
    momentum = next(entry for entry in page["parameters"] if entry["parameter"] == "momentum")
    assert momentum == {
        "parameter": "momentum",
        "type": "float",
        "bounds": "≥ 0, < 1",
        "default": "0.0",
        "search": "one_minus(loguniform(5e-3, 1))",
        "meaning": "momentum μ",
    }
    assert "Polyak 1964" in page["source"]
    text = cli("components", "optimizer", "sgd").out
    assert all(
        part in text for part in ("Formula: ", "Source: ", "Nesterov", "one_minus(loguniform(5e-3, 1))")
    )


def test_required_and_nested_fields_are_told(cli) -> None:
    rows = csv.DictReader(io.StringIO(cli("components", "data", "csv", "-o", "csv").out))
    fields = {row["parameter"]: row for row in rows}
    assert fields["path"]["default"] == "required"
    assert fields["target"]["default"] == "null"
    train = {row["parameter"]: row for row in json.loads(cli("components", "train", "-o", "json").out)}
    assert train["clip"]["type"] == "none | value | norm | per_layer"
    assert train["clip"]["default"] == "none"
    assert "patience" in train["early_stopping"]["type"]
    assert train["early_stopping"]["default"] == "null"


def test_a_component_without_parameters_says_so(cli) -> None:
    assert "Parameters: none" in cli("components", "activation", "relu").out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["optimiser"], "Did you mean 'optimizer'?"),
        (["optimizer", "adamww"], "Did you mean 'adamw'?"),
        (["adam"], "`raydnn components optimizer adam`"),
        (["train", "epoch"], "Did you mean 'epochs'?"),
        (["x"], "allowed: optimizer, "),
    ],
)
def test_unknown_names_get_the_nearest(cli, arguments: list[str], said: str) -> None:
    outcome = cli("components", *arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.count("\n") == 1
    assert said in outcome.err

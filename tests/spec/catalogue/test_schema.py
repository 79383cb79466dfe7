"""The JSON Schema says of a job file what `load_job` says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from raydnn.spec.catalogue.kinds import KINDS, components
from raydnn.spec.catalogue.schema import job_schema
from raydnn.spec.job import Job
from raydnn.spec.reading.positions import plain
from raydnn.spec.reading.source import read_source, read_value

JOBS = sorted((Path(__file__).parents[3] / "jobs").glob("*.yaml"))
GOOD = "name: a, data: digits, optimizer: sgd"
VALIDATOR = Draft202012Validator(job_schema())


def valid(text: str) -> bool:
    return VALIDATOR.is_valid(plain(read_value(f"{{{text}}}", "")))


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(job_schema())
    assert job_schema()["$schema"].endswith("2020-12/schema")


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.name)
def test_shipped_jobs_are_valid(path: Path) -> None:
    VALIDATOR.validate(plain(read_source(path).root))


@pytest.mark.parametrize(
    "fields",
    [
        "optimizer: {name: adam, beta1: 0.5}",
        "activation: {name: elu, alpha: 2}",
        "train: {clip: norm, early_stopping: {patience: 2}}",
        "train: {clip: {name: norm, max_grad_norm: 2}, early_stopping: null}",
        "search: {space: {optimizer: all}, scheduler: asha, algorithm: {name: grid}}",
    ],
)
def test_good_fields_are_valid(fields: str) -> None:
    assert valid(f"{GOOD.removesuffix(', optimizer: sgd')}, {fields}, extends: base.yaml")


@pytest.mark.parametrize("axis", [name for name in Job.model_fields if name in KINDS])
def test_every_component_may_be_its_name_or_a_mapping(axis: str) -> None:
    for name, cls in components(axis).items():
        required = {key: "a:b" for key, field in cls.model_fields.items() if field.is_required()}
        job: dict[str, Any] = {"name": "a", "data": "digits", "optimizer": "sgd"}
        VALIDATOR.validate({**job, axis: name})
        VALIDATOR.validate({**job, axis: {"name": name, **required}})


@pytest.mark.parametrize(
    "fields",
    [
        "sed: 1",
        "seed: -1",
        "seed: no",
        "loss: mes",
        "loss: 5",
        "activation: {name: relu, alpha: 1}",
        "schedule: {name: cosine, alpha: 2}",
        "model: {name: mlp, widths: []}",
        "model: {widths: [64, 0]}",
        "train: {epochs: 1.5}",
        "train: {clip: {name: norm, max_norm: 1}}",
        "search: {trials: 4}",
        "search: {trials: 0, space: {}}",
        "name: 'a/b'",
        "extends: [base.yaml]",
    ],
)
def test_bad_fields_are_not(fields: str) -> None:
    good = GOOD.removeprefix("name: a, ") if fields.startswith("name") else GOOD
    named = fields if fields.startswith("name") else f"name: a, {fields}"
    assert valid(GOOD)
    assert not valid(f"{good.removeprefix('name: a, ')}, {named}")


def test_only_a_file_that_extends_may_leave_out_what_is_required() -> None:
    assert not valid("name: a")
    assert valid("name: a, extends: base.yaml")
    assert valid("extends: base.yaml, search: {trials: 4}, optimizer: {momentum: 0.9}")

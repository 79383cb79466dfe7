"""What has an order, and what the algorithms that need one say of a space without."""

from __future__ import annotations

from typing import Any

import pytest

from raydnn.errors import JobError
from raydnn.space.domains.domain import parse
from raydnn.space.domains.ordered import ordered
from raydnn.space.space import build_space
from raydnn.spec.job import Job
from raydnn.spec.reading.positions import Positions


@pytest.mark.parametrize(
    "written", ["uniform(0, 1)", "lograndint(1, 9)", [1, 2, 5], [0.1, 0.01], "choice(3)"]
)
def test_ranges_and_numbers_in_order_have_one(written: object) -> None:
    domain = parse(written)
    assert domain is not None
    assert ordered(domain)


@pytest.mark.parametrize("written", [["sgd", "adam"], [1, 3, 2], [True, False], [0, None], [[8], [16]]])
def test_names_and_jumbled_numbers_have_none(written: object) -> None:
    domain = parse(written)
    assert domain is not None
    assert not ordered(domain)


def build(space: dict[str, Any], algorithm: str) -> None:
    given = {"name": "job", "data": "digits", "optimizer": "sgd"}
    search = {"space": space, "algorithm": algorithm, "trials": 4}
    build_space(Job.model_validate(given | {"search": search}), Positions({}))


def test_a_swarm_refuses_what_has_no_order() -> None:
    build({"optimizer": ["sgd"], "optimizer.lr": "loguniform(1e-3, 1)", "train.batch_size": [8, 16]}, "pso")
    with pytest.raises(JobError, match=r"optimizer: choice\(sgd, adam\) has no order.*evolution or tpe"):
        build({"optimizer": ["sgd", "adam"], "optimizer.*.lr": "loguniform(1e-3, 1)"}, "pso")


def test_cmaes_refuses_a_space_of_names_alone() -> None:
    build({"optimizer": ["sgd", "adam"], "optimizer.*.lr": "loguniform(1e-3, 1)"}, "cmaes")
    with pytest.raises(JobError, match="cmaes needs a range or numbers in order"):
        build({"optimizer": ["sgd", "adam"], "activation": ["relu", "tanh"]}, "cmaes")

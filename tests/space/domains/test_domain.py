"""Domains: what is read, what is drawn, and that both agree with independent distributions."""

from __future__ import annotations

import contextlib
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from raydnn.space.domains.domain import (
    DOMAINS,
    Choice,
    Domain,
    Grid,
    LogNormal,
    LogRandInt,
    LogUniform,
    Normal,
    OneMinus,
    QUniform,
    RandInt,
    Uniform,
    draw,
    parse,
)

EXAMPLES = {
    "uniform(0.5, 0.99)": Uniform(0.5, 0.99),
    "loguniform(1e-7, 1e-1)": LogUniform(1e-7, 0.1),
    "quniform(0, 0.5, 0.1)": QUniform(0, 0.5, 0.1),
    "randint(1, 5)": RandInt(1, 5),
    "lograndint(1, 1000)": LogRandInt(1, 1000),
    "normal(0, 1)": Normal(0, 1),
    "lognormal(-3, 1)": LogNormal(-3, 1),
    "choice(32, 128)": Choice((32, 128)),
    "choice([64], [64, 64])": Choice(((64,), (64, 64))),
    "choice(relu, 'a, b', \"c)\", null, true, -1, .5)": Choice(("relu", "a, b", "c)", None, True, -1, 0.5)),
    "grid(1, 2)": Grid((1, 2)),
    "one_minus(loguniform(0.02, 0.5))": OneMinus(LogUniform(0.02, 0.5)),
    "one_minus(uniform(0, 0.5))": OneMinus(Uniform(0, 0.5)),
}

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**15), 10**15),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
)


def test_every_kind_of_domain_is_in_the_examples() -> None:
    assert {type(domain) for domain in EXAMPLES.values()} == set(DOMAINS.values())


@pytest.mark.parametrize("domain", EXAMPLES.values(), ids=EXAMPLES.keys())
@given(u=st.floats(1e-6, 1 - 1e-6))
def test_a_value_goes_back_to_a_quantile_that_gives_it(domain: Domain, u: float) -> None:
    value = domain.from_unit(u)
    back = domain.to_unit(value)
    assert 0 <= back < 1
    if domain.size() is None:
        assert domain.from_unit(back) == pytest.approx(value, rel=1e-6, abs=1e-12)
    else:
        assert domain.from_unit(back) == value


def test_what_is_no_choice_has_no_quantile() -> None:
    with pytest.raises(ValueError, match="3 is no value of choice"):
        Choice((1, 2)).to_unit(3)


@pytest.mark.parametrize("text", EXAMPLES)
def test_reading_gives_the_domain_and_writing_gives_it_back(text: str) -> None:
    domain = parse(text)
    assert domain == EXAMPLES[text]
    assert type(domain) is type(EXAMPLES[text])
    assert parse(str(domain)) == domain


@given(st.lists(st.one_of(scalars, st.lists(scalars, max_size=3)), min_size=1, max_size=6, unique_by=repr))
def test_any_list_of_choices_is_written_so_that_it_reads_the_same(options: list[object]) -> None:
    choice = parse(options)
    assert parse(str(choice)) == choice


@given(st.text(max_size=60))
def test_any_text_is_a_domain_a_plain_value_or_a_value_error(text: str) -> None:
    for written in (text, f"uniform({text}", f"choice({text})"):
        with contextlib.suppress(ValueError):
            parse(written)


@pytest.mark.parametrize("written", ["sgd", "all", "", "import os", 3, 0.5, None, True, {"a": 1}])
def test_a_plain_value_is_no_domain(written: object) -> None:
    assert parse(written) is None


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("unifrm(0, 1)", "unknown domain 'unifrm'; allowed: uniform, .* Did you mean 'uniform'"),
        ("__import__(os)", "unknown domain '__import__'"),
        ("uniform(1, 0)", "lower end 1 and the upper end 0"),
        ("uniform(1, 1)", "lower end 1 and the upper end 1"),
        ("uniform(-1e308, 1e308)", "wider"),
        ("uniform(0)", r"has 1 values; allowed: uniform\(a, b\)"),
        ("uniform(0, 1, 2)", "has 3 values"),
        ("uniform(a, 1)", "has a for a; allowed: a number"),
        ("uniform(true, 2)", "has true for a; allowed: a number"),
        ("uniform(0, 1e999)", "allowed: a number"),
        ("uniform(0, 1", "not closed"),
        ("uniform(0, 1) + 1", "goes on after"),
        ("uniform(0, 1))", "goes on after"),
        ("uniform(0 1)", "not understood at '1'"),
        ("uniform(, 1)", "not understood at ','"),
        ("choice(1, )", r"not understood at '\)'"),
        ("choice('a)", "unclosed quote"),
        ("choice([[1]])", r"not understood at '\['"),
        ("choice()", "at least one"),
        ([], "at least one"),
        ([1, 1], "holds 1 twice"),
        ([{"name": "sgd"}], "in a list of choices"),
        ("loguniform(0, 1)", "begins at 0; a range on a log scale must begin above 0"),
        ("lograndint(0, 10)", "must begin above 0"),
        ("randint(0, 2.5)", "has 2.5 for b; allowed: a whole number"),
        ("randint(4, 2)", "lower end 4 and the upper end 2"),
        ("quniform(0, 1, 0)", "step 0"),
        ("quniform(0, 1, 2)", "step 2"),
        ("normal(0, 0)", "deviation 0"),
        ("one_minus(0.5)", r"allowed: one_minus\(uniform\(a, b\)\), one_minus\(loguniform\(a, b\)\)"),
        ("one_minus(choice(1, 2))", "allowed: one_minus"),
        ("one_minus(" * 2000 + "uniform(0, 1)" + ")" * 2000, "allowed: one_minus"),
        ("one_minus(loguniform(0, 1))", "must begin above 0"),
        ("one_minus(loguniform(0.1, 1)", "not understood|not closed"),
        ("choice(" + "1, " * 5000 + "2)", "at most 10000"),
    ],
)
def test_what_is_wrong_is_said(written: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse(written)


@pytest.mark.parametrize(
    ("domain", "reference"),
    [
        (Uniform(-1, 3), stats.uniform(-1, 4)),
        (LogUniform(1e-4, 10), stats.loguniform(1e-4, 10)),
        (Normal(2, 0.5), stats.norm(2, 0.5)),
        (Normal(0.2, 0.3).within(0, 1), stats.truncnorm(-0.2 / 0.3, 0.8 / 0.3, 0.2, 0.3)),
        (LogNormal(-3, 1), stats.lognorm(1, scale=math.exp(-3))),
    ],
)
def test_continuous_draws_follow_scipys_distribution(domain: Uniform, reference: stats.rv_continuous) -> None:
    rng = np.random.default_rng(0)
    assert stats.kstest([draw(domain, rng) for _ in range(4000)], reference.cdf).pvalue > 0.01


@pytest.mark.parametrize(
    "domain", [RandInt(3, 11), QUniform(0, 1, 0.25), Choice(("a", "b", None)), Grid((1, 2))]
)
def test_finite_draws_are_equally_likely_and_are_the_listed_values(domain: Choice) -> None:
    values = list(domain.values())
    assert domain.size() == len(values)
    rng = np.random.default_rng(0)
    drawn = [draw(domain, rng) for _ in range(4000)]
    assert stats.chisquare([drawn.count(value) for value in values]).pvalue > 0.01


def test_log_whole_numbers_fall_with_their_logarithm() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw(LogRandInt(1, 100), rng) for _ in range(4000)]
    assert set(drawn) <= set(range(1, 100))
    assert np.mean(np.array(drawn) < 10) == pytest.approx(0.5, abs=0.03)


@given(st.floats(0, 1, exclude_max=True), st.floats(1e-300, 1e300), st.floats(1e-300, 1e300))
def test_draws_stay_inside_whatever_the_rounding(u: float, one: float, other: float) -> None:
    a, b = sorted((one, other))
    if a < b:
        assert a <= Uniform(a, b).from_unit(u) < b
        assert a <= LogUniform(a, b).from_unit(u) < b


@given(st.floats(0, 1, exclude_max=True), st.floats(-5, 5), st.floats(0.01, 10))
def test_normal_draws_stay_within_bounds(u: float, mean: float, deviation: float) -> None:
    try:
        domain = Normal(mean, deviation).within(0, 1)
    except ValueError:
        assert stats.norm(mean, deviation).cdf(1) - stats.norm(mean, deviation).cdf(0) < 0.0101
        return
    assert 0 <= domain.from_unit(u) <= 1


def test_steps_are_the_numbers_a_user_would_write() -> None:
    assert list(QUniform(0, 0.5, 0.1).values()) == [0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert list(QUniform(16, 130, 16).values()) == [16, 32, 48, 64, 80, 96, 112, 128]
    assert all(type(value) is int for value in QUniform(16, 130, 16).values())


def test_a_continuous_domain_has_no_list() -> None:
    assert Uniform(0, 1).size() is None
    with pytest.raises(ValueError, match="continuous"):
        Uniform(0, 1).values()


@given(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True))
def test_one_minus_turns_a_range_round_and_rises_with_the_quantile(u: float, v: float) -> None:
    domain = OneMinus(LogUniform(1e-3, 1))
    assert 0 < domain.from_unit(u) <= 1 - 1e-3
    assert u > v or domain.from_unit(u) <= domain.from_unit(v)
    assert domain.from_unit(0.5) == pytest.approx(1 - math.sqrt(1e-3))

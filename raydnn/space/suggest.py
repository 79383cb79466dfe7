"""The space as Optuna's define-by-run: a parameter is asked for only in trials that have it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from raydnn.space.conditional import Assignment, Space
from raydnn.space.domains.domain import (
    Choice,
    Domain,
    Grid,
    LogRandInt,
    LogUniform,
    OneMinus,
    QUniform,
    RandInt,
    Uniform,
)
from raydnn.space.domains.normal import LogNormal, Normal
from raydnn.space.domains.syntax import Value, write_value

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

TAIL = 1e-3
"""Share of a normal distribution left out at each end: samplers try the ends of a range, and it has none."""


def suggest(space: Space, trial: BaseTrial) -> Assignment:
    """Ask Optuna for every parameter that a trial has.

    A name stands for one distribution, as Optuna demands: it is the parameter's key, with the component in it
    (`optimizer.sgd.lr`), and where a rule narrows the domain, also what is left (`output in choice(linear,
    softmax)`), so that a sampler learns each narrowing on its own. What leaves a single value is not asked for.

    Args:
        space: The space.
        trial: Optuna's trial: of a study, fixed or frozen.

    Returns:
        Dotted path → value of what is active; the same that the trial's `params` gives again through
        `optuna.trial.FixedTrial`.
    """
    assignment: Assignment = {}
    for parameter in space.parameters:
        domain = space.domain(parameter, assignment)
        if domain is None:
            continue
        narrowed = domain != parameter.domain
        name = f"{parameter.key} in {domain}" if narrowed else parameter.key
        assignment[parameter.path] = _ask(trial, name, domain)
    return assignment


def _ask(trial: BaseTrial, name: str, domain: Domain) -> Value:
    if domain.size() == 1:
        return domain.values()[0]
    return ASKED[type(domain)](trial, name, domain)


def _number(trial: BaseTrial, name: str, domain: Uniform | LogUniform) -> float:
    return trial.suggest_float(name, domain.from_unit(0), domain.from_unit(1), log=domain.log)


def _one_minus(trial: BaseTrial, name: str, domain: OneMinus) -> Value:
    """The number inside is asked for, on its own scale."""
    return domain.turned(_number(trial, f"1 - {name}", domain.inside))


def _integer(trial: BaseTrial, name: str, domain: RandInt | LogRandInt) -> int:
    return trial.suggest_int(name, domain.a, domain.b - 1, log=domain.log)


def _step(trial: BaseTrial, name: str, domain: QUniform) -> Value:
    """The number of the step is asked for, since decimal steps are not exact in binary numbers."""
    return domain.values()[trial.suggest_int(f"step of {name}", 0, domain.size() - 1)]


def _quantile(trial: BaseTrial, name: str, domain: Normal) -> Value:
    """The quantile is asked for: Optuna has no normal distribution, and so its prior stays ours."""
    return domain.from_unit(trial.suggest_float(f"quantile of {name}", TAIL, 1 - TAIL))


def _option(trial: BaseTrial, name: str, domain: Choice) -> Value:
    """The text is asked for: Optuna takes no lists, and holds 1, 1.0 and true for one choice."""
    options = {write_value(option): option for option in domain.options}
    return options[trial.suggest_categorical(name, list(options))]


ASKED: Mapping[type[Domain], Callable[[BaseTrial, str, Any], Value]] = {
    Uniform: _number,
    LogUniform: _number,
    OneMinus: _one_minus,
    RandInt: _integer,
    LogRandInt: _integer,
    QUniform: _step,
    Normal: _quantile,
    LogNormal: _quantile,
    Choice: _option,
    Grid: _option,
}
"""Class of a domain → what Optuna is asked for."""

"""What the searchers that use Optuna share: a quiet study in memory, and trials made outside of it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from raydnn.space.conditional import Assignment, Space
from raydnn.space.domains.domain import Choice, Domain, OneMinus, QUniform
from raydnn.space.domains.normal import Normal
from raydnn.space.domains.syntax import Value, write_value
from raydnn.space.suggest import suggest

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler


@contextmanager
def quiet() -> Iterator[None]:
    """Optuna's notices are for those who call it themselves."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def new_study(sampler: BaseSampler) -> Study:
    """An empty study in memory; less is better."""
    import optuna

    with quiet():
        return optuna.create_study(direction="minimize", sampler=sampler)


def asked(space: Space, assignment: Assignment) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    """Turn `suggest` round: what Optuna would have had to answer to give an assignment.

    Returns:
        Name → answer, and name → distribution.
    """
    known = _Known(_answers(space, assignment))
    suggest(space, known)  # type: ignore[arg-type] # all that `suggest` calls is there
    return known.params, known.distributions


class _Known:
    """Stands in for Optuna's trial: it answers what it was told to, in order, and notes what it was asked."""

    def __init__(self, answers: Iterator[Any]) -> None:
        self._answers = answers
        self.params: dict[str, Any] = {}
        self.distributions: dict[str, BaseDistribution] = {}

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> Any:
        from optuna.distributions import FloatDistribution

        answer = self._note(name, FloatDistribution(low, high, log=log))
        # A draw from the tails of a normal distribution, which `suggest` cuts off, stands at the cut.
        self.params[name] = min(max(answer, low), high)
        return self.params[name]

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> Any:
        from optuna.distributions import IntDistribution

        return self._note(name, IntDistribution(low, high, log=log))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        from optuna.distributions import CategoricalDistribution

        return self._note(name, CategoricalDistribution(choices))

    def _note(self, name: str, distribution: BaseDistribution) -> Any:
        self.distributions[name] = distribution
        self.params[name] = next(self._answers)
        return self.params[name]


def _answers(space: Space, assignment: Mapping[str, Value]) -> Iterator[Any]:
    for parameter in space.parameters:
        domain = space.domain(parameter, assignment)
        if domain is not None and domain.size() != 1:
            yield _answer(domain, assignment[parameter.path])


def _answer(domain: Domain, value: Any) -> Any:
    match domain:
        case OneMinus():
            return domain.turned(value)
        case QUniform():
            return list(domain.values()).index(value)
        case Normal():
            return domain.to_unit(value)
        case Choice():
            return write_value(value)
    return value

"""Rules between parameters: what an earlier one leaves a later one, so that no draw contradicts itself.

A rule narrows what a sweep searches, never what a job fixes: a fixed value that contradicts a draw stays an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from raydnn.space.conditional import Parameter, Rule, Space
from raydnn.space.kinds import (
    BEFORE_GATES,
    BESIDE_GATES,
    BESIDE_USER_MODULES,
    KINDS,
    NO_SELU_WITH_SKIPS,
    Kind,
)
from raydnn.spec.checks.compatibility import GATED
from raydnn.spec.job import Job

ALL = "all"


def with_rules(job: Job, parameters: Sequence[Parameter]) -> Space:
    """A space with every rule that applies to its parameters, each parameter after those that decide on it.

    Args:
        job: The job whose fixed values decide where nothing is searched.
        parameters: Parents before children.
    """
    searched = {parameter.path for parameter in parameters}
    of_all = {parameter.path for parameter in parameters if _of_all(job, parameter)}
    rules = []
    for kind in _kinds(job, parameters):
        beside = {kind.path, kind.beside or kind.path}
        reads = tuple(path for path in kind.reads if path in searched)
        if beside <= searched and (reads or (kind.of_all and beside & of_all)):
            rules.append(Rule(kind.text, kind.path, reads, partial(kind.narrow, job)))
    settled = [left for parameter in parameters for left in _settle(parameter, rules)]
    space = Space(tuple(parameter for parameter in settled if _possible(parameter, settled)), tuple(rules))
    return replace(space, parameters=tuple(_ordered(space)))


def _kinds(job: Job, parameters: Sequence[Parameter]) -> Sequence[Kind]:
    chosen = [parameter.domain.values() for parameter in parameters if parameter.path == "model.name"]
    models = chosen[0] if chosen else (job.model.name,)
    kinds = KINDS
    if all(parameter.path != "activation.name" for parameter in parameters):
        kinds = (*kinds, *BEFORE_GATES)
    beside = [
        *(BESIDE_USER_MODULES if "module" in models else ()),
        *(BESIDE_GATES if set(GATED) & set(models) else ()),
    ]
    if not beside:
        return kinds
    # Where the activation depends on the model, the model cannot depend on the activation.
    free = [kind for kind in kinds if kind.path != "model.name" or kind in BEFORE_GATES]
    return [*free, *beside, NO_SELU_WITH_SKIPS]


def _of_all(job: Job, parameter: Parameter) -> bool:
    return job.search is not None and job.search.space[parameter.written] == ALL


def _settle(parameter: Parameter, rules: Sequence[Rule]) -> list[Parameter]:
    """The parameter after the rules that fixed values decide; nothing if it can never exist."""
    for rule in rules:
        if rule.path == parameter.path and not rule.reads:
            domain = rule.narrow({}, parameter.domain)
            if domain is None:
                return []
            parameter = replace(parameter, domain=domain)
    return [parameter]


def _possible(parameter: Parameter, settled: Sequence[Parameter]) -> bool:
    """Whether what the parameter depends on can still have the value it takes."""
    return all(
        any(other.path == path and value in other.domain.values() for other in settled)
        for path, value in ((condition.path, condition.value) for condition in parameter.conditions)
    )


def _ordered(space: Space) -> list[Parameter]:
    ordered: dict[str, Parameter] = {}

    def place(parameter: Parameter) -> None:
        needs = space.needs(parameter)
        for other in space.parameters:
            if other.path in needs and other.key not in ordered:
                place(other)
        ordered[parameter.key] = parameter

    for parameter in space.parameters:
        if parameter.key not in ordered:
            place(parameter)
    return list(ordered.values())

"""Search algorithms: how a sweep's trials are proposed.

Those that learn propose a generation of trials at once and then wait for all its results;
`raydnn.search.algorithms.searcher` says what that means for a sweep.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from raydnn.spec.base import Component, PositiveNumbers, parameter


class SearchAlgorithm(Component):
    """What every search algorithm says of itself."""

    ends: ClassVar[bool] = False
    """Whether it comes to an end by itself, so that `search.trials` may be left out."""


class Random(SearchAlgorithm):
    """Independent draws from the space."""

    source: ClassVar[str] = "Bergstra & Bengio 2012"

    name: Literal["random"] = "random"


class Grid(SearchAlgorithm):
    """Every combination of the space's choices; it must hold no continuous range."""

    ends: ClassVar[bool] = True

    name: Literal["grid"] = "grid"


class Sobol(SearchAlgorithm):
    """The points of a scrambled Sobol sequence, which fill the space more evenly than independent draws."""

    source: ClassVar[str] = "Sobol' 1967; scrambled as in Matoušek 1998; scipy.stats.qmc.Sobol"

    name: Literal["sobol"] = "sobol"


class Tpe(SearchAlgorithm):
    """Tree-structured Parzen estimator: proposes where good results are dense and bad ones are not."""

    formula: ClassVar[str] = (
        "x maximizing l(x) / g(x) among candidates drawn from l; l, g: densities of the best ⌈√n / 4⌉ and the other "
        "results, multivariate within each group of parameters that occur together"
    )
    note: ClassVar[str] = (
        "Proposals come in batches so that stacks are full. On smooth synthetic functions a batch of 16 "
        "needs many more trials than one proposal at a time; on 12 tables of real networks 20 seeds "
        "showed no difference. batch: 1 proposes one at a time."
    )
    source: ClassVar[str] = (
        "Bergstra et al. 2011; multivariate as in Falkner et al. 2018, arXiv:1807.01774; optuna.samplers.TPESampler"
    )

    name: Literal["tpe"] = "tpe"
    batch: int = parameter(16, "trials proposed at once, each aware of those proposed before it", ge=1)
    startup: int = parameter(16, "trials drawn at random before the first proposal", ge=1)
    candidates: int = parameter(24, "points a proposal is the best of", ge=1)


class Gp(SearchAlgorithm):
    """Bayesian optimization with a Gaussian process; for sweeps of up to a few hundred trials."""

    formula: ClassVar[str] = (
        "x maximizing log E[max(0, best − f(x))], f a Gaussian process with a Matérn 5/2 kernel and a length "
        "scale for each parameter; the worst results are capped; an absent parameter is at its middle"
    )
    source: ClassVar[str] = (
        "Jones et al. 1998; Ament et al. 2023, arXiv:2310.20708; absent parameters as in Hutter et al. 2011; "
        "optuna.samplers.GPSampler"
    )

    name: Literal["gp"] = "gp"
    batch: int = parameter(8, "trials proposed at once, each aware of those proposed before it", ge=1)
    startup: int = parameter(16, "trials drawn at random before the first proposal", ge=1)


class CmaEs(SearchAlgorithm):
    """CMA-ES: a normal distribution that moves and turns towards the better half of its draws.

    Choices have a categorical distribution each, which moves along; whole numbers keep a least chance to change.
    """

    formula: ClassVar[str] = (
        "x ~ N(m, σ² C) in the unit cube of the ranges; m, σ, C follow the ranks of the results"
    )
    source: ClassVar[str] = (
        "Hansen & Ostermeier 2001; with choices: Hamano et al. 2025, arXiv:2504.07884; cmaes.CatCMAwM"
    )

    name: Literal["cmaes"] = "cmaes"
    population: int | None = parameter(
        None, "trials of a generation; null: 4 + 3 ln of the number of parameters searched", ge=4
    )
    sigma: float = parameter(0.3, "first standard deviation, as a share of each range", gt=0, le=1)


class Evolution(SearchAlgorithm):
    """Genetic algorithm: children of good trials, mixed by uniform crossover and mutated."""

    formula: ClassVar[str] = (
        "parent: best of `tournament` drawn from a generation and the elite; each gene of a child from either "
        "parent; mutated gene: u + N(0, mutation_step²), turned back at the ends of its range; a choice is drawn anew"
    )
    source: ClassVar[str] = "Holland 1975; uniform crossover: Syswerda 1989; elitism: De Jong 1975"

    name: Literal["evolution"] = "evolution"
    population: int = parameter(16, "trials of a generation", ge=2)
    elite: int = parameter(4, "best trials of all so far that stay parents", ge=0)
    tournament: int = parameter(4, "trials a parent is the best of", ge=1)
    crossover: float = parameter(0.9, "chance that a child has two parents", ge=0, le=1)
    mutation_rate: float = parameter(0.2, "chance that a gene changes; one always does", ge=0, le=1)
    mutation_step: float = parameter(0.1, "standard deviation of a change, as a share of a range", gt=0, le=1)


class Pso(SearchAlgorithm):
    """Particle swarm: particles fly towards their own best point and the swarm's; for numerical ranges only."""

    formula: ClassVar[str] = (
        "v ← inertia·v + cognitive·r₁·(own best − x) + social·r₂·(swarm's best − x), x ← x + v in the unit cube; "
        "r₁, r₂ uniform in [0, 1) for each coordinate"
    )
    source: ClassVar[str] = (
        "Kennedy & Eberhart 1995; inertia: Shi & Eberhart 1998; values: Clerc & Kennedy 2002"
    )

    name: Literal["pso"] = "pso"
    population: int = parameter(16, "particles, which are the trials of a generation", ge=2)
    inertia: float = parameter(0.7298, "share of its speed that a particle keeps", ge=0, le=1)
    cognitive: float = parameter(1.4962, "pull of its own best point", ge=0)
    social: float = parameter(1.4962, "pull of the swarm's best point", ge=0)
    max_speed: float = parameter(0.5, "greatest change in a generation, as a share of a range", gt=0, le=1)


class Pbt(SearchAlgorithm):
    """Population based training: now and then the worst trials copy the best ones and change what they copied.

    The population is all trials of the sweep, drawn as in random. Every `interval_epochs` epochs all of them wait
    for one another; those of the lower quantile copy weights, optimizer state, running averages and configuration
    of one of the upper quantile each, and then explore: every searched number is multiplied by one of `factors`
    inside its domain, a choice takes a neighbour, or either is drawn anew. A trial's configuration is so a schedule:
    the table `events` has its steps (kind exploited). A trial that copies keeps its seed. Schedules and patience
    follow the values along the course of its weights, those of the copied trial before; its best epoch is its own.
    """

    formula: ClassVar[str] = (
        "⌈quantile · n⌉ of n trials, at most half: θ, state, x ← those of a trial drawn from as many of the best; "
        "then x ← x · factor or, with chance `resample`, x drawn from the space"
    )
    source: ClassVar[str] = (
        "Jaderberg et al. 2017, arXiv:1711.09846; ray.tune.schedulers.PopulationBasedTraining, synchronous"
    )

    name: Literal["pbt"] = "pbt"
    interval_epochs: int = parameter(1, "epochs between two exploits", ge=1)
    quantile: float = parameter(
        0.25, "share of the trials that copy, and of those that are copied", gt=0, le=0.5
    )
    resample: float = parameter(0.25, "chance that a value is drawn anew", ge=0, le=1)
    factors: PositiveNumbers = parameter((0.8, 1.2), "what a number may be multiplied by")

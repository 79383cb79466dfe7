"""Optimizers against torch.optim: every component, every hyperparameter, all members in one stack."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor

from raydnn.nn.layers.dense import dense_layout
from raydnn.optim.optimizers.registry import ON_CPU, OPTIMIZERS
from raydnn.optim.optimizers.stacked import StackOptimizer
from raydnn.spec.axes.adaptive import Adadelta, Adagrad, Adam, Adamax, AdamW, Nadam, RAdam, RmsProp
from raydnn.spec.axes.optimizer import Lion, Muon, Sgd, momentum_field
from raydnn.spec.base import Component

CPU = torch.device("cpu")
LAYOUT = replace(
    dense_layout("0", 2, 3)
    .followed_by(dense_layout("1", 3, 2))
    .followed_by(dense_layout("2", 2, 5, bias=False)),
    outputs=frozenset({"2.weight"}),
)
SHAPES = LAYOUT.shapes
SIZE = LAYOUT.size
INSIDE = torch.zeros(SIZE, dtype=torch.bool)
"""Which numbers of a row are parameters; the others are the gaps between them."""
for place in LAYOUT.spans.values():
    INSIDE[place] = True
STEPS = 200
NETWORK_STEPS = 60
"""Of a network, whose gradient takes ten times as long as the quadratic's."""

CASES: dict[str, list[Component]] = {
    "sgd": [
        Sgd(lr=0.05),
        Sgd(lr=0.02, momentum=0.9),
        Sgd(lr=0.03, momentum=0.8, nesterov=True),
        Sgd(lr=0.04, momentum=0.7, dampening=0.7),
        Sgd(lr=0.01, dampening=0.5),
        Sgd(lr=0.02, momentum=0.5, weight_decay=0.1),
        Sgd(lr=0.1, weight_decay=0.01, decay_bias=False),
        Sgd(lr=0.02, momentum=0.99, nesterov=True, weight_decay=1e-3),
    ],
    "rmsprop": [
        RmsProp(),
        RmsProp(lr=0.01, alpha=0.99, eps=1e-3),
        RmsProp(lr=0.02, momentum=0.9),
        RmsProp(lr=0.01, centered=True),
        RmsProp(lr=0.005, centered=True, momentum=0.5, weight_decay=0.1),
        RmsProp(lr=0.03, alpha=0.0, weight_decay=0.2, decay_bias=False),
    ],
    "adagrad": [
        Adagrad(),
        Adagrad(lr=0.5, lr_decay=0.1),
        Adagrad(lr=0.1, eps=0.1),
        Adagrad(lr=0.2, initial_accumulator=0.1),
        Adagrad(lr=0.3, initial_accumulator=2.0, lr_decay=0.01, weight_decay=0.1),
        Adagrad(lr=1.0, weight_decay=0.3, decay_bias=False),
    ],
    "adadelta": [
        Adadelta(),
        Adadelta(lr=10.0, rho=0.9),
        Adadelta(lr=3.0, eps=1e-3),
        Adadelta(rho=0.5, eps=1e-4, weight_decay=0.1),
        Adadelta(lr=5.0, rho=0.0),
        Adadelta(eps=1e-2, weight_decay=0.3, decay_bias=False),
    ],
    "adam": [
        Adam(),
        Adam(lr=0.1, beta1=0.5),
        Adam(lr=0.01, beta2=0.9),
        Adam(lr=0.02, eps=0.1),
        Adam(lr=0.03, weight_decay=0.1),
        Adam(lr=0.05, beta1=0.0, beta2=0.0, weight_decay=0.01, decay_bias=False),
        Adam(lr=0.05, beta2=0.8, amsgrad=True),
    ],
    "adamax": [
        Adamax(),
        Adamax(lr=0.1, beta1=0.5),
        Adamax(lr=0.05, beta2=0.9),
        Adamax(lr=0.02, eps=0.1),
        Adamax(lr=0.03, weight_decay=0.1),
        Adamax(lr=0.05, beta1=0.0, beta2=0.0, weight_decay=0.2, decay_bias=False),
    ],
    "nadam": [
        Nadam(),
        Nadam(lr=0.1, beta1=0.5),
        Nadam(lr=0.01, beta2=0.9, momentum_decay=1.0),
        Nadam(lr=0.02, eps=0.1, momentum_decay=0.0),
        Nadam(lr=0.03, weight_decay=0.1),
        Nadam(lr=0.05, beta1=0.0, beta2=0.0, weight_decay=0.2, decay_bias=False),
    ],
    "adamw": [
        AdamW(),
        AdamW(lr=0.1, beta1=0.5),
        AdamW(lr=0.01, beta2=0.9),
        AdamW(lr=0.02, eps=0.1),
        AdamW(lr=0.03, weight_decay=1.0),
        AdamW(lr=0.05, weight_decay=0.0),
        AdamW(lr=0.02, weight_decay=0.7, decay_bias=False),
    ],
    "radam": [
        RAdam(),
        RAdam(lr=0.1, beta1=0.5),
        RAdam(lr=0.05, beta2=0.9),
        RAdam(lr=0.02, eps=0.1),
        RAdam(lr=0.03, beta2=0.99, weight_decay=0.1),
        RAdam(lr=0.05, beta1=0.0, beta2=0.5, weight_decay=0.2, decay_bias=False),
    ],
    "lion": [
        Lion(),
        Lion(lr=0.01),
        Lion(lr=0.003, beta1=0.5),
        Lion(lr=0.01, beta2=0.9, weight_decay=1.0),
        Lion(lr=0.02, beta1=0.0, weight_decay=0.5, decay_bias=False),
    ],
    "muon": [
        Muon(),
        Muon(lr=0.01, momentum=0.5, adam_ratio=0.5),
        Muon(lr=0.05, nesterov=False, weight_decay=0.1),
        Muon(lr=0.01, match_rms=True, adam_ratio=1.0, weight_decay=0.3, decay_bias=False),
        Muon(lr=0.03, momentum=0.0, beta1=0.5, beta2=0.999, eps=1e-3),
    ],
}

Make = Callable[[Any, list[Any]], torch.optim.Optimizer]

ORACLES: dict[str, Make] = {
    "sgd": lambda spec, groups: torch.optim.SGD(
        groups, lr=spec.lr, momentum=spec.momentum, nesterov=spec.nesterov, dampening=spec.dampening
    ),
    "rmsprop": lambda spec, groups: torch.optim.RMSprop(
        groups, lr=spec.lr, alpha=spec.alpha, eps=spec.eps, momentum=spec.momentum, centered=spec.centered
    ),
    "adagrad": lambda spec, groups: torch.optim.Adagrad(
        groups,
        lr=spec.lr,
        lr_decay=spec.lr_decay,
        eps=spec.eps,
        initial_accumulator_value=spec.initial_accumulator,
    ),
    "adadelta": lambda spec, groups: torch.optim.Adadelta(groups, lr=spec.lr, rho=spec.rho, eps=spec.eps),
    "adam": lambda spec, groups: torch.optim.Adam(groups, **_adam(spec), amsgrad=spec.amsgrad),
    "adamax": lambda spec, groups: torch.optim.Adamax(groups, **_adam(spec)),
    "nadam": lambda spec, groups: torch.optim.NAdam(
        groups, **_adam(spec), momentum_decay=spec.momentum_decay
    ),
    "adamw": lambda spec, groups: torch.optim.AdamW(groups, **_adam(spec)),
    "radam": lambda spec, groups: torch.optim.RAdam(groups, **_adam(spec)),
    "lion": lambda spec, groups: _Lion(groups, {"lr": spec.lr, "betas": (spec.beta1, spec.beta2)}),
    "muon": lambda spec, groups: _MuonAndAdamW(groups, spec),
}

ALL = [spec for specs in CASES.values() for spec in specs]


class _Lion(torch.optim.Optimizer):
    """Program 1 of Chen et al. 2023, arXiv:2302.06675."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for parameter in group["params"]:
                gradient = parameter.grad
                momentum = self.state[parameter].get("momentum", torch.zeros_like(parameter))
                update = (beta1 * momentum + (1 - beta1) * gradient).sign()
                self.state[parameter]["momentum"] = beta2 * momentum + (1 - beta2) * gradient
                update = update + parameter * group["weight_decay"]
                parameter -= update * group["lr"]


class _MuonAndAdamW(torch.optim.Optimizer):
    """torch's Muon for the weights of all layers but the last, torch's AdamW for everything else."""

    def __init__(self, groups: list[Any], spec: Muon) -> None:
        super().__init__(groups, {"lr": spec.lr})
        weights, *rest = (group["params"] for group in groups)
        self._ratio = spec.adam_ratio
        self._muon = torch.optim.Muon(
            weights[:-1],
            lr=spec.lr,
            momentum=spec.momentum,
            nesterov=spec.nesterov,
            weight_decay=spec.weight_decay,
            adjust_lr_fn="match_rms_adamw" if spec.match_rms else "original",
        )
        decays = [group["weight_decay"] for group in groups]
        others = [
            {"params": p, "weight_decay": d} for p, d in zip([weights[-1:], *rest], decays, strict=True)
        ]
        self._adamw = torch.optim.AdamW(others, **_adam(spec))

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        lr = self.param_groups[0]["lr"]
        for optimizer, ratio in ((self._muon, 1.0), (self._adamw, self._ratio)):
            for group in optimizer.param_groups:
                group["lr"] = lr * ratio
        # torch rounds to bfloat16 in between; we do not.
        with mock.patch.object(Tensor, "bfloat16", Tensor.clone):
            self._muon.step()
        self._adamw.step()


def _adam(spec: Any) -> dict[str, Any]:
    return {"lr": spec.lr, "betas": (spec.beta1, spec.beta2), "eps": spec.eps}


Gradient = Callable[[Tensor, int], Tensor]
"""(parameters (n, SIZE), step) → gradients (n, SIZE)"""


def _quadratic() -> Gradient:
    """The gradient of a quadratic, in a wind that changes with the step."""
    rng = torch.Generator().manual_seed(7)
    curvature = torch.rand(SIZE, generator=rng) + 0.1
    target = torch.randn(SIZE, generator=rng)
    wind = torch.randn(STEPS + 1, SIZE, generator=rng)
    return lambda parameters, step: (curvature * (parameters - target) + 0.3 * wind[step]) * INSIDE


def _network() -> Gradient:
    """The gradient of a small network's squared error on 16 examples, others in every step."""
    rng = torch.Generator().manual_seed(8)
    inputs = torch.randn(STEPS + 1, 16, 2, generator=rng)
    targets = torch.randn(STEPS + 1, 16, 5, generator=rng)

    def gradient(parameters: Tensor, step: int) -> Tensor:
        rows = parameters.clone().requires_grad_()
        w = {name: rows[:, place].view(-1, *SHAPES[name]) for name, place in LAYOUT.spans.items()}
        hidden = torch.tanh(inputs[step] @ w["0.weight"].mT + w["0.bias"].unsqueeze(1))
        hidden = torch.tanh(hidden @ w["1.weight"].mT + w["1.bias"].unsqueeze(1))
        loss = (hidden @ w["2.weight"].mT - targets[step]).square().mean(dim=(1, 2)).sum()
        (found,) = torch.autograd.grad(loss, rows)
        return found

    return gradient


def _start(members: int) -> Tensor:
    return torch.randn(members, SIZE, generator=torch.Generator().manual_seed(9)) * INSIDE


def _lr(spec: Any, step: int) -> float:
    return float(spec.lr / (1 + 0.01 * step))


def _lrs(specs: list[Component], steps: range) -> Tensor:
    return torch.tensor([[_lr(spec, step) for spec in specs] for step in steps], dtype=torch.float64)


def _optimizer(specs: list[Component]) -> StackOptimizer:
    return StackOptimizer(specs, LAYOUT, CPU, torch.get_default_dtype())


def _oracle(
    spec: Any,
    start: Tensor,
    gradient: Gradient,
    momentum: Callable[[int], float] | None = None,
    steps: int = STEPS,
) -> Tensor:
    row = start.clone()
    views = {name: row[place].view(SHAPES[name]) for name, place in LAYOUT.spans.items()}
    leaves = {name: view.clone().requires_grad_() for name, view in views.items()}
    groups = []
    for dimensions, decay in ((2, spec.weight_decay), (1, spec.weight_decay * spec.decay_bias)):
        members = [leaf for leaf in leaves.values() if leaf.dim() == dimensions]
        groups.append({"params": members, "weight_decay": decay})
    optimizer = ORACLES[spec.name](spec, groups)
    for step in range(steps):
        (gradients,) = gradient(row.unsqueeze(0), step)
        for name, place in LAYOUT.spans.items():
            leaves[name].grad = gradients[place].view(SHAPES[name]).clone()
        for group in optimizer.param_groups:
            group["lr"] = _lr(spec, step)
            if momentum is not None and "betas" in group:
                group["betas"] = (momentum(step), group["betas"][1])
            elif momentum is not None:
                group["momentum"] = momentum(step)
        optimizer.step()
        for name, view in views.items():
            view.copy_(leaves[name].detach())
    return row


def _train(
    optimizer: StackOptimizer,
    specs: list[Component],
    parameters: Tensor,
    gradient: Gradient,
    steps: range,
) -> None:
    optimizer.plan(_lrs(specs, steps))
    for step in steps:
        optimizer.step(parameters, gradient(parameters, step))


def _assert_close(found: Tensor, expected: Tensor) -> None:
    distance = (found - expected).norm() / expected.norm()
    assert distance < 1e-5


def test_the_table_covers_every_optimizer_and_every_hyperparameter() -> None:
    assert set(CASES) == set(ORACLES) == set(OPTIMIZERS)
    for name, specs in CASES.items():
        assert {spec.name for spec in specs} == {name}
        for field in type(specs[0]).model_fields.keys() - {"name"}:
            assert len({getattr(spec, field) for spec in specs}) > 1, f"{name}.{field} never varies"


@pytest.fixture
def double_precision() -> Iterator[None]:
    """Rounding errors grow on a bumpy landscape; in double precision they stay small enough to compare."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", CASES)
def test_one_stack_of_many_settings_follows_torch_on_a_quadratic(name: str) -> None:
    _assert_follows_torch(CASES[name], _quadratic())


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize("name", CASES)
def test_one_stack_of_many_settings_follows_torch_on_a_network(name: str) -> None:
    _assert_follows_torch(CASES[name], _network(), NETWORK_STEPS)


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize("name", ON_CPU)
def test_optimizers_with_a_kernel_for_the_cpu_follow_torch_without_it_as_well(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(ON_CPU, name)
    _assert_follows_torch(CASES[name], _network(), NETWORK_STEPS)


def _assert_follows_torch(specs: list[Component], gradient: Gradient, steps: int = STEPS) -> None:
    start = _start(len(specs))
    parameters = start.clone()
    _train(_optimizer(specs), specs, parameters, gradient, range(steps))
    for member, spec in enumerate(specs):
        _assert_close(parameters[member], _oracle(spec, start[member], gradient, steps=steps))


def test_a_mixed_stack_that_loses_members_on_the_way_follows_torch() -> None:
    # Families alternate, so that dropping members merges runs that were apart.
    specs = [spec for one_of_each in zip(*CASES.values(), strict=False) for spec in one_of_each]
    gradient = _quadratic()
    start = _start(len(specs))
    kept = [k for k in range(len(specs)) if k % 4 != 1]
    again = [k for k in kept if k % 9 == 0]
    assert len({specs[k].name for k in again}) >= 5
    parameters, left = start.clone(), range(len(specs))
    optimizer = _optimizer(specs)
    for steps, stay in ((range(70), kept), (range(70, 150), again), (range(150, STEPS), again)):
        _train(optimizer, [specs[k] for k in left], parameters, gradient, steps)
        positions = [position for position, k in enumerate(left) if k in stay]
        optimizer.keep(positions)
        parameters, left = parameters[positions], stay
    for position, k in enumerate(again):
        _assert_close(parameters[position], _oracle(specs[k], start[k], gradient))


@pytest.mark.parametrize("name", CASES)
def test_members_that_stay_take_the_steps_they_would_have_taken(name: str) -> None:
    specs, gradient = CASES[name], _quadratic()
    whole = _start(len(specs))
    part, kept = whole.clone(), [1, 2, 4]
    _train(_optimizer(specs), specs, whole, gradient, range(40))
    optimizer = _optimizer(specs)
    _train(optimizer, specs, part, gradient, range(20))
    optimizer.keep(kept)
    part = part[kept]
    _train(optimizer, [specs[k] for k in kept], part, gradient, range(20, 40))
    assert torch.equal(part, whole[kept])


def test_it_does_not_matter_over_how_many_plans_the_steps_are_spread() -> None:
    start, gradient = _start(len(ALL)), _quadratic()
    once, often = start.clone(), start.clone()
    _train(_optimizer(ALL), ALL, once, gradient, range(30))
    optimizer = _optimizer(ALL)
    for steps in (range(1), range(1, 2), range(2, 17), range(17, 30)):
        _train(optimizer, ALL, often, gradient, steps)
    assert torch.equal(once, often)


@pytest.mark.parametrize("spec", ALL, ids=str)
def test_a_member_alone_is_bitwise_the_member_in_the_stack(spec: Component) -> None:
    start, gradient = _start(len(ALL)), _quadratic()
    together = start.clone()
    _train(_optimizer(ALL), ALL, together, gradient, range(30))
    member = ALL.index(spec)
    alone = start[member : member + 1].clone()
    _train(_optimizer([spec]), [spec], alone, gradient, range(30))
    assert torch.equal(alone[0], together[member])


def test_a_saved_state_goes_on_bitwise() -> None:
    start, gradient = _start(len(ALL)), _quadratic()
    parameters = start.clone()
    first = _optimizer(ALL)
    _train(first, ALL, parameters, gradient, range(20))
    saved = {name: tensor.clone() for name, tensor in first.state_tensors().items()}
    resumed = parameters.clone()
    _train(first, ALL, parameters, gradient, range(20, 40))
    second = _optimizer(ALL)
    second.load_state_tensors(saved)
    _train(second, ALL, resumed, gradient, range(20, 40))
    assert torch.equal(parameters, resumed)


def test_a_state_that_lacks_a_buffer_is_refused() -> None:
    optimizer = _optimizer([Adam()])
    with pytest.raises(KeyError, match="square"):
        optimizer.load_state_tensors({"steps": torch.zeros(1, 1), "0.mean": torch.zeros(1, SIZE)})


def test_a_member_that_turned_nan_leaves_the_others_as_they_are() -> None:
    start, gradient = _start(len(ALL)), _quadratic()
    expected = start.clone()
    _train(_optimizer(ALL), ALL, expected, gradient, range(10))
    broken = start.clone()
    broken[3] = float("nan")
    broken[9] = float("inf")
    _train(_optimizer(ALL), ALL, broken, gradient, range(10))
    healthy = [member for member in range(len(ALL)) if member not in (3, 9)]
    assert torch.equal(broken[healthy], expected[healthy])
    assert not broken[[3, 9]][:, INSIDE].isfinite().any()


def test_dampening_equal_to_momentum_is_plain_momentum_with_a_smaller_step() -> None:
    """v ← μv − (1−μ)g takes the steps of v ← μv − g at (1−μ)η, but for the first v, which torch does not damp."""
    start, gradient = _start(1), _quadratic()
    frozen = [gradient(start, step) for step in range(100)]
    ends = []
    for spec in (Sgd(lr=0.1, momentum=0.5, dampening=0.5), Sgd(lr=0.05, momentum=0.5)):
        parameters, optimizer = start.clone(), _optimizer([spec])
        optimizer.plan(torch.full((100, 1), spec.lr, dtype=torch.float64))
        for gradients in frozen:
            optimizer.step(parameters, gradients.clone())
        ends.append(parameters)
    # The first gradient counts μ more than it should, in steps that add up to ημ/(1−μ) = η.
    torch.testing.assert_close(ends[1] - ends[0], 0.1 * frozen[0], rtol=0, atol=1e-4)


def _cycled(step: int) -> float:
    return 0.95 - 0.1 * step / STEPS


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize("name", [name for name in CASES if name not in ("adagrad", "adadelta", "muon")])
def test_a_momentum_that_changes_with_the_step_is_torchs(name: str) -> None:
    field = momentum_field(type(CASES[name][0]).model_fields)
    assert field is not None
    # Without a memory of past squares a large momentum makes steps so wild that rounding decides.
    calm = [spec for spec in CASES[name] if getattr(spec, "beta2", 1.0) > 0]
    specs = [spec.model_copy(update={field: 0.95}) for spec in calm]
    start, gradient = _start(len(specs)), _quadratic()
    parameters, optimizer = start.clone(), _optimizer(specs)
    lr = _lrs(specs, range(STEPS))
    momentum = torch.tensor([_cycled(step) for step in range(STEPS)]).unsqueeze(1).expand_as(lr)
    optimizer.plan(lr, momentum)
    for step in range(STEPS):
        optimizer.step(parameters, gradient(parameters, step))
    for member, spec in enumerate(specs):
        _assert_close(parameters[member], _oracle(spec, start[member], gradient, _cycled))


def test_a_momentum_for_optimizers_without_one_changes_nothing() -> None:
    specs: list[Component] = [Adagrad(lr=0.1), Adadelta()]
    start, gradient = _start(2), _quadratic()
    found = []
    for momentum in (None, torch.tensor([[0.5, float("nan")]] * 5, dtype=torch.float64)):
        parameters, optimizer = start.clone(), _optimizer(specs)
        optimizer.plan(_lrs(specs, range(5)), momentum)
        for step in range(5):
            optimizer.step(parameters, gradient(parameters, step))
        found.append(parameters)
    assert torch.equal(*found)

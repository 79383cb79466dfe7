"""A user's own module: what lies in the stack's rows, whether it vectorizes, and the one-line errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from raydnn.data.inputs import Inputs
from raydnn.errors import JobError
from raydnn.nn.models.users.module import Modules, user_module
from raydnn.spec.job import Training
from raydnn.spec.trial import TrialSpec
from raydnn.stacking.context import Context
from raydnn.stacking.noise import Noise

CLASSES = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, inputs, outputs, width=5):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(inputs, width), nn.Tanh(), nn.Linear(width, outputs))

    def forward(self, x):
        return self.body(x)


class Picture(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.kernels = nn.Conv2d(1, 3, 2)
        self.head = nn.LazyLinear(outputs)
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, x):
        return self.scale * self.head(self.kernels(x.view(-1, 1, 2, 3)).relu().flatten(1))


class Centred(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.centre = nn.Parameter(torch.randn(inputs), requires_grad=False)
        self.register_buffer("order", torch.randperm(inputs))
        self.out = nn.Linear(inputs, outputs)
        self.again = self.out

    def forward(self, x):
        return self.again((x - self.centre)[:, self.order])


class Branching(Net):
    def forward(self, x):
        return self.body(x if x.sum() > 0 else -x)


class Dropping(Net):
    def forward(self, x):
        return self.body(nn.functional.dropout(x, 0.5, self.training))


class Counting(Net):
    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("steps", torch.tensor(0))

    def forward(self, x):
        if self.training:
            self.steps += 1
            self.mean = self.mean + (x.mean(0) - self.mean) / self.steps
        return self.body(x - self.mean)


class Flat(Net):
    def forward(self, x):
        return self.body(x).sum(1)


class Still(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()

    def forward(self, x):
        return x[:, :3]


class Other:
    pass


class Broken(Net):
    def forward(self, x):
        raise RuntimeError("no way" if self.training else "never")
"""


@pytest.fixture(autouse=True)
def _their_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_classes.py").write_text(CLASSES)
    monkeypatch.syspath_prepend(tmp_path)


def _trial(name: str, seed: int = 0, **arguments: Any) -> TrialSpec:
    model = {"name": "module", "path": f"their_classes:{name}", "arguments": arguments}
    given = {"data": "digits", "optimizer": "sgd", "model": model, "seed": seed}
    return TrialSpec.from_training(Training.model_validate(given))


def _stack(*trials: TrialSpec) -> tuple[Modules, torch.Tensor, torch.Tensor]:
    network = user_module(trials[0], Inputs((6,)), 3)
    flat, statistics = (torch.stack(rows) for rows in zip(*map(network.start, trials), strict=True))
    module = network.module(flat, trials, statistics)
    assert isinstance(module, Modules)
    return module, flat, statistics


def _outputs(*trials: TrialSpec, examples: torch.Tensor, noise: Noise | None = None) -> torch.Tensor:
    module, _, _ = _stack(*trials)
    outputs: torch.Tensor = module(examples, Context(noise, examples.shape[-2]))
    return outputs


@pytest.mark.parametrize("name", ["Net", "Picture", "Centred"])
def test_what_vectorizes_equals_the_class_itself(name: str) -> None:
    trials = [_trial(name, seed) for seed in (3, 4, 4)]
    module, flat, statistics = _stack(*trials)
    assert module.vectorizes
    examples = torch.randn(5, 6)
    together = module(examples, Context(Noise([3, 4, 4], 1, flat.device), 5))
    layout = user_module(trials[0], Inputs((6,)), 3).layout
    assert [n for n, _ in module.named_parameters()] == list(layout.shapes)
    for k, trial in enumerate(trials):
        users = type(module._users[0])(6, 3)
        users(examples)
        row = slice(k, k + 1)
        views = layout.views(flat[row]) | layout.statistics_views(statistics[row])
        users.load_state_dict({name: view[0] for name, view in views.items()}, strict=False)
        torch.testing.assert_close(together[k], users(examples))
        torch.testing.assert_close(together[k : k + 1], _outputs(trial, examples=examples))
    torch.testing.assert_close(together[1], together[2])
    assert not torch.equal(together[0], together[1])


def test_frozen_parameters_and_buffers_are_kept_beside_what_is_learned() -> None:
    layout = user_module(_trial("Centred"), Inputs((6,)), 3).layout
    assert layout.shapes == {"out.weight": (3, 6), "out.bias": (3,)}
    assert {name: kept.shape for name, kept in layout.statistics.items()} == {"centre": (6,), "order": (6,)}
    assert user_module(_trial("Picture"), Inputs((6,)), 3).layout.count == 12 + 3 + 18 + 3 + 1


@pytest.mark.parametrize(
    ("name", "reason"),
    [("Branching", "data-dependent"), ("Dropping", "random"), ("Counting", "buffer mean changes")],
)
def test_what_does_not_vectorize_is_run_in_turn_and_the_stack_says_why(name: str, reason: str) -> None:
    trials = [_trial(name, seed) for seed in (3, 4, 3)]
    module, _, _ = _stack(*trials)
    assert not module.vectorizes
    assert reason in module.why_in_turn
    examples = torch.randn(3, 5, 6)
    for noise in (None, [3, 4, 3]):
        together = module(examples, Context(noise and Noise(noise, 1, examples.device), 5))
        for k, trial in enumerate(trials):
            own = noise and Noise([trial.seed], 1, examples.device)
            assert torch.equal(together[k : k + 1], _outputs(trial, examples=examples[k], noise=own))


def test_draws_go_on_within_an_epoch_and_leave_the_global_generator_alone() -> None:
    module, flat, _ = _stack(_trial("Dropping"))
    examples, before = torch.randn(5, 6), torch.get_rng_state()
    noise, again, later = (Noise([0], epoch, flat.device) for epoch in (1, 1, 2))
    first, second = module(examples, Context(noise, 5)), module(examples, Context(noise, 5))
    assert not torch.equal(first, second)
    assert torch.equal(first, module(examples, Context(again, 5)))
    assert not torch.equal(first, module(examples, Context(later, 5)))
    assert torch.equal(before, torch.get_rng_state())


def test_buffers_change_in_training_only_and_may_be_replaced() -> None:
    module, flat, statistics = _stack(_trial("Counting", 0), _trial("Counting", 1))
    noise = Noise([0, 1], 1, flat.device)
    batches = torch.randn(3, 2, 5, 6)
    for batch in batches:
        module(batch, Context(noise, 5)).sum().backward()
    views = user_module(_trial("Counting"), Inputs((6,)), 3).layout.statistics_views(statistics)
    torch.testing.assert_close(views["mean"], batches.mean(dim=(0, 2)))
    assert views["steps"].tolist() == [3, 3]
    before = statistics.clone()
    module(batches[0])
    assert torch.equal(statistics, before)


@pytest.mark.parametrize(
    ("path", "arguments", "message"),
    [
        ("nowhere:Net", {}, "model.path: 'nowhere:Net' cannot be imported: ModuleNotFoundError"),
        ("their_classes:Nett", {}, "'their_classes' has no class 'Nett'; it has .*Did you mean 'Net'"),
        ("their_classes:Other", {}, "their_classes:Other is no torch.nn.Module"),
        ("their_classes:Net", {"widht": 4}, "model.arguments: unknown argument 'widht' .*width.*'width'"),
        (
            "their_classes:Net",
            {"width": "a"},
            r"model: their_classes:Net\(6, 3, width='a'\) fails: TypeError",
        ),
        ("their_classes:Flat", {}, r"makes a tensor of shape \(2,\) of inputs \(2, 6\); \(2, 3\) is needed"),
        ("their_classes:Still", {}, "their_classes:Still has no parameter to learn"),
        ("their_classes:Broken", {}, "fails: RuntimeError: never"),
    ],
)
def test_what_cannot_be_trained_is_said_in_one_line(
    path: str, arguments: dict[str, Any], message: str
) -> None:
    trial = _trial("Net")
    model = trial.model.model_validate({"name": "module", "path": path, "arguments": arguments})
    with pytest.raises(JobError, match=message) as raised:
        user_module(trial.model_copy(update={"model": model}), Inputs((6,)), 3)
    assert "\n" not in str(raised.value)

"""User's code that fails, leaves, forks or gives what is no loss: one line with its place, and a trial that FAILED."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from raydnn.errors import Interrupt, RaydnnError, UserCodeError
from raydnn.nn.user_code import described
from raydnn.search.packing import StackPlan
from raydnn.spec.trial import TrialSpec
from raydnn.store.read import read
from raydnn.store.run import Run
from raydnn.training.session import run_stack
from raydnn.training.workers import Workers

CPU = torch.device("cpu")
HEAD = """import os, sys
import torch
from torch.nn.functional import cross_entropy


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no words")


class Leaves(BaseException):
    pass


def loss(outputs, targets):
"""
LINE = len(HEAD.splitlines())
CE = 'cross_entropy(outputs, targets, reduction="none")'
FAILING = {
    "raises": ("raise ValueError('no luck\\nand more')", 1, "ValueError", "ValueError: no luck"),
    "says nothing": ("raise ValueError", 1, "ValueError", "ValueError"),
    "cannot say": ("raise Mute", 1, "Mute", "Mute"),
    "says controls": ("raise ValueError('\\x1b[2Jgone\\x07')", 1, "ValueError", "ValueError: [2Jgone"),
    "exits": ("sys.exit(0)", 1, "SystemExit", "SystemExit: 0"),
    "interrupts": ("raise KeyboardInterrupt", 1, "KeyboardInterrupt", "KeyboardInterrupt"),
    "leaves": ("raise Leaves('away')", 1, "Leaves", "Leaves: away"),
    "lacks a key": ("return {}['weight']", 1, "KeyError", "KeyError: 'weight'"),
    "gives none": ("pass", 0, "UserCodeError", "gives NoneType"),
    "gives one": ("return cross_entropy(outputs, targets)", 0, "UserCodeError", "gives a tensor of shape ()"),
    "gives integers": ("return targets", 0, "UserCodeError", "gives a tensor of torch.int64"),
    "detaches": (f"return {CE}.detach()", 0, "UserCodeError", "gives losses without a gradient"),
    "in torch": ("return outputs @ outputs", 1, "RuntimeError", "RuntimeError: "),
}

Make = Callable[..., TrialSpec]
NewRun = Callable[..., Run]


@pytest.fixture
def module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Callable[[str], str]:
    """Write a module of the user's; returns its name, which is another one in every test."""
    monkeypatch.syspath_prepend(tmp_path)
    name = f"theirs_{abs(hash(request.node.nodeid)):x}"

    def write(text: str) -> str:
        (tmp_path / f"{name}.py").write_text(text)
        return name

    return write


@pytest.fixture(autouse=True)
def _ctrl_c_is_told() -> Iterator[None]:
    """As where a run is driven: then a plain KeyboardInterrupt comes from no signal."""

    def interrupt(*_: Any) -> None:
        raise Interrupt

    previous = signal.signal(signal.SIGINT, interrupt)
    yield
    signal.signal(signal.SIGINT, previous)


def _train(run: Run, *trials: TrialSpec) -> None:
    run_stack(
        run,
        StackPlan(0, tuple(enumerate(trials))),
        scheduler="none",
        judge=lambda *_: {},
        workers=Workers(),
        device=CPU,
    )


def _rows(run: Run) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read(run.location, "trials").to_pylist()
    return rows


@pytest.mark.parametrize("members", [1, 2])
@pytest.mark.parametrize("what", FAILING)
def test_a_loss_that_fails(
    module: Callable[[str], str], make_trial: Make, new_run: NewRun, what: str, members: int
) -> None:
    body, further, error_type, said = FAILING[what]
    name = module(f"{HEAD}    {body}\n")
    run = new_run()
    loss = {"name": "function", "path": f"{name}:loss"}
    with pytest.raises(UserCodeError) as raised:
        _train(run, *(make_trial(loss=loss, seed=seed) for seed in range(members)))
    text = str(raised.value)
    assert f"{name}.py:{LINE + further}: " in text
    assert said in text
    assert text.isprintable()
    assert pickle.loads(pickle.dumps(raised.value)).error_type == error_type
    for row in _rows(run):
        assert (row["state"], row["stop_reason"], row["error_type"]) == ("FAILED", "error", error_type)
        assert row["error"] == text
        assert f'{name}.py", line' in run.local_path(row["traceback_path"]).read_text() or not further


@pytest.mark.parametrize(
    ("forward", "said"),
    [
        ("return self.body(x).detach() if self.training else self.body(x)", "without a gradient"),
        (
            "return self.body(x)[:3] if self.training else self.body(x)",
            "a tensor of shape (3, 3) of inputs (16, 6)",
        ),
        ("return None if self.training and len(x) > 2 else self.body(x)", "NoneType"),
        (
            "return 1 / 0 if self.training and len(x) > 2 else self.body(x)",
            "ZeroDivisionError: division by zero",
        ),
        ("return sys.exit('bye') if len(x) > 2 else self.body(x)", "SystemExit: bye"),
    ],
)
def test_a_network_that_fails_in_training(
    module: Callable[[str], str], make_trial: Make, new_run: NewRun, forward: str, said: str
) -> None:
    name = module(
        "import sys\nfrom torch import nn\n\n\nclass Net(nn.Module):\n    def __init__(self, inputs, outputs):\n"
        f"        super().__init__()\n        self.body = nn.Linear(inputs, outputs)\n\n"
        f"    def forward(self, x):\n        {forward}\n"
    )
    run = new_run()
    with pytest.raises(RaydnnError) as raised:
        _train(run, make_trial(model={"name": "module", "path": f"{name}:Net"}))
    assert said in str(raised.value)
    assert f"{name}.py:1" in str(raised.value)
    assert [row["state"] for row in _rows(run)] == ["FAILED"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\nraise RuntimeError('not today')\n", ".py:2: loss.path: .* RuntimeError: not today"),
        ("import sys\nsys.exit(3)\n", ".py:2: loss.path: .* SystemExit: 3"),
        ("x = (\n", ".py:1: loss.path: .* SyntaxError: '[(]' was never closed"),
        ("import not_there_at_all\n", ".py:1: loss.path: .* ModuleNotFoundError: No module named 'not_there"),
    ],
)
def test_a_module_that_fails_while_it_is_imported(
    module: Callable[[str], str], make_trial: Make, new_run: NewRun, text: str, said: str
) -> None:
    run = new_run()
    loss = {"name": "function", "path": f"{module(text)}:loss"}
    with pytest.raises(UserCodeError, match=said):
        _train(run, make_trial(loss=loss))
    assert [row["state"] for row in _rows(run)] == ["FAILED"]


def test_an_error_that_torch_raises_after_the_users_code_has_returned(
    module: Callable[[str], str], make_trial: Make, new_run: NewRun
) -> None:
    name = module(
        f"{HEAD}    e = outputs.exp()\n    found = {CE} + e.sum(1)\n    e.add_(1)\n    return found\n"
    )
    with pytest.raises(UserCodeError, match=f"^{name}:loss: RuntimeError: one of the variables needed"):
        _train(new_run(), make_trial(loss={"name": "function", "path": f"{name}:loss"}))


def test_an_interrupt_is_none_of_the_users_errors(
    module: Callable[[str], str], make_trial: Make, new_run: NewRun
) -> None:
    name = module(f"from raydnn.errors import Interrupt\n{HEAD}    raise Interrupt\n")
    run = new_run()
    with pytest.raises(Interrupt):
        _train(run, make_trial(loss={"name": "function", "path": f"{name}:loss"}))
    assert [(row["state"], row["stop_reason"]) for row in _rows(run)] == [("PREEMPTED", "interrupted")]


def test_a_loss_that_forks_is_trained_once(
    module: Callable[[str], str], make_trial: Make, new_run: NewRun, tmp_path: Path
) -> None:
    """In a process of its own, since its copy must not go on with the tests."""
    name = module(
        f"{HEAD}    global CALLS\n    CALLS += 1\n    CALLS == 3 and os.fork()\n    return {CE}\nCALLS = 0\n"
    )
    run = new_run()
    trial = make_trial(loss={"name": "function", "path": f"{name}:loss"})
    (tmp_path / "trial.json").write_text(trial.config_json)
    code = (
        "import sys, torch\nfrom pathlib import Path\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "from raydnn.search.packing import StackPlan\nfrom raydnn.spec.trial import TrialSpec\n"
        "from raydnn.store.storage.files import locate\nfrom raydnn.store.run import run_at\n"
        "from raydnn.training.session import run_stack\nfrom raydnn.training.workers import Workers\n"
        f"trial = TrialSpec.from_json(Path({str(tmp_path / 'trial.json')!r}).read_text())\n"
        "torch.set_num_threads(1)\n"
        f"run_stack(run_at(locate({run.uri!r})), StackPlan(0, ((0, trial),)), scheduler='none',\n"
        "          judge=lambda *_: {}, workers=Workers(), device=torch.device('cpu'))\n"
        "print('trained')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "trained\n"
    assert done.stderr.count("has forked process") == 1
    assert [row["epoch"] for row in read(run.location, "epochs").to_pylist()] == [1, 2, 3]
    assert len(os.listdir(run.local_path("epochs"))) == 3


def test_an_error_is_one_line() -> None:
    assert described(RuntimeError("\n\n  a\tb \r\n c")) == "RuntimeError: a b"
    assert described(RuntimeError("")) == "RuntimeError"

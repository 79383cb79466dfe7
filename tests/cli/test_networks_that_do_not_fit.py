"""A network that does not fit its data, or itself, is one line on the command line before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

JOB = "name: wrong\noptimizer: adam\ntrain: {{epochs: 1}}\ndata: {data}\nmodel: {model}\n"
PICTURES = "{name: pictures, count: 200, size: 10}"
NUMBERS = "{name: sequences, count: 40, length: 10}"
GRID = "search: {algorithm: grid, space: {optimizer.lr: [0.1, 0.2]}}\n"
NO_SEQUENCE = "which are no tokens; needed: sequences (steps, features), or whole numbers (steps) from 0 on"
CASES: dict[str, tuple[str, str, int, str]] = {
    "too many stages": (
        PICTURES,
        "{name: cnn, channels: [2, 2, 2, 2]}",
        2,
        "job.yaml:5: model.channels: 4 stages with pictures of 10 × 10, of which nothing is left; fewer are needed",
    ),
    "heads": (
        NUMBERS,
        "{name: transformer, width: 10, heads: 4}",
        2,
        "job.yaml:5: model: heads: 4 with width: 10; allowed: 1, 2, 5, 10",
    ),
    "patch": (
        PICTURES,
        "{name: transformer, patch: 4}",
        2,
        "job.yaml:5: model.patch: 4 with pictures of 10 × 10; allowed: 1, 2, 5, 10",
    ),
    "table": (
        "{name: csv, path: table.csv, target: y}",
        "lstm",
        2,
        f"job.yaml:5: model: lstm with examples of 2 numbers, {NO_SEQUENCE}",
    ),
    "token in training": (
        "{name: npz, path: tokens.npz, validation: 5}",
        "{name: gru, vocabulary: 6}",
        5,
        "tokens.npz, array 'inputs', row 36: the token 9 is given; the vocabulary has 6, 0 to 5",
    ),
    "token in validation": (
        "{name: npz, path: tokens.npz, validation: 38}",
        "{name: gru, vocabulary: 6}",
        5,
        "tokens.npz, array 'inputs', row 36: the token 9 is given; the vocabulary has 6, 0 to 5",
    ),
    "token in the test part": (
        "{name: npz, path: tested.npz}",
        "transformer",
        5,
        "tested.npz, array 'test_inputs', row 36: the token 9 is given; the vocabulary has 6, 0 to 5",
    ),
    "negative token": (
        "{name: npz, path: negative.npz}",
        "rnn",
        5,
        "negative.npz, array 'inputs', row 3: the token -1 is given; the vocabulary has 6, 0 to 5",
    ),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shell's folder, with data."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "table.csv").write_text(
        "a,b,y\n" + "".join(f"{k % 7}.5,{k % 3},{k % 2}\n" for k in range(40))
    )
    tokens = np.arange(200).reshape(40, 5) % 6
    high, low = tokens.copy(), tokens.copy()
    high[35, 2], low[2, 1] = 9, -1
    targets = np.arange(40) % 2
    np.savez("tokens.npz", inputs=high, targets=targets)
    np.savez("negative.npz", inputs=low, targets=targets)
    np.savez("tested.npz", inputs=tokens, targets=targets, test_inputs=high, test_targets=targets)
    return tmp_path


@pytest.mark.parametrize("command", ["train", "sweep"])
@pytest.mark.parametrize("case", CASES)
def test_it_is_told_in_one_line_and_nothing_is_written(
    cli: Any, folder: Path, case: str, command: str
) -> None:
    data, model, code, message = CASES[case]
    text = JOB.format(data=data, model=model) + (GRID if command == "sweep" else "")
    (folder / "job.yaml").write_text(text)
    before = sorted(path.name for path in folder.iterdir())
    outcome = cli(command, "job.yaml")
    assert outcome.code == code
    told = [line for line in outcome.err.splitlines() if not line.startswith("preparing")]
    assert len(told) == 1
    assert message in told[0]
    assert sorted(path.name for path in folder.iterdir()) == before

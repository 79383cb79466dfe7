"""Trials' parameters in one column, where columns of their own would not fit."""

from __future__ import annotations

import pytest

from raydnn.cli.printing.trials import configuration, print_trials


def test_a_components_parameters_stand_behind_its_name() -> None:
    columns = {
        "optimizer_name": "sgd",
        "optimizer_lr": 0.123456,
        "optimizer_beta1": None,
        "train_batch_size": 32,
    }
    assert configuration(columns) == "optimizer=sgd(lr=0.123) train_batch_size=32"
    paths = {"init.name": "zeros", "optimizer.lr": 1e-5, "model.widths": [8, 4]}
    assert configuration(paths) == "init=zeros optimizer.lr=1e-05 model.widths=8, 4"


def test_a_narrow_table_keeps_its_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [("t00000", "sgd", 0.5), ("t00001", "adam", 0.25)]
    arguments = (("trial_id", "optimizer_name", "optimizer_lr"), rows, ("optimizer_name", "optimizer_lr"))
    for columns, heading in (
        (80, ["trial_id", "optimizer_name", "optimizer_lr"]),
        (30, ["trial_id", "configuration"]),
    ):
        monkeypatch.setenv("COLUMNS", str(columns))
        print_trials(*arguments, "table")
        assert capsys.readouterr().out.splitlines()[0].split() == heading
    print_trials(*arguments, "csv")
    assert capsys.readouterr().out.splitlines()[1] == "t00000,sgd,0.5"

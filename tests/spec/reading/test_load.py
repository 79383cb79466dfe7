"""Files that extend files, overrides, and which command a job is for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raydnn.errors import JobError
from raydnn.spec.reading.load import LoadedJob, load_job, require_sweep, require_training

BASE = """\
name: base
seed: 1
data: {name: digits, validation: 100}
optimizer: {name: sgd, lr: 0.5, momentum: 0.9}
train: {epochs: 7, early_stopping: {patience: 3}}
"""
SEARCH = "search: {trials: 4, space: {optimizer.lr: 'loguniform(1e-3, 1)', init: all}}\n"


@pytest.fixture(autouse=True)
def _in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(text: str, *overrides: str, **files: str) -> LoadedJob:
    for name, content in {"job": text, **files}.items():
        Path(f"{name}.yaml").write_text(content)
    return load_job("job.yaml", overrides)


def optimizer(loaded: LoadedJob) -> dict[str, Any]:
    return {
        key: value
        for key, value in loaded.job.optimizer.model_dump().items()
        if key in ("name", "lr", "momentum", "beta1")
    }


@pytest.mark.parametrize(
    ("child", "expected"),
    [
        ("{lr: 0.1}", {"name": "sgd", "lr": 0.1, "momentum": 0.9}),
        ("{name: sgd, lr: 0.1}", {"name": "sgd", "lr": 0.1, "momentum": 0.9}),
        ("sgd", {"name": "sgd", "lr": 0.5, "momentum": 0.9}),
        ("adam", {"name": "adam", "lr": 0.001, "beta1": 0.9}),
        ("{name: adam, lr: 0.1}", {"name": "adam", "lr": 0.1, "beta1": 0.9}),
    ],
)
def test_a_component_merges_unless_it_has_another_name(child: str, expected: dict[str, Any]) -> None:
    assert optimizer(load(f"extends: base.yaml\noptimizer: {child}\n", base=BASE)) == expected


def test_a_name_written_plainly_becomes_a_mapping_when_fields_are_added() -> None:
    loaded = load("extends: base.yaml\nschedule: {warmup_epochs: 2}\n", base=BASE + "schedule: cosine\n")
    assert loaded.job.schedule.name == "cosine"
    assert loaded.job.schedule.warmup_epochs == 2


def test_mappings_merge_field_by_field_and_the_nearest_file_wins() -> None:
    loaded = load(
        "extends: middle.yaml\nname: child\ntrain: {batch_size: 8}\n",
        middle="extends: base.yaml\nname: middle\ntrain: {epochs: 9, early_stopping: {min_delta: 0.1}}\n",
        base=BASE,
    )
    train = loaded.job.train
    assert (loaded.job.name, loaded.job.seed, train.epochs, train.batch_size) == ("child", 1, 9, 8)
    assert train.early_stopping is not None
    assert (train.early_stopping.patience, train.early_stopping.min_delta) == (3, 0.1)
    assert loaded.positions.of("train.epochs") == "middle.yaml:3"
    assert loaded.positions.of("train.batch_size") == "job.yaml:3"
    assert loaded.positions.of("seed") == "base.yaml:2"


def test_null_takes_a_field_of_the_parent_back() -> None:
    loaded = load("extends: base.yaml\ntrain: {early_stopping: null}\n", base=BASE)
    assert loaded.job.train.early_stopping is None


def test_the_path_is_relative_to_the_file_that_extends(tmp_path: Path) -> None:
    folder = tmp_path / "jobs" / "deep"
    folder.mkdir(parents=True)
    (tmp_path / "jobs" / "base.yaml").write_text(BASE)
    (folder / "child.yaml").write_text("extends: ../base.yaml\nseed: 5\n")
    loaded = load_job("jobs/deep/child.yaml")
    assert loaded.job.seed == 5
    assert loaded.positions.of("name") == "jobs/base.yaml:1"


def test_the_text_is_the_file_as_given() -> None:
    text = "extends: base.yaml  # comments stay\nseed: 5\n"
    assert load(text, "seed=6", base=BASE).text == text


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("optimizer.lr=1e-1", {"name": "sgd", "lr": 0.1, "momentum": 0.9}),
        ("optimizer=adam", {"name": "adam", "lr": 0.001, "beta1": 0.9}),
        ("optimizer={name: adam, lr: 0.1}", {"name": "adam", "lr": 0.1, "beta1": 0.9}),
        ("optimizer.name=adamw", {"name": "adamw", "lr": 0.001, "beta1": 0.9}),
    ],
)
def test_an_override_of_a_component(override: str, expected: dict[str, Any]) -> None:
    assert optimizer(load(BASE, override)) == expected


def test_the_last_override_wins_and_its_place_is_the_command_line() -> None:
    loaded = load(BASE, "train.epochs=2", "train.epochs=3", "storage=s3://bucket/a=b")
    assert loaded.job.train.epochs == 3
    assert loaded.job.storage == "s3://bucket/a=b"
    assert loaded.positions.of("train.epochs") == "command line"
    assert loaded.positions.of("train.early_stopping") == "job.yaml:5"
    assert loaded.positions.of("train.batch_size") == "job.yaml:5"
    assert loaded.positions.of("search") == "job.yaml:1"


def test_a_path_through_what_the_file_leaves_out_starts_from_the_default() -> None:
    loaded = load(BASE, "schedule.warmup_epochs=1", "model.widths=[8, 4]", "regularization.dropout=0.5")
    assert (loaded.job.schedule.name, loaded.job.schedule.warmup_epochs) == ("constant", 1)
    assert loaded.job.model.widths == (8, 4)
    assert loaded.job.regularization.dropout == 0.5


def test_a_path_through_a_plain_name_makes_it_a_mapping() -> None:
    loaded = load("name: a\ndata: digits\noptimizer: adam\n", "optimizer.lr=0.2", "data.scaling=unit")
    assert optimizer(loaded) == {"name": "adam", "lr": 0.2, "beta1": 0.9}
    assert loaded.job.data.scaling.name == "unit"


def test_a_key_of_the_space_is_what_follows_it() -> None:
    loaded = load(
        BASE + SEARCH,
        "search.space.optimizer.sgd.momentum=uniform(0, 1)",
        "search.space.init=[zeros, normal]",
    )
    assert loaded.job.search is not None
    assert loaded.job.search.space == {
        "optimizer.lr": "loguniform(1e-3, 1)",
        "init": ["zeros", "normal"],
        "optimizer.sgd.momentum": "uniform(0, 1)",
    }
    assert loaded.positions.of(("search", "space", "optimizer.sgd.momentum")) == "command line"
    assert loaded.positions.of(("search", "space", "optimizer.lr")) == "job.yaml:6"


def test_the_place_of_a_replaced_component_is_the_override() -> None:
    with pytest.raises(JobError, match=r"^command line: optimizer: unknown optimizer 'x'"):
        load(BASE.replace("{name: sgd", "{name: adam"), "optimizer=x")


def test_a_sweep_given_to_train_names_sweep() -> None:
    loaded = load(BASE + SEARCH)
    require_sweep(loaded)
    with pytest.raises(JobError) as raised:
        require_training(loaded)
    assert str(raised.value) == (
        "job.yaml:6: search: this job is a sweep, and `raydnn train` runs one training; "
        "run it with `raydnn sweep job.yaml`"
    )


def test_a_training_given_to_sweep_names_train() -> None:
    loaded = load(BASE)
    require_training(loaded)
    with pytest.raises(JobError) as raised:
        require_sweep(loaded)
    assert str(raised.value) == (
        "job.yaml:1: search: missing, and `raydnn sweep` needs a search; run this job with `raydnn train job.yaml`"
    )


def test_a_sweep_without_its_search_is_a_training() -> None:
    require_training(load(BASE + SEARCH, "search=null"))


def test_the_budget_of_a_scheduler_bounds_the_warm_up() -> None:
    asha = BASE + SEARCH + "schedule: {name: constant, warmup_epochs: 8}\n"
    assert load(asha, "search.scheduler={name: asha, max_epochs: 27}").job.train.epochs == 7
    with pytest.raises(JobError, match="warmup_epochs: 8 leaves nothing of the 7 epochs"):
        load(asha)


def test_what_another_component_of_the_command_line_drops_is_said() -> None:
    text = BASE.replace("validation: 100", "validation: 100, scaling: unit")
    lost = "drops data.validation: 100, optimizer.lr: 0.5, optimizer.momentum: 0.9 of job.yaml"
    with pytest.warns(UserWarning, match=lost):
        load(text, "data.name=mnist", "data.scaling=unit", "optimizer=adam")


@pytest.mark.parametrize(
    "overrides",
    [
        ["optimizer.lr=1", "data.validation=3"],
        ["optimizer=sgd"],
        ["train.early_stopping=null"],
        ["search=null"],
    ],
)
def test_nothing_is_said_where_nothing_is_dropped(
    overrides: list[str], recwarn: pytest.WarningsRecorder
) -> None:
    load(BASE + SEARCH, *overrides)
    assert not recwarn.list


@pytest.mark.parametrize(
    ("override", "meant"),
    [
        ("lr=0.1", "'optimizer.lr'"),
        ("learning_rate=0.1", "'optimizer.lr'"),
        ("epochs=3", "'train.epochs'"),
        ("batchsize=3", "'train.batch_size'"),
        ("trials=3", "'search.trials'"),
        ("scheduler=cosine", "'search.scheduler' or 'schedule'"),
        ("optimizer.epochs=3", "'train.epochs'"),
        ("optimzer.lr=3", "'optimizer'"),
    ],
)
def test_an_unknown_key_is_led_to_the_nearest_field(override: str, meant: str) -> None:
    with pytest.raises(JobError, match=f"Did you mean {meant}\\?$"):
        load(BASE, override)
    key, _, value = override.partition("=")
    if "." not in key:
        with pytest.raises(JobError, match=rf"job.yaml:6: {key}: unknown field; .* Did you mean {meant}\?$"):
            load(f"{BASE}{key}: {value}\n")


def test_a_chain_of_files_has_an_end() -> None:
    files = {f"f{n}": f"extends: f{n + 1}.yaml\n" for n in range(40)} | {"f40": BASE}
    with pytest.raises(JobError) as raised:
        load("extends: f0.yaml\n", **files)
    assert str(raised.value) == (
        "f30.yaml:1: extends: the 32 files before it extend one another; allowed: up to 32 in a chain"
    )
    assert load("extends: f11.yaml\n", **files).job.seed == 1


def test_twenty_problems_are_shown_and_the_others_counted() -> None:
    with pytest.raises(JobError) as raised:
        load(BASE + "".join(f"unknown{n}: 1\n" for n in range(1234)))
    lines = str(raised.value).splitlines()
    assert (len(raised.value.problems), len(lines)) == (1234, 21)
    assert lines[0].startswith("job.yaml:6: unknown0: unknown field")
    assert lines[-1] == "... and 1,214 more problems"


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (
            "{layers: 1000000000, width: 8}",
            "model.layers: 1000000000; allowed: int or null, at least 1, at most 1000",
        ),
        (
            "{layers: 2, width: 100000000000}",
            "model.width: 100000000000; allowed: int or null, at least 1, at most 1000000",
        ),
        ("{widths: [8, 100000000000]}", "model.widths: 100000000000; allowed: "),
        (f"{{widths: {[8] * 1001}}}", "model.widths: 1001 values; allowed: at most 1000"),
        (
            "{name: residual_mlp, blocks: 1000000}",
            "model.blocks: 1000000; allowed: int, at least 1, at most 1000",
        ),
    ],
)
def test_a_network_that_no_machine_could_hold_is_refused(model: str, told: str) -> None:
    with pytest.raises(JobError) as raised:
        load(f"{BASE}model: {model}\n")
    assert str(raised.value).startswith(f"job.yaml:6: {told}")

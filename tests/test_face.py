"""The commands from Python: several times in a process, quiet or not, after an interrupt, in a notebook's thread."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from math import inf
from pathlib import Path
from threading import Event, Thread
from time import sleep
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import raydnn
from raydnn.errors import InterruptedRunError, JobError, NotFoundError, RaydnnError, UsageError
from raydnn.launch.runs.driver import find_driver, is_alive
from raydnn.launch.runs.driver import interrupt as interrupt_driver
from raydnn.launch.runs.lease import ask_to_stop
from raydnn.spec.job import Job
from raydnn.spec.reading.load import load_job
from raydnn.store.read import read
from raydnn.store.runs import open_run

ROOT = Path(__file__).parents[1]
JOB: dict[str, Any] = {
    "name": "mine",
    "data": {"name": "digits", "validation": 1500, "scaling": "unit"},
    "model": {"widths": [8]},
    "optimizer": {"name": "sgd", "lr": 0.5},
    "train": {"epochs": 2, "batch_size": 32},
}
SEARCH = {"algorithm": "random", "trials": 4, "space": {"optimizer.lr": "loguniform(1e-2, 1)"}}


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return str(tmp_path / "results")


def test_a_job_is_a_path_a_mapping_or_a_spec(storage: str, tmp_path: Path) -> None:
    text = "name: mine\ndata: {name: digits, validation: 1500, scaling: unit}\nmodel: {widths: [8]}\n"
    path = tmp_path / "job.yaml"
    path.write_text(f"{text}optimizer: {{name: sgd, lr: 0.5}}\ntrain: {{epochs: 2, batch_size: 32}}\n")
    jobs: list[str | Path | dict[str, Any] | Job] = [str(path), path, JOB, load_job(path).job]
    runs = [raydnn.train(job, storage=storage, quiet=True) for job in jobs]
    assert len({run.id for run in runs}) == 4
    columns = ["epoch", "train_loss", "validation_loss"]
    rows = [run.epochs.select(columns).to_pylist() for run in runs]
    assert len(rows[0]) == 2
    assert all(other == rows[0] for other in rows)


def test_a_run_gives_its_tables_and_its_trials(storage: str) -> None:
    run = raydnn.train(JOB, storage=storage, quiet=True)
    assert isinstance(run.trials, pa.Table)
    assert run.trials.num_rows == 1
    assert run.job.train.epochs == 2
    assert {"kind", "trial_id", "detail"} <= set(run.events.column_names)
    best = run.best()
    assert (best.id, best.state) == ("t00000", "COMPLETED")
    assert best.metrics["final_train_loss"] == run.epochs["train_loss"].to_pylist()[-1]
    with pytest.raises(NotFoundError, match="t00000"):
        run.trial("t00009")
    again = raydnn.open(run.id, storage)
    assert again.trials.equals(run.trials)
    assert raydnn.open("latest", storage).id == run.id
    repeated = raydnn.train(JOB, best.parameters, storage=storage, quiet=True)
    assert repeated.epochs["train_loss"].equals(run.epochs["train_loss"])


def test_overrides_are_dotted_or_keywords(storage: str) -> None:
    given = {"model.widths": [4, 3], "train.clip": {"name": "value", "max_grad": 0.1}}
    run = raydnn.train(JOB, given, optimizer__lr=0.25, seed=3, storage=storage, quiet=True)
    found = run.best().parameters
    assert (found["model.widths"], found["optimizer.lr"], found["seed"]) == ([4, 3], 0.25, 3)
    assert found["train.clip.max_grad"] == 0.1
    with pytest.raises(UsageError, match=r"optimizer\.lr: given as an override and by keyword"):
        raydnn.train(JOB, {"optimizer.lr": 0.1}, optimizer__lr=0.25, storage=storage)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"optimizer.lrr": 0.1}, r"command line: optimizer\.lrr: unknown.*Did you mean 'lr'"),
        ({"optimizer.lr": inf}, r"command line: optimizer\.lr: "),
        ({"optimizer": "sgdd"}, r"command line: optimizer: .*'sgdd'.*Did you mean 'sgd'"),
    ],
)
def test_a_mistake_is_the_commands_own_error(overrides: dict[str, Any], message: str, storage: str) -> None:
    with pytest.raises(JobError, match=message):
        raydnn.train(JOB, overrides, storage=storage)
    with pytest.raises(JobError, match=r"job: optimizer\.lrr: unknown field of sgd"):
        raydnn.train({**JOB, "optimizer": {"name": "sgd", "lrr": 1}}, storage=storage)
    assert not Path(storage).exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([JOB],), "job: a list; allowed: the path of a job file, a mapping, or a spec"),
        ((5,), "job: a int; allowed: "),
        ((JOB, "optimizer.lr=1"), "overrides: a str; allowed: a mapping of dotted paths to values"),
    ],
)
def test_what_is_no_job_is_told(arguments: Any, message: str, storage: str) -> None:
    with pytest.raises(UsageError, match=message):
        raydnn.train(*arguments, storage=storage)


def test_numbers_of_numpy_are_numbers(storage: str) -> None:
    given = {**JOB, "seed": np.int64(3), "model": {"widths": np.array([4, 3])}}
    run = raydnn.train(given, {"optimizer.lr": np.float64(0.25)}, storage=storage, quiet=True)
    found = run.best().parameters
    assert (found["seed"], found["model.widths"], found["optimizer.lr"]) == (3, [4, 3], 0.25)


def test_a_script_that_drives_a_run_is_found_as_its_driver(tmp_path: Path) -> None:
    """Its command line need not name the package."""
    script = tmp_path / "drive.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nimport raydnn\n"
        f"raydnn.train({JOB!r}, {{'train.epochs': 100000}}, storage='results')\n"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    process = subprocess.Popen(
        [sys.executable, "drive.py"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        while process.poll() is None and not list(tmp_path.glob("results/*/epochs/*.parquet")):
            sleep(0.1)
        run = raydnn.open("latest", str(tmp_path / "results"))
        driver = find_driver(run.run.location / "logs")
        assert driver is not None
        assert is_alive(driver)
        with pytest.raises(UsageError, match="drive"):
            raydnn.train(resume=run.id, storage=str(tmp_path / "results"), quiet=True)
        interrupt_driver(driver)
        assert b"resume with" in process.communicate(timeout=60)[0]
    finally:
        process.kill()
    assert run.trials["state"].to_pylist() == ["PREEMPTED"]


def test_it_tells_what_the_command_tells_and_nothing_when_quiet(
    storage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    raydnn.train(JOB, storage=storage, quiet=True)
    assert capsys.readouterr() == ("", "")
    raydnn.train(JOB, storage=storage)
    printed = capsys.readouterr()
    assert [line.split(" · ")[0] for line in printed.err.splitlines() if line.startswith("epoch")] == [
        "epoch 1",
        "epoch 2",
    ]
    assert "layers.0" in printed.out


def test_a_training_that_diverges_is_an_error_and_its_run_is_there(storage: str) -> None:
    with pytest.raises(RaydnnError, match="the training diverged"):
        raydnn.train(JOB, {"optimizer.lr": 1e30}, storage=storage, quiet=True)
    assert raydnn.open("latest", storage).trials["state"].to_pylist() == ["DIVERGED"]


def test_after_an_interrupt_the_run_goes_on(storage: str) -> None:
    ended = Event()

    def interrupt() -> None:
        """Press Ctrl-C once an epoch is committed."""
        while not ended.wait(0.05):
            for resolved in Path(storage).glob("[!.]*/resolved.json"):
                if read(open_run(storage, resolved.parent.name).location, "epochs").num_rows:
                    os.kill(os.getpid(), signal.SIGINT)
                    return

    thread = Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(InterruptedRunError):
            raydnn.train(JOB, {"train.epochs": 2000}, storage=storage, quiet=True)
    finally:
        ended.set()
        thread.join()
    assert raydnn.open("latest", storage).trials["state"].to_pylist() == ["PREEMPTED"]
    assert raydnn.train(JOB, storage=storage, quiet=True).best().state == "COMPLETED"


def test_it_runs_in_a_thread_of_a_notebook(storage: str) -> None:
    with ThreadPoolExecutor(1) as thread:
        run = thread.submit(raydnn.train, JOB, storage=storage, quiet=True).result(120)
    assert run.best().state == "COMPLETED"


def test_stop_reaches_a_run_that_a_thread_drives(storage: str) -> None:
    with ThreadPoolExecutor(1) as thread:
        training = thread.submit(raydnn.train, JOB, {"train.epochs": 100000}, storage=storage, quiet=True)
        while not training.done() and not list(Path(storage).glob("[!.]*/epochs/*.parquet")):
            sleep(0.1)
        run = raydnn.open("latest", storage)
        driver = find_driver(run.run.location / "logs")
        assert driver is not None
        assert ask_to_stop(run.run, driver)
        with pytest.raises(InterruptedRunError):
            training.result(60)
    assert run.trials["state"].to_pylist() == ["PREEMPTED"]


def test_plan_says_what_a_job_takes() -> None:
    expected = raydnn.plan({**JOB, "search": SEARCH}, slots=2, quiet=True)
    assert (expected.trials, expected.slots) == (4, 2)


def test_importing_the_package_costs_nothing() -> None:
    heavy = ("torch", "ray", "pyarrow", "click", "pydantic")
    code = f"import sys, raydnn; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def _in_a_process(code: str, folder: Path) -> list[str]:
    """Lines that a notebook's cells print, in a process of its own."""
    head = f"import raydnn\nJOB, SEARCH, STORAGE = {JOB!r}, {SEARCH!r}, {str(folder)!r}\n"
    done = subprocess.run(
        [sys.executable, "-c", head + textwrap.dedent(code)], capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.ray
def test_trainings_and_sweeps_follow_each_other_in_one_process(tmp_path: Path) -> None:
    told = _in_a_process(
        """
        raydnn.train(JOB, storage=STORAGE, quiet=True)
        for _ in range(2):
            run = raydnn.sweep({**JOB, "search": SEARCH}, storage=STORAGE, quiet=True)
            print(run.trials["state"].to_pylist())
        run = raydnn.sweep(extend=run.id, overrides={"search.trials": "+2"}, storage=STORAGE, quiet=True)
        print(run.trials.num_rows, run.best().parameters["optimizer.lr"] > 0)
        """,
        tmp_path,
    )
    assert told == ["['COMPLETED', 'COMPLETED', 'COMPLETED', 'COMPLETED']"] * 2 + ["6 True"]


@pytest.mark.ray
def test_a_ray_that_is_running_is_used_and_left_running(tmp_path: Path) -> None:
    told = _in_a_process(
        """
        import ray
        ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
        run = raydnn.sweep({**JOB, "search": SEARCH}, storage=STORAGE, quiet=True)
        print(run.trials["state"].to_pylist().count("COMPLETED"), ray.is_initialized())
        """,
        tmp_path,
    )
    assert told[-1] == "4 True"

"""Ray for one process: what fits on it, what sweeps leave on it, and what happens when the store fails there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from raydnn.analysis.logs import errors
from raydnn.errors import ClusterError
from raydnn.launch.engine.capacity import require_slots, slots
from raydnn.launch.engine.on_ray.engines import Embedded
from raydnn.spec.resources import Resources
from raydnn.store.read import read
from raydnn.store.runs import open_run

NODES = [{"CPU": 8.0, "GPU": 1.0, "memory": 1e9}, {"CPU": 3.0, "memory": 1e9}]


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        (Resources(), 11),
        (Resources(cpus_per_worker=2), 5),
        (Resources(cpus_per_worker=4), 2),
        (Resources(cpus_per_worker=8), 1),
        (Resources(workers=2, cpus_per_worker=2), 2),
        (Resources(workers=11), 1),
        (Resources(gpus_per_worker=1), 1),
    ],
)
def test_slots_count_trainings_whose_workers_each_fit_on_a_machine(
    resources: Resources, expected: int
) -> None:
    assert slots(resources, NODES) == expected


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        (Resources(cpus_per_worker=9), "1 worker(s) with 9 CPU each are needed, there is 8 CPU; 3 CPU"),
        (Resources(workers=12), "12 worker(s) with 1 CPU each are needed, there is 8 CPU; 3 CPU"),
        (
            Resources(workers=2, gpus_per_worker=1),
            "2 worker(s) with 1 CPU and 1 GPU each are needed, there is 8 CPU and 1 GPU; 3 CPU and 0 GPU",
        ),
    ],
)
def test_what_never_fits_is_refused_with_what_is_needed_and_there(resources: Resources, said: str) -> None:
    with pytest.raises(ClusterError) as raised:
        require_slots(resources, NODES)
    assert said in str(raised.value)
    with pytest.raises(ClusterError, match="there is nothing"):
        require_slots(Resources(), [])


def test_this_machine_holds_a_training_of_one_core() -> None:
    Embedded().check(Resources())
    with pytest.raises(ClusterError, match="99999 CPU"):
        Embedded().check(Resources(cpus_per_worker=99999))


SCRIPT = """
import json, sys, time
from raydnn.errors import StoreError
from raydnn.launch.engine.on_ray.engines import Embedded
from raydnn.launch.runs.runs import begin, driving, ended_stacks
from raydnn.launch.runs.stacks import Stacks
from raydnn.launch.tuning.sweep import search_on
from raydnn.search.algorithms.registry import generations
from raydnn.space.space import build_space
from raydnn.spec.job import Job
from raydnn.spec.reading.positions import Positions

def plan(name, stack):
    job = Job.model_validate(json.loads(sys.argv[1]))
    job = job.model_copy(update={"search": job.search.model_copy(update={"stack": stack})})
    stacks = Stacks(generations(build_space(job, Positions({})), job), stack)
    return begin(job, "", name, "sweep", stacks.plans), job, stacks

def search(run, job, stacks):
    with driving(run, stacks.plans):
        search_on(engine, run, job, stacks, None)

facts = {}
engine = Embedded()
with engine.running(None, [], 99):
    import ray
    from ray._private.state import actors
    for stack in (32, 1):
        search(*plan(f"stack-{stack}", stack))

    run, job, stacks = plan("broken", 32)
    checkpoints = run.local_path("checkpoints")
    checkpoints.rmdir()
    checkpoints.write_text("in the way")
    begun = time.monotonic()
    try:
        search(run, job, stacks)
    except StoreError as error:
        facts["error"] = str(error)
    facts["seconds"] = time.monotonic() - begun
    facts["ended"] = sorted(ended_stacks(run, stacks.plans))
    checkpoints.unlink()
    checkpoints.mkdir()
    search(run, job, stacks)

    def living():
        return [actor["State"] for actor in actors().values() if actor["State"] != "DEAD"]
    end = time.monotonic() + 10
    while living() and time.monotonic() < end:
        time.sleep(0.1)
    facts["actors"] = living()
    facts["groups"] = [group["state"] for group in ray.util.placement_group_table().values()]
print(json.dumps(facts))
"""
JOB = {
    "name": "grid",
    "data": {"name": "digits", "validation_fraction": 0.2, "scaling": "unit"},
    "optimizer": "sgd",
    "train": {"epochs": 3},
    "search": {
        "algorithm": "grid",
        "space": {
            "optimizer.lr": [0.01, 0.1],
            "optimizer.momentum": [0.0, 0.9],
            "model.widths": "choice([8], [16])",
            # One example is too few to draw from each class: those trials fail.
            "data.validation_fraction": [0.2, 0.0001],
        },
    },
}


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    storage = tmp_path_factory.mktemp("storage")
    command = [sys.executable, "-c", SCRIPT, json.dumps({**JOB, "storage": str(storage)})]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    # Neither Ray nor Tune says anything of its own.
    assert len(done.stdout.splitlines()) == 1, done.stdout
    return {**json.loads(done.stdout), "storage": storage}


def trials(facts: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read(open_run(str(facts["storage"]), name).location, "trials").to_pylist()
    return found


@pytest.mark.ray
def test_sweeps_leave_no_actor_and_no_placement_group(facts: dict[str, Any]) -> None:
    assert facts["actors"] == []
    assert facts["groups"]
    assert set(facts["groups"]) == {"REMOVED"}


@pytest.mark.ray
def test_a_grid_gives_the_same_in_stacks_and_one_by_one(facts: dict[str, Any]) -> None:
    together, alone = trials(facts, "stack-32"), trials(facts, "stack-1")
    assert [row["config_json"] for row in together] == [row["config_json"] for row in alone]
    assert len({row["config_json"] for row in together}) == 16
    for one, other in zip(together, alone, strict=True):
        exact = ("state", "best_epoch", "epochs", "rung", "error")
        assert [one[name] for name in exact] == [other[name] for name in exact]
        if one["state"] == "COMPLETED":
            assert one["best_value"] == pytest.approx(other["best_value"], rel=1e-5)
    events = read(open_run(str(facts["storage"]), "stack-32").location, "events").to_pylist()
    assert {row["kind"] for row in events} == {"started"}


@pytest.mark.ray
def test_a_trial_that_fails_says_why_and_the_others_go_on(facts: dict[str, Any]) -> None:
    run = open_run(str(facts["storage"]), "stack-1")
    for row in trials(facts, "stack-1"):
        if row["p_data_validation_fraction"] == 0.2:
            assert (row["state"], row["epochs"], row["attempts"]) == ("COMPLETED", 3, 1)
        else:
            assert (row["state"], row["error_type"], row["attempts"]) == ("FAILED", "JobError", 1)
            assert row["error"].startswith("data.validation_fraction: 0.0001")
            text = run.local_path(row["traceback_path"]).read_text()
            assert text.startswith("Traceback")
            assert "load_dataset" in text
            assert text.strip().splitlines()[0] in list(errors(run, row["trial_id"]))


@pytest.mark.ray
def test_a_store_that_fails_ends_the_sweep_at_once_and_it_goes_on_when_mended(facts: dict[str, Any]) -> None:
    assert facts["error"].startswith(str(Path(facts["storage"]) / "broken" / "checkpoints"))
    assert "cannot be written" in facts["error"]
    assert len(facts["error"].splitlines()) == 1
    assert facts["seconds"] < 60
    mended = {row["trial_id"]: (row["state"], row["best_value"]) for row in trials(facts, "broken")}
    assert mended == {row["trial_id"]: (row["state"], row["best_value"]) for row in trials(facts, "stack-32")}

"""Sweeps whose machines are lost while they run, on Ray's cluster of several nodes in one machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from raydnn.store.read import read
from raydnn.store.runs import open_run

pytestmark = [pytest.mark.ray, pytest.mark.slow]

SCRIPT = """
import json, sys
from threading import Thread
from time import monotonic, sleep
from raydnn.launch.tuning import slots as room
from raydnn.launch.engine.session.connecting import prepare_environment

prepare_environment(False)
import ray
from raydnn.launch.engine.on_ray import adapters
from raydnn.launch.engine.on_ray.engines import Joined
from ray._private.state import actors
from ray.cluster_utils import Cluster
from raydnn.errors import RaydnnError
from raydnn.launch.runs.runs import begin, driving
from raydnn.launch.runs.stacks import Stacks
from raydnn.launch.tuning.sweep import search_on
from raydnn.search.algorithms.registry import generations
from raydnn.space.space import build_space
from raydnn.spec.job import Job
from raydnn.spec.reading.positions import Positions
from raydnn.store.storage.listing import list_names

lost = sys.argv[2]  # "first" for the machine of stack 0, or "all"
room.WAIT_SECONDS = 10.0
job = Job.model_validate(json.loads(sys.argv[1]))
stacks = Stacks(generations(build_space(job, Positions({})), job), 1)
run = begin(job, "", "run", "sweep", stacks.plans)
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
ray.init(cluster.address, logging_level="CRITICAL", log_to_driver=False)

def lose(name):
    while len(list_names(run.location / "epochs")) < 4:
        sleep(0.05)
    for node in list(nodes):
        if lost == "all" or node.node_id == name:
            cluster.remove_node(node, allow_graceful=False)

told = []
start = adapters.StackCallback.on_trial_start

def watched(self, iteration, trials, trial, **info):
    start(self, iteration, trials, trial, **info)
    if trial.config["stack"] == 0 and not told:
        actor = actors(trial.temporary_state.ray_actor._actor_id.hex())
        told.append(actor["Address"]["NodeID"])
        Thread(target=lose, args=told, daemon=True).start()

adapters.StackCallback.on_trial_start = watched
facts = {}
begun = monotonic()
try:
    with driving(run, stacks.plans):
        search_on(Joined(cluster.address), run, job, stacks, None)
except RaydnnError as error:
    facts["error"] = str(error)
    facts["code"] = error.exit_code
facts["seconds"] = monotonic() - begun
end = monotonic() + 10
def living():
    return [actor["State"] for actor in actors().values() if actor["State"] != "DEAD"]
while living() and monotonic() < end:
    sleep(0.1)
facts["actors"] = living()
facts["groups"] = sorted({group["state"] for group in ray.util.placement_group_table().values()})
ray.shutdown()
cluster.shutdown()
print(json.dumps(facts))
"""
JOB = {
    "name": "lost",
    "data": {"name": "digits", "validation_fraction": 0.2, "scaling": "unit"},
    "model": {"name": "mlp", "widths": [16]},
    "optimizer": "sgd",
    "train": {"epochs": 400},
    "search": {
        "algorithm": "random",
        "scheduler": {"name": "asha", "min_epochs": 200, "max_epochs": 400, "eta": 2},
        "trials": 4,
        "stack": 1,
        "space": {"optimizer.lr": "loguniform(0.001, 0.1)"},
    },
}


def sweep(storage: Path, lost: str) -> dict[str, object]:
    job = json.dumps({**JOB, "storage": str(storage)})
    command = [sys.executable, "-c", SCRIPT, job, lost]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    facts: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return facts


def test_the_stacks_of_a_lost_machine_go_on_where_others_wait_for_them(tmp_path: Path) -> None:
    """Four stacks on two machines; stack 0's is lost, and stack 1 waits for it on the only one that is left."""
    facts = sweep(tmp_path, "first")
    assert "error" not in facts
    run = open_run(str(tmp_path), "run")
    trials = read(run.location, "trials").to_pylist()
    assert {row["state"] for row in trials} <= {"COMPLETED", "STOPPED"}
    kinds = [row["kind"] for row in read(run.location, "events").to_pylist()]
    assert kinds.count("retried") == 1
    assert "paused" in kinds
    assert (facts["actors"], facts["groups"]) == ([], ["REMOVED"])


def test_a_sweep_that_lost_all_machines_can_be_resumed(tmp_path: Path) -> None:
    facts = sweep(tmp_path, "all")
    assert facts["code"] == 4
    assert "no machine of the cluster could train a stack" in str(facts["error"])
    run = open_run(str(tmp_path), "run")
    assert {row["state"] for row in read(run.location, "trials").to_pylist()} == {"PREEMPTED"}

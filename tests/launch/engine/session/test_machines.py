"""Machines that do not see a run's storage or its data are told before anything is trained there."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from socket import gethostname
from time import monotonic, sleep
from typing import Any

import pytest

from raydnn.errors import DataError, StoreError
from raydnn.launch.engine.session import machines
from raydnn.launch.engine.session.machines import Machines, data_paths, look
from raydnn.spec.data import Csv, Digits, Npz
from raydnn.store.run import Run, create_run

RESOLVED = {"metric": "validation_loss", "mode": "min", "command": "sweep", "job": {}}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return create_run(str(tmp_path / "storage"), "r", "", RESOLVED)


def test_a_storage_that_is_not_there_is_named_with_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machines, "APPEAR_SECONDS", 0.1)
    with pytest.raises(StoreError, match=f"node {gethostname()} does not see {tmp_path}/r; every node must"):
        look(str(tmp_path / "r"), {})


def test_a_storage_that_is_seen_leaves_nothing_behind(run: Run, tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    data.touch()
    look(run.uri, {"data.path": str(data)})
    assert os.listdir(run.scratch.path) == []
    with pytest.raises(DataError, match=rf"data\.path: node {gethostname()} does not see {data}2;"):
        look(run.uri, {"data.path": f"{data}2"})


def test_a_storage_that_cannot_be_written_is_named(run: Run) -> None:
    os.rmdir(run.scratch.path)
    Path(run.scratch.path).write_text("in the way")
    with pytest.raises(StoreError, match=rf"node {gethostname()} cannot write: {run.uri}/\.tmp"):
        look(run.uri, {})


def test_paths_of_data_are_those_of_local_files() -> None:
    csv = Csv(path="a.csv", test_path="/b.csv", target="y")
    assert data_paths([csv]) == {"data.path": os.path.abspath("a.csv"), "data.test_path": "/b.csv"}
    assert data_paths([Digits(), Npz(path="s3://bucket/a.npz")]) == {}
    assert data_paths([]) == {}


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A head without cores, to which this process is connected."""
    import ray
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    ray.init(made.address, logging_level="CRITICAL", log_to_driver=False)
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.mark.ray
def test_machines_are_asked_when_they_join(cluster: Any, run: Run) -> None:
    cluster.add_node(num_cpus=2)
    asked = Machines(run, {})
    asked.check()
    assert cores(asked) == [2.0]
    with pytest.raises(DataError, match=r"data\.path: node .* does not see /none"):
        Machines(run, {"data.path": "/none"}).check()

    cluster.add_node(num_cpus=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wait_for(lambda: cores(asked) == [2.0, 3.0])

    os.rename(run.location.path, f"{run.location.path}-elsewhere")
    cluster.add_node(num_cpus=4)
    with pytest.warns(UserWarning, match=f"does not see {run.uri}.*no work is meant for it"):
        wait_for(lambda: asked() and not asked._asked)
    assert cores(asked) == [2.0, 3.0]


def cores(asked: Machines) -> list[float]:
    return sorted(node["CPU"] for node in asked() if "CPU" in node)


def wait_for(met: Any) -> None:
    end = monotonic() + 60
    while not met():
        assert monotonic() < end
        sleep(0.1)

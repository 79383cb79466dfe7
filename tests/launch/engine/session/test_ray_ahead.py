"""Ray that is started ahead: it is used by what trains, and ends with its block whatever happens there."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SCRIPT = """
import json, signal, sys
from raydnn.launch.engine.on_ray.engines import Embedded

def on_sigterm(*_):
    pass

signal.signal(signal.SIGTERM, on_sigterm)
facts = {}
engine = Embedded()
with engine.ahead():
    import ray
    with engine.running(None, [], 99):
        facts["cpus"] = ray.cluster_resources()["CPU"]
        facts["handler"] = signal.getsignal(signal.SIGTERM) is on_sigterm
        facts["answer"] = ray.get(ray.remote(lambda: 42).remote())
        node = ray._private.worker._global_node
        processes = [p.process.pid for each in node.all_processes.values() for p in each]
    facts["running after"] = ray.is_initialized()
try:
    with Embedded().ahead():
        raise KeyError("the data")
except KeyError:
    facts["running after an error"] = ray.is_initialized()
import os
facts["left"] = [pid for pid in processes if os.path.exists(f"/proc/{pid}")]
print(json.dumps(facts))
"""


@pytest.mark.ray
@pytest.mark.slow
def test_ray_started_ahead_is_used_and_ends() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr == "", "Ray says nothing of its own"
    facts = json.loads(done.stdout)
    assert facts.pop("cpus") >= 1
    assert facts == {
        "handler": True,
        "answer": 42,
        "running after": False,
        "running after an error": False,
        "left": [],
    }

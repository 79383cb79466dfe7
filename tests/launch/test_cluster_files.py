"""The cluster files are what Ray's own checks accept, and use tokens everywhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from raydnn.launch.cluster.upload import LIMIT_BYTES

CLUSTER = Path(__file__).parents[2] / "cluster"


def test_rays_launcher_accepts_the_cluster_file() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = YAML(typ="safe").load((CLUSTER / "ray-cluster.yaml").read_text())
    prepared = prepare_config(config)
    validate_config(prepared)
    starts = [line for kind in ("head", "worker") for line in prepared[f"{kind}_start_ray_commands"]]
    started = [line for line in starts if "ray start" in line]
    assert len(started) == 2
    assert all("RAY_AUTH_MODE=token" in line and "\n" not in line for line in started)


def test_the_guide_starts_nothing_without_a_token_and_names_what_is_there() -> None:
    guide = (CLUSTER / "README.md").read_text()
    blocks = re.findall(r"```\n(.*?)```", guide, re.S)
    for block in (block for block in blocks if "\nray start" in block):
        assert block.count("RAY_AUTH_MODE=token") == block.count("\nray start")
    assert "RAY_AUTH_MODE=token" in (CLUSTER / "Dockerfile").read_text()
    assert f"{LIMIT_BYTES // 1_000_000} MB" in guide
    for name in re.findall(r"^\| `(.+?)`", guide, re.M):
        assert (CLUSTER / name).is_file()


@pytest.mark.parametrize("command", ["submit", "status", "logs", "stop"])
def test_the_guide_shows_every_command(command: str) -> None:
    assert f"raydnn {command} " in (CLUSTER / "README.md").read_text()

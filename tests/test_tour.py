"""The README's demo and its tour, run as they stand there, with a cluster on this machine."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DEMO = re.compile(r"<!-- demo -->\n```\n(.*?)```", re.DOTALL)
TOUR = re.compile(r"<!-- tour -->\n```(bash|python)\n(.*?)```", re.DOTALL)
DASHBOARD = "http://127.0.0.1:8265"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A Ray head of two cores on loopback; gives the environment to use it in, with its address as DASHBOARD."""
    # Short: the paths of Ray's sockets go beneath it.
    folder = Path(tempfile.mkdtemp(prefix="rdn-"))
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text("f00d" * 12)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }
    names = ("port", "dashboard-port", "dashboard-agent-listen-port", "ray-client-server-port")
    ports = dict(zip(names, _free_ports(len(names)), strict=True))
    command = [
        *("ray", "start", "--head", "--block", "--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1"),
        *("--num-cpus=2", f"--temp-dir={folder}", *(f"--{name}={port}" for name, port in ports.items())),
    ]
    with (folder / "start.log").open("wb") as log:
        head = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    url = f"http://127.0.0.1:{ports['dashboard-port']}"
    try:
        _wait_for(url)
        yield environment | {"DASHBOARD": url}
    finally:
        _end(head, folder)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{url}/api/version", timeout=2)
        except urllib.error.HTTPError:  # it answers, if only to ask for the token
            return
        except OSError:
            time.sleep(0.5)
        else:
            return


def _end(head: subprocess.Popen[bytes], folder: Path) -> None:
    """End the head and what it started: every process whose arguments name its own temporary folder."""
    os.kill(head.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        head.wait(15)
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(folder).encode() in (process / "cmdline").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)
    head.wait(5)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.ray
@pytest.mark.timeout(600)
def test_the_tour_runs(cluster: dict[str, str], tmp_path: Path) -> None:
    script = ["set -euo pipefail"]
    for number, (language, block) in enumerate(TOUR.findall(README.read_text())):
        if language == "python":
            path = tmp_path / f"block{number}.py"
            path.write_text(block)
            block = f"python {path}\n"
        script.append(block.replace(DASHBOARD, "$DASHBOARD"))
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=tmp_path,
        env=cluster,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    runs = [path.name for path in (tmp_path / "my-project" / "results").iterdir()]
    assert len(runs) == 5, runs
    assert "SUCCEEDED" in done.stderr
    assert "9 trials" in done.stdout


@pytest.mark.ray
@pytest.mark.slow
def test_the_demo_says_what_the_readme_shows(tmp_path: Path) -> None:
    (makes,) = re.findall(r"^demo:.*\n\t\$\(BIN\)/raydnn (.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    command = [sys.executable, "-m", "raydnn", *makes.split(), f"storage={tmp_path}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    said = {_shape(line) for line in (done.stdout + done.stderr).splitlines()}
    (shown,) = DEMO.findall(README.read_text())
    lines = [line for line in shown.splitlines() if line.strip() and not re.match("─|  {30}|\\.\\.\\.", line)]
    assert len(lines) > 8
    assert [line for line in lines if _shape(line) not in said] == []


def _shape(line: str) -> str:
    """A line without what differs from machine to machine: numbers, the curve, the run's folder, a configuration."""
    line = re.sub(r" \S+/trials/", " ", line).partition("activation=")[0]
    return " ".join(re.sub(r"[\d.]+|[▁-█]+", "#", line).split())

"""A real Ray head on loopback that asks for a token, for the tests that submit to it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from raydnn.errors import ClusterError
from raydnn.launch.cluster.address import connect

TOKEN = "f00d" * 12
PORTS = ("port", "dashboard-port", "dashboard-agent-listen-port", "ray-client-server-port")


@pytest.fixture
def head(_head: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> str:
    """The head's URL; its token is where this process looks for one."""
    url, token = _head
    for name in [name for name in os.environ if name.startswith("RAY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
    return url


@pytest.fixture(scope="session")
def _head() -> Iterator[tuple[str, Path]]:
    """A head with its own folder, ports and token, ended by its own process ids."""
    folder = Path(tempfile.mkdtemp(prefix="rdn-"))
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text(TOKEN)
    ports = dict(zip(PORTS, _free_ports(len(PORTS)), strict=True))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    options = {
        "node-ip-address": "127.0.0.1",
        "dashboard-host": "127.0.0.1",
        "num-cpus": 2,
        "temp-dir": folder,
    }
    command = [str(Path(sys.executable).parent / "ray"), "start", "--head", "--block"]
    command += [f"--{name}={value}" for name, value in {**options, **ports}.items()]
    with (folder / "start.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    url = f"http://127.0.0.1:{ports['dashboard-port']}"
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RAY_AUTH_TOKEN", TOKEN)
            _wait_for(url)
        yield url, token
    finally:
        _end(process, folder)


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(ClusterError):
            connect(url, unauthenticated=False)
            return
        time.sleep(0.5)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _end(process: subprocess.Popen[bytes], folder: Path) -> None:
    """End the head's own process group, then whatever else of it still names its folder."""
    for sent in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sent)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(4)
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if str(folder).encode() in (entry / "cmdline").read_bytes():
                os.kill(int(entry.name), signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)

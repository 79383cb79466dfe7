"""Joining a cluster: who answers as a head is asked before Ray is; a server of our own stands in for heads."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
import ray
from ray.core.generated import gcs_pb2, gcs_service_pb2

from raydnn.errors import ClusterError, UsageError
from raydnn.launch.engine.on_ray.engines import ray_engine
from raydnn.launch.engine.session.joining import joined_nodes
from raydnn.spec.resources import Resources

HERE = "127.0.0.1"
ELSEWHERE = "192.0.2.1"
"""An address that no machine has (RFC 5737)."""
Head = Callable[..., str]


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("RAY_ADDRESS", "RAY_AUTH_TOKEN", "RAY_AUTH_MODE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))


@pytest.fixture
def raylet(tmp_path: Path) -> Iterator[str]:
    """A socket that is listened to, as a node's is."""
    path = str(tmp_path / "raylet")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        yield path


@pytest.fixture
def head(raylet: str) -> Iterator[Head]:
    """Start a head with one node; its address."""
    servers = []

    def start(
        token: str | None = None,
        version: str = ray.__version__,
        at: str = HERE,
        socket_name: str = raylet,
        seen: list[str | None] | None = None,
        **resources: float,
    ) -> str:
        node = gcs_pb2.GcsNodeInfo(
            node_manager_address=at,
            node_manager_hostname="n1",
            raylet_socket_name=socket_name,
            resources_total=resources or {"CPU": 2.0},
        )
        answers = {
            "CheckAlive": gcs_service_pb2.CheckAliveReply(ray_version=version),
            "GetAllNodeInfo": gcs_service_pb2.GetAllNodeInfoReply(node_info_list=[node]),
        }

        def answer(method: str) -> Any:
            def handle(_request: bytes, context: grpc.ServicerContext) -> bytes:
                given = dict(context.invocation_metadata()).get("authorization")
                if seen is not None:
                    seen.append(given)
                if token is not None and given != f"Bearer {token}":
                    context.abort(grpc.StatusCode.UNAUTHENTICATED, "InvalidAuthToken")
                encoded: bytes = answers[method].SerializeToString()
                return encoded

            return grpc.unary_unary_rpc_method_handler(handle)

        handlers = {method: answer(method) for method in answers}
        server = grpc.server(ThreadPoolExecutor(2))
        service = grpc.method_handlers_generic_handler("ray.rpc.NodeInfoGcsService", handlers)
        server.add_generic_rpc_handlers((service,))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        return f"127.0.0.1:{port}"

    yield start
    for server in servers:
        server.stop(None)


def test_what_the_machines_of_a_cluster_have(head: Head) -> None:
    assert joined_nodes(head(CPU=4.0, GPU=1.0)) == [{"CPU": 4.0, "GPU": 1.0}]
    assert "RAY_AUTH_MODE" not in os.environ


def test_the_token_goes_only_to_a_head_that_asks_and_ray_is_told_to_send_it(
    head: Head, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    seen: list[str | None] = []
    joined_nodes(head(seen=seen))
    assert seen == [None, None]
    seen.clear()
    joined_nodes(head(token="s3cret", seen=seen))
    assert seen == [None, "Bearer s3cret", "Bearer s3cret"]
    assert os.environ["RAY_AUTH_MODE"] == "token"


def test_wrong_and_missing_tokens(head: Head, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = head(token="right")
    with pytest.raises(ClusterError, match=f"{address} needs a token, and .*No such file"):
        joined_nodes(address)
    (tmp_path / "token").write_text("wrong")
    with pytest.raises(ClusterError, match=f"{address} refuses the token of {tmp_path / 'token'}"):
        joined_nodes(address)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "other")
    with pytest.raises(ClusterError, match=f"{address} refuses the token of RAY_AUTH_TOKEN"):
        joined_nodes(address)
    assert "RAY_AUTH_MODE" not in os.environ


def test_a_machine_that_is_no_node_is_told_how_to_send_the_job(head: Head, raylet: str) -> None:
    address = head(at=ELSEWHERE)
    with pytest.raises(ClusterError, match="no node of the cluster") as refused:
        joined_nodes(address)
    said = str(refused.value)
    assert f"n1 ({ELSEWHERE})" in said
    assert "raydnn submit JOB --address http://127.0.0.1:8265" in said
    assert f"ray start --address={address}" in said
    # A container at the machine's own address, which does not see the node's socket.
    with pytest.raises(ClusterError, match="no node of the cluster"):
        joined_nodes(head(socket_name=f"{raylet}-gone"))


def test_another_version_of_ray(head: Head) -> None:
    with pytest.raises(ClusterError, match=rf"runs Ray 2\.9\.1, this machine Ray {ray.__version__}"):
        joined_nodes(head(version="2.9.1"))


def test_too_small_a_cluster_is_refused_before_anything_is_made(head: Head) -> None:
    ray_engine(head(CPU=2.0)).check(Resources(cpus_per_worker=2))
    with pytest.raises(ClusterError, match="with 3 CPU each are needed, there is 2 CPU"):
        ray_engine(head(CPU=2.0)).check(Resources(cpus_per_worker=3))


def test_silent_absent_and_babbling_heads_fail_within_ten_seconds() -> None:
    with socket.create_server((HERE, 0)) as silent:
        address = f"{HERE}:{silent.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(ClusterError, match=f"{address} is silent"):
            joined_nodes(address)
        assert time.monotonic() - started < 10
    with pytest.raises(ClusterError, match=f"no cluster answers at {address}: .*refused"):
        joined_nodes(address)
    with socket.create_server((HERE, 0)) as babbling, ThreadPoolExecutor(1) as thread:

        def babble() -> None:
            babbling.accept()[0].close()
            with babbling.accept()[0] as connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread.submit(babble)
        with pytest.raises(ClusterError, match=r"does not answer as a head does.*raydnn submit"):
            joined_nodes(f"{HERE}:{babbling.getsockname()[1]}")


def test_a_refusal_waits_for_no_import_of_torch() -> None:
    modules = "raydnn.cli.commands.train, raydnn.launch.engine.session.connecting, raydnn.spec.reading.load"
    code = f"import sys, {modules}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("given", ["http://head:8265", "ray://head:10001", "head", "head:x", ":6379"])
def test_what_cannot_be_joined_is_refused_with_the_form_that_can(given: str) -> None:
    with pytest.raises(UsageError, match="HOST:PORT of the head"):
        joined_nodes(given)

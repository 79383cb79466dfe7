"""The head of a cluster that a process here wants to join: asked before Ray is, which retries for long and may abort.

Ray reads how it authenticates when it is imported, so the head is first asked without it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Any

from raydnn.errors import ClusterError, UsageError
from raydnn.launch.cluster.address import DASHBOARD_PORT, check_version, read_token
from raydnn.shell import command

CONTACT_SECONDS = 4.0
"""Longest wait for one answer; three of them and the imports stay within the promised time."""
_SERVICE = "/ray.rpc.NodeInfoGcsService"


def joined_nodes(address: str) -> list[Mapping[str, float]]:
    """Check that a process here can join a cluster, and return what each of its machines has.

    Args:
        address: `HOST:PORT` of the head, or `auto` for the cluster that this machine is in.

    Raises:
        UsageError: The address is of a kind that cannot be joined.
        ClusterError: No head answers there, it refuses our token, runs another Ray, or has no node on this machine.
    """
    head = _head(address)
    token = None
    reply = _ask(head, "CheckAlive", b"", token)
    if reply is None:
        token, source = read_token(f"the cluster at {head}")
        reply = _ask(head, "CheckAlive", b"", token)
        if reply is None:
            raise ClusterError(
                f"the cluster at {head} refuses the token of {source}; put the cluster's own token there"
            )
        os.environ["RAY_AUTH_MODE"] = "token"
    from ray.core.generated import gcs_service_pb2 as messages

    check_version(f"the cluster at {head}", messages.CheckAliveReply.FromString(reply).ray_version)
    request = messages.GetAllNodeInfoRequest(state_filter=0)  # those that are alive
    listed = _ask(head, "GetAllNodeInfo", request.SerializeToString(), token)
    nodes = messages.GetAllNodeInfoReply.FromString(listed or b"").node_info_list
    if not any(_is_here(node) for node in nodes):
        raise ClusterError(_no_node(head, nodes))
    return [dict(node.resources_total) for node in nodes]


def _head(address: str) -> str:
    """HOST:PORT of the head that an address means, something listening there."""
    if address == "auto":
        address = _head_of_this_machine()
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdigit():
        raise UsageError(
            f"address '{address}' cannot be joined; allowed: HOST:PORT of the head (as `ray start` prints it) or "
            f"auto; a dashboard's http:// address is for `{command('submit')}`"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONTACT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ClusterError(
            f"no cluster answers at {address}: {error}; is `ray start --head` running there?"
        ) from error
    return address


def _head_of_this_machine() -> str:
    # A cluster of tokens takes none but those that Ray sends from its first import on; one without takes any.
    try:
        read_token("the cluster of this machine")
    except ClusterError:
        pass
    else:
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    from ray._private.services import canonicalize_bootstrap_address_or_die

    try:
        return str(canonicalize_bootstrap_address_or_die("auto"))
    except ConnectionError:
        raise ClusterError(
            "address 'auto': no Ray runs on this machine; start one with `ray start`, give the HOST:PORT of a head, "
            "or give no address to train here"
        ) from None


def _ask(head: str, method: str, request: bytes, token: str | None) -> bytes | None:
    """The head's answer to a request; None where it wants another token."""
    import grpc

    authentication = () if token is None else (("authorization", f"Bearer {token}"),)
    with grpc.insecure_channel(head, options=[("grpc.enable_http_proxy", 0)]) as channel:
        call = channel.unary_unary(f"{_SERVICE}/{method}")
        try:
            return bytes(call(request, timeout=CONTACT_SECONDS, metadata=authentication))
        except grpc.RpcError as error:
            code = error.code()
            if code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
                return None
            silent = code == grpc.StatusCode.DEADLINE_EXCEEDED
            said = f"is silent for {CONTACT_SECONDS:g} s" if silent else "does not answer as a head does"
    raise ClusterError(
        f"what listens at {head} {said}; is it the port of `ray start --head` (6379), and is the head well? "
        f"A dashboard's (http://HOST:{DASHBOARD_PORT}) is for `{command('submit')}`"
    )


def _is_here(node: Any) -> bool:
    """Whether a node runs on this machine: at an address of it, and with the socket that drivers connect to."""
    own = node.node_manager_address
    try:
        with socket.socket(socket.AF_INET6 if ":" in own else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((own, 0))
        with socket.socket(socket.AF_UNIX) as raylet:
            raylet.settimeout(CONTACT_SECONDS)
            raylet.connect(node.raylet_socket_name)
    except OSError:
        return False
    return True


def _no_node(head: str, nodes: Any) -> str:
    shown = [f"{node.node_manager_hostname} ({node.node_manager_address})" for node in nodes[:3]]
    more = f" and {len(nodes) - 3} more" if len(nodes) > 3 else ""
    send = command("submit", "JOB", "--address", f"http://{head.rpartition(':')[0]}:{DASHBOARD_PORT}")
    return (
        f"this machine is no node of the cluster at {head}, whose nodes are {', '.join(shown) or 'none'}{more}; "
        f"send the job there with `{send}`, or make this machine a node with `ray start --address={head}`"
    )

"""The process group of data-parallel workers, reached at the address of their head and at no other of its machine.

The store by which torch's workers find one another listens at every address; here it listens at the one that the
workers know: loopback where Ray is embedded, the node's own in a cluster.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from typing import Any

from ray.train.torch import TorchConfig
from ray.train.torch.config import _TorchBackend
from torch._C._distributed_c10d import Store, TCPStore

LOOPBACK_DEVICE = "lo"


@dataclass
class GroupConfig(TorchConfig):
    """Ray Train's configuration of torch, with the backend below."""

    @property
    def backend_cls(self) -> type[_TorchBackend]:
        """The backend."""
        return _Backend


class _Backend(_TorchBackend):
    def on_start(self, worker_group: Any, backend_config: TorchConfig) -> None:
        worker_group.execute(_listen_at_one_address)
        super().on_start(worker_group, backend_config)


def _listen_at_one_address() -> None:
    """Have this process, where it is the head, make its store as `make_store` does."""
    import_module("torch.distributed.rendezvous")._create_c10d_store = make_store  # type: ignore[attr-defined]


def make_store(
    hostname: str, port: int, rank: int, world_size: int, timeout: timedelta, use_libuv: bool = True
) -> Store:
    """Make, or on the other ranks join, the store at `hostname:port`, bound to that address alone."""
    if hostname.startswith("127.") or hostname == "::1":
        os.environ["GLOO_SOCKET_IFNAME"] = LOOPBACK_DEVICE
    if rank != 0:
        return TCPStore(hostname, port, world_size, False, timeout)
    family = socket.AF_INET6 if ":" in hostname else socket.AF_INET
    listening = socket.create_server((hostname, port), family=family, backlog=world_size + 16)
    return TCPStore(
        hostname,
        port,
        world_size,
        True,
        timeout,
        multi_tenant=True,
        master_listen_fd=listening.detach(),
        use_libuv=use_libuv,
    )

"""The store of data-parallel workers listens at its own address only, and serves all of them."""

from __future__ import annotations

import os
import socket
from datetime import timedelta
from pathlib import Path
from threading import Thread

import pytest

from raydnn.launch.engine.on_ray.process_group import make_store


def listening(port: int) -> list[str]:
    """The addresses at which this port is open, as the kernel writes them."""
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            address, number = line.split()[1].split(":")
            if line.split()[3] == "0A" and int(number, 16) == port:
                found.append(address)
    return found


@pytest.mark.parametrize("libuv", [True, False])
def test_the_store_listens_on_loopback_alone(libuv: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    stores = {}

    def begin(rank: int) -> None:
        stores[rank] = make_store("127.0.0.1", port, rank, 2, timedelta(seconds=20), libuv)

    threads = [Thread(target=begin, args=(rank,)) for rank in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stores[0].set("key", "value")
    assert stores[1].get("key") == b"value"
    assert listening(port) == ["0100007F"]
    assert os.environ["GLOO_SOCKET_IFNAME"] == "lo"

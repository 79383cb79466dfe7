"""The log of a cluster's job, as it was written and as it grows, without Ray's stack trace of a stop."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

from raydnn.errors import ClusterError
from raydnn.launch.cluster.address import Cluster
from raydnn.launch.cluster.job_client import JobState, job_state, open_client, requests
from raydnn.shell import command

QUIET_SECONDS = 60
"""After so long without a line the connection is made anew: a lost head looks like a quiet run."""
RECONNECTS = 5
RECONNECT_SECONDS = 2.0

STACK_TRACE = re.compile(
    r"(\[[^]]*] logging\.cc:\d+: )?(\*\*\* SIGTERM received at |PC: @ +0x| +@ +(0x|\.\.\. and at least))"
)
"""What Ray's SIGTERM handler writes into a log: noise, for a run that was asked to stop."""


def read_logs(cluster: Cluster, run_id: str) -> str:
    """Return what a run has written so far.

    Raises:
        NotFoundError: The cluster does not know the run.
        ClusterError: The cluster does not answer.
    """
    with requests(cluster, run_id):
        text = str(open_client(cluster).get_job_logs(run_id))
    return "".join(line for line in text.splitlines(keepends=True) if not STACK_TRACE.match(line))


def follow_logs(cluster: Cluster, run_id: str, write: Callable[[str], object]) -> JobState:
    """Hand on a run's log as it grows, from its first line, until the run has ended.

    A lost connection is made anew, and no line comes twice. An interrupt (Ctrl-C) leaves the run alone.

    Args:
        cluster: The run's cluster.
        run_id: The run.
        write: Takes each line, with its line end.

    Returns:
        The run's final state.

    Raises:
        NotFoundError: The cluster does not know the run.
        ClusterError: The cluster is lost; the run may go on.
    """
    with requests(cluster, run_id):
        client = open_client(cluster)
        client.get_job_info(run_id)
    lines = _Lines(write)
    asyncio.run(_follow(cluster, client, run_id, lines))
    lines.end()
    return job_state(cluster, run_id)


class _Lines:
    """Cuts chunks into lines, and drops what came before a reconnection and the stack trace of a stop."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._pending = ""
        self.received = 0
        self._skip = 0

    def reconnected(self) -> None:
        self._skip = self.received

    def add(self, chunk: str) -> None:
        fresh = chunk[self._skip :]
        self._skip -= len(chunk) - len(fresh)
        self.received += len(fresh)
        *whole, self._pending = (self._pending + fresh).split("\n")
        for line in whole:
            if not STACK_TRACE.match(line):
                self._write(f"{line}\n")

    def end(self) -> None:
        if self._pending:
            self.add("\n")


async def _follow(cluster: Cluster, client: Any, run_id: str, lines: _Lines) -> None:
    failures = 0
    while True:
        before = lines.received
        lines.reconnected()
        failure = await _copy(client, run_id, lines)
        silent = isinstance(failure, TimeoutError)
        finished = False
        try:
            finished = client.get_job_info(run_id).status.is_terminal()
        except (OSError, RuntimeError) as error:
            failure, silent = error, False
        failures = 0 if failure is None or silent or lines.received > before else failures + 1
        if finished and (failure is None or failures > RECONNECTS):
            return
        if failures > RECONNECTS:
            advice = f"the run may go on: {command('logs', run_id, '-f')}"
            raise ClusterError(f"{cluster.url} stopped sending the log ({failure}); {advice}")
        await asyncio.sleep(RECONNECT_SECONDS)


async def _copy(client: Any, run_id: str, lines: _Lines) -> Exception | None:
    """Copy lines until the log ends (None) or the connection fails or falls silent (why)."""
    chunks = client.tail_job_logs(run_id)
    try:
        while True:
            lines.add(await asyncio.wait_for(anext(chunks), QUIET_SECONDS))
    except StopAsyncIteration:
        return None
    except Exception as error:
        return error
    finally:
        await chunks.aclose()

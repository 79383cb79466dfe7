"""Capturing a function's kernels once, to launch them again and again: a tape on a CPU, a CUDA graph on a GPU."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TypeVar

import torch

from raydnn.training.steps.tape import Watch, record

logger = logging.getLogger(__name__)

T = TypeVar("T")

_failed: list[str] = []
"""Why a graph could not be captured in this process: what CUDA keeps of that is not certain, so none is tried again."""


def capture(
    function: Callable[[], T], device: torch.device, generators: Sequence[torch.Generator]
) -> tuple[T, Callable[[], T] | None]:
    """Run a function once, and capture its kernels.

    Args:
        function: Works on tensors that stay where they are; it has run before.
        device: Where they are.
        generators: Those that it draws from.

    Returns:
        What it returned, and what launches the kernels again and returns the tensors that they write, every time the
        same; None where they cannot be captured.
    """
    result, replay = record(function) if device.type == "cpu" else _graph(function, device, generators)
    if isinstance(replay, str):
        say_why(replay)
        return result, None
    return result, replay


def say_why(reason: str) -> None:
    """Tell why steps stay eager."""
    logger.info("steps are not captured: %s", reason)


def _graph(
    function: Callable[[], T], device: torch.device, generators: Sequence[torch.Generator]
) -> tuple[T, Callable[[], T] | str]:
    stream, watch = torch.cuda.Stream(device), Watch()  # type: ignore[no-untyped-call]
    # As torch asks, the last run before the capture is on the stream of the capture.
    with _on(stream, device), watch:
        result = function()
    if watch.obstacle or _failed:
        return result, watch.obstacle or _failed[0]
    torch.cuda.synchronize(device)
    gc.collect()
    torch.cuda.empty_cache()
    graph, pool = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle()
    try:
        for generator in generators:
            graph.register_generator_state(generator)
        with _on(stream, device):
            # Other threads, which write checkpoints, may use the device meanwhile.
            graph.capture_begin(pool=pool, capture_error_mode="thread_local")
            try:
                # Capturing runs nothing.
                kept = function()
            finally:
                graph.capture_end()
    except RuntimeError as error:
        # Training goes on without a graph, only slower.
        logger.warning("steps are not captured in a CUDA graph: %s", error)
        _failed.append(f"a capture failed in this process: {error}")
        _end_allocating(device, pool)
        return result, _failed[0]

    def replay() -> T:
        graph.replay()
        return kept

    return result, replay


@contextmanager
def _on(stream: torch.cuda.Stream, device: torch.device) -> Iterator[None]:
    """Launch on another stream; whatever happens, torch launches on the present one afterwards, and in order."""
    present = torch.cuda.current_stream(device)
    stream.wait_stream(present)
    torch.cuda.set_stream(stream)
    try:
        yield
    finally:
        torch.cuda.set_stream(present)
        # A capture that was broken off leaves a stream that nothing can wait for.
        with suppress(RuntimeError):
            present.wait_stream(stream)


def _end_allocating(device: torch.device, pool: tuple[int, int]) -> None:
    """Let the allocator forget a capture that failed, which would otherwise be under way for good."""
    index = torch.cuda.current_device() if device.index is None else device.index
    for end in (torch._C._cuda_endAllocateToPool, torch._C._cuda_releasePool):
        with suppress(RuntimeError):
            end(index, pool)

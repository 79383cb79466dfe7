"""Capturing a function's kernels once, to launch them again and again: a tape on a CPU, a CUDA graph on a GPU."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import torch

from raydnn.train.steps.tape import record

logger = logging.getLogger(__name__)


def capture(
    function: Callable[[], None], device: torch.device, generators: Sequence[torch.Generator]
) -> Callable[[], None] | None:
    """Run a function once, and capture its kernels.

    Args:
        function: Works on tensors that stay where they are; it has run before.
        device: Where they are.
        generators: Those that it draws from.

    Returns:
        What launches the kernels again; None where they cannot be captured.
    """
    if device.type == "cuda":
        return _graph(function, generators)
    recorded = record(function)
    if isinstance(recorded, str):
        logger.info("steps are not captured: %s", recorded)
        return None
    return recorded


def _graph(function: Callable[[], None], generators: Sequence[torch.Generator]) -> Callable[[], None] | None:
    graph = torch.cuda.CUDAGraph()
    for stream in generators:
        graph.register_generator_state(stream)
    try:
        # Other threads, which write checkpoints, may use the device meanwhile.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            function()
    except RuntimeError as error:
        # Training goes on without a graph, only slower.
        logger.warning("steps are not captured in a CUDA graph: %s", error)
        function()
        return None
    # Capturing has run nothing.
    graph.replay()
    return graph.replay

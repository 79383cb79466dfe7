"""Capturing by device: the function has run once whatever comes of it. CUDA is played by others here."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch

from raydnn.training.steps import capture as capturing
from raydnn.training.steps.capture import capture

GPU = torch.device("cuda", 0)


class Stream:
    def __init__(self, name: object) -> None:
        self.name = name

    def wait_stream(self, _other: Stream) -> None:
        """In order."""


class Played:
    """CUDA as torch has it: what is launched while a graph is captured does not run before it is replayed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.present = Stream("default")
        self.ran: list[str] = []
        self.graphs: list[Graph] = []
        self.forgotten: list[object] = []
        monkeypatch.setattr(capturing, "_failed", [])
        monkeypatch.setattr(torch.cuda, "Stream", Stream)
        monkeypatch.setattr(torch.cuda, "current_stream", lambda _device: self.present)
        monkeypatch.setattr(torch.cuda, "set_stream", lambda stream: setattr(self, "present", stream))
        monkeypatch.setattr(torch.cuda, "synchronize", lambda _device: None)
        monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
        monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: (1, 2))
        monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: Graph(self))
        for name in ("_cuda_endAllocateToPool", "_cuda_releasePool"):
            monkeypatch.setattr(torch._C, name, lambda *given: self.forgotten.append(given), raising=False)

    @property
    def captured(self) -> Graph | None:
        """The graph whose capture is under way."""
        return next((graph for graph in self.graphs if graph.under_way), None)

    def launch(self, kernel: str) -> None:
        if self.captured is None:
            self.ran.append(kernel)
        else:
            self.captured.kernels.append(kernel)


class Graph:
    def __init__(self, device: Played) -> None:
        self.device, self.kernels, self.under_way = device, [], False  # type: tuple[Played, list[str], bool]
        self.generators: list[torch.Generator] = []
        self.stream: object = None
        device.graphs.append(self)

    def register_generator_state(self, stream: torch.Generator) -> None:
        self.generators.append(stream)

    def capture_begin(self, pool: object, capture_error_mode: str) -> None:
        assert pool == (1, 2)
        assert capture_error_mode == "thread_local", "checkpoints are written by other threads"
        self.under_way, self.stream = True, self.device.present

    def capture_end(self) -> None:
        self.under_way = False
        if "refused" in self.kernels:
            raise torch.AcceleratorError("operation failed due to a previous error during capture")

    def replay(self) -> None:
        self.device.ran += self.kernels


def test_a_graph_has_run_once_and_runs_again(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda, generator = Played(monkeypatch), torch.Generator()
    streams = []

    def function() -> int:
        streams.append(cuda.present)
        cuda.launch("kernel")
        return len(streams)

    result, replay = capture(function, GPU, [generator])
    assert (cuda.ran, result) == (["kernel"], 1)
    assert cuda.graphs[0].generators == [generator]
    # The run before the capture was on the capture's own stream, which is left afterwards.
    assert streams == [cuda.graphs[0].stream] * 2
    assert cuda.present.name == "default"
    assert replay is not None
    assert replay() == 2, "what it gives is the captured run's"
    assert cuda.ran == ["kernel", "kernel"]
    assert len(streams) == 2


def test_a_capture_that_fails_leaves_everything_as_it_was(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cuda, calls = Played(monkeypatch), []

    def function() -> int:
        calls.append(cuda.present.name)
        cuda.launch("kernel" if len(calls) == 1 else "refused")
        if len(calls) > 1:
            raise RuntimeError("operation not permitted when stream is capturing")
        return 5

    assert capture(function, GPU, []) == (5, None)
    assert cuda.ran == ["kernel"], "the function has run once"
    assert cuda.present.name == "default"
    assert cuda.captured is None
    assert cuda.forgotten == [(0, (1, 2))] * 2, "the allocator has no capture under way"
    assert "previous error during capture" in caplog.text
    # No other is tried in this process.
    caplog.clear()
    with caplog.at_level(logging.INFO):
        assert capture(lambda: cuda.launch("other"), GPU, []) == (None, None)
    assert len(cuda.graphs) == 1
    assert cuda.ran == ["kernel", "other"]
    assert "a capture failed in this process" in caplog.text


def test_what_cannot_be_repeated_is_not_tried(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cuda, x = Played(monkeypatch), torch.zeros(1)
    with caplog.at_level(logging.INFO):
        result, replay = capture(lambda: float(x.add_(1)), GPU, [])
    assert (result, replay) == (1.0, None)
    assert not cuda.graphs
    assert "depends on the values of a tensor" in caplog.text


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: float(x.add_(1)), "depends on the values of a tensor"),
        (lambda x: float(len(x.add_(torch.rand(1) * 0 + 1))), "draws from torch's global generator"),
    ],
)
def test_on_a_cpu_too(
    caplog: pytest.LogCaptureFixture, function: Callable[[torch.Tensor], Any], reason: str
) -> None:
    x = torch.zeros(1)
    with caplog.at_level(logging.INFO):
        assert capture(lambda: function(x), torch.device("cpu"), []) == (1.0, None)
    assert x == 1
    assert reason in caplog.text

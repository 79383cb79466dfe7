"""Capturing by device: the function has run once whatever comes of it. torch's graphs are played by others here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from raydnn.train.steps.capture import capture

GPU = torch.device("cuda")


class Played:
    """A CUDA graph as torch has it: what is called while it is captured does not run before it is replayed."""

    def __init__(self, counter: list[str]) -> None:
        self.counter = counter
        self.generators: list[torch.Generator] = []

    def register_generator_state(self, stream: torch.Generator) -> None:
        self.generators.append(stream)

    def replay(self) -> None:
        self.counter.append("ran")


def _play(monkeypatch: pytest.MonkeyPatch, error: Exception | None) -> tuple[list[str], list[Played]]:
    ran: list[str] = []
    graphs: list[Played] = []

    def graph() -> Played:
        graphs.append(Played(ran))
        return graphs[-1]

    @contextmanager
    def capturing(_graph: Played, capture_error_mode: str) -> Iterator[None]:
        assert capture_error_mode == "thread_local", "checkpoints are written by other threads"
        yield
        ran.clear()
        if error is not None:
            raise error

    monkeypatch.setattr(torch.cuda, "CUDAGraph", graph)
    monkeypatch.setattr(torch.cuda, "graph", capturing)
    return ran, graphs


def test_a_graph_has_run_once_and_runs_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ran, graphs = _play(monkeypatch, None)
    stream = torch.Generator()
    replay = capture(lambda: ran.append("captured"), GPU, [stream])
    assert ran == ["ran"]
    assert graphs[0].generators == [stream]
    assert replay is not None
    replay()
    assert ran == ["ran", "ran"]


def test_what_cannot_be_captured_has_run_once_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    refused = RuntimeError("operation not permitted when stream is capturing")
    ran, _ = _play(monkeypatch, refused)
    assert capture(lambda: ran.append("function"), GPU, []) is None
    assert ran == ["function"]
    assert "not permitted when stream is capturing" in caplog.text


def test_on_a_cpu_too() -> None:
    x, calls = torch.zeros(1), []
    assert capture(lambda: calls.append(float(x.add_(1))), torch.device("cpu"), []) is None
    assert calls == [1.0]

"""The device of a training process."""

from __future__ import annotations

import pytest
import torch

from raydnn.errors import ClusterError
from raydnn.launch.worker.device import claim_device
from raydnn.spec.resources import Resources


def test_a_gpu_has_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "set_num_threads", lambda _count: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    assert claim_device(Resources(gpus_per_worker=1)) == torch.device("cuda", 3)
    assert claim_device(Resources()) == torch.device("cpu")


def test_a_gpu_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "set_num_threads", lambda _count: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ClusterError, match="gpus_per_worker: 1, but this machine has no CUDA device"):
        claim_device(Resources(gpus_per_worker=1))

"""Precisions as settings: TF32 for as long as a training lasts, and a line where a device lacks kernels."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, get_args

import pytest
import torch

from raydnn.errors import JobError
from raydnn.spec.train import Precision, Train
from raydnn.training.stack import precision
from raydnn.training.stack.precision import check_device, in_precision, rounding_products

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def _settings() -> tuple[bool, bool]:
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize("name", get_args(Precision))
@pytest.mark.parametrize("device", [CPU, CUDA], ids=str)
def test_tf32_is_on_while_a_device_trains_in_it(name: Precision, device: torch.device) -> None:
    before = _settings()
    with suppress(KeyError), rounding_products(name, device):
        assert _settings() == ((True, True) if name == "tf32" and device == CUDA else before)
        raise KeyError
    assert _settings() == before


def test_a_cpus_tf32_is_float32(make_trial: Callable[..., Any], fit: Callable[..., Any]) -> None:
    (full,), (rounded,) = (fit([make_trial(train={"precision": name})]) for name in ("float32", "tf32"))
    assert full.rows == rounded.rows
    assert torch.equal(full.parameters, rounded.parameters)


@pytest.mark.parametrize(
    ("name", "dtype"), [("tf32", torch.float32), ("bfloat16", torch.bfloat16), ("float16", torch.float16)]
)
def test_products_have_the_precisions_type(name: Precision, dtype: torch.dtype) -> None:
    check_device(Train(precision=name), CPU)
    with in_precision(name, CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


def test_a_device_without_kernels_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(*_: Any) -> None:
        raise RuntimeError("\"conv\" not implemented for 'Half'\nmore")

    monkeypatch.setattr(precision, "conv2d", lacking)
    precision._lacking.cache_clear()
    try:
        with pytest.raises(JobError) as raised:
            check_device(Train(precision="float16"), CPU)
    finally:
        precision._lacking.cache_clear()
    (line,) = str(raised.value).splitlines()
    assert line.startswith("train.precision: float16 on a CPU (")
    assert line.endswith("\"conv\" not implemented for 'Half'; allowed: float32")

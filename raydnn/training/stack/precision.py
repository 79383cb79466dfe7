"""The precisions that a network is trained in, `train.precision`: what is rounded, and where it can be computed.

Parameters, their gradients, losses and optimizers are float32 in all of them (mixed precision: Micikevicius et al.
2018, arXiv:1710.03740).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache

import torch
from torch.nn.functional import conv2d

from raydnn.errors import job_error
from raydnn.nn.gradients.compiling import lacking_compiler
from raydnn.spec.train import Precision, Train

LOWERED: dict[Precision, torch.dtype] = {"bfloat16": torch.bfloat16, "float16": torch.float16}
"""Precision → type of the network's products, where it is not that of the parameters."""


def in_precision(precision: Precision, device: torch.device) -> AbstractContextManager[None]:
    """Where a network is to compute in a precision."""
    dtype = LOWERED.get(precision)
    return torch.autocast(device.type, dtype or torch.bfloat16, enabled=dtype is not None)


@contextmanager
def rounding_products(precision: Precision, device: torch.device) -> Iterator[None]:
    """The time in which this process's float32 products are rounded to TF32 on a CUDA device, for `tf32`.

    TF32 has float32's range and 10 bits of mantissa. It is a setting of the process, which is put back; a CPU has no
    such products, and `float32` leaves the setting alone.
    """
    if precision != "tf32" or device.type != "cuda":
        yield
        return
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, convolutions.allow_tf32
    products.allow_tf32 = convolutions.allow_tf32 = True
    try:
        yield
    finally:
        products.allow_tf32, convolutions.allow_tf32 = before


def check_device(train: Train, device: torch.device) -> None:
    """See that a device has the kernels of a precision, and a compiler where kernels are compiled.

    Raises:
        JobError: It has not.
    """
    reason = _lacking(train.precision, device)
    if reason:
        raise job_error(
            "train.precision", f"{train.precision} on {_named(device)}: {reason}; allowed: float32"
        )
    reason = lacking_compiler(device) if train.compile else ""
    if reason:
        raise job_error("train.compile", f"true on {_named(device)}: {reason}; allowed: false")


@cache
def _lacking(precision: Precision, device: torch.device) -> str:
    """What torch says of a small product and a small convolution, forward and backward; empty: nothing."""
    if precision not in LOWERED:
        return ""
    weight = torch.ones(1, 2, 2, 2, device=device, requires_grad=True)
    try:
        with torch.enable_grad(), in_precision(precision, device):
            total = conv2d(weight, weight).sum() + (weight[0, 0] @ weight[0, 1]).sum()
        torch.autograd.grad(total.float(), [weight])
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        return str(error).partition("\n")[0].partition(". ")[0]
    return ""


def _named(device: torch.device) -> str:
    """A device in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"a CPU ({torch.backends.cpu.get_cpu_capability()})"

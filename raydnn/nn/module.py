"""A user's own torch.nn.Module as a stack: its N members computed at once by torch.func, or in turn.

All that a module learns or keeps is in its parameters and buffers; they lie in the stack's matrices as those of every
model do, and the class's code is called with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from raydnn.data.random import drawing_from, generator
from raydnn.nn.imported import buffers_and_frozen, build, learned, refuse
from raydnn.nn.layout import Layout
from raydnn.nn.noise import Noise
from raydnn.spec.model import UserModule
from raydnn.spec.trial import TrialSpec

STREAM = "module"
"""The stream of what modules draw in training."""


@dataclass(frozen=True)
class ModuleLayout(Layout):
    """The layout of a module, and what it was built for."""

    inputs: int = field(kw_only=True)
    outputs: int = field(kw_only=True)

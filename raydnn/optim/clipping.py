"""Gradient clipping, member by member.

Every function scales `gradients` (n, P) of n members in place; its parameters are columns (n, 1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from raydnn.optim.runs import Run


def none(_gradients: Tensor, _hyper: Mapping[str, Tensor]) -> None:
    """Leave the gradients as they are."""


def norm(gradients: Tensor, hyper: Mapping[str, Tensor]) -> None:
    """g ← g · min(1, c/(‖g‖ + 1e-6)), the norm taken over all of a member's parameters."""
    total = gradients.norm(dim=1, keepdim=True)
    gradients.mul_((hyper["max_grad_norm"].float() / (total + 1e-6)).clamp_(max=1.0))


CLIPS: dict[str, Callable[[Tensor, Mapping[str, Tensor]], None]] = {"none": none, "norm": norm}
"""Name → implementation; the names are those of raydnn.spec.clip."""


def clip_gradients(runs: Sequence[Run], gradients: Tensor) -> None:
    """Clip the gradients (N, P) of a stack, each run of members in its own way."""
    for run in runs:
        columns = {name: vector.unsqueeze(1) for name, vector in run.vectors.items()}
        CLIPS[run.name](run.of(gradients), columns)

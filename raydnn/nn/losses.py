"""Losses: outputs (n, B, K) of n members against targets → per-example losses (n, B).

Targets are shared, or the members' own with a leading n: class numbers (B,), or numbers, labels (0 or 1) or
probabilities (B, K). Parameters are columns (n, 1).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import inf, log

import torch
from torch import Tensor
from torch.nn import functional

from raydnn.errors import UserCodeError
from raydnn.nn.imported import imported
from raydnn.nn.user_code import leave_if_copied, line_of_code

BLOCK = 256
"""Examples whose distances to as many others are held at once: 256 kB a member."""


def _values(outputs: Tensor, targets: Tensor) -> Tensor:
    """Targets as numbers (B, K): class numbers become one-hot, or with one output 0 and 1."""
    if targets.is_floating_point():
        return targets.to(outputs.dtype)
    if outputs.shape[-1] == 1:
        return targets.unsqueeze(-1).to(outputs.dtype)
    return torch.eq(targets.unsqueeze(-1), _numbers(outputs.shape[-1], outputs.device)).to(outputs.dtype)


@cache
def _minus_one(dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(-1.0, dtype=dtype, device=device)


@cache
def _numbers(classes: int, device: torch.device) -> Tensor:
    return torch.arange(classes, device=device)


def mse(outputs: Tensor, targets: Tensor) -> Tensor:
    """mean_k (z_k − y_k)²."""
    return (outputs - _values(outputs, targets)).square().mean(dim=-1)


def mae(outputs: Tensor, targets: Tensor) -> Tensor:
    """mean_k |z_k − y_k|."""
    return (outputs - _values(outputs, targets)).abs().mean(dim=-1)


def huber(outputs: Tensor, targets: Tensor, delta: Tensor) -> Tensor:
    """mean_k of e²/2 for |e| ≤ δ, else δ(|e| − δ/2), e = z_k − y_k."""
    error = (outputs - _values(outputs, targets)).abs()
    delta = delta.unsqueeze(-1)
    # The square is only taken where it counts, so that it cannot overflow.
    return torch.where(error <= delta, error.minimum(delta).square() / 2, delta * (error - delta / 2)).mean(
        dim=-1
    )


def log_cosh(outputs: Tensor, targets: Tensor) -> Tensor:
    """mean_k e + log(1 + e^(−2e)) − log 2, e = z_k − y_k; the middle term is a softplus, which cannot overflow."""
    error = outputs - _values(outputs, targets)
    return (error + functional.softplus(-2 * error) - log(2)).mean(dim=-1)


def _log_softmax(outputs: Tensor) -> Tensor:
    """log softmax over the last dimension; over the one before it torch is ten times faster for few classes."""
    return torch.log_softmax(outputs.mT.contiguous(), dim=-2).mT


def cross_entropy(outputs: Tensor, targets: Tensor, smoothing: Tensor | None = None) -> Tensor:
    """−log softmax(z)_y for class numbers y; stable for logits of any size.

    Smoothing s gives the target class the probability 1 − s + s/K and every other one s/K.
    """
    log_probabilities = _log_softmax(outputs)
    picked = targets.expand(outputs.shape[:-1]).unsqueeze(-1)
    of_target = -log_probabilities.gather(-1, picked).squeeze(-1)
    if smoothing is None:
        return of_target
    return (1 - smoothing) * of_target - smoothing * log_probabilities.mean(dim=-1)


def cross_entropy_gradient(outputs: Tensor, targets: Tensor, smoothing: Tensor | None = None) -> Tensor:
    """The gradient of the cross-entropies by the outputs: softmax(z)_k − (1 − s)·1[k = y] − s/K."""
    probabilities = torch.softmax(outputs.mT.contiguous(), dim=-2)
    members, classes, examples = probabilities.shape
    picked = targets.unsqueeze(-2).expand(members, 1, examples)
    if smoothing is None:
        minus_one = _minus_one(outputs.dtype, outputs.device).expand(picked.shape)
        return probabilities.scatter_add_(-2, picked, minus_one).mT
    s = smoothing.unsqueeze(-1)
    return probabilities.sub_(s / classes).scatter_add_(-2, picked, (s - 1).expand(picked.shape)).mT


def categorical_cross_entropy(outputs: Tensor, targets: Tensor, smoothing: Tensor | None = None) -> Tensor:
    """−Σ_k y_k log softmax(z)_k; smoothing s moves y to (1 − s)y + s/K."""
    log_probabilities = _log_softmax(outputs)
    of_targets = -(_values(outputs, targets) * log_probabilities).sum(dim=-1)
    if smoothing is None:
        return of_targets
    return (1 - smoothing) * of_targets - smoothing * log_probabilities.mean(dim=-1)


def binary_cross_entropy(outputs: Tensor, targets: Tensor, smoothing: Tensor | None = None) -> Tensor:
    """mean_k max(z_k, 0) − y_k z_k + log(1 + e^(−|z_k|)); smoothing s moves y to (1 − s)y + s/2."""
    values = _values(outputs, targets)
    if smoothing is not None:
        s = smoothing.unsqueeze(-1)
        values = (1 - s) * values + s / 2
    return _sigmoid_cross_entropy(outputs, values).mean(dim=-1)


def _sigmoid_cross_entropy(outputs: Tensor, values: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(
        outputs, values.expand(outputs.shape), reduction="none"
    )


def hinge(outputs: Tensor, targets: Tensor) -> Tensor:
    """mean_k max(0, 1 − y_k z_k), y_k = ±1."""
    signs = 2 * _values(outputs, targets) - 1
    return torch.relu(1 - signs * outputs).mean(dim=-1)


def _excess(outputs: Tensor, targets: Tensor) -> Tensor:
    """max_{k≠y} z_k − z_y."""
    picked = targets.expand(outputs.shape[:-1]).unsqueeze(-1)
    others = outputs.scatter(-1, picked, -inf).max(dim=-1).values
    return others - outputs.gather(-1, picked).squeeze(-1)


def categorical_hinge(outputs: Tensor, targets: Tensor) -> Tensor:
    """max(0, 1 + max_{k≠y} z_k − z_y)."""
    return torch.relu(1 + _excess(outputs, targets))


def perceptron(outputs: Tensor, targets: Tensor) -> Tensor:
    """mean_k max(0, −y_k z_k), y_k = ±1, or max(0, max_{k≠y} z_k − z_y); the edge counts as wrong."""
    if targets.is_floating_point() or outputs.shape[-1] == 1:
        signs = 2 * _values(outputs, targets) - 1
        wrong_by = -signs * outputs
    else:
        wrong_by = _excess(outputs, targets).unsqueeze(-1)
    return torch.where(wrong_by < 0, 0.0, wrong_by).mean(dim=-1)


def focal(outputs: Tensor, targets: Tensor, gamma: Tensor, alpha: Tensor) -> Tensor:
    """−α(1 − p)^γ log p, p the softmax of the target class; with sigmoids the mean_k, and 1 − α for y = 0."""
    if targets.is_floating_point() or outputs.shape[-1] == 1:
        values, alpha = _values(outputs, targets), alpha.unsqueeze(-1)
        surprise = _sigmoid_cross_entropy(outputs, values)
        weight = alpha * values + (1 - alpha) * (1 - values)
        return (weight * _focus(surprise, gamma.unsqueeze(-1)) * surprise).mean(dim=-1)
    surprise = cross_entropy(outputs, targets)
    return alpha * _focus(surprise, gamma) * surprise


def _focus(surprise: Tensor, gamma: Tensor) -> Tensor:
    """(1 − p)^γ from −log p; at p = 1 the power of γ < 1 would have an infinite slope."""
    miss = (-torch.expm1(-surprise)).clamp(min=torch.finfo(surprise.dtype).tiny)
    powered: Tensor = miss.pow(gamma)
    return powered


def kl_divergence(outputs: Tensor, targets: Tensor) -> Tensor:
    """Σ_k y_k (log y_k − log softmax(z)_k), where 0·log 0 = 0."""
    values = _values(outputs, targets)
    terms: Tensor = torch.special.xlogy(values, values)
    return terms.sum(dim=-1) + categorical_cross_entropy(outputs, targets)


def dice(outputs: Tensor, targets: Tensor, smooth: Tensor) -> Tensor:
    """1 − (2 Σ_k p_k y_k + s)/(Σ_k p_k + Σ_k y_k + s)."""
    values = _values(outputs, targets)
    exclusive = not targets.is_floating_point() and outputs.shape[-1] > 1
    predicted = torch.softmax(outputs, dim=-1) if exclusive else torch.sigmoid(outputs)
    shared = (predicted * values).sum(dim=-1)
    return 1 - (2 * shared + smooth) / (predicted.sum(dim=-1) + values.sum(dim=-1) + smooth)


def triplet(outputs: Tensor, targets: Tensor, margin: Tensor, embedding: Tensor) -> Tensor:
    """max(0, max_same ‖z − z₊‖ − min_other ‖z − z₋‖ + margin); the embedding's size is that of the outputs."""
    if outputs.shape[-2] == 0:
        # A worker may have no example of a small batch.
        return outputs.sum(dim=-1)
    distances = torch.cdist(outputs, outputs, compute_mode="donot_use_mm_for_euclid_dist")
    same = (targets.unsqueeze(-1) == targets.unsqueeze(-2)).expand(distances.shape)
    farthest = distances.masked_fill(~same, -inf).max(dim=-1).values
    nearest = distances.masked_fill(same, inf).min(dim=-1).values
    # An example is at distance 0 from itself, so it needs a second one of its class.
    complete = (same.sum(dim=-1) > 1) & ~same.all(dim=-1)
    return torch.where(complete, torch.relu(farthest - nearest + margin), 0.0)


def triplet_of_set(
    outputs: Tensor, targets: Tensor, rows: slice, margin: Tensor, embedding: Tensor
) -> Tensor:
    """`triplet` of the examples at `rows`, each against the whole set: whatever its order, and in little memory.

    Args:
        outputs: (n, B, K), those of the set.
        targets: Class numbers (B,).
        rows: The examples that are measured.
        margin: As for `triplet`, as is `embedding`.
    """
    measured = zip(
        torch.split(outputs[:, rows], BLOCK, dim=1), torch.split(targets[rows], BLOCK), strict=True
    )
    losses = [_against(anchors, own, outputs, targets, margin) for anchors, own in measured]
    return torch.cat(losses, dim=1)


def _against(anchors: Tensor, own: Tensor, outputs: Tensor, targets: Tensor, margin: Tensor) -> Tensor:
    farthest = torch.full(anchors.shape[:-1], -inf, device=anchors.device)
    nearest = torch.full_like(farthest, inf)
    alike = torch.zeros_like(own)
    for others, theirs in zip(torch.split(outputs, BLOCK, dim=1), torch.split(targets, BLOCK), strict=True):
        distances = torch.cdist(anchors, others, compute_mode="donot_use_mm_for_euclid_dist")
        same = own.unsqueeze(1) == theirs
        farthest = farthest.maximum(distances.masked_fill(~same, -inf).amax(dim=-1))
        nearest = nearest.minimum(distances.masked_fill(same, inf).amin(dim=-1))
        alike += same.sum(dim=1)
    complete = (alike > 1) & (alike < len(targets))
    return torch.where(complete, torch.relu(farthest - nearest + margin), 0.0)


def wasserstein(outputs: Tensor, targets: Tensor) -> Tensor:
    """mean_k −y_k z_k, y_k = ±1."""
    signs = 2 * _values(outputs, targets) - 1
    return (-signs * outputs).mean(dim=-1)


def function(outputs: Tensor, targets: Tensor, path: str) -> Tensor:
    """What a user's function says, member by member.

    Raises:
        JobError: It cannot be imported.
        UserCodeError: It does not give one loss an example, from which a gradient can be computed.
    """
    users = imported(path, "loss.path", "function")
    own = has_own(targets)
    losses = [users(member, targets[k] if own else targets) for k, member in enumerate(outputs)]
    leave_if_copied()
    for found in losses:
        wrong = _why_no_losses(found, outputs)
        if wrong:
            raise UserCodeError(f"{line_of_code(users)}loss.path: {path} gives {wrong}")
    return torch.stack(losses)


def _why_no_losses(found: object, outputs: Tensor) -> str:
    """What a user's function gave instead of the losses of one member; empty where it gave these."""
    needed = f"a tensor with one loss an example, ({outputs.shape[1]},), is needed"
    if not isinstance(found, Tensor):
        return f"{type(found).__name__}; {needed}"
    if found.shape != outputs.shape[1:2]:
        return f"a tensor of shape {tuple(found.shape)}; {needed}"
    if not found.is_floating_point():
        return f"a tensor of {found.dtype}; floating-point numbers are needed"
    if torch.is_grad_enabled() and outputs.requires_grad and not found.requires_grad:
        return "losses without a gradient; compute them from the outputs by torch, without detach, item or argmax"
    return ""


def has_own(targets: Tensor) -> bool:
    """Whether targets have a leading member dimension."""
    return targets.dim() == (3 if targets.is_floating_point() else 2)


LOSSES: dict[str, Callable[..., Tensor]] = {
    "mse": mse,
    "mae": mae,
    "huber": huber,
    "log_cosh": log_cosh,
    "cross_entropy": cross_entropy,
    "categorical_cross_entropy": categorical_cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
    "hinge": hinge,
    "categorical_hinge": categorical_hinge,
    "focal": focal,
    "kl_divergence": kl_divergence,
    "perceptron": perceptron,
    "dice": dice,
    "triplet": triplet,
    "wasserstein": wasserstein,
    "function": function,
}
"""Name → implementation; the names are those of raydnn.spec.axes.loss without `auto`."""

OF_SETS: dict[str, Callable[..., Tensor]] = {"triplet": triplet_of_set}
"""Loss that compares examples with one another → what it is of a whole set: (outputs, targets, rows, ...)."""

GRADIENTS: dict[str, Callable[..., Tensor]] = {"cross_entropy": cross_entropy_gradient}
"""Loss → its gradient by the outputs (n, B, K), where that is written out; the others are left to autograd."""

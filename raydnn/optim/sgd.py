"""Stochastic gradient descent and Lion: steps along a velocity, not scaled parameter by parameter."""

from __future__ import annotations

import torch
from torch import Tensor

from raydnn.optim.step import State, Step, add_l2, decay


def sgd(parameters: Tensor, gradients: Tensor, state: State, step: Step) -> None:
    """v ← μv + (1−d)g, θ ← θ − ηv, or with Nesterov θ ← θ − η(g + μv); the first v is g, as in torch.

    Keras' SGD keeps −ηv as its velocity: the same path as long as η does not change.
    """
    add_l2(parameters, gradients, step)
    hyper, dtype = step.hyper, parameters.dtype
    lr = -step.lr.to(dtype)
    if "momentum" not in step.used:
        parameters.addcmul_(gradients, lr)
        return
    velocity = state["velocity"]
    velocity.mul_(hyper["momentum"].to(dtype))
    if "dampening" in step.used:
        kept = torch.where((step.number == 1) | (hyper["momentum"] == 0), 1.0, 1 - hyper["dampening"])
        velocity.addcmul_(gradients, kept.to(dtype))
    else:
        velocity.add_(gradients)
    if "nesterov" in step.used:
        ahead = gradients.addcmul_(velocity, hyper["momentum"].to(dtype))
        parameters.addcmul_(torch.where(hyper["nesterov"], ahead, velocity), lr)
    else:
        parameters.addcmul_(velocity, lr)


def lion(parameters: Tensor, gradients: Tensor, state: State, step: Step) -> None:
    """θ ← θ(1 − ηλ) − η·sign(β₁m + (1−β₁)g), then m ← β₂m + (1−β₂)g.

    Keras' Lion is the same.
    """
    decay(parameters, step)
    mean, dtype = state["mean"], parameters.dtype
    direction = torch.lerp(mean, gradients, (1 - step.hyper["beta1"]).to(dtype)).sign_()
    mean.lerp_(gradients, (1 - step.hyper["beta2"]).to(dtype))
    parameters.addcmul_(direction, -step.lr.to(dtype))

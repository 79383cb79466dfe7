"""The roles of the parameters of a user's module, told by the types of torch's own modules that it is made of."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from raydnn.stacking.roles import Parameter, Role


def parameters_of(module: nn.Module) -> dict[str, Parameter]:
    """What each parameter and buffer of a module is, by its name in it.

    Args:
        module: A module; what its parts are not of torch's own types have parameters of the role `OTHER`.

    Returns:
        Name → the parameter; its layer is the part of the name before the last dot.
    """
    found: dict[str, Parameter] = {}
    for layer, part in module.named_modules():
        role_of = next((of for kind, of in ROLES.items() if isinstance(part, kind)), _other)
        for name, tensor in part.named_parameters(recurse=False):
            whole = f"{layer}.{name}" if layer else name
            found[whole] = _parameter(part, layer, tensor, role_of(name))
        for name, tensor in part.named_buffers(recurse=False):
            whole = f"{layer}.{name}" if layer else name
            found[whole] = Parameter(tuple(tensor.shape), Role.BUFFER, layer)
    return found


def _parameter(part: nn.Module, layer: str, tensor: Tensor, role: Role) -> Parameter:
    shape = tuple(tensor.shape)
    if role is Role.EMBEDDING:
        return Parameter(shape, role, layer, shape[0], shape[1])
    if role is not Role.WEIGHT:
        return Parameter(shape, role, layer)
    if isinstance(part, _ConvTransposeNd):
        # (inputs, outputs / groups, *kernel): a unit's kernels lie along the second dimension.
        kernel = prod(shape[2:])
        fan_in = shape[0] // part.groups * kernel
        return Parameter(shape, role, layer, fan_in, shape[1] * kernel, unit_axis=1)
    groups = part.groups if isinstance(part, _ConvNd) else 1
    return Parameter(shape, role, layer, prod(shape[1:]), shape[0] // groups * prod(shape[2:]))


def _of_affine(name: str) -> Role:
    """A dense layer or a convolution, a recurrent layer, or attention: weights, and what is named after a bias."""
    return Role.BIAS if "bias" in name else Role.WEIGHT


def _of_norm(name: str) -> Role:
    return Role.SHIFT if name == "bias" else Role.SCALE


def _of_embedding(_name: str) -> Role:
    return Role.EMBEDDING


def _of_slope(_name: str) -> Role:
    return Role.SLOPE


def _other(_name: str) -> Role:
    return Role.OTHER


ROLES: dict[type[nn.Module], Callable[[str], Role]] = {
    nn.Linear: _of_affine,
    nn.Bilinear: _of_affine,
    _ConvNd: _of_affine,
    nn.RNNBase: _of_affine,
    nn.RNNCellBase: _of_affine,
    nn.MultiheadAttention: _of_affine,
    _NormBase: _of_norm,
    nn.GroupNorm: _of_norm,
    nn.LayerNorm: _of_norm,
    nn.RMSNorm: _of_norm,
    nn.Embedding: _of_embedding,
    nn.EmbeddingBag: _of_embedding,
    nn.PReLU: _of_slope,
}
"""Type of a part → the role of its parameter of a name."""

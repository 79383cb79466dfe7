"""The roles of the parameters of a user's module, told by the types of torch's own modules that it is made of.

A parameter that torch.nn.utils makes another one of has that one's layer and role, as `fc.weight_orig` or
`fc.parametrizations.weight.original` those of `fc.weight`. Of weight normalization (Salimans & Kingma 2016) the
directions v are weights and the lengths g scales.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from math import prod

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.utils.parametrizations import _WeightNorm
from torch.nn.utils.parametrize import ParametrizationList

from raydnn.stacking.roles import Parameter, Role


def parameters_of(module: nn.Module) -> dict[str, Parameter]:
    """What each parameter and buffer of a module is, by its name in it.

    Args:
        module: A module; what its parts are not of torch's own types have parameters of the role `OTHER`.

    Returns:
        Name → the parameter; its layer is the name of the part that it belongs to.
    """
    found: dict[str, Parameter] = {}
    for whole, layer, part, name, tensor in _named_parameters(module):
        found[whole] = _parameter(part, layer, tensor, role_of(part, name))
    for name, tensor in module.named_buffers(remove_duplicate=False):
        found[name] = Parameter(tuple(tensor.shape), Role.BUFFER, name.rpartition(".")[0])
    return found


def role_of(part: nn.Module, name: str) -> Role:
    """The role of a parameter of a part.

    Args:
        part: A module, such as a torch.nn.Linear.
        name: Of the parameter in it, such as `weight`, or `weight_v` or `weight_orig`, of which `weight` is made.
    """
    of = next((of for kind, of in ROLES.items() if isinstance(part, kind)), _other)
    made, _, how = name.rpartition("_")
    if of(name) is not Role.OTHER or how not in ("g", "v", "orig"):
        return of(name)
    return Role.SCALE if how == "g" else of(made)


def told_unknown(path: str, parameters: Mapping[str, Parameter]) -> str:
    """What does not act on the parameters whose role is not known, as one line; empty where all are known.

    Args:
        path: The user's class.
        parameters: Name → what it is, of what the class learns.
    """
    unknown = [name for name, parameter in parameters.items() if parameter.role is Role.OTHER]
    if not unknown:
        return ""
    return (
        f"{path}: no type of torch's tells what {', '.join(unknown)} does; l1, l2, elastic_net, max_norm, prune, "
        "Muon's orthogonal steps and, with decay_bias: false, weight decay leave it alone"
    )


def _named_parameters(module: nn.Module) -> Iterator[tuple[str, str, nn.Module, str, Tensor]]:
    """Whole name, layer, its part, the name that the part's type knows, values, of each parameter."""
    for path, part in module.named_modules(remove_duplicate=False):
        owner, layer, made = part, path, ""
        if isinstance(part, ParametrizationList):
            layer, _, made = path.rpartition("parametrizations.")
            layer = layer.removesuffix(".")
            owner = module.get_submodule(layer)
        for name, tensor in part.named_parameters(recurse=False):
            known = f"{made}_{_ORIGINALS[name] if _is_weight_norm(part) else 'orig'}" if made else name
            yield f"{path}.{name}" if path else name, layer, owner, known, tensor


_ORIGINALS = {"original0": "g", "original1": "v"}


def _is_weight_norm(part: nn.Module) -> bool:
    return isinstance(part, ParametrizationList) and isinstance(part[0], _WeightNorm)


def _parameter(part: nn.Module, layer: str, tensor: Tensor, role: Role) -> Parameter:
    shape = tuple(tensor.shape)
    if role is Role.EMBEDDING:
        return Parameter(shape, role, layer, shape[0], shape[1])
    if role is not Role.WEIGHT:
        return Parameter(shape, role, layer)
    groups = part.groups if isinstance(part, _ConvNd) else 1
    if isinstance(part, _ConvTransposeNd):
        # (inputs, outputs / groups, *kernel): a unit's kernels lie along the second dimension, group by group.
        kernel = prod(shape[2:])
        fan_in = shape[0] // groups * kernel
        return Parameter(shape, role, layer, fan_in, shape[1] * kernel, unit_axis=1, groups=groups)
    return Parameter(shape, role, layer, prod(shape[1:]), shape[0] // groups * prod(shape[2:]))


def _of_affine(name: str) -> Role:
    """A dense layer or a convolution."""
    return {"weight": Role.WEIGHT, "bias": Role.BIAS}.get(name, Role.OTHER)


def _of_recurrence(name: str) -> Role:
    """`weight_ih_l0`, `bias_hh_l1_reverse` and their like, the gates' rows one below the other."""
    found = re.fullmatch(r"(weight|bias)_(ih|hh|hr)(_l\d+(_reverse)?)?", name)
    return _of_affine(found[1]) if found else Role.OTHER


def _of_attention(name: str) -> Role:
    if name in ("in_proj_bias", "bias_k", "bias_v"):
        return Role.BIAS
    return Role.WEIGHT if name in (f"{of}_proj_weight" for of in ("in", "q", "k", "v")) else Role.OTHER


def _of_norm(name: str) -> Role:
    return {"weight": Role.SCALE, "bias": Role.SHIFT}.get(name, Role.OTHER)


def _of_embedding(name: str) -> Role:
    return Role.EMBEDDING if name == "weight" else Role.OTHER


def _of_slope(name: str) -> Role:
    return Role.SLOPE if name == "weight" else Role.OTHER


def _other(_name: str) -> Role:
    return Role.OTHER


ROLES: dict[type[nn.Module], Callable[[str], Role]] = {
    nn.Linear: _of_affine,
    nn.Bilinear: _of_affine,
    _ConvNd: _of_affine,
    nn.RNNBase: _of_recurrence,
    nn.RNNCellBase: _of_recurrence,
    nn.MultiheadAttention: _of_attention,
    _NormBase: _of_norm,
    nn.GroupNorm: _of_norm,
    nn.LayerNorm: _of_norm,
    nn.RMSNorm: _of_norm,
    nn.Embedding: _of_embedding,
    nn.EmbeddingBag: _of_embedding,
    nn.PReLU: _of_slope,
}
"""Type of a part → the role of its parameter of a name."""

"""Roles of a user's module: every type of torch's with parameters is decided, and what is made of others is, too."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from raydnn.nn.models.users.module_roles import parameters_of, role_of, told_unknown
from raydnn.stacking.layout import by_unit
from raydnn.stacking.roles import Role

W, B, SCALE, SHIFT = Role.WEIGHT, Role.BIAS, Role.SCALE, Role.SHIFT
AFFINE = {"weight": W, "bias": B}
NORM = {"weight": SCALE, "bias": SHIFT}
RECURRENT = {f"{kind}_{of}_l0": role for of in ("ih", "hh") for kind, role in AFFINE.items()}
CELL = {f"{kind}_{of}": role for of in ("ih", "hh") for kind, role in AFFINE.items()}
ATTENTION = {
    "in_proj_weight": W,
    "in_proj_bias": B,
    "bias_k": B,
    "bias_v": B,
    "out_proj.weight": W,
    "out_proj.bias": B,
}
TYPES: dict[str, tuple[Callable[[], nn.Module], dict[str, Role]]] = {
    "Linear": (lambda: nn.Linear(3, 2), AFFINE),
    "Bilinear": (lambda: nn.Bilinear(3, 4, 2), AFFINE),
    "Conv1d": (lambda: nn.Conv1d(2, 4, 3), AFFINE),
    "Conv2d": (lambda: nn.Conv2d(2, 4, 3, groups=2), AFFINE),
    "Conv3d": (lambda: nn.Conv3d(2, 4, 3), AFFINE),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(2, 4, 3), AFFINE),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(2, 4, 3, groups=2), AFFINE),
    "ConvTranspose3d": (lambda: nn.ConvTranspose3d(2, 4, 3), AFFINE),
    "RNN": (lambda: nn.RNN(3, 2), RECURRENT),
    "RNNBase": (lambda: nn.RNNBase("GRU", 3, 2), RECURRENT),
    "LSTM": (lambda: nn.LSTM(3, 4, proj_size=2), RECURRENT | {"weight_hr_l0": W}),
    "GRU": (
        lambda: nn.GRU(3, 2, bidirectional=True),
        RECURRENT | {f"{name}_reverse": role for name, role in RECURRENT.items()},
    ),
    "RNNCell": (lambda: nn.RNNCell(3, 2), CELL),
    "RNNCellBase": (lambda: nn.RNNCellBase(3, 2, True, 1), CELL),
    "LSTMCell": (lambda: nn.LSTMCell(3, 2), CELL),
    "GRUCell": (lambda: nn.GRUCell(3, 2), CELL),
    "MultiheadAttention": (lambda: nn.MultiheadAttention(4, 2, add_bias_kv=True), ATTENTION),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(3), NORM),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(3), NORM),
    "BatchNorm3d": (lambda: nn.BatchNorm3d(3), NORM),
    "SyncBatchNorm": (lambda: nn.SyncBatchNorm(3), NORM),
    "InstanceNorm1d": (lambda: nn.InstanceNorm1d(3, affine=True), NORM),
    "InstanceNorm2d": (lambda: nn.InstanceNorm2d(3, affine=True), NORM),
    "InstanceNorm3d": (lambda: nn.InstanceNorm3d(3, affine=True), NORM),
    "GroupNorm": (lambda: nn.GroupNorm(1, 3), NORM),
    "LayerNorm": (lambda: nn.LayerNorm(3), NORM),
    "RMSNorm": (lambda: nn.RMSNorm(3), {"weight": SCALE}),
    "Embedding": (lambda: nn.Embedding(5, 3), {"weight": Role.EMBEDDING}),
    "EmbeddingBag": (lambda: nn.EmbeddingBag(5, 3), {"weight": Role.EMBEDDING}),
    "PReLU": (lambda: nn.PReLU(), {"weight": Role.SLOPE}),
}
MADE_OF_OTHERS = {
    "AdaptiveLogSoftmaxWithLoss": lambda: nn.AdaptiveLogSoftmaxWithLoss(8, 20, [5]),
    "LinearCrossEntropyLoss": lambda: nn.LinearCrossEntropyLoss(4, 3),
    "Transformer": lambda: nn.Transformer(4, 2, 1, 1, 8),
    "TransformerEncoderLayer": lambda: nn.TransformerEncoderLayer(4, 2, 8),
    "TransformerDecoderLayer": lambda: nn.TransformerDecoderLayer(4, 2, 8),
}
"""Types whose parameters all belong to parts of the types above."""
NEED_PARTS = {
    "TransformerEncoder",
    "TransformerDecoder",
    "DataParallel",
    "TripletMarginWithDistanceLoss",
    "Container",
}
"""Types that hold what they are given."""
GIVEN = [(), (2,), (2, 2), (2, 2, 2), (1, (2,)), (0.5, 2.0)]


@pytest.mark.parametrize("name", TYPES)
def test_each_type_has_the_roles_that_it_has_by_its_formula(name: str) -> None:
    make, roles = TYPES[name]
    found = parameters_of(make())
    assert {
        key: parameter.role for key, parameter in found.items() if parameter.role is not Role.BUFFER
    } == roles
    for key, parameter in make().named_parameters():
        assert found[key].shape == parameter.shape
        assert found[key].layer == key.rpartition(".")[0]


@pytest.mark.parametrize("name", MADE_OF_OTHERS)
def test_types_made_of_others_have_no_parameter_that_is_unknown(name: str) -> None:
    assert Role.OTHER not in {parameter.role for parameter in parameters_of(MADE_OF_OTHERS[name]()).values()}


def test_no_type_of_torch_with_parameters_is_undecided() -> None:
    for name in dir(nn):
        kind = getattr(nn, name)
        if not isinstance(kind, type) or not issubclass(kind, nn.Module):
            continue
        if name.startswith("Lazy") or name in {*TYPES, *MADE_OF_OTHERS, *NEED_PARTS}:
            continue
        assert not list(_made(kind).parameters()), f"the roles of nn.{name} are to be decided"


def _made(kind: type[nn.Module]) -> nn.Module:
    for given in GIVEN:
        try:
            return kind(*given)
        except (TypeError, ValueError, AttributeError):
            continue
    raise AssertionError(f"nn.{kind.__name__} is to be looked at: it needs other arguments")


def test_what_a_user_adds_to_a_type_of_torch_is_unknown() -> None:
    class Gained(nn.Linear):
        def __init__(self) -> None:
            super().__init__(3, 2)
            self.gain = nn.Parameter(torch.ones(2, 3))

    found = parameters_of(nn.Sequential(Gained(), nn.ParameterList([torch.ones(2)])))
    assert {name: parameter.role for name, parameter in found.items()} == {
        "0.weight": W,
        "0.bias": B,
        "0.gain": Role.OTHER,
        "1.0": Role.OTHER,
    }
    said = told_unknown("mine:Net", found)
    assert "0.gain, 1.0" in said
    assert "\n" not in said
    assert told_unknown("mine:Net", parameters_of(nn.Linear(3, 2))) == ""


def test_what_torch_makes_a_weight_of_has_its_layer_and_role() -> None:
    net = nn.Sequential(
        parametrizations.weight_norm(nn.Linear(3, 2)),
        parametrizations.spectral_norm(nn.Conv1d(3, 2, 1)),
        parametrizations.weight_norm(nn.LSTM(3, 2), "weight_hh_l0"),
    )
    found = parameters_of(net)
    assert {name: (p.layer, p.role) for name, p in found.items() if "original" in name} == {
        "0.parametrizations.weight.original0": ("0", SCALE),
        "0.parametrizations.weight.original1": ("0", W),
        "1.parametrizations.weight.original": ("1", W),
        "2.parametrizations.weight_hh_l0.original0": ("2", SCALE),
        "2.parametrizations.weight_hh_l0.original1": ("2", W),
    }
    assert found.keys() >= dict(net.named_parameters()).keys() | dict(net.named_buffers()).keys()
    assert role_of(nn.Linear(3, 2), "weight_orig") is W
    assert role_of(nn.Linear(3, 2), "weight_g") is SCALE
    assert role_of(nn.Linear(3, 2), "weight_v") is W


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("kind", [nn.Conv1d, nn.ConvTranspose1d])
def test_a_unit_is_an_output_channel(kind: type[nn.Conv1d], groups: int) -> None:
    part = kind(4, 6, 3, groups=groups, bias=False)
    weight = parameters_of(part)["weight"]
    assert weight.fan_in == 4 // groups * 3
    assert weight.fan_out == 6 // groups * 3
    units = by_unit(part.weight.detach().unsqueeze(0), weight).flatten(1, 2)[0]
    assert units.shape[0] == 6
    for channel in range(6):
        # What moves an output channel is its unit, and nothing else.
        part.weight.grad = None
        part(torch.rand(1, 4, 5) + 0.1)[0, channel].sum().backward()
        assert part.weight.grad is not None
        touched = by_unit((part.weight.grad != 0).float().unsqueeze(0), weight).flatten(1, 2)[0].flatten(1)
        assert touched.sum(dim=1).nonzero().flatten().tolist() == [channel]
        assert touched[channel].all()


def test_a_shared_parameter_is_known_by_each_of_its_names() -> None:
    embedding, out = nn.Embedding(5, 3), nn.Linear(3, 5, bias=False)
    out.weight = embedding.weight
    net = nn.Sequential(embedding, out)
    found = parameters_of(net)
    assert [found[name].role for name in ("0.weight", "1.weight")] == [Role.EMBEDDING, W]
    # What is trained goes by its first name.
    assert [name for name, _ in net.named_parameters()] == ["0.weight"]

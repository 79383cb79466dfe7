"""One network by itself: inputs (B, *shape) → outputs (B, K), its parameters named as torch's own modules do."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.func import functional_call

from raydnn.nn.layers.naming import parent_of
from raydnn.nn.models.architecture import Architecture
from raydnn.nn.models.users.module import Modules
from raydnn.spec.trial import TrialSpec

TORCH_NAMES = {
    "scale": "weight",
    "shift": "bias",
    "mean": "running_mean",
    "variance": "running_var",
    "alpha": "activation.weight",
}
"""Last part of a parameter's name in a stack → what torch.nn.BatchNorm1d, GroupNorm and PReLU call it; as in
torch.nn.Linear, `weight` (fan_out, fan_in) and `bias` are called the same."""


def unstacked(network: Architecture, parameters: Tensor, trial: TrialSpec, statistics: Tensor) -> nn.Module:
    """Make a network of one member's parameters, in evaluation mode, with memory of its own.

    Args:
        network: The member's architecture.
        parameters: (1, P).
        trial: The member.
        statistics: (1, S).

    Returns:
        (B, *shape) → (B, K), what the output layer gives before its activation, in float32. A user's model is an
        instance of the class, which takes what the class takes: rows, unless it asked for the shape, or inputs by name.
    """
    own = statistics.clone()
    stacked = network.module(parameters.clone(), [trial], own)
    if isinstance(stacked, Modules):
        return stacked.member(0)
    return Unstacked(stacked, network.layout.statistics_views(own)).train(False)


class Unstacked(nn.Module):
    """A stack of one without the member dimension; it is computed by the stack's own layers."""

    def __init__(self, stacked: nn.Module, statistics: Mapping[str, Tensor]) -> None:
        """Take over a stack's memory.

        Args:
            stacked: A stack of one.
            statistics: Its running averages (1, ...), which it reads from this memory.
        """
        super().__init__()
        # Inside a tuple torch does not take it for a part of this module, whose parameters are others.
        self._stacked = (stacked,)
        self._names = {}
        """Name of a parameter in the stack → its name here."""
        for name, parameter in stacked.named_parameters():
            self._names[name] = torch_name(name)
            parent, last = parent_of(self, torch_name(name))
            parent.register_parameter(last, nn.Parameter(parameter.detach()[0]))
        for name, view in statistics.items():
            parent, last = parent_of(self, torch_name(name))
            parent.register_buffer(last, view[0])

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute outputs (B, K) of inputs (B, *shape), as at evaluation."""
        parameters = {name: self.get_parameter(own).unsqueeze(0) for name, own in self._names.items()}
        outputs: Tensor = functional_call(self._stacked[0], parameters, (inputs,))
        return outputs[0]


def torch_name(name: str) -> str:
    """What torch's own modules call a parameter or running average of a stack."""
    layer, _, last = name.rpartition(".")
    return f"{layer}.{TORCH_NAMES.get(last, last)}"

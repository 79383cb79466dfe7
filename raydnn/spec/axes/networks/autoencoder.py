"""The autoencoder, which learns its inputs."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import model_validator

from raydnn.spec.axes.networks.network import Network
from raydnn.spec.base import Widths, parameter


class Autoencoder(Network):
    """An encoder to a code, and a mirrored decoder that reconstructs the inputs from it; there is no target.

    What is reconstructed are the inputs as they are scaled and augmented, without the noise. Every hidden layer and the
    code have the activation; the outputs are linear unless `output` says otherwise. The loss that is told leaves the
    sparsity's penalty out. The data's own targets are ignored.
    """

    formula: ClassVar[str] = (
        "x̃ ← x + noise · N(0, 1); h ← f(hW + b) down to the code and back; minimized: "
        "mean (output − x)² + sparsity · mean |code|"
    )
    note: ClassVar[str] = (
        "convolutional: 3 × 3 convolutions of stride 2, then transposed ones that restore odd sides, too"
    )
    source: ClassVar[str] = (
        "Hinton & Salakhutdinov 2006; noise: Vincent et al. 2008; tied: Vincent et al. 2010"
    )

    name: Literal["autoencoder"] = "autoencoder"
    widths: Widths = parameter(
        (128, 32), "units of the encoder's layers, the code last; where convolutional, channels of its stages"
    )
    convolutional: bool = parameter(False, "stages of convolutions, for pictures, instead of dense layers")
    tied: bool = parameter(
        False, "the decoder's weights are the encoder's, transposed; only without convolutional"
    )
    noise: float = parameter(
        0.0,
        "deviation of the noise added to the scaled inputs in training",
        ge=0,
        search="uniform(0, 0.5)",
    )
    sparsity: float = parameter(0.0, "λ of the penalty λ · mean |code|", ge=0, search="loguniform(1e-5, 0.1)")

    learns_inputs: ClassVar[bool] = True

    @model_validator(mode="after")
    def _tied_where_dense(self) -> Self:
        if self.tied and self.convolutional:
            raise ValueError("tied: true with convolutional: true; allowed: one of the two")
        return self

    @property
    def hidden_widths(self) -> tuple[int, ...]:
        """Units, or channels, of each hidden layer, from input to output; the code is in the middle."""
        return *self.widths, *self.widths[-2::-1]

    @property
    def graph(self) -> tuple[object, ...]:
        """What all members of a stack share."""
        return self.name, self.widths, self.convolutional, self.tied

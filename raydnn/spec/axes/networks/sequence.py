"""Models for sequences: recurrent networks and a transformer."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import model_validator

from raydnn.spec.axes.networks.network import Network
from raydnn.spec.base import MOST_LAYERS, MOST_UNITS, parameter


class TokenNetwork(Network):
    """What all models for sequences have: an embedding of tokens, where the sequences are made of them."""

    vocabulary: int | None = parameter(
        None,
        "of sequences of tokens, how many tokens there are, 0 to vocabulary − 1; null: the training data's largest "
        "token + 1",
        ge=1,
        le=MOST_UNITS,
    )


class RecurrentNetwork(TokenNetwork):
    """What the recurrent models have in common."""

    activation: ClassVar[str] = "tanh"

    units: int = parameter(
        64, "units of a layer, in each direction", ge=1, le=MOST_UNITS, search="choice(32, 64, 128, 256)"
    )
    layers: int = parameter(
        1, "recurrent layers, one after another", ge=1, le=MOST_LAYERS, search="randint(1, 4)"
    )
    bidirectional: bool = parameter(False, "read each sequence backwards, too, by units of its own")
    readout: Literal["last", "mean"] = parameter(
        "last", "what goes to the output layer: the state after the last step, or the mean over all steps"
    )

    @property
    def hidden_widths(self) -> tuple[int, ...]:
        """What a layer gives, layer by layer."""
        return (self.units * (2 if self.bidirectional else 1),) * self.layers

    @property
    def graph(self) -> tuple[object, ...]:
        """What all members of a stack share."""
        return self.name, self.units, self.layers, self.bidirectional, self.readout, self.vocabulary


_READ = (
    "Sequences are (T, F), pictures are read row by row; tokens (T) are embedded as `units` numbers. Dropout acts "
    "between the layers and on what is read out, and a normalization there."
)


class Rnn(RecurrentNetwork):
    """A simple recurrent network: the state is the activation of what comes in and the state before."""

    formula: ClassVar[str] = "h_t = f(W_ih x_t + b_ih + W_hh h_(t−1) + b_hh); output hW + b"
    note: ClassVar[str] = f"f is the job's activation, tanh unless another one is given. {_READ}"
    source: ClassVar[str] = "Elman 1990; torch.nn.RNN"

    name: Literal["rnn"] = "rnn"


class Lstm(RecurrentNetwork):
    """Long short-term memory: gates decide what a cell takes in, keeps and gives."""

    formula: ClassVar[str] = (
        "i, f, o = σ(W x_t + b + U h_(t−1) + b′), g = tanh(...); c_t = f·c_(t−1) + i·g; h_t = o·tanh c_t; output hW + b"
    )
    note: ClassVar[str] = (
        f"Its activations are its own; biases start at 0, that of the forget gate, too. {_READ}"
    )
    source: ClassVar[str] = "Hochreiter & Schmidhuber 1997; torch.nn.LSTM"

    name: Literal["lstm"] = "lstm"


class Gru(RecurrentNetwork):
    """Gated recurrent units: one gate mixes the state before with a new one, another says what that is made of."""

    formula: ClassVar[str] = (
        "r, z = σ(W x_t + b + U h_(t−1) + b′); n = tanh(W_n x_t + b_n + r·(U_n h_(t−1) + b′_n)); "
        "h_t = (1 − z)·n + z·h_(t−1); output hW + b"
    )
    note: ClassVar[str] = f"Its activations are its own. {_READ}"
    source: ClassVar[str] = "Cho et al. 2014, arXiv:1406.1078; torch.nn.GRU"

    name: Literal["gru"] = "gru"


class Transformer(TokenNetwork):
    """A transformer's encoder: blocks of self-attention and two dense layers, each added to what comes in.

    Sequences are (T, F) of numbers, or tokens (T); pictures are cut into patches. Its normalization is `layer_norm`
    unless the job says another, and dropout acts where torch.nn.TransformerEncoderLayer has it.
    """

    formula: ClassVar[str] = (
        "h ← N(h + MHA(h)), h ← N(h + f(hW₁ + b₁)W₂ + b₂); MHA: softmax(QKᵀ/√d)V in each head; with norm: first "
        "h ← h + MHA(N(h)), ..., and N at the end"
    )
    source: ClassVar[str] = (
        "Vaswani et al. 2017, arXiv:1706.03762; patches: Dosovitskiy et al. 2021, arXiv:2010.11929; norm: first: "
        "Xiong et al. 2020, arXiv:2002.04745; torch.nn.TransformerEncoderLayer"
    )

    name: Literal["transformer"] = "transformer"
    layers: int = parameter(2, "blocks", ge=1, le=MOST_LAYERS, search="randint(1, 5)")
    width: int = parameter(64, "features of a step", ge=1, le=MOST_UNITS, search="choice(32, 64, 128, 256)")
    heads: int = parameter(
        4, "heads of the attention; they divide the width", ge=1, le=MOST_UNITS, search="choice(1, 2, 4, 8)"
    )
    feedforward: int = parameter(
        256, "units between a block's dense layers", ge=1, le=MOST_UNITS, search="choice(64, 128, 256, 512)"
    )
    causal: bool = parameter(False, "a step sees only those before it, and itself")
    patch: int = parameter(
        4,
        "side of the patches that pictures are cut into, in pixels; it divides both sides",
        ge=1,
        le=MOST_UNITS,
    )
    positions: Literal["learned", "sinusoidal", "none"] = parameter(
        "learned",
        "what is added to each step to tell its place: a learned vector, sines and cosines, nothing",
    )
    readout: Literal["mean", "last"] = parameter(
        "mean", "what goes to the output layer: the mean over all steps, or the last step"
    )
    norm: Literal["after", "first"] = parameter(
        "after", "after: normalize what a block gives; first: what it is computed from"
    )

    normalization: ClassVar[str] = "layer_norm"

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.width % self.heads:
            allowed = [str(heads) for heads in range(1, min(self.width, 64) + 1) if self.width % heads == 0]
            raise ValueError(f"heads: {self.heads} with width: {self.width}; allowed: {', '.join(allowed)}")
        return self

    @property
    def hidden_widths(self) -> tuple[int, ...]:
        """Features of a step, block by block."""
        return (self.width,) * self.layers

    @property
    def graph(self) -> tuple[object, ...]:
        """What all members of a stack share."""
        return tuple(value for _, value in self)

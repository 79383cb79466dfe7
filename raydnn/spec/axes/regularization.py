"""Regularization: every field is one technique, off by default."""

from __future__ import annotations

from typing import Annotated

from raydnn.spec.base import ListOrTuple, Spec, parameter


class Regularization(Spec):
    """What keeps the network from fitting noise."""

    dropout: float = parameter(
        0.0, "share of hidden units dropped in each training step", ge=0, lt=1, search="uniform(0, 0.5)"
    )
    input_dropout: float = parameter(
        0.0, "share of the inputs dropped in each training step", ge=0, lt=1, search="uniform(0, 0.3)"
    )
    alpha_dropout: float = parameter(
        0.0,
        "share of hidden units put to SELU's floor in each training step; mean 0 and variance 1 stay",
        ge=0,
        lt=1,
        search="uniform(0, 0.2)",
    )
    dropout_last_layer_only: bool = parameter(
        False, "dropout and alpha_dropout act on the last hidden layer only"
    )
    l1: float = parameter(
        0.0,
        "λ of the penalty λ Σ|w| over weights and embeddings; the recorded losses leave it out (Keras' have it)",
        ge=0,
        search="loguniform(1e-7, 1e-2)",
        descends=(0.0,),
    )
    l2: float = parameter(
        0.0,
        "λ of the penalty λ/2 Σw², as sgd's weight_decay (Keras' l2 is λ Σw²); the recorded losses leave it out",
        ge=0,
        search="loguniform(1e-7, 1e-2)",
        descends=(0.0,),
    )
    elastic_net: float = parameter(
        0.0,
        "λ of the penalty λ(β Σ|w| + (1−β)/2 Σw²); the recorded losses leave it out",
        ge=0,
        search="loguniform(1e-7, 1e-2)",
        descends=(0.0,),
    )
    elastic_net_beta: float = parameter(0.5, "β of elastic_net, from ridge to lasso", ge=0, le=1)
    max_norm: float | None = parameter(
        None,
        "largest norm of the weights that come into a unit (a channel's kernels), and of an embedding's rows; "
        "null: no limit",
        gt=0,
        search="uniform(1, 5)",
        descends=(None,),
    )
    prune: float = parameter(
        0.0,
        "share of the weights, matrix by matrix, embeddings aside, the smallest in magnitude, set to 0 when "
        "training has ended; "
        "the test metrics are the pruned network's",
        ge=0,
        lt=1,
    )
    layers: Annotated[tuple[str, ...], ListOrTuple] | None = parameter(
        None,
        "layers whose weights l1, l2, elastic_net, max_norm and prune act on, such as layers.0; null: all",
    )
    label_smoothing: float = parameter(
        0.0,
        "share of a target's probability spread evenly over all classes, in the training loss of a cross-entropy; "
        "train_loss has it, validation_loss has not",
        ge=0,
        lt=1,
        search="uniform(0, 0.2)",
    )

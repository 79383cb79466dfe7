"""Settings of every component, several a stack: what the members of a stack may differ in."""

from __future__ import annotations

from typing import Any

from raydnn.spec.catalogue.kinds import components
from raydnn.spec.checks.compatibility import compatible

ADAM = {"name": "adam", "lr": 0.01}
PRELU = "prelu"
"""Its slopes are parameters of the network, so that it has stacks of its own: in test_tasks."""
HIDDEN = [name for name in compatible("activation", "classification") if name != PRELU]

VARIATIONS: dict[str, list[dict[str, Any]]] = {
    "optimizer": [
        {"optimizer": optimizer}
        for optimizer in (
            {"name": "sgd", "lr": 0.2},
            {"name": "sgd", "lr": 0.05, "momentum": 0.9},
            {"name": "sgd", "lr": 0.05, "momentum": 0.8, "nesterov": True, "weight_decay": 1e-2},
            {"name": "sgd", "lr": 0.1, "momentum": 0.5, "dampening": 0.3},
            {"name": "adam", "lr": 0.01},
            {"name": "adam", "lr": 0.02, "beta1": 0.5, "beta2": 0.99, "weight_decay": 1e-2},
            {"name": "adamw", "lr": 0.01},
            {"name": "adamw", "lr": 0.02, "beta1": 0.8, "eps": 1e-4, "weight_decay": 0.5},
            {"name": "rmsprop", "lr": 0.003},
            {"name": "rmsprop", "lr": 0.003, "momentum": 0.5, "centered": True, "eps": 1e-3},
            {"name": "adagrad", "lr": 0.05},
            {
                "name": "adagrad",
                "lr": 0.1,
                "initial_accumulator": 0.1,
                "weight_decay": 1e-2,
                "decay_bias": False,
            },
            {"name": "adadelta", "lr": 2.0},
            {"name": "adadelta", "rho": 0.8, "eps": 1e-4, "weight_decay": 1e-2},
            {"name": "adamax", "lr": 0.02},
            {"name": "adamax", "lr": 0.01, "beta2": 0.9, "weight_decay": 0.1, "decay_bias": False},
            {"name": "nadam", "lr": 0.01},
            {"name": "nadam", "lr": 0.02, "momentum_decay": 1.0, "weight_decay": 1e-2},
            {"name": "radam", "lr": 0.01},
            {"name": "radam", "lr": 0.02, "beta2": 0.9, "weight_decay": 1e-2},
            {"name": "lion", "lr": 0.002},
            {"name": "lion", "lr": 0.001, "beta1": 0.5, "weight_decay": 0.5, "decay_bias": False},
            {"name": "muon", "lr": 0.01, "adam_ratio": 0.5},
            {"name": "muon", "lr": 0.02, "nesterov": False, "weight_decay": 0.1, "match_rms": True},
        )
    ],
    "schedule": [
        {"schedule": schedule}
        for schedule in (
            "constant",
            {"name": "constant", "warmup_epochs": 1.5},
            {"name": "exponential", "gamma": 0.5},
            {"name": "exponential", "gamma": 0.3, "staircase": True, "warmup_epochs": 0.5},
            {"name": "cosine", "warmup_epochs": 1.0},
            {"name": "cosine", "alpha": 0.1, "decay_epochs": 2.0},
            {"name": "annealing", "beta": 0.3},
            {"name": "annealing", "beta": 0.05, "per": "step", "warmup_epochs": 0.5},
            {"name": "piecewise", "boundaries_epochs": [1.0, 2.0], "factors": [0.5, 0.1]},
            {"name": "power", "gamma": 2.0, "exponent": 0.5},
            {"name": "polynomial", "exponent": 2.0, "alpha": 0.1},
            {"name": "polynomial", "decay_epochs": 0.7, "cycle": True},
            {"name": "cosine_restarts", "cycle_epochs": 0.5},
            "one_cycle",
            {"name": "one_cycle", "anneal": "cosine", "cycle_momentum": False},
            "wsd",
            {"name": "wsd", "decay_share": 0.5, "anneal": "sqrt", "warmup_epochs": 1.0},
            {"name": "performance", "patience": 0, "min_delta": 0.5},
            {
                "name": "performance",
                "monitor": "train_accuracy",
                "factor": 0.1,
                "patience": 0,
                "min_delta": 1.0,
            },
        )
    ],
    "init": [{"init": name} for name in (*components("init"), {"name": "normal", "std": 0.5})],
    "activation": [
        {"activation": activation}
        for activation in (
            *HIDDEN,
            {"name": "leaky_relu", "alpha": 0.3},
            {"name": "elu", "alpha": 0.5},
            {"name": "rrelu", "lower": 0.0, "upper": 0.9},
            {"name": "rrelu", "lower": 0.5, "upper": 0.5},
        )
    ],
    "clip": [
        {"train": {"clip": clip}}
        for clip in (
            "none",
            {"name": "norm", "max_grad_norm": 0.1},
            {"name": "norm", "max_grad_norm": 0.5},
            {"name": "norm", "max_grad_norm": 100.0},
            {"name": "value", "max_grad": 0.01},
            {"name": "value", "max_grad": 0.1},
            {"name": "per_layer", "max_grad_norm": 0.05},
            {"name": "per_layer", "max_grad_norm": 0.3},
        )
    ],
    "dropout": [
        {"regularization": {"dropout": rate}, "seed": seed}
        for rate, seed in ((0, 0), (0.2, 0), (0.5, 1), (0.5, 0))
    ],
    "other_dropout": [
        {"regularization": regularization, "seed": seed}
        for regularization, seed in (
            ({"input_dropout": 0.2}, 0),
            ({"dropout": 0.5, "dropout_last_layer_only": True}, 0),
            ({"alpha_dropout": 0.1, "dropout_last_layer_only": True}, 1),
            ({"alpha_dropout": 0.3}, 0),
            ({"dropout": 0.3}, 0),
        )
    ],
    "batch_norm": [
        {"normalization": {"name": "batch_norm", **more}, "optimizer": optimizer, "seed": seed}
        for more, optimizer, seed in (
            ({}, ADAM, 0),
            ({"momentum": 0.5, "eps": 1e-3}, ADAM, 0),
            ({"momentum": 1.0}, {"name": "sgd", "lr": 0.1, "weight_decay": 0.1, "decay_bias": False}, 1),
            ({"exact_statistics": True}, {"name": "sgd", "lr": 0.1}, 1),
        )
    ],
    "normalized_inputs": [
        {
            "normalization": {
                "name": "batch_norm",
                "position": "after_activation",
                "inputs": True,
                "momentum": m,
            },
            "regularization": {"dropout": rate, "input_dropout": rate},
        }
        for m, rate in ((0.1, 0.0), (0.2, 0.1), (0.5, 0.0), (1.0, 0.3))
    ],
    "layer_norm": [
        {"normalization": {"name": "layer_norm", "eps": eps}, "seed": seed}
        for eps, seed in ((1e-5, 0), (1e-5, 1), (1e-3, 0), (0.1, 0))
    ],
    "group_norm": [
        {
            "model": {"layers": 2, "width": 9},
            "normalization": {"name": "group_norm", "groups": 3, "eps": eps, "position": "after_activation"},
            "optimizer": optimizer,
        }
        for eps, optimizer in ((1e-5, ADAM), (1e-3, ADAM), (0.1, "sgd"), (1.0, "adamw"))
    ],
    "residual": [
        {
            "model": {"name": "residual_mlp", "blocks": 2, "width": 7, "zero_init_last_norm": zero},
            "normalization": "batch_norm",
            "activation": activation,
        }
        for zero, activation in ((False, "relu"), (True, "relu"), (True, "elu"), (False, "elu"))
    ],
    "perceptron": [
        {"model": "perceptron", "optimizer": optimizer, "regularization": {"input_dropout": rate}}
        for optimizer, rate in ((ADAM, 0.0), (ADAM, 0.2), ("sgd", 0.0), ("adamw", 0.1))
    ],
    "cnn": [
        {
            "model": {"name": "cnn", "channels": [4, 6], "widths": [9]},
            "optimizer": optimizer,
            "activation": activation,
            "regularization": {"dropout": rate, **more},
        }
        for optimizer, activation, rate, more in (
            (ADAM, "relu", 0.0, {"l2": 1e-3}),
            (ADAM, "elu", 0.2, {"max_norm": 1.0}),
            ("sgd", "rrelu", 0.0, {"l1": 1e-3}),
            ({"name": "muon", "lr": 0.01}, "relu", 0.3, {"input_dropout": 0.2}),
        )
    ],
    "cnn_normalized": [
        {
            "model": {
                "name": "cnn",
                "channels": [4, 8],
                "convolutions": 2,
                "pooling": "average",
                "widths": [],
            },
            "normalization": {"name": "group_norm", "groups": 2, "eps": eps, "position": "after_activation"},
            "optimizer": optimizer,
        }
        for eps, optimizer in ((1e-5, ADAM), (1e-3, ADAM), (0.1, "sgd"), (1.0, "adamw"))
    ],
    "cnn_strided": [
        {
            "model": {"name": "cnn", "channels": [4], "kernel": 5, "pooling": "stride", "widths": [6]},
            "normalization": {"name": "batch_norm", "inputs": True, "momentum": momentum},
            "activation": activation,
            "seed": seed,
        }
        for momentum, activation, seed in (
            (0.1, "relu", 0),
            (0.2, "relu", 1),
            (0.5, "gelu", 0),
            (1.0, "tanh", 1),
        )
    ],
    "resnet": [
        {
            "model": {"name": "resnet", "depth": 8, "width": 4, "shortcut": "B", "zero_init_last_norm": zero},
            "normalization": {"name": "batch_norm", "eps": eps, "exact_statistics": exact},
            "activation": activation,
        }
        for zero, eps, exact, activation in (
            (False, 1e-5, False, "relu"),
            (True, 1e-5, True, "relu"),
            (True, 1e-3, False, "elu"),
            (False, 1e-5, False, "elu"),
        )
    ],
    "resnet_plain": [
        {"model": {"name": "resnet", "depth": 8, "width": 4, **more}, "optimizer": optimizer}
        for more, optimizer in (
            ({"skip": False}, ADAM),
            ({"skip": False}, "sgd"),
            ({"skip": False}, "adamw"),
            ({"skip": False}, {"name": "sgd", "lr": 0.05, "momentum": 0.9}),
        )
    ],
    "autoencoder": [
        {
            "model": {"name": "autoencoder", "widths": [5, 3], "noise": noise, "sparsity": sparsity},
            "loss": "mse",
            "optimizer": optimizer,
            "activation": activation,
        }
        for noise, sparsity, optimizer, activation in (
            (0.0, 0.0, ADAM, "elu"),
            (0.3, 0.0, ADAM, "elu"),
            (0.1, 0.1, "sgd", "relu"),
            (0.0, 0.01, "adamw", "tanh"),
        )
    ],
    "augmentation": [
        {"data": "color_pictures", "train": {"batch_size": 30, "augmentation": augmentation}, "seed": seed}
        for augmentation, seed in (
            ({"flip": 0.5, "rotate": 15.0, "scale": 0.1, "shear": 10.0, "crop": 1, "translate": 1}, 0),
            ({"noise": 0.1, "cutout": 2, "random_erasing": 0.5}, 0),
            ({"mixup": 0.4}, 2),
            ({"cutmix": 1.0}, 2),
            ({"cutmix": 0.5, "mixup": 0.2}, 0),
            ({}, 0),
        )
    ],
    "augmentation_of_colors": [
        {"data": "color_pictures", "train": {"batch_size": 30, "augmentation": augmentation}, "seed": seed}
        for augmentation, seed in (
            ({"color_jitter": 0.4}, 1),
            ({"randaugment": 2}, 1),
            ({"randaugment": 1, "randaugment_magnitude": 20, "color_jitter": 1.0}, 0),
            ({}, 0),
        )
    ],
    "seed": [{"seed": seed} for seed in (0, 1, 2, 2**63 - 1)],
    "early_stopping": [
        {"train": {"early_stopping": stopping}}
        for stopping in (None, {"patience": 1}, {"patience": 2, "restore_best": False}, {"min_delta": 0.1})
    ],
    "mixed": [
        {"optimizer": ADAM, "activation": "relu", "regularization": {"dropout": 0.3}, "seed": 5},
        {"optimizer": {"name": "sgd", "lr": 0.1}, "activation": "elu", "schedule": "cosine"},
        {"optimizer": ADAM, "activation": "relu", "train": {"clip": {"name": "norm", "max_grad_norm": 0.2}}},
        {
            "optimizer": "adamw",
            "schedule": {"name": "exponential", "gamma": 0.5},
            "init": "he_uniform",
            "seed": 5,
        },
        {
            "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9},
            "regularization": {"dropout": 0.1},
            "seed": 9,
        },
        {"optimizer": ADAM, "activation": "selu", "schedule": {"name": "performance", "patience": 0}},
    ],
}
ONE_LOSS = {axis for axis in VARIATIONS if axis.startswith(("cnn", "resnet", "autoencoder", "augmentation"))}
"""What a network computes, and how its inputs are changed, does not depend on the loss: one is enough."""
CASES = [
    (axis, loss)
    for axis in VARIATIONS
    for loss in ("cross_entropy", "mse")
    if loss == "cross_entropy" or axis not in ONE_LOSS
]

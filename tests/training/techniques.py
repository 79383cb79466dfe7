"""The techniques of the catalogue and the models: what is given of each, and which of them do not go together."""

from __future__ import annotations

from typing import Any, get_args

from raydnn.spec.catalogue.kinds import components
from raydnn.spec.scaling import Fitted
from raydnn.spec.train import Precision

Fields = dict[str, Any]
MODELS: dict[str, tuple[str, Fields]] = {
    "perceptron": ("pictures", {"name": "perceptron"}),
    "mlp": ("pictures", {"name": "mlp", "widths": [6, 4]}),
    "residual_mlp": ("pictures", {"name": "residual_mlp", "blocks": 1, "width": 6}),
    "cnn": ("pictures", {"name": "cnn", "channels": [2, 4], "widths": [6]}),
    "resnet": ("pictures", {"name": "resnet", "depth": 8, "width": 2}),
    "resnet, plain": ("pictures", {"name": "resnet", "depth": 8, "width": 2, "skip": False}),
    "rnn": ("numbers", {"name": "rnn", "units": 6}),
    "lstm": ("tokens", {"name": "lstm", "units": 6, "bidirectional": True}),
    "gru": ("numbers", {"name": "gru", "units": 6, "layers": 2}),
    "transformer": ("tokens", {"name": "transformer", "width": 8, "heads": 2, "layers": 1, "feedforward": 6}),
    "transformer, patches": (
        "pictures",
        {"name": "transformer", "width": 8, "heads": 2, "layers": 1, "patch": 4},
    ),
    "autoencoder": ("pictures", {"name": "autoencoder", "widths": [6, 4]}),
    "autoencoder, tied": ("pictures", {"name": "autoencoder", "widths": [6, 4], "tied": True}),
    "autoencoder, convolutional": (
        "pictures",
        {"name": "autoencoder", "widths": [2, 4], "convolutional": True},
    ),
    "module": ("pictures", {"name": "module", "path": "nets_of_matrix:Net"}),
}
"""Name → its data, and its spec."""

NEEDED: dict[tuple[str, str], Fields] = {
    ("optimizer", "sgd"): {"lr": 0.01, "momentum": 0.9},
    ("schedule", "piecewise"): {"boundaries_epochs": [1.0], "factors": [0.5]},
    ("loss", "function"): {"path": "nets_of_matrix:loss"},
    ("activation", "rrelu"): {"lower": 0.1, "upper": 0.9},
    ("normalization", "group_norm"): {"groups": 2},
}
"""What a component has to be given, or is given so that it does something; else it has its defaults."""
VALUES: dict[str, Fields] = {
    "regularization": {
        "dropout": 0.3,
        "input_dropout": 0.2,
        "alpha_dropout": 0.2,
        "dropout_last_layer_only": True,
        "l1": 0.01,
        "l2": 0.01,
        "elastic_net": 0.01,
        "elastic_net_beta": 0.2,
        "max_norm": 0.5,
        "prune": 0.5,
        "layers": [],
        "label_smoothing": 0.1,
    },
    "augmentation": {
        "flip": 0.5,
        "rotate": 20.0,
        "scale": 0.2,
        "shear": 10.0,
        "crop": 1,
        "translate": 1,
        "randaugment": 2,
        "randaugment_magnitude": 20,
        "color_jitter": 0.3,
        "noise": 0.1,
        "cutout": 3,
        "random_erasing": 0.5,
        "mixup": 0.3,
        "cutmix": 0.5,
    },
    "train": {
        "batch_size": "full",
        "accumulate": 2,
        "recompute": True,
        "early_stopping": {"patience": 1},
        "diagnostics": True,
        "test_time_flips": True,
    },
}
"""Field → a value that makes something happen."""
WITH = {
    "dropout_last_layer_only": {"dropout": 0.3},
    "elastic_net_beta": {"elastic_net": 0.01},
    "randaugment_magnitude": {"randaugment": 1},
}
"""Fields that do something only beside another one."""
KIND_OF_LOSS = {
    "binary_cross_entropy": "binary",
    "categorical_cross_entropy": "distribution",
    "kl_divergence": "distribution",
    "dice": "multi_label",
    "log_cosh": "regression",
    "huber": "regression",
    "mae": "regression",
    "hinge": "binary",
    "perceptron": "binary",
    "wasserstein": "binary",
}
"""The task that a loss is tried in; else a classification."""


def _techniques() -> dict[str, Fields]:
    found: dict[str, Fields] = {}
    for axis in ("optimizer", "schedule", "init", "activation", "normalization", "loss", "output"):
        for name in components(axis):
            found[f"{axis} {name}"] = {axis: {"name": name, **NEEDED.get((axis, name), {})}}
            if axis == "output" and name not in ("auto", "linear", "softmax", "heaviside", "sign"):
                found[f"{axis} {name}"]["loss"] = {"name": "mse"}
    for name in components("clip"):
        found[f"clip {name}"] = {"train": {"clip": name}}
    for name in components("scaling"):
        found[f"scaling {name}"] = {"data": {"scaling": name}}
    for name, cls in components("scaling").items():
        if issubclass(cls, Fitted):
            found[f"scaling {name}, by channel"] = {"data": {"scaling": {"name": name, "per": "channel"}}}
    for name, given in (("balanced", "balanced"), ("given", [1.0, 2.0, 0.5])):
        found[f"class_weights {name}"] = {"train": {"class_weights": given}}
    for name, value in VALUES["regularization"].items():
        found[f"regularization {name}"] = {"regularization": {name: value, **WITH.get(name, {})}}
    for name, value in VALUES["augmentation"].items():
        found[f"augmentation {name}"] = {"train": {"augmentation": {name: value, **WITH.get(name, {})}}}
    for name, value in VALUES["train"].items():
        found[f"train {name}"] = {"train": {name: value}}
    for name in get_args(Precision):
        found[f"precision {name}"] = {"train": {"precision": name}}
    return found


TECHNIQUES = _techniques()
ALL, CODERS = set(MODELS), {name for name in MODELS if name.startswith("autoencoder")}
SEQUENCES, TOKENS = {"rnn", "lstm", "gru", "transformer"}, {"lstm", "transformer"}
PICTURES_ONLY = {"cnn", "resnet", "resnet, plain", "autoencoder, convolutional"}
OF_IMAGES = {f"augmentation {name}" for name in VALUES["augmentation"]} - {"augmentation mixup"}


def _having(*beginnings: str) -> set[str]:
    return {name for name in TECHNIQUES if name.startswith(beginnings)}


NO_GRADIENT = {f"activation {name}" for name in ("heaviside", "sign", "softmax")}
OF_GATES = _having("activation") - {"activation tanh"} - NO_GRADIENT
OF_LAYERS = (
    (_having("activation") - {"activation relu"} - NO_GRADIENT)
    | (_having("init") - {"init auto"})
    | (_having("normalization") - {"normalization none"})
    | {f"regularization {name}" for name in ("dropout", "input_dropout", "alpha_dropout")}
    | {"regularization dropout_last_layer_only", "train recompute"}
)
BY_CHANNEL = {name for name in TECHNIQUES if name.endswith("by channel")}
OF_NUMBERS = {f"loss {name}" for name in ("auto", "mse", "mae", "huber", "log_cosh", "function")}
LAYER = {"module": "body"} | dict.fromkeys(CODERS, "encoder.0")
"""The name of a layer, where none is called layers.0."""

REFUSED: list[tuple[set[str], set[str], str]] = [
    (ALL - {"perceptron"}, NO_GRADIENT, "activation: .* (has no gradient|which only an output layer has)"),
    ({"lstm", "gru"}, OF_GATES, "activation: .*, whose activations are its own; allowed: tanh"),
    ({"module"}, OF_LAYERS, "with the model module, whose layers are its own; allowed: "),
    (CODERS, _having("loss") - OF_NUMBERS, "loss: .* with a reconstruction task .*; allowed: auto, mse"),
    (SEQUENCES, {"train test_time_flips"}, "test_time_flips: true with .*, which are no images"),
    (CODERS, {"train test_time_flips"}, "test_time_flips: true with data.reconstruct, where a mirror image"),
    (CODERS, {"output heaviside", "output sign"}, "output: .* with the loss mse; allowed: "),
    (CODERS, _having("class_weights"), "class_weights: .* which has no classes; allowed: none"),
    (CODERS, {"regularization label_smoothing"}, "label_smoothing: 0.1 with the loss mse; allowed with "),
    (
        TOKENS,
        _having("scaling") - {"scaling none"} - BY_CHANNEL,
        "data.scaling: .* with tokens; allowed: none",
    ),
    (
        SEQUENCES,
        BY_CHANNEL,
        "data.scaling.per: channel with .*, which have (none|no channels); allowed: feature",
    ),
    (PICTURES_ONLY, {"scaling whiten"}, "model: .* with examples of shape 192; needed: pictures"),
    ({"rnn", "gru"}, {"scaling whiten"}, "model: .* with examples of 10 numbers, which are no tokens"),
    (
        {"transformer, patches"},
        {"scaling whiten"},
        "model: .* with examples of 192 numbers, which are no tokens",
    ),
    (TOKENS, {"augmentation mixup"}, "mixup: given with tokens, which are not mixed; allowed: 0"),
    (SEQUENCES, OF_IMAGES, "with (tokens|sequences of 5 × 2 numbers), which are no images of height × width"),
]
"""Models, techniques, and what is said of each pair of them; every other pair is trained."""

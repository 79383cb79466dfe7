"""Which components fit a task and one another."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from math import gcd

from raydnn.spec.axes.activation import ActivationFunction
from raydnn.spec.axes.augmentation import OF_COLORS, OF_PAIRS
from raydnn.spec.axes.loss import AUTO, AutoLoss
from raydnn.spec.axes.loss_function import LossFunction
from raydnn.spec.axes.networks.model import UserModule
from raydnn.spec.axes.networks.network import Network
from raydnn.spec.axes.normalization import GroupNorm, NoNormalization
from raydnn.spec.axes.output import AutoOutput
from raydnn.spec.base import Component
from raydnn.spec.catalogue.fields import component_classes, component_name
from raydnn.spec.data import Task
from raydnn.spec.job import Training
from raydnn.spec.scaling import Whiten

WITH_CLASSES = ("classification", "binary")
"""Tasks whose targets are class numbers."""


def task_field(task: Task) -> str:
    """The field that says so."""
    return "data.reconstruct" if task == "reconstruction" else "data.kind"


Found = Iterator[tuple[str, str]]
"""Dotted field and message of each contradiction."""


def unfit(cls: type[Component], axis: str, task: Task) -> str:
    """Why no trial of a task can have a component on an axis; empty if one can."""
    if issubclass(cls, LossFunction) and task not in cls.outputs:
        return f"does not fit a {task} task"
    if axis == "train.class_weights" and component_name(cls) != "none" and task not in WITH_CLASSES:
        return f"needs classes, which a {task} task ({task_field(task)}) has not"
    if issubclass(cls, Network) and cls.learns_inputs and task != "reconstruction":
        return "learns its inputs, for which the job's own model has to be one that does, or data.reconstruct true"
    if axis == "output" and cls is not AutoOutput and not _has_loss(component_name(cls), task):
        return f"goes with no loss of a {task} task"
    if axis == "activation" and issubclass(cls, ActivationFunction):
        return cls.no_hidden_layer
    return ""


def _has_loss(output: str, task: Task) -> bool:
    losses = component_classes(Training.model_fields["loss"].annotation).values()
    return any(
        output in outputs_of(loss, task)
        for loss in losses
        if issubclass(loss, LossFunction) and task in loss.outputs
    )


@cache
def compatible(axis: str, task: Task) -> tuple[str, ...]:
    """The names that an axis may have in a task."""
    classes = component_classes(Training.model_fields[axis].annotation)
    return tuple(name for name, cls in classes.items() if not unfit(cls, axis, task))


def loss_of(training: Training) -> LossFunction:
    """The loss, `auto` resolved by the task."""
    return AUTO[training.data.learns]() if isinstance(training.loss, AutoLoss) else training.loss


@cache
def outputs_of(loss: type[LossFunction], task: Task) -> tuple[str, ...]:
    """Output activations that go with a loss."""
    classes = component_classes(Training.model_fields["output"].annotation)
    found = []
    for name, cls in classes.items():
        if issubclass(cls, ActivationFunction):
            threshold = not cls.differentiable and loss.single and loss.decides and task == "binary"
            values = cls.differentiable and loss.takes_values
            if values or threshold or name in ("linear", loss.outputs.get(task)):
                found.append(name)
    return tuple(found)


def allowed_outputs(training: Training) -> tuple[str, ...]:
    """Output activations that go with the loss of a training."""
    return outputs_of(type(loss_of(training)), training.data.learns)


def loss_fits_task(training: Training) -> Found:
    """A loss learns from the targets that its task has."""
    task, name = training.data.learns, training.loss.name
    if name not in compatible("loss", task):
        allowed = ", ".join(compatible("loss", task))
        yield "loss", f"{name} with a {task} task ({task_field(task)}); allowed: {allowed}"


def model_fits_task(training: Training) -> Found:
    """What learns its inputs learns nothing else."""
    if training.model.learns_inputs and not training.data.reconstruct:
        message = f"false with the model {training.model.name}, which learns its inputs"
        yield "data.reconstruct", f"{message}; allowed: true, or nothing given"


def activation_fits_hidden_layers(training: Training) -> Found:
    """Hidden layers need a gradient."""
    reason = training.activation.no_hidden_layer
    if reason and str(training.model.name) != "perceptron":
        allowed = ", ".join(compatible("activation", training.data.learns))
        yield "activation", f"{training.activation.name} {reason}; allowed in hidden layers: {allowed}"


def output_fits_loss(training: Training) -> Found:
    """A loss that takes logits belongs to one output activation."""
    if isinstance(training.output, AutoOutput) or training.data.learns not in loss_of(training).outputs:
        return
    allowed = allowed_outputs(training)
    if training.output.name not in allowed:
        message = f"{training.output.name} with the loss {loss_of(training).name}"
        yield "output", f"{message}; allowed: auto, {', '.join(allowed)}"


def smoothing_has_classes(training: Training) -> Found:
    """Label smoothing is defined for the cross-entropies."""
    smoothing = training.regularization.label_smoothing
    if smoothing and not loss_of(training).smooths:
        classes = component_classes(Training.model_fields["loss"].annotation)
        names = [name for name, cls in classes.items() if issubclass(cls, LossFunction) and cls.smooths]
        message = f"{smoothing:g} with the loss {loss_of(training).name}; allowed with {', '.join(names)}"
        yield "regularization.label_smoothing", f"{message}, else 0"


def class_weights_have_classes(training: Training) -> Found:
    """Weights of classes need class numbers as targets."""
    chosen, task = training.train.class_weights.name, training.data.learns
    if chosen != "none" and task not in WITH_CLASSES:
        yield (
            "train.class_weights",
            f"{chosen} with a {task} task ({task_field(task)}), which has no classes; allowed: none",
        )


def mixing_has_partners(training: Training) -> Found:
    """Mixup and CutMix need a second example in the batch."""
    for name in OF_PAIRS:
        given = getattr(training.train.augmentation, name)
        if given and training.train.batch_size == 1:
            message = "with train.batch_size 1, where no example has another to be mixed with; allowed: 0"
            yield f"train.augmentation.{name}", f"{given:g} {message}"


def flips_keep_targets(training: Training) -> Found:
    """A mirror image has the target of its image, unless that is the image."""
    if training.train.test_time_flips and training.data.reconstruct:
        message = "true with data.reconstruct, where a mirror image is another target; allowed: false"
        yield "train.test_time_flips", message


def colors_are_left(training: Training) -> Found:
    """Colors can be changed as long as a pixel is a pixel."""
    for name in OF_COLORS:
        given = getattr(training.train.augmentation, name)
        if given and isinstance(training.data.scaling, Whiten):
            message = "with data.scaling whiten, which leaves no pixel its brightness; allowed: 0"
            yield f"train.augmentation.{name}", f"{given:g} {message}"


def groups_divide_widths(training: Training) -> Found:
    """Every group of a layer's units has as many units."""
    normalization, widths = training.normalization, training.model.hidden_widths
    if not isinstance(normalization, GroupNorm):
        return
    uneven = [width for width in widths if width % normalization.groups]
    if uneven:
        divisor = gcd(*widths)
        allowed = [str(groups) for groups in range(1, divisor + 1) if divisor % groups == 0]
        message = f"{normalization.groups} groups of a hidden layer with {uneven[0]} units"
        yield "normalization.groups", f"{message}; allowed: {', '.join(allowed)}"


def zero_init_has_normalization(training: Training) -> Found:
    """A block begins as the identity where its last step before the sum is a normalization."""
    model, normalization = training.model, training.normalization
    if not getattr(model, "zero_init_last_norm", False):
        return
    if isinstance(normalization, NoNormalization) or normalization.position != "before_activation":
        classes = component_classes(Training.model_fields["normalization"].annotation)
        names = [name for name in classes if name != "none"]
        yield (
            "model.zero_init_last_norm",
            f"true with no normalization before the activation; allowed with {', '.join(names)}, else false",
        )


OF_OWN_NETWORKS = (
    "activation",
    "init",
    "normalization",
    *(f"regularization.{name}" for name in ("dropout", "input_dropout", "alpha_dropout")),
)
"""Fields that only raydnn's own networks have a use for."""


def user_modules_have_their_own_layers(training: Training) -> Found:
    """What stands inside a user's module is not the job's to say."""
    if not isinstance(training.model, UserModule):
        return
    for field in OF_OWN_NETWORKS:
        axis, _, name = field.partition(".")
        given, default = getattr(training, axis), Training.model_fields[axis].default
        if name:
            given, default = getattr(given, name), getattr(default, name)
        if given != default:
            written = given.name if isinstance(given, Component) else f"{given:g}"
            allowed = default.name if isinstance(default, Component) else f"{default:g}"
            message = f"{written} with the model module, whose layers are its own"
            yield field, f"{message}; allowed: {allowed}, or nothing given"


def recomputation_has_layers(training: Training) -> Found:
    """What is computed again are layers, which the network of a user's class does not show."""
    if training.train.recompute and isinstance(training.model, UserModule):
        message = (
            "true with the model module, whose layers are its own (torch.utils.checkpoint is at hand there)"
        )
        yield "train.recompute", f"{message}; allowed: false, or nothing given"


def compiles_what_is_kept(training: Training) -> Found:
    """The compiler decides itself what is kept for the backward pass."""
    if training.train.compile and training.train.recompute:
        yield (
            "train.recompute",
            "true with train.compile, which decides that by itself; allowed: one of the two",
        )


GATED = ("lstm", "gru")
"""Models whose activations are their own."""


def gates_have_their_own_activations(training: Training) -> Found:
    """What gates are made of is not the job's to say."""
    name, given = str(training.model.name), training.activation.name
    if name in GATED and given != training.model.activation:
        message = f"{given} with the model {name}, whose activations are its own"
        yield "activation", f"{message}; allowed: {training.model.activation}, or nothing given"


def one_dropout_of_hidden_units(training: Training) -> Found:
    """Alpha dropout keeps mean and variance only where nothing else drops units."""
    given = training.regularization
    if given.dropout and given.alpha_dropout:
        message = f"{given.alpha_dropout:g} together with dropout: {given.dropout:g}"
        yield "regularization.alpha_dropout", f"{message}; allowed: one of the two"

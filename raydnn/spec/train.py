"""How long and in what portions a trial is trained, and when it stops early."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from raydnn.spec.axes.augmentation import Augmentation
from raydnn.spec.axes.class_weights import ClassWeights, EqualWeights
from raydnn.spec.axes.clip import Clip, NoClip
from raydnn.spec.base import Spec, parameter
from raydnn.spec.metrics import Metric

FULL = "full"
"""The batch size that is the whole training set."""


def _full_as_null(value: Any) -> Any:
    return None if value == FULL else value


# How many examples `full` is only the data knows, so a trial keeps null, and its integer column does, too.
BatchSize = Annotated[
    int | None,
    Field(ge=1),
    BeforeValidator(_full_as_null),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"enum": [FULL, None]}]}),
]
"""Examples a batch; `full` is kept as None."""


Precision = Literal["float32", "tf32", "bfloat16", "float16"]


class EarlyStopping(Spec):
    """Stop when the monitored value has not improved for `patience` epochs in a row."""

    monitor: Metric = parameter(
        "validation_loss",
        "column of `epochs` that is watched; where it is left out, a sweep watches what it ranks trials by",
    )
    patience: int = parameter(10, "epochs without improvement that are borne", ge=1)
    min_delta: float = parameter(0.0, "smallest change that counts as improvement", ge=0)
    restore_best: bool = parameter(
        True,
        "keep and test the weights of the epoch by which the trial is ranked (best_epoch), as without early stopping; "
        "false: those of the last one",
    )
    min_grad_norm: float | None = parameter(
        None,
        "stop, too, when the gradient's norm at an epoch's last step (grad_norm in `epochs`) falls below this; "
        "null: off",
        gt=0,
    )


class Train(Spec):
    """The training loop's own settings."""

    epochs: int = parameter(10, "passes over the training data", ge=1)
    batch_size: BatchSize = parameter(
        32,
        "examples a batch, over all workers; 1: online; full (stored as null): batch gradient descent",
        search="choice(16, 32, 64, 128)",
    )
    accumulate: int = parameter(
        1,
        "batches whose gradients make one step, as of a batch so many times larger; "
        "dropout is drawn and batch norm measured batch by batch",
        ge=1,
        descends=(1,),
    )
    augmentation: Augmentation = parameter(Augmentation(), "augmentation of training images")
    precision: Precision = parameter(
        "float32",
        "precision of the network's products; parameters, gradients and losses stay float32. tf32: rounded so on "
        "a CUDA device, float32 elsewhere; float16: each trial scales its losses, and does without steps that overflow",
    )
    compile: bool = parameter(
        False,
        "let torch's compiler make the kernels of the passes, which takes seconds to minutes before the first step; "
        "each trial is then trained in a stack of its own, but for the seeds of a configuration",
    )
    recompute: bool = parameter(
        False,
        "compute the activations of most layers again in the backward pass, instead of keeping them: less memory, "
        "more time, the same numbers",
    )
    clip: Clip = parameter(NoClip(), "gradient clipping", descends=("none",))
    class_weights: ClassWeights = parameter(
        EqualWeights(), "weights of the classes in the training loss: none, balanced, or a list"
    )
    early_stopping: EarlyStopping | None = parameter(None, "early stopping; null: train all epochs")
    diagnostics: bool = parameter(
        False, "record every layer's gradient, update and activations after each epoch, in the table `layers`"
    )
    test_time_flips: bool = parameter(
        False,
        "test each image by the mean prediction for it and its mirror image, left and right: of the probabilities, or "
        "where there are none of the outputs",
    )
    checkpoint_every_epochs: int = parameter(
        1, "epochs between checkpoints to resume from; 0: none, a killed training starts over", ge=0
    )

    @property
    def keeps_best(self) -> bool:
        """Whether a trial ends with the weights of its best epoch, by what it is ranked by."""
        return self.early_stopping is None or self.early_stopping.restore_best

    def batch_of(self, n: int) -> int:
        """Examples a batch in a training set of n."""
        return n if self.batch_size is None else self.batch_size

    def step_of(self, n: int) -> int:
        """Examples a step in a training set of n; the last step of an epoch may have fewer."""
        return min(self.batch_of(n) * self.accumulate, n)

"""How long and in what portions a trial is trained, and when it stops early."""

from __future__ import annotations

from raydnn.spec.base import Spec, parameter
from raydnn.spec.class_weights import ClassWeights, EqualWeights
from raydnn.spec.clip import Clip, NoClip
from raydnn.spec.metrics import Metric


class EarlyStopping(Spec):
    """Stop when the monitored value has not improved for `patience` epochs in a row."""

    monitor: Metric = parameter("validation_loss", "column of `epochs` that is watched")
    patience: int = parameter(10, "epochs without improvement that are borne", ge=1)
    min_delta: float = parameter(0.0, "smallest change that counts as improvement", ge=0)
    restore_best: bool = parameter(True, "end with the weights of the best epoch, not of the last")


class Train(Spec):
    """The training loop's own settings."""

    epochs: int = parameter(10, "passes over the training data", ge=1)
    batch_size: int = parameter(
        32, "examples a step, over all workers", ge=1, search="choice(16, 32, 64, 128)"
    )
    clip: Clip = parameter(NoClip(), "gradient clipping")
    class_weights: ClassWeights = parameter(
        EqualWeights(), "weights of the classes in the training loss: none, balanced, or a list"
    )
    early_stopping: EarlyStopping | None = parameter(None, "early stopping; null: train all epochs")
    checkpoint_every_epochs: int = parameter(
        1, "epochs between checkpoints to resume from; 0: none, a killed training starts over", ge=0
    )

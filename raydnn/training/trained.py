"""A finished trial's network, read back from its run: outputs of raw examples, its metrics again, its weights."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from math import prod
from typing import Any

import torch
from numpy.typing import ArrayLike
from pydantic import ValidationError
from torch import Tensor, nn

from raydnn.data.load import Parts, prepare, read_parts
from raydnn.data.named import Named
from raydnn.data.preparation import Preparation
from raydnn.data.sources.raw import Arrays
from raydnn.data.tokens import check_tokens
from raydnn.errors import DataError, NotFoundError, StoreError, UsageError, first_line, nearest, one_of
from raydnn.nn.models.sequences import embeds, vocabulary_of
from raydnn.spec.data import Label
from raydnn.spec.trial import TrialSpec
from raydnn.store.read import read
from raydnn.store.run import Run
from raydnn.store.storage.files import Location
from raydnn.training.checkpoint import FACTS, TENSORS, load_checkpoint
from raydnn.training.facts import SCHEMA_VERSION, NetworkFacts
from raydnn.training.measures.evaluation import CHUNK, evaluate
from raydnn.training.process import fit_for_training
from raydnn.training.stack.alone import StackOfOne
from raydnn.training.stack.member import Member


class OlderCheckpointWarning(UserWarning):
    """A checkpoint was written by an earlier version, which did not keep everything."""


class Trained:
    """A finished trial's network in evaluation mode, and what its examples go through."""

    def __init__(
        self,
        place: Location,
        facts: NetworkFacts,
        preparation: Preparation,
        network: StackOfOne,
    ) -> None:
        """Take a network; `open_trained` makes one of a run's trial.

        Args:
            place: Its checkpoint's folder.
            facts: What the checkpoint says.
            preparation: What raw examples go through.
            network: The network as a stack of one.
        """
        self.place = place
        self.facts = facts
        self.preparation = preparation
        self._network = network

    @property
    def member(self) -> Member:
        """The trial as it ended: its history, state and test metrics."""
        return self._network.members[0]

    @property
    def trial_id(self) -> str:
        """The trial's id."""
        return self.member.trial_id

    @property
    def spec(self) -> TrialSpec:
        """The configuration that its weights were trained with last."""
        return self.member.spec

    @property
    def classes(self) -> tuple[Label, ...]:
        """What the data call the classes, in the order of the outputs; none where it learns no classes."""
        return self.preparation.class_names or tuple(range(self.preparation.classes))

    @cached_property
    def module(self) -> nn.Module:
        """The network by itself, a copy: prepared inputs (B, *features) → what the output layer gives (B, K), float32.

        It computes in float32 whatever precision it was trained in. Of a user's model it is an instance of the class,
        which takes rows, unless it asked for the shape of an example; or inputs by name, which
        `raydnn.data.named.split` takes out of rows.
        """
        return self._network.unstacked()

    def state_dict(self) -> dict[str, Tensor]:
        """The weights, one tensor a parameter, under the names that torch's own modules have for them."""
        return self.module.state_dict()

    def inputs(self, raw: ArrayLike | Mapping[str, ArrayLike]) -> Tensor:
        """Prepare raw inputs (n, *shape) as the network gets them (n, *features), float32, on its device.

        Inputs by name are given by name, (n, *shape) each, and returned side by side, as rows.

        Raises:
            DataError: Their shape is not that of the inputs it was trained on, or they are no tokens that it knows.
        """
        return self._fitting(self.preparation.inputs(self.preparation.raw(raw)))

    @torch.no_grad()
    def outputs(self, raw: ArrayLike | Mapping[str, ArrayLike]) -> Tensor:
        """Compute what the output layer gives before its activation (n, K), float32, of raw inputs (n, *shape).

        Logits of classes; numbers are in the unit in which they are learned, as `preparation.target_scale` says.

        Raises:
            DataError: Their shape is not that of the inputs it was trained on, or they are no tokens that it knows.
        """
        chunks = torch.split(self.inputs(raw), CHUNK[self._network.device.type])
        with fit_for_training(), self._network.in_precision():
            return torch.cat([self._network.module(chunk.unsqueeze(0))[0].float() for chunk in chunks])

    def metrics(self, part: str) -> dict[str, float]:
        """Compute the metrics of a part of the data it was trained on again.

        Args:
            part: `train`, `validation` or `test`.

        Returns:
            `loss`, in the unit of `m_test_loss`, and `accuracy` where there is one.

        Raises:
            UsageError: The data has no such part.
            DataError: The data is missing or damaged, or is not that which the network was trained on.
        """
        parts = read_parts(self.spec.data)
        if part not in parts.named:
            raise UsageError(f"part '{part}' is given; {one_of(part, parts.named)}")
        self._check_same_data(parts)
        return self.measure(parts.named[part], flips=part == "test" and self.spec.train.test_time_flips)

    def measure(self, arrays: Arrays, *, flips: bool = False) -> dict[str, float]:
        """Compute the metrics of raw examples with their targets, as `metrics` does.

        Args:
            arrays: The examples.
            flips: Whether an image's prediction is the mean of its own and its mirror image's.

        Raises:
            DataError: The inputs have another shape than those that the network was trained on.
        """
        examples = prepare(arrays, self.preparation).to(self._network.device)
        with fit_for_training():
            fitting = replace(examples, inputs=self._fitting(examples.inputs))
            loss, accuracy = evaluate(self._network, fitting, flips=flips)
        measured = {"loss": loss[0].item() * self._network.loss_unit}
        return measured if accuracy is None else {**measured, "accuracy": accuracy[0].item()}

    def _fitting(self, inputs: Tensor) -> Tensor:
        """Prepared inputs in the shape in which the network gets them; an earlier version's got rows of pictures.

        Raises:
            DataError: They have another shape, or are no tokens of the network's vocabulary.
        """
        if inputs[:1].numel() != prod(self.facts.features) * len(inputs[:1]):
            raise DataError(
                f"inputs of shape {tuple(inputs.shape[1:])} are given; the network was trained on "
                f"{self.facts.features}"
            )
        inputs = inputs.reshape(-1, *self.facts.features)
        described = self.preparation.described(self.facts.features)
        if embeds(self.spec, described):
            check_tokens(inputs, vocabulary_of(self.spec, described))
        return inputs.to(self._network.device)

    def _check_same_data(self, parts: Parts) -> None:
        """Refuse data whose columns or classes are called otherwise than when the network was trained."""
        kept, source = self.preparation, parts.source
        where = getattr(self.spec.data, "path", None) or f"the data set {self.spec.data.name}"
        learned = None if kept.task == "reconstruction" else source.class_names
        for what, ours, theirs in (
            ("columns", kept.feature_names, source.feature_names),
            ("classes", kept.class_names, learned),
            ("inputs by name", _told(kept.named), _told(source.named)),
        ):
            unknown = ours is None and bool(self.facts.lacking())
            if ours != theirs and not unknown:
                raise DataError(f"{where}: {_difference(what, ours or (), theirs or ())}")


def open_trained(run: Run, trial_id: str, device: torch.device | None = None) -> Trained:
    """Open the network of a finished trial.

    Args:
        run: The run.
        trial_id: Such as `t00003`.
        device: Where it is to compute; None: the CPU.

    Raises:
        NotFoundError: The run has no such trial, or keeps no weights of it.
        StoreError: The checkpoint is damaged, or its weights are not those of the configuration's network.
        JobError: The model is a user's class that is not there any more, or fails.
    """
    folder = _checkpoint_of(run, trial_id)
    tensors, kept = load_checkpoint(folder)
    facts, member = _read_facts(folder, kept)
    _tell_older(folder, facts)
    try:
        preparation = facts.preparation(member.spec, tensors)
    except KeyError as error:
        raise StoreError(f"{folder / TENSORS} is damaged: {error} is missing, which {FACTS} names") from error
    scaling = set(facts.scaling_tensors(tensors).values())
    weights = {name: tensor for name, tensor in tensors.items() if name not in scaling}
    try:
        network = StackOfOne(
            member, facts.features, facts.outputs, preparation, weights, device or torch.device("cpu")
        )
    except ValueError as error:
        raise StoreError(f"{folder / TENSORS} does not fit its configuration: {error}") from error
    return Trained(folder, facts, preparation, network)


def _checkpoint_of(run: Run, trial_id: str) -> Location:
    rows = read(run.location, "trials", ["trial_id", "state", "stop_reason", "checkpoint"]).to_pylist()
    found = {row["trial_id"]: row for row in rows}
    if trial_id not in found:
        raise NotFoundError(f"run {run.run_id} has no trial '{trial_id}'.{nearest(trial_id, found)}")
    row = found[trial_id]
    if row["checkpoint"] is None:
        reason = f" ({row['stop_reason']})" if row["stop_reason"] else ""
        raise NotFoundError(
            f"trial {trial_id} of run {run.run_id} has no weights: it is {row['state']}{reason}; weights are kept of "
            "trials that are COMPLETED, and of DIVERGED ones where they end with those of their best epoch"
        )
    return run.location / "checkpoints" / trial_id


def _read_facts(folder: Location, kept: Mapping[str, Any]) -> tuple[NetworkFacts, Member]:
    place = folder / FACTS
    try:
        facts = NetworkFacts.model_validate(kept)
        if facts.versions and facts.versions.schema_version > SCHEMA_VERSION:
            raise StoreError(
                f"{place} was written by version {facts.versions.raydnn} of raydnn, with schema version "
                f"{facts.versions.schema_version}; this version reads up to {SCHEMA_VERSION}"
            )
        return facts, Member.from_json(kept["member"])
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise StoreError(f"{place} is damaged: {field}: {first['msg']}") from error
    except KeyError as error:
        raise StoreError(f"{place} is damaged: {error} is missing") from error
    except (TypeError, ValueError) as error:
        raise StoreError(f"{place} is damaged: {first_line(error)}") from error


def _tell_older(folder: Location, facts: NetworkFacts) -> None:
    lacking = facts.lacking()
    if lacking:
        warnings.warn(
            f"checkpoint {folder} was written by an earlier version, which did not keep {', '.join(lacking)}; what "
            "the configuration does not say of them is not known",
            OlderCheckpointWarning,
            stacklevel=3,
        )


def _told(named: Named) -> tuple[str, ...] | None:
    """Inputs by name with their shapes; None where there are none."""
    return tuple(one.told for one in named) or None


def _difference(what: str, ours: tuple[Label, ...], theirs: tuple[Label, ...]) -> str:
    """How the names of the data differ from those that a network was trained on."""
    lacking = [name for name in ours if name not in theirs]
    further = [name for name in theirs if name not in ours]
    if not lacking and not further:
        return f"its {what} are in another order than those that the network was trained on"
    told = [f"lacks {lacking[0]!r}"] if lacking else []
    told += [f"has {further[0]!r}"] if further else []
    return f"its {what} are not those that the network was trained on: it {' and '.join(told)}"

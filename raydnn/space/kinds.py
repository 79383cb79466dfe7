"""What one parameter leaves another: each kind of rule, and the tables of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from pydantic import ValidationError

from raydnn.space.domains.domain import Choice, Domain
from raydnn.space.domains.syntax import Value
from raydnn.space.trial import drawn
from raydnn.spec.axes.augmentation import OF_COLORS
from raydnn.spec.axes.loss import AUTO
from raydnn.spec.axes.loss_function import LossFunction
from raydnn.spec.axes.schedule import Performance
from raydnn.spec.catalogue.kinds import components
from raydnn.spec.checks.compatibility import GATED, OF_OWN_NETWORKS, loss_of, outputs_of
from raydnn.spec.checks.selu import PLAIN_MODELS
from raydnn.spec.job import Job

Narrow: TypeAlias = Callable[[Job, Mapping[str, Value], Domain], Domain | None]
"""The job, what is drawn before, and a parameter's domain → what is left of it; None: the parameter does not exist."""


@dataclass(frozen=True)
class Kind:
    """A rule for every space that searches its parameter."""

    text: str
    path: str
    reads: tuple[str, ...]
    """Paths of the fields that decide; the rule holds where one of them is searched."""
    narrow: Narrow
    of_all: bool = True
    """Whether it also holds where they are fixed and `all` brought the parameter: `all` is all that fits."""
    beside: str = ""
    """Path that has to be searched, too."""


def _only(domain: Domain, allowed: Collection[Value]) -> Domain:
    """The allowed values of a domain; the whole domain where it has none, so that the contradiction is told."""
    left = tuple(value for value in domain.values() if value in allowed)
    return Choice(left) if left else domain


def _name(job: Job, assignment: Mapping[str, Value], axis: str) -> str:
    return str(assignment.get(f"{axis}.name", getattr(job, axis).name))


def _loss(job: Job, assignment: Mapping[str, Value]) -> type[LossFunction]:
    name = assignment.get("loss.name")
    if name is None:
        return type(loss_of(job))
    cls: Any = AUTO[job.data.learns] if name == "auto" else components("loss")[str(name)]
    return cls  # type: ignore[no-any-return]


def _outside_selu(job: Job, assignment: Mapping[str, Value], domain: Domain) -> Domain | None:
    return None if _name(job, assignment, "activation") == "selu" else domain


def _with_selu(job: Job, assignment: Mapping[str, Value], domain: Domain) -> Domain | None:
    return domain if _name(job, assignment, "activation") == "selu" else None


def _selu_takes(*names: str) -> Narrow:
    def narrow(job: Job, assignment: Mapping[str, Value], domain: Domain) -> Domain | None:
        return _only(domain, names) if _name(job, assignment, "activation") == "selu" else domain

    return narrow


def _with_smoothing_loss(job: Job, assignment: Mapping[str, Value], domain: Domain) -> Domain | None:
    return domain if _loss(job, assignment).smooths else None


def _outputs_of_loss(job: Job, assignment: Mapping[str, Value], domain: Domain) -> Domain | None:
    return _only(domain, ("auto", *outputs_of(_loss(job, assignment), job.data.learns)))


def _deciding_losses(job: Job, _: Mapping[str, Value], domain: Domain) -> Domain | None:
    early, search = job.train.early_stopping, job.search
    watched = [
        search.metric if search else None,
        early.monitor if early else None,
        job.schedule.monitor if isinstance(job.schedule, Performance) else None,
    ]
    if not any(metric and metric.endswith("accuracy") for metric in watched):
        return domain
    losses: Mapping[str, Any] = components("loss")
    return _only(domain, tuple(name for name, cls in losses.items() if name == "auto" or cls.decides))


def _dividing_groups(job: Job, assignment: Mapping[str, Value], domain: Domain) -> Domain | None:
    try:
        widths = drawn(job, assignment, "model").hidden_widths
    except ValidationError:  # The model contradicts itself, which is told when a trial is made.
        return domain
    return _only(
        domain, tuple(n for n in domain.values() if not any(width % int(str(n)) for width in widths))
    )


def _outside_whitening(job: Job, assignment: Mapping[str, Value], domain: Domain) -> Domain | None:
    return None if assignment.get("data.scaling.name", job.data.scaling.name) == "whiten" else domain


def _with_randaugment(job: Job, assignment: Mapping[str, Value], domain: Domain) -> Domain | None:
    return domain if assignment.get(_RANDAUGMENT, job.train.augmentation.randaugment) else None


def _with_skips(job: Job, assignment: Mapping[str, Value], domain: Domain) -> Domain | None:
    return domain if assignment.get("model.skip", getattr(job.model, "skip", True)) else None


def _identity_blocks(job: Job, assignment: Mapping[str, Value], domain: Domain) -> Domain | None:
    normalization = drawn(job, assignment, "normalization")
    before = getattr(normalization, "position", None) == "before_activation"
    return domain if before else _only(domain, (False,))


def _outside_user_modules(job: Job, assignment: Mapping[str, Value], domain: Domain) -> Domain | None:
    return None if _name(job, assignment, "model") == "module" else domain


def _outside_gates(job: Job, assignment: Mapping[str, Value], domain: Domain) -> Domain | None:
    return None if _name(job, assignment, "model") in GATED else domain


def _gates_without_activation(job: Job, assignment: Mapping[str, Value], domain: Domain) -> Domain | None:
    given = _name(job, assignment, "activation")
    models: Mapping[str, Any] = components("model")
    fits = tuple(
        value for value in domain.values() if value not in GATED or models[str(value)].activation == given
    )
    return domain if "activation" not in job.model_fields_set else _only(domain, fits)


def _selu_without_skips(job: Job, assignment: Mapping[str, Value], domain: Domain) -> Domain | None:
    plain = _name(job, assignment, "model") in PLAIN_MODELS
    return domain if plain else _only(domain, tuple(value for value in domain.values() if value != "selu"))


_RANDAUGMENT = "train.augmentation.randaugment"
_ACTIVATION = ("activation.name",)
_MODEL = ("model.name",)
_LOSS = ("loss.name",)
_SHAPE = tuple(
    f"model.{name}"
    for name in (
        "name",
        "widths",
        "layers",
        "width",
        "last_width",
        "blocks",
        "channels",
        "units",
        "bidirectional",
        "convolutions",
        "depth",
    )
)
_DROPS = ("dropout", "input_dropout", "alpha_dropout")
_DROPOUT, _INPUT_DROPOUT, _ALPHA_DROPOUT = (f"regularization.{name}" for name in _DROPS)

KINDS: tuple[Kind, ...] = (
    Kind(
        "regularization.dropout exists only where activation is not selu, which has alpha_dropout",
        _DROPOUT,
        _ACTIVATION,
        _outside_selu,
        beside=_ALPHA_DROPOUT,
    ),
    Kind(
        "regularization.input_dropout exists only where activation is not selu, which has alpha_dropout",
        _INPUT_DROPOUT,
        _ACTIVATION,
        _outside_selu,
        beside=_ALPHA_DROPOUT,
    ),
    Kind(
        "regularization.alpha_dropout exists only where activation is selu; others have dropout",
        _ALPHA_DROPOUT,
        _ACTIVATION,
        _with_selu,
        beside=_DROPOUT,
    ),
    Kind(
        "init is lecun_normal where activation is selu, if init may be lecun_normal",
        "init.name",
        _ACTIVATION,
        _selu_takes("lecun_normal"),
        of_all=False,
    ),
    Kind(
        "data.scaling is standardize where activation is selu, if data.scaling may be standardize",
        "data.scaling.name",
        _ACTIVATION,
        _selu_takes("standardize"),
        of_all=False,
    ),
    Kind(
        "model has no skip connections where activation is selu, if model may be without",
        "model.name",
        _ACTIVATION,
        _selu_takes(*PLAIN_MODELS),
        of_all=False,
    ),
    Kind(
        "regularization.label_smoothing exists only where loss is a cross-entropy",
        "regularization.label_smoothing",
        _LOSS,
        _with_smoothing_loss,
    ),
    Kind("output is one that goes with loss", "output.name", _LOSS, _outputs_of_loss),
    Kind(
        "loss decides for a class where an accuracy is watched (search.metric or a monitor)",
        "loss.name",
        (),
        _deciding_losses,
    ),
    Kind(
        "normalization.groups divides every hidden width of model",
        "normalization.groups",
        _SHAPE,
        _dividing_groups,
    ),
    Kind(
        "model.shortcut exists only where model.skip is true", "model.shortcut", ("model.skip",), _with_skips
    ),
    Kind(
        "model.zero_init_last_norm is false without a normalization before the activation",
        "model.zero_init_last_norm",
        ("normalization.name", "normalization.position"),
        _identity_blocks,
    ),
    *(
        Kind(
            f"train.augmentation.{name} exists only where data.scaling is not whiten, which leaves no colors",
            f"train.augmentation.{name}",
            ("data.scaling.name",),
            _outside_whitening,
        )
        for name in OF_COLORS
    ),
    Kind(
        f"{_RANDAUGMENT}_magnitude exists only where {_RANDAUGMENT} is above 0",
        f"{_RANDAUGMENT}_magnitude",
        (_RANDAUGMENT,),
        _with_randaugment,
    ),
)
"""Every rule for raydnn's own networks."""

BESIDE_USER_MODULES = (
    *(
        Kind(
            f"{field} exists only where model is not module, whose layers are its own",
            f"{field}.name" if field in Job.model_fields else field,
            _MODEL,
            _outside_user_modules,
        )
        for field in OF_OWN_NETWORKS
    ),
)
"""Those of a space that may choose a user's own module."""

NO_SELU_WITH_SKIPS = Kind(
    "activation is not selu where model has skip connections, if activation may be another",
    "activation.name",
    _MODEL,
    _selu_without_skips,
    of_all=False,
)
"""That of a space in which the activation depends on the model."""

BESIDE_GATES = (
    Kind(
        "activation exists only where model is not lstm or gru, whose activations are their own",
        "activation.name",
        _MODEL,
        _outside_gates,
    ),
)
"""Those of a space that may choose a model with activations of its own."""

BEFORE_GATES = (
    Kind(
        "model is not lstm or gru where activation is given, if model may be another",
        "model.name",
        _ACTIVATION,
        _gates_without_activation,
    ),
)
"""Those of such a space where the activation is fixed."""

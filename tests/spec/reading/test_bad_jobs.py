"""Bad jobs, and the exact lines each one gets; `job.yaml` begins with the three lines of GOOD."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from raydnn.errors import JobError
from raydnn.space.domains import domain
from raydnn.space.space import Space, build_space
from raydnn.spec.axes.adaptive import Adam
from raydnn.spec.axes.optimizer import Sgd
from raydnn.spec.base import Spec
from raydnn.spec.catalogue.kinds import components
from raydnn.spec.checks.compatibility import compatible
from raydnn.spec.job import Job, Training
from raydnn.spec.reading.load import load_job
from raydnn.spec.reading.positions import Positions
from raydnn.spec.train import Train

GOOD = "name: good\ndata: digits\noptimizer: sgd\n"


def names(kind: str) -> str:
    return ", ".join(components(kind))


def fields(spec: type[Spec]) -> str:
    return ", ".join(field for field in spec.model_fields if field != "name" or spec is Job)


FIELDS = f"{fields(Job)}, extends, preset"
UNKNOWN_SGD_FIELD = f"unknown field of sgd; allowed: {fields(Sgd)}."
UNKNOWN_ADAM_FIELD = f"unknown field of adam; allowed: {fields(Adam)}"
NAMES = "[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
OPTIMIZERS, SCHEDULES, LOSSES = names("optimizer"), names("schedule"), names("loss")
REGRESSION = "auto, mse, mae, huber, log_cosh, function"
LEAVES = "train_loss, train_accuracy, validation_loss, validation_accuracy"
NO_ACCURACY = (
    "with a regression task (data.kind), which has no accuracy; allowed: train_loss, validation_loss"
)
WARM_UP = "schedule.warmup_epochs:"
TEXT = "(this is text: write the number without quotes and underscores)"
SEARCH = "search:\n  trials: 4\n  space: {optimizer.lr: 'loguniform(1e-3, 1)'}\n"
CSV = "name: good\noptimizer: sgd\ndata: {name: csv, path: a.csv, target: y, kind: regression}\n"


@dataclass(frozen=True)
class Bad:
    """A job file, overrides, other files by name, and the lines the user reads."""

    text: str | bytes
    lines: tuple[str, ...]
    overrides: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()


def bad(text: str | bytes, *lines: str, overrides: tuple[str, ...] = (), **files: str) -> Bad:
    return Bad(text, lines, overrides, tuple((f"{name}.yaml", content) for name, content in files.items()))


def on_command_line(*overrides: str, gives: str) -> Bad:
    return Bad(GOOD, (f"command line: {gives}",), overrides)


CASES: dict[str, Bad] = {
    # the file as YAML
    "empty": bad("", "job.yaml:1: the file is empty; allowed: a mapping of fields"),
    "only comments": bad("# nothing\n", "job.yaml:1: the file is empty; allowed: a mapping of fields"),
    "a list": bad("- 1\n", "job.yaml:1: the top level is not a mapping; allowed: a mapping of fields"),
    "a scalar": bad("\n5\n", "job.yaml:2: the top level is not a mapping; allowed: a mapping of fields"),
    "a tab": bad(GOOD + "train:\n\tepochs: 1\n", "job.yaml:5: a tab; allowed: spaces for indentation"),
    "an open bracket": bad(
        GOOD + "model: {widths: [64\n", "job.yaml:5: not YAML: expected ',' or ']', but got '<stream end>'"
    ),
    "a value twice": bad(GOOD + "seed: 1: 2\n", "job.yaml:4: not YAML: mapping values are not allowed here"),
    "two documents": bad(
        GOOD + "---\nname: b\n", "job.yaml:4: a second document begins; allowed: one document in a file"
    ),
    "not UTF-8": bad(GOOD.encode() + b"# \xff\n", "job.yaml:4: byte 0xff is not UTF-8; allowed: UTF-8 text"),
    "a control character": bad(
        GOOD + "storage: a\x07\n", "job.yaml:4: character U+0007 is not allowed in YAML"
    ),
    "too large": bad(
        GOOD + "#" * 1_000_000, "job.yaml:4: the file is larger than 1,000,000 bytes; allowed: up to 1 MB"
    ),
    "too deep": bad(
        GOOD + "model: " + "[" * 100_000, "job.yaml:4: nested deeper than 32 levels; allowed: up to 32"
    ),
    "exploding aliases": bad(
        "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(
            f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcde", "bcdef", strict=True)
        ),
        "job.yaml:1: more than 100,000 values once its aliases are expanded",
    ),
    "an alias of itself": bad(
        GOOD + "model: &m\n  widths: *m\n",
        "job.yaml:4: an alias contains itself; allowed: aliases of finished values",
    ),
    "an unknown alias": bad(GOOD + "model: *m\n", "job.yaml:4: not YAML: found undefined alias 'm'"),
    "a tag": bad(
        GOOD + "seed: !!python/name:os.system 1\n",
        "job.yaml:4: seed: the tag tag:yaml.org,2002:python/name:os.system; allowed: values without tags",
        "job.yaml:4: seed: '1' (str); allowed: int, at least 0, below 9223372036854775808 " + TEXT,
    ),
    "a key twice": bad(
        GOOD + "train:\n  epochs: 1\n  batch_size: 8\n  epochs: 2\n",
        "job.yaml:7: train.epochs: the key occurs twice, first at job.yaml:5; allowed: once",
    ),
    "a key that is no text": bad(
        GOOD + "train: {1: 2}\n", "job.yaml:4: train: the key 1 is not a name; allowed: names of fields"
    ),
    "a key with control characters": bad(
        GOOD + '"a\\n\\e[2J": 2\n',
        r"job.yaml:4: the key 'a\n\x1b[2J' is not a name; allowed: names of fields",
    ),
    "a list as a key": bad(
        GOOD + "[a]: 2\n", "job.yaml:4: a list or mapping as a key is not a name; allowed: names of fields"
    ),
    # unknown fields and components
    "unknown field": bad(
        GOOD + "sed: 1\n", f"job.yaml:4: sed: unknown field; allowed: {FIELDS}. Did you mean 'seed'?"
    ),
    "dotted field in a file": bad(
        GOOD + "optimizer.lr: 1\n",
        f"job.yaml:4: optimizer.lr: unknown field; allowed: {FIELDS}. Did you mean 'optimizer'?",
    ),
    "unknown field of a component": bad(
        "name: good\ndata: digits\noptimizer:\n  name: sgd\n  momentun: 0.9\n",
        f"job.yaml:5: optimizer.momentun: {UNKNOWN_SGD_FIELD} Did you mean 'momentum'?",
    ),
    "field of another component": bad(
        "name: good\ndata: digits\noptimizer: {name: adam, momentum: 0.9}\n",
        f"job.yaml:3: optimizer.momentum: {UNKNOWN_ADAM_FIELD}",
    ),
    "field of a component without fields": bad(
        GOOD + "activation: {name: relu, alpha: 1}\n",
        "job.yaml:4: activation.alpha: unknown field of relu; allowed: none",
    ),
    "unknown nested field": bad(
        GOOD + "train:\n  epoch: 3\n",
        f"job.yaml:5: train.epoch: unknown field; allowed: {fields(Train)}. Did you mean 'epochs'?",
    ),
    "unknown optimizer": bad(
        "name: good\ndata: digits\noptimizer:\n  lr: 0.1\n  name: adammw\n",
        f"job.yaml:5: optimizer: unknown optimizer 'adammw'; allowed: {OPTIMIZERS}. Did you mean 'adamw'?",
    ),
    "unknown model": bad(
        GOOD + "model: w8t\n", f"job.yaml:4: model: unknown model 'w8t'; allowed: {names('model')}"
    ),
    "unknown data": bad(
        "data: fashion-mnist\nname: good\noptimizer: sgd\n",
        f"job.yaml:1: data: unknown data 'fashion-mnist'; allowed: {names('data')}. "
        "Did you mean 'fashion_mnist'?",
    ),
    "a component that is a number": bad(
        GOOD + "schedule: 5\n",
        f"job.yaml:4: schedule: 5 (int); allowed: a name, or a mapping with name: {SCHEDULES}",
    ),
    "a component that is null": bad(
        GOOD + "loss:\n",
        f"job.yaml:4: loss: null; allowed: a name, or a mapping with name: {LOSSES}",
    ),
    "a component without name": bad(
        "name: good\ndata: digits\noptimizer: {lr: 0.1}\n",
        f"job.yaml:3: optimizer: no name is given; allowed: a mapping with name: {OPTIMIZERS}",
    ),
    "a component whose name is a number": bad(
        GOOD + "schedule: {name: 1}\n", f"job.yaml:4: schedule: unknown schedule 1; allowed: {SCHEDULES}"
    ),
    "auto-like choices": bad(
        GOOD + "init: all\n",
        f"job.yaml:4: init: unknown init 'all'; allowed: {names('init')}",
    ),
    # missing
    "missing fields": bad(
        "seed: 1\n",
        f"job.yaml:1: data: missing; allowed: {names('data')}",
        f"job.yaml:1: optimizer: missing; allowed: {OPTIMIZERS}",
        "job.yaml:1: name: missing; allowed: str",
    ),
    "missing field of a component": bad(
        "name: good\noptimizer: sgd\ndata:\n  name: csv\n  target: y\n",
        "job.yaml:3: data.path: missing; allowed: str",
    ),
    "missing space": bad(
        GOOD + "search: {trials: 4}\n",
        "job.yaml:4: search.space: missing; allowed: a mapping of fields to domains",
    ),
    # types and bounds
    "YAML 1.1 number": bad(
        "name: good\ndata: digits\noptimizer: {name: sgd, lr: 1e-3x}\n",
        "job.yaml:3: optimizer.lr: '1e-3x' (str); allowed: float, above 0",
    ),
    "YAML 1.1 boolean": bad(
        "name: good\ndata: digits\noptimizer: {name: sgd, nesterov: no}\n",
        "job.yaml:3: optimizer.nesterov: 'no' (str); allowed: bool (in YAML 1.2 no is text: write false)",
    ),
    "YAML 1.1 sexagesimal": bad(
        GOOD + "train: {epochs: 1:30}\n", "job.yaml:4: train.epochs: '1:30' (str); allowed: int, at least 1"
    ),
    "YAML 1.1 underscores": bad(
        GOOD + "train: {batch_size: 1_000}\n",
        f"job.yaml:4: train.batch_size: '1_000' (str); allowed: int or null, at least 1 {TEXT}",
    ),
    "a quoted number": bad(
        GOOD + 'train: {epochs: "10"}\n',
        f"job.yaml:4: train.epochs: '10' (str); allowed: int, at least 1 {TEXT}",
    ),
    "a fraction for a count": bad(
        GOOD + "train: {epochs: 1.5}\n", "job.yaml:4: train.epochs: 1.5 (float); allowed: int, at least 1"
    ),
    "a boolean for a count": bad(
        GOOD + "train: {epochs: true}\n", "job.yaml:4: train.epochs: true (bool); allowed: int, at least 1"
    ),
    "a number for a boolean": bad(
        "name: good\ndata: digits\noptimizer: {name: sgd, nesterov: 1}\n",
        "job.yaml:3: optimizer.nesterov: 1 (int); allowed: bool",
    ),
    "null for a number": bad(
        GOOD + "seed:\n", "job.yaml:4: seed: null; allowed: int, at least 0, below 9223372036854775808"
    ),
    "a list for a number": bad(
        GOOD + "seed: [1]\n",
        "job.yaml:4: seed: [1] (list); allowed: int, at least 0, below 9223372036854775808",
    ),
    "infinity": bad(
        "name: good\ndata: digits\noptimizer: {name: sgd, lr: .inf}\n",
        "job.yaml:3: optimizer.lr: inf; allowed: float, above 0, finite",
    ),
    "a number too large for a float": bad(
        "name: good\ndata: digits\noptimizer: {name: sgd, lr: 1e999}\n",
        "job.yaml:3: optimizer.lr: inf; allowed: float, above 0, finite",
    ),
    "at the bound": bad(
        "name: good\ndata: digits\noptimizer: {name: sgd, lr: 0, momentum: 1}\n",
        "job.yaml:3: optimizer.lr: 0; allowed: float, above 0",
        "job.yaml:3: optimizer.momentum: 1; allowed: float, at least 0, below 1",
    ),
    "dropout": bad(
        GOOD + "regularization:\n  dropout: 1.5\n",
        "job.yaml:5: regularization.dropout: 1.5; allowed: float, at least 0, below 1",
    ),
    "two GPUs": bad(
        GOOD + "resources: {gpus_per_worker: 2}\n",
        "job.yaml:4: resources.gpus_per_worker: 2; allowed: int, at least 0, at most 1",
    ),
    "no layers": bad(
        GOOD + "model: {widths: []}\n",
        "job.yaml:4: model.widths: []; "
        "allowed: list of int or null, each at least 1, each at most 1000000, one or more",
    ),
    "a width of 0": bad(
        GOOD + "model:\n  widths:\n    - 64\n    - 0\n",
        "job.yaml:7: model.widths: 0; allowed: list of int or null, each at least 1, each at most 1000000",
    ),
    "widths that are a number": bad(
        GOOD + "model: {widths: 64}\n",
        "job.yaml:4: model.widths: 64 (int); allowed: list of int or null, each at least 1, each at most 1000000",
    ),
    "a mapping that is a number": bad(
        GOOD + "train: 10\n",
        f"job.yaml:4: train: 10 (int); allowed: a mapping with {fields(Train)}",
    ),
    "an unknown choice": bad(
        "name: good\noptimizer: sgd\ndata: {name: digits, scaling: standardise}\n",
        f"job.yaml:3: data.scaling: unknown scaling 'standardise'; allowed: {names('scaling')}. "
        "Did you mean 'standardize'?",
    ),
    "hostile name": bad(
        "name: ../../etc; rm -rf\ndata: digits\noptimizer: sgd\n",
        f"job.yaml:1: name: '../../etc; rm -rf'; allowed: {NAMES}",
    ),
    "long name": bad(
        f"name: {'x' * 64}\ndata: digits\noptimizer: sgd\n",
        f"job.yaml:1: name: '{'x' * 56}...; allowed: {NAMES}",
    ),
    "a name of digits": bad(
        "name: 012\ndata: digits\noptimizer: sgd\n", "job.yaml:1: name: 12 (int); allowed: str"
    ),
    "two validation splits": bad(
        "name: good\noptimizer: sgd\ndata: {name: digits, validation: 100, validation_fraction: 0.1}\n",
        "job.yaml:3: data: validation: 100 and validation_fraction: 0.1 are both given; "
        "only one of them can be",
    ),
    # the search
    "unknown algorithm": bad(
        GOOD + SEARCH + "  algorithm: gird\n",
        f"job.yaml:7: search.algorithm: unknown algorithm 'gird'; allowed: {names('algorithm')}. Did you mean 'grid'?",
    ),
    "unknown scheduler": bad(
        GOOD + SEARCH + "  scheduler: {name: ahsa}\n",
        f"job.yaml:7: search.scheduler: unknown scheduler 'ahsa'; allowed: {names('scheduler')}. Did you mean 'asha'?",
    ),
    "zero trials": bad(
        GOOD + "search: {trials: 0, space: {}}\n",
        "job.yaml:4: search.trials: 0; allowed: int or null, at least 1",
    ),
    "unknown metric": bad(
        GOOD + SEARCH + "  metric: validation_los\n",
        f"job.yaml:7: search.metric: 'validation_los' (str); allowed: {LEAVES}. "
        "Did you mean 'validation_loss'?",
    ),
    "random without end": bad(
        GOOD + "search:\n  space: {init: all}\n",
        "job.yaml:4: search.trials: missing; algorithm: random needs it: int, at least 1",
    ),
    "min_epochs above max_epochs": bad(
        GOOD + SEARCH + "  scheduler:\n    name: asha\n    min_epochs: 9\n    max_epochs: 3\n",
        "job.yaml:9: search.scheduler.min_epochs: min_epochs: 9 is above max_epochs: 3; allowed: at most 3",
    ),
    "min_epochs above the training": bad(
        GOOD + SEARCH + "  scheduler: {name: asha, min_epochs: 20}\n",
        "job.yaml:7: search.scheduler.min_epochs: min_epochs: 20 is above train.epochs: 10; "
        "allowed: at most 10",
    ),
    "more brackets than rungs": bad(
        GOOD + SEARCH + "  scheduler: {name: asha, max_epochs: 27, brackets: 4}\n",
        "job.yaml:7: search.scheduler.brackets: 4, but with max_epochs: 27 the last ones have no rung; "
        "allowed: at most 3",
    ),
    "hyperband without a rung": bad(
        GOOD + SEARCH + "  scheduler: {name: hyperband, max_epochs: 2}\n",
        "job.yaml:7: search.scheduler.eta: 3, but 2 epochs (max_epochs) are too few for a rung of hyperband "
        "with this eta; allowed: above 1, at most 2",
    ),
    "one epoch under bohb": bad(
        GOOD + SEARCH + "  algorithm: tpe\n  scheduler: {name: bohb, max_epochs: 1}\n",
        "job.yaml:8: search.scheduler.max_epochs: 1, but a rung of bohb needs at least 2 epochs; allowed: at least 2",
    ),
    "median after the training": bad(
        GOOD + SEARCH + "  scheduler: {name: median, min_epochs: 11}\n",
        "job.yaml:7: search.scheduler.min_epochs: min_epochs: 11 is above train.epochs: 10; allowed: at most 10",
    ),
    "bohb without tpe": bad(
        GOOD + SEARCH + "  scheduler: bohb\n",
        "job.yaml:7: search.scheduler: bohb, but the algorithm is random; allowed with bohb: algorithm tpe",
    ),
    "bohb with a batch": bad(
        GOOD + SEARCH + "  algorithm: {name: tpe, batch: 4}\n  scheduler: bohb\n",
        "job.yaml:7: search.algorithm.batch: bohb proposes a bracket at a time; leave it out",
    ),
    "pbt with a scheduler": bad(
        GOOD + SEARCH + "  algorithm: pbt\n  scheduler: asha\n",
        "job.yaml:8: search.scheduler: asha, but pbt decides itself which trials go on; allowed with pbt: none",
    ),
    "pbt that never copies": bad(
        GOOD + SEARCH + "  algorithm: {name: pbt, interval_epochs: 10}\n",
        "job.yaml:7: search.algorithm.interval_epochs: 10, but a trial has 10 epochs and copies none after its last; "
        "allowed: below 10",
    ),
    "a population of one": bad(
        GOOD + "search:\n  trials: 1\n  algorithm: pbt\n  space: {}\n",
        "job.yaml:5: search.trials: 1, but the trials of pbt copy one another; allowed: at least 2",
    ),
    "pbt with seeds": bad(
        GOOD + SEARCH + "  algorithm: pbt\n  confirm: 1\n",
        "job.yaml:8: search.confirm: 1, but a trial of pbt is no single configuration that other seeds could be "
        "trained with; allowed with pbt: 0",
    ),
    "more seeds than a stack holds": bad(
        GOOD + SEARCH + "  stack: 4\n  repeats: 5\n",
        "job.yaml:8: search.repeats: 5, but the seeds of a configuration share a stack, and search.stack is 4; "
        "allowed: at most 4",
    ),
    "more confirmed than searched": bad(
        GOOD + "search:\n  trials: 3\n  space: {}\n  confirm: 4\n",
        "job.yaml:7: search.confirm: 4, but search.trials is 3; allowed: at most 3",
    ),
    "one seed confirms nothing": bad(
        GOOD + SEARCH + "  confirm_seeds: 1\n",
        "job.yaml:7: search.confirm_seeds: 1; allowed: int, at least 2",
    ),
    "seeds beyond the last": bad(
        GOOD + SEARCH + "  repeats: 3\nseed: 9223372036854775807\n",
        "job.yaml:8: seed: 9223372036854775807, but further seeds follow it; allowed: at most 9223372036854775805",
    ),
    "eta of 1": bad(
        GOOD + SEARCH + "  scheduler: {name: asha, eta: 1}\n",
        "job.yaml:7: search.scheduler.eta: 1; allowed: float, above 1",
    ),
    # fields that contradict one another
    "warm-up of the whole training": bad(
        GOOD + "train: {epochs: 5}\nschedule:\n  name: cosine\n  warmup_epochs: 5\n",
        f"job.yaml:7: {WARM_UP} 5 leaves nothing of the 5 epochs of the training; allowed: below 5",
    ),
    "cross-entropy of a regression": bad(
        CSV + "loss: cross_entropy\n",
        f"job.yaml:4: loss: cross_entropy with a regression task (data.kind); allowed: {REGRESSION}",
    ),
    "no gradient in hidden layers": bad(
        GOOD + "activation:\n  name: sign\n",
        "job.yaml:4: activation: sign has no gradient, so that nothing below it could learn; "
        f"allowed in hidden layers: {', '.join(compatible('activation', 'classification'))}",
    ),
    "slopes in the wrong order": bad(
        GOOD + "activation: {name: rrelu, lower: 0.5}\n",
        "job.yaml:4: activation: lower: 0.5 is above upper: 0.3333333333333333; allowed: at most upper",
    ),
    "output layer of another loss": bad(
        GOOD + "output: sigmoid\n",
        "job.yaml:4: output: sigmoid with the loss cross_entropy; allowed: auto, linear, softmax",
    ),
    "label smoothing without classes": bad(
        CSV + "regularization:\n  label_smoothing: 0.1\n",
        "job.yaml:5: regularization.label_smoothing: 0.1 with the loss mse; "
        "allowed with cross_entropy, categorical_cross_entropy, binary_cross_entropy, else 0",
    ),
    "class weights without classes": bad(
        CSV + "train: {class_weights: balanced}\n",
        "job.yaml:4: train.class_weights: balanced with a regression task (data.kind), which has no classes; "
        "allowed: none",
    ),
    "a negative class weight": bad(
        GOOD + "train:\n  class_weights: [1, -1]\n",
        "job.yaml:5: train.class_weights.weights: -1; allowed: list of float, each at least 0",
    ),
    "a loss that is no import path": bad(
        GOOD + "loss: {name: function, path: my_loss}\n",
        "job.yaml:4: loss.path: 'my_loss'; allowed: package.module:name, or FOLDER/package.module:name",
    ),
    "a module without its path": bad(
        GOOD + "model: module\n", "job.yaml:4: model.path: missing; allowed: str"
    ),
    "arguments of a module without names": bad(
        GOOD + "model: {name: module, path: a:B, arguments: [3]}\n",
        "job.yaml:4: model.arguments: [3]; "
        "allowed: a mapping of names to numbers, texts, true, false, null or lists",
    ),
    "accuracy of a regression": bad(
        CSV + SEARCH + "  metric: train_accuracy\ntrain: {early_stopping: {monitor: validation_accuracy}}\n",
        f"job.yaml:7: search.metric: 'train_accuracy' {NO_ACCURACY}",
        f"job.yaml:8: train.early_stopping.monitor: 'validation_accuracy' {NO_ACCURACY}",
    ),
    "schedule on accuracy of a regression": bad(
        CSV + "schedule: {name: performance, monitor: train_accuracy}\n",
        f"job.yaml:4: schedule.monitor: 'train_accuracy' {NO_ACCURACY}",
    ),
    "everything at once": bad(
        CSV
        + "seed: -1\nseed: 2\nloss: cross_entropy\nschedule: {name: cosine, warmup_epochs: 10}\nmodel: mpl\n",
        "job.yaml:4: seed: -1; allowed: int, at least 0, below 9223372036854775808",
        "job.yaml:5: seed: the key occurs twice, first at job.yaml:4; allowed: once",
        f"job.yaml:6: loss: cross_entropy with a regression task (data.kind); allowed: {REGRESSION}",
        f"job.yaml:7: {WARM_UP} 10 leaves nothing of the 10 epochs of the training; allowed: below 10",
        f"job.yaml:8: model: unknown model 'mpl'; allowed: {names('model')}. Did you mean 'mlp'?",
    ),
    # extends
    "extends a missing file": bad(
        "name: child\nextends: bas.yaml\n",
        "job.yaml:2: extends: there is no file bas.yaml. Did you mean 'base.yaml'?",
        base=GOOD,
    ),
    "extends a list": bad(
        "extends: [base.yaml]\n",
        "job.yaml:1: extends: ['base.yaml']; allowed: the path of a job file",
        base=GOOD,
    ),
    "extends itself": bad(
        "extends: job.yaml\n",
        "job.yaml:1: extends: the files extend one another in a circle: job.yaml -> job.yaml; "
        "allowed: a chain that ends",
    ),
    "a circle": bad(
        "extends: base.yaml\n",
        "base.yaml:1: extends: the files extend one another in a circle: job.yaml -> base.yaml -> job.yaml; "
        "allowed: a chain that ends",
        base="extends: ./job.yaml\n",
    ),
    "a mistake in the extended file": bad(
        "extends: base.yaml\ntrain: {epochs: 0}\n",
        "base.yaml:4: seed: -1; allowed: int, at least 0, below 9223372036854775808",
        "job.yaml:2: train.epochs: 0; allowed: int, at least 1",
        base=GOOD + "seed: -1\n",
    ),
    "a field of the replaced component": bad(
        "extends: base.yaml\noptimizer:\n  name: adam\n  momentum: 0.5\n",
        f"job.yaml:4: optimizer.momentum: {UNKNOWN_ADAM_FIELD}",
        base="name: good\ndata: digits\noptimizer: {name: sgd, momentum: 0.9}\n",
    ),
    # the command line
    "override without value": on_command_line(
        "optimizer.lr",
        gives="'optimizer.lr' is not an override; allowed: field=value, such as optimizer.lr=0.1",
    ),
    "override without field": on_command_line(
        "=1", gives="'=1' is not an override; allowed: field=value, such as optimizer.lr=0.1"
    ),
    "override with an empty part": on_command_line(
        "optimizer..lr=1",
        gives="'optimizer..lr=1' is not an override; allowed: field=value, such as optimizer.lr=0.1",
    ),
    "override that is no YAML": on_command_line(
        "model.widths=[1", gives="model.widths: not YAML: expected ',' or ']', but got '<stream end>'"
    ),
    "override of an unknown field": on_command_line(
        "trian.epochs=1", gives=f"trian: unknown field; allowed: {FIELDS}. Did you mean 'train'?"
    ),
    "override of an unknown field of a component": on_command_line(
        "optimizer.lrr=1",
        gives=f"optimizer.lrr: {UNKNOWN_SGD_FIELD} Did you mean 'lr'?",
    ),
    "override below a number": on_command_line(
        "train.epochs.most=1",
        gives="train.epochs.most: unknown field; train.epochs holds no fields: it is int",
    ),
    "override out of bounds": on_command_line(
        "optimizer.lr=-1", gives="optimizer.lr: -1; allowed: float, above 0"
    ),
    "override with an unknown component": on_command_line(
        "optimizer=adammw",
        gives=f"optimizer: unknown optimizer 'adammw'; allowed: {OPTIMIZERS}. Did you mean 'adamw'?",
    ),
    "override of extends": on_command_line(
        "extends=a.yaml",
        gives="extends: only a file can extend another; allowed in files: extends: other.yaml",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_bad_job_gets_its_lines(case: Bad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    content = case.text if isinstance(case.text, bytes) else case.text.encode()
    Path("job.yaml").write_bytes(content)
    for name, text in case.files:
        Path(name).write_text(text)
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(JobError) as raised:
        load_job("job.yaml", case.overrides)

    assert str(raised.value).splitlines() == list(case.lines)
    assert raised.value.exit_code == 2
    assert sorted(tmp_path.rglob("*")) == before


SPACE_FIELDS = fields(Training)
DOMAINS = ", ".join(domain.DOMAINS)
WITH_EPS = ", ".join(name for name, cls in components("optimizer").items() if "eps" in cls.model_fields)
SPACES: dict[str, tuple[str, str]] = {
    "unknown axis": (
        "optimzer: all",
        f"optimzer: unknown field 'optimzer'; allowed: {SPACE_FIELDS}. Did you mean 'optimizer'?",
    ),
    "unknown component": (
        "optimizer: [sgd, adammw]",
        f"optimizer: unknown component adammw; allowed: {OPTIMIZERS}. Did you mean 'adamw'?",
    ),
    "unknown domain": (
        "optimizer.lr: unifrom(0.1, 1)",
        f"optimizer.lr: unknown domain 'unifrom'; allowed: {DOMAINS}. Did you mean 'uniform'?",
    ),
    "code": (
        "optimizer.lr: __import__('os')",
        f"optimizer.lr: unknown domain '__import__'; allowed: {DOMAINS}",
    ),
    "an open parenthesis": (
        "optimizer.lr: uniform(0.1",
        "optimizer.lr: 'uniform(0.1' is not closed; ')' is missing",
    ),
    "min above max": (
        "optimizer.lr: uniform(1, 0.1)",
        "optimizer.lr: uniform(1, 0.1) has the lower end 1 and the upper end 0.1; "
        "the lower must be below the upper",
    ),
    "log range at 0": (
        "optimizer.lr: loguniform(0, 1)",
        "optimizer.lr: loguniform(0, 1) begins at 0; a range on a log scale must begin above 0",
    ),
    "outside the bounds": (
        "optimizer.lr: uniform(-1, 1)",
        "optimizer.lr: uniform(-1, 1) begins at -1; allowed: float, above 0",
    ),
    "a choice outside the bounds": (
        "train.batch_size: choice(0, 32)",
        "train.batch_size: 0; allowed: int or null, at least 1",
    ),
    "fractions for a count": (
        "train.batch_size: uniform(1, 64)",
        "train.batch_size: uniform(1, 64) draws fractions; allowed: int or null, at least 1, "
        "for instance by randint(a, b)",
    ),
    "no choices": ("init: []", "init: no value to choose from; at least one must be given"),
    "a component no trial has": (
        "optimizer.adam.beta1: uniform(0.5, 0.9)",
        "optimizer.adam.beta1: no trial has 'adam' on the axis optimizer; allowed: sgd, "
        "or `optimizer` in search.space with 'adam'",
    ),
    "all on an axis that has one choice": (
        "data: all",
        "data: a sweep has one data set; allowed: domains for its fields, such as data.scaling",
    ),
    "all on a number": (
        "optimizer.lr: all",
        "optimizer.lr: 'all'; allowed: a domain, a list of choices, or float, above 0",
    ),
    "an output without a gradient": (
        "output: [softmax, sign]",
        "output: sign goes with no loss of a classification task; "
        "allowed: auto, linear, sigmoid, tanh, relu, softplus, softmax",
    ),
    "a range that ends outside the bounds": (
        "optimizer.momentum: uniform(0, 2)",
        "optimizer.momentum: uniform(0, 2) reaches 2; allowed: float, at least 0, below 1",
    ),
    "a field no trial has": (
        "optimizer.*.eps: uniform(0.1, 1)",
        "optimizer.*.eps: no trial has 'eps': the axis optimizer holds sgd; " + f"{WITH_EPS} have it",
    ),
}


@pytest.mark.parametrize(("written", "line"), SPACES.values(), ids=SPACES.keys())
def test_a_bad_space_gets_its_line(
    written: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("job.yaml").write_text(
        f"{GOOD}search:\n  trials: 4\n  space:\n    seed: randint(0, 99)\n    {written}\n"
    )
    loaded = load_job("job.yaml")
    with pytest.raises(JobError) as raised:
        build_space(loaded.job, loaded.positions)
    assert str(raised.value) == f"job.yaml:8: search.space.{line}"


@pytest.mark.parametrize(
    ("fixed", "space", "line"),
    [
        (
            "output: softmax",
            "loss: [cross_entropy, perceptron]",
            "job.yaml:4: output: a trial of search.space would be invalid: "
            "softmax with the loss perceptron; allowed: auto, linear",
        ),
        (
            "regularization: {dropout: 0.3}",
            "regularization.alpha_dropout: [0.1]",
            "job.yaml:8: search.space.regularization.alpha_dropout: a trial would be invalid: "
            "regularization.alpha_dropout: 0.1 together with dropout: 0.3; allowed: one of the two",
        ),
        (
            "model: {widths: [32, 16]}",
            "model: all",
            "job.yaml:8: search.space.model: a trial would be invalid: model: widths together with layers, "
            "width; allowed: widths, or layers and width, or layers, width and last_width",
        ),
        (
            "train: {class_weights: balanced}",
            "train.class_weights: [given]",
            "job.yaml:8: search.space.train.class_weights: a trial would be invalid: "
            "train.class_weights.weights: missing; allowed: list of float, each at least 0",
        ),
    ],
)
def test_what_the_job_fixes_must_go_with_the_space(
    fixed: str, space: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("job.yaml").write_text(f"{GOOD}{fixed}\nsearch:\n  trials: 1\n  space:\n    {space}\n")
    loaded = load_job("job.yaml")
    with pytest.raises(JobError) as raised:
        build_space(loaded.job, loaded.positions)
    assert str(raised.value) == line


@pytest.mark.parametrize(
    ("axis", "task", "said"),
    [
        ("loss", "regression", "cross_entropy does not fit a regression task; allowed: auto, mse"),
        ("output", "regression", "sign goes with no loss of a regression task; allowed: auto, linear"),
        ("train.class_weights", "regression", "balanced needs classes, which a regression task"),
    ],
)
def test_a_list_and_all_on_an_axis_that_does_not_fit_the_task(axis: str, task: str, said: str) -> None:
    named = said.partition(" ")[0]
    data = {"name": "csv", "path": "a.csv", "target": "y", "kind": task}
    given = {"name": "a", "optimizer": "sgd", "data": data}

    def space(written: object) -> Space:
        search = {"trials": 1, "space": {axis: written}}
        return build_space(Job.model_validate(given | {"search": search}), Positions({}))

    with pytest.raises(JobError, match=re.escape(said)):
        space([named])
    assert named not in space("all").parameters[0].domain.values()


def test_the_table_is_large_enough() -> None:
    assert len(CASES) >= 45


def test_a_missing_job_file_names_the_nearest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("digits.yaml").write_text(GOOD)
    with pytest.raises(JobError) as raised:
        load_job("digts.yaml")
    assert str(raised.value) == "digts.yaml: there is no file digts.yaml. Did you mean 'digits.yaml'?"


def test_a_folder_is_no_job_file(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="cannot be read: Is a directory"):
        load_job(tmp_path)

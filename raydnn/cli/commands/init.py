"""`raydnn init`: a starter job, a sweep over it, and the JSON Schema that lets an editor check both."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click

from raydnn.cli.printing.terminal import tell
from raydnn.errors import StoreError, UsageError
from raydnn.shell import command

SCHEMA_FILE = "raydnn.schema.json"

JOB = """\
# yaml-language-server: $schema=raydnn.schema.json
# One training run: raydnn train job.yaml
# Everything that can stand here: raydnn components
name: digits
seed: 0
data: {name: digits, validation_fraction: 0.2, scaling: unit}
model: {name: mlp, widths: [64, 64]}
activation: relu
init: auto
regularization: {dropout: 0.0}
optimizer: {name: adam, lr: 0.001}
schedule: cosine
train: {epochs: 20, batch_size: 32}
storage: results
"""

SWEEP = """\
# yaml-language-server: $schema=raydnn.schema.json
# A search over job.yaml: raydnn sweep sweep.yaml
# What it spans: raydnn space sweep.yaml
extends: job.yaml
name: digits-sweep
search:
  algorithm: random
  scheduler: {name: asha, min_epochs: 2, max_epochs: 18, eta: 3}
  trials: 32
  metric: validation_loss
  space:
    optimizer: [sgd, adamw]
    optimizer.sgd.lr: loguniform(1e-3, 1)
    optimizer.sgd.momentum: uniform(0, 0.99)
    optimizer.adamw.lr: loguniform(1e-4, 1e-1)
    activation: [relu, elu, tanh]
    regularization.dropout: uniform(0, 0.5)
    train.batch_size: choice(32, 64)
"""


@click.command()
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
def init(folder: Path) -> None:
    """Write job.yaml, sweep.yaml and their JSON Schema into DIR (default: here); nothing is overwritten.

    \b
    Example:
      raydnn init my-project
    """
    from raydnn.spec.catalogue.schema import job_schema

    schema = json.dumps(job_schema(), indent=2, ensure_ascii=False) + "\n"
    files = {folder / "job.yaml": JOB, folder / "sweep.yaml": SWEEP, folder / SCHEMA_FILE: schema}
    present = [str(path) for path in files if path.exists()]
    if present:
        raise UsageError(f"nothing written; already there: {', '.join(present)}; give another DIR")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in files.items():
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise StoreError(f"{error.filename or folder}: cannot be written: {error.strerror}") from error
    for path in files:
        tell(f"wrote {path}", err=True)
    change = "" if folder == Path() else f"{shlex.join(['cd', str(folder.resolve())])} && "
    tell(f"next: {change}{command('train', 'job.yaml')}", err=True)
    tell(f"      {change}{command('sweep', 'sweep.yaml')}", err=True)

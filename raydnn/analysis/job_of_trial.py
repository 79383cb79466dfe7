"""A job file that trains exactly one trial of a run again."""

from __future__ import annotations

from io import StringIO
from typing import Any

from ruamel.yaml import YAML

from raydnn.analysis.opened import OpenedRun
from raydnn.analysis.tables import row_of
from raydnn.spec.base import Spec
from raydnn.spec.trial import TrialSpec
from raydnn.store.run import Run

WIDTH = 118
"""Characters of a line."""


def job_of_trial(run: Run, trial_id: str | None = None) -> str:
    """The YAML of a training with a trial's configuration; of each component the fields that are no defaults.

    Args:
        run: The run.
        trial_id: The trial; None: the run's best.

    Raises:
        NotFoundError: The run has no such trial, or none that came to an end.
    """
    chosen = trial_id or OpenedRun(run).best().id
    trial = TrialSpec.from_json(row_of(run, chosen)["config_json"])
    return f"# Trial {chosen} of run {run.run_id}.\n{written_job(trial, f'{run.run_id}-{chosen}')}"


def written_job(trial: TrialSpec, name: str) -> str:
    """The YAML of a training of this name with a configuration."""
    job = {"name": name, "seed": trial.seed}
    job |= {field: _written(getattr(trial, field)) for field in TrialSpec.model_fields if field != "seed"}
    text = StringIO()
    yaml = YAML()
    yaml.default_flow_style, yaml.width = None, WIDTH
    yaml.dump(job, text)
    return text.getvalue()


def _written(value: Any) -> Any:
    """A spec as one writes it: its name alone where nothing else is said."""
    if not isinstance(value, Spec):
        return list(value) if isinstance(value, tuple) else value
    said = {
        name: _written(getattr(value, name))
        for name, field in type(value).model_fields.items()
        if name == "name" or getattr(value, name) != field.get_default(call_default_factory=True)
    }
    return said["name"] if said.keys() == {"name"} else said

"""Rows of `trials`: what a trial is, from its configuration, and how it stands."""

from __future__ import annotations

from typing import Any

from raydnn.spec.trial import TrialSpec
from raydnn.store.run import Run
from raydnn.store.states import STATES
from raydnn.store.tables import PARAMETERS, TRIALS, parameter_column

_IDENTITY = ("run_id", "trial_id", "number", "metric", "mode", "seed", "config_hash", "config_json")
_STATE = {column.name for column in TRIALS} - {column.name for column in PARAMETERS} - set(_IDENTITY)


def trial_row(run: Run, trial_id: str, number: int, spec: TrialSpec, **state: Any) -> dict[str, Any]:
    """A row of `trials`.

    Args:
        run: The run.
        trial_id: The trial's id.
        number: The trial's number.
        spec: The trial's configuration; fills seed, config_hash, config_json and every `p_` column.
        **state: The remaining columns: state, best_value, m_final_train_loss, ...; missing ones become null.

    Raises:
        TypeError: A state is no column of `trials`, or one the configuration fills.
        ValueError: `state` is none of the states.
    """
    unknown = sorted(state.keys() - _STATE)
    if unknown:
        raise TypeError(f"trial_row() got an unexpected column '{unknown[0]}'")
    if state.get("state") is not None and state["state"] not in STATES:
        raise ValueError(f"state: '{state['state']}' is unknown; allowed: {', '.join(STATES)}")
    parameters = {
        parameter_column(path): list(value) if isinstance(value, tuple) else value
        for path, value in spec.parameters().items()
    }
    return {
        "run_id": run.run_id,
        "trial_id": trial_id,
        "number": number,
        "metric": run.metric,
        "mode": run.mode,
        "seed": spec.seed,
        "config_hash": spec.config_hash,
        "config_json": spec.config_json,
        **parameters,
        **state,
    }

"""The peer of `sweep.py` on Optuna: a study in one process, with `SuccessiveHalvingPruner` where the sweep has ASHA.

Its sampler goes through the numbers of the trials. torch has one thread.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import optuna
import torch
import torch_trial


def main() -> None:
    """Train every trial of FOLDER/work.json and write FOLDER/found.json."""
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    work = torch_trial.Work.read(folder)
    assert work.mode == "min", work.mode
    tensors = {name: torch.from_numpy(array) for name, array in work.data.items()}
    numbers = list(range(len(work.trials)))

    def objective(trial: optuna.Trial) -> float:
        configuration = work.trials[trial.suggest_categorical("number", numbers)]
        values = []
        for epoch, metrics in enumerate(torch_trial.train(configuration, tensors), 1):
            values.append(metrics[work.metric])
            trial.report(values[-1], epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return min(values)

    pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
    if work.asha:
        pruner = optuna.pruners.SuccessiveHalvingPruner(
            min_resource=work.asha["grace_period"], reduction_factor=int(work.asha["reduction_factor"])
        )
    sampler = optuna.samplers.GridSampler({"number": numbers}, seed=0)
    study = optuna.create_study(sampler=sampler, pruner=pruner, direction="minimize")
    study.optimize(objective, n_trials=len(numbers))
    trained = sum(len(trial.intermediate_values) for trial in study.trials)
    found = {"epochs_trained": trained, "best_value": study.best_value}
    (folder / "found.json").write_text(json.dumps(found))
    print(study.trials_dataframe().nsmallest(10, "value").to_string())


if __name__ == "__main__":
    main()

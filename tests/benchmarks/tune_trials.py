"""The peer of `sweep.py` on Ray Tune: its documented function trainable, one actor a trial, or actors used again.

Follows Ray Tune's guide: a function trainable that reports once an epoch, `tune.with_parameters` for the data,
`tune.with_resources` for one CPU a trial, `ASHAScheduler`. Ray is started once, quiet and without a dashboard; no
checkpoint is written.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

os.environ |= {"RAY_AIR_NEW_OUTPUT": "0", "RAY_USAGE_STATS_ENABLED": "0"}

import numpy as np
import ray
import torch
import torch_trial
from ray import tune


def train_trial(
    config: dict[str, Any], data: dict[str, np.ndarray[Any, Any]], trials: list[dict[str, Any]]
) -> None:
    """Train one configuration and report what it measures after every epoch."""
    torch.set_num_threads(1)
    tensors = {name: torch.from_numpy(array) for name, array in data.items()}
    for epoch, metrics in enumerate(torch_trial.train(trials[config["number"]], tensors), 1):
        tune.report({"epoch": epoch, **metrics})


def main() -> None:
    """Train every trial of FOLDER/work.json and write FOLDER/found.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--reuse", action=argparse.BooleanOptionalAction, required=True)
    given = parser.parse_args()
    work = torch_trial.Work.read(given.folder)
    ray.init("local", include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    trainable = tune.with_parameters(train_trial, data=work.data, trials=work.trials)
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        param_space={"number": tune.grid_search(list(range(len(work.trials))))},
        tune_config=tune.TuneConfig(
            metric=work.metric,
            mode=work.mode,
            scheduler=tune.schedulers.ASHAScheduler(**work.asha) if work.asha else None,
            **({"reuse_actors": True} if given.reuse else {}),
        ),
        run_config=tune.RunConfig(storage_path=tempfile.mkdtemp(dir=given.folder.resolve()), verbose=0),
    )
    results = tuner.fit()
    trained = [len(result.metrics_dataframe) for result in results]
    best = results.get_best_result(scope="all").metrics_dataframe[work.metric].min()
    found = {"epochs_trained": sum(trained), "best_value": float(best)}
    (given.folder / "found.json").write_text(json.dumps(found))
    print(results.get_dataframe().nsmallest(10, work.metric).to_string())
    ray.shutdown()


if __name__ == "__main__":
    main()

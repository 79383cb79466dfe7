"""The peer of `sweep.py` without a framework: all trials one after the other in one process, for all their epochs.

torch has one thread.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
import torch_trial


def main() -> None:
    """Train every trial of FOLDER/work.json and write FOLDER/found.json."""
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    work = torch_trial.Work.read(folder)
    assert work.mode == "min", work.mode
    tensors = {name: torch.from_numpy(array) for name, array in work.data.items()}
    curves = [[m[work.metric] for m in torch_trial.train(trial, tensors)] for trial in work.trials]
    ranked = sorted((min(curve), number) for number, curve in enumerate(curves))
    found = {"epochs_trained": sum(map(len, curves)), "best_value": ranked[0][0]}
    (folder / "found.json").write_text(json.dumps(found))
    print(*(f"{number:5d} {value:.5f}" for value, number in ranked[:10]), sep="\n")


if __name__ == "__main__":
    main()

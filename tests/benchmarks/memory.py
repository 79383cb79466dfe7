"""Peak memory of a process that trains a stack of 64 digits trials, against 64 processes that train one each.

One such process is measured and counted 64 times; the pages of files, mostly libraries, that processes share are
counted once. Neither side has Ray.

python tests/benchmarks/memory.py raydnn|torch FOLDER     trains an epoch and prints its memory
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from torch_trial import Work, train

N = 64
BYTES_OF_KB = 1_024


def measure(repeats: int, data: Path | None) -> list[object]:
    """Compare both, a fresh process each.

    Args:
        repeats: Processes of each kind.
        data: Not used.
    """
    from measuring import ROOT, Comparison, by_turns
    from work import write_work

    overrides = [f"search.trials={N}", "search.space.train.batch_size=32", "search.scheduler=none"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_work(ROOT / "jobs" / "digits-asha.yaml", [*overrides, "model.widths=[64]"], folder)

        def ours() -> float:
            return _memory_mb("raydnn", folder)["peak"]

        def theirs() -> float:
            one = _memory_mb("torch", folder)
            return N * (one["peak"] - one["files"]) + one["files"]

        found = by_turns(repeats, {"raydnn": ours, "torch": theirs})
    what = f"peak memory, {N} digits trials, mixed"
    peer = f"{N} processes with an `nn.Module` each, one measured"
    return [Comparison("memory/digits-64", what, peer, "MB", found["raydnn"], found["torch"])]


def _memory_mb(program: str, folder: Path) -> dict[str, float]:
    command = [sys.executable, __file__, program, str(folder)]
    answer = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return {name: kilobytes * BYTES_OF_KB / 1e6 for name, kilobytes in answer.items()}


def _train_stack(folder: Path) -> None:
    from loops import raydnn_loop
    from stacks import digits_data

    from raydnn.spec.trial import TrialSpec

    trials = [TrialSpec.model_validate(trial) for trial in Work.read(folder).trials]
    raydnn_loop(trials, digits_data())()


def _train_one(folder: Path) -> None:
    import torch

    work = Work.read(folder)
    next(train(work.trials[0], {name: torch.from_numpy(array) for name, array in work.data.items()}))


def main() -> None:
    """Train, then print kilobytes: the peak of the memory in use, and how much of it are files now."""
    {"raydnn": _train_stack, "torch": _train_one}[sys.argv[1]](Path(sys.argv[2]))
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(json.dumps({"peak": int(status["VmHWM"].split()[0]), "files": int(status["RssFile"].split()[0])}))


if __name__ == "__main__":
    main()

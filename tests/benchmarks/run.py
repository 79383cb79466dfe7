"""All benchmarks: prints one table and writes it, with every single measurement, to measured.json beside this file.

python tests/benchmarks/run.py [training] [sweep-asha] [sweep-full] [--repeats N] [--data FOLDER]

Nothing here asserts on a time. With 5 repeats on two cores everything takes about 40 minutes, training alone 2.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import sweep
import training
from measuring import Comparison, about, machine, markdown

MEASURED = Path(__file__).parent / "measured.json"

PARTS: dict[str, Callable[[int, Path | None], list[Comparison]]] = {
    "training": training.measure,
    "sweep-asha": lambda repeats, _: sweep.measure(repeats, ("ASHA",)),
    "sweep-full": lambda repeats, _: sweep.measure(repeats, ("no scheduler",)),
}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; default: all")
    parser.add_argument("--repeats", type=int, default=5, help="measurements of each program (default: 5)")
    parser.add_argument("--data", type=Path, help="folder with Fashion-MNIST's IDX files, for `training`")
    parser.add_argument("--out", type=Path, default=MEASURED, help="the JSON file")
    given = parser.parse_args()
    unknown = [part for part in given.parts if part not in PARTS]
    if unknown or given.repeats < 1:
        parser.error(f"parts are {', '.join(PARTS)}; repeats at least 1")
    here = machine()
    rows: list[dict[str, object]] = []
    for part in given.parts or PARTS:
        rows += [comparison.to_json() for comparison in PARTS[part](given.repeats, given.data)]
        # After every part, so that an interrupted run keeps what it has.
        given.out.write_text(json.dumps({"machine": here, "rows": rows}, indent=2) + "\n")
    print(f"{about(here)}\n\n{markdown(rows)}\n")
    print(f"wrote {given.out}; `python tests/test_readme.py` puts the table into the README")


if __name__ == "__main__":
    main()

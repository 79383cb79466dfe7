"""All benchmarks: prints tables and writes them, with every single measurement, to measured.json beside this file.

python tests/benchmarks/run.py [PART...] [--long] [--repeats N] [--data FOLDER] [--out FILE]

Nothing here asserts on a time. Parts that are not measured keep what measured.json has of them. With 5 repeats on
two cores the short parts take about 10 minutes, the sweeps that --long adds about 1, 1 and 2 hours.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gpu
import kernels
import many
import memory
import networks
import overhead
import plot
import search
import shapes
import stacks
import sweep
import training
from measuring import Comparison, machine
from table import report

MEASURED = Path(__file__).parent / "measured.json"

Part = Callable[[int, Path | None], list[Comparison]]
SHORT: dict[str, tuple[str, Part]] = {
    "training": ("One training", training.measure),
    "networks": ("Networks", networks.measure),
    "stacks": ("Stacks", stacks.measure),
    "shapes": ("Stacks of several shapes", shapes.measure),
    "memory": ("Memory", memory.measure),
    "overhead": ("Overhead", overhead.measure),
    "kernels": ("Kernels a step", kernels.measure),
    "gpu": ("GPU", gpu.measure),
}
LONG: dict[str, tuple[str, Part]] = {
    "sweep-asha": ("Sweep with ASHA", partial(sweep.measure, key="sweep-asha", sweep=sweep.ASHA)),
    "sweep-digits": ("Sweep", partial(sweep.measure, key="sweep-digits", sweep=sweep.FULL)),
    "sweep-fashion": (
        "Sweep of larger trials",
        partial(sweep.measure, key="sweep-fashion", sweep=sweep.FASHION),
    ),
    "sweep-pictures": (
        "Sweep of convolutional networks",
        partial(sweep.measure, key="sweep-pictures", sweep=sweep.PICTURES),
    ),
    "many": ("Many short trials", many.measure),
    "search-digits": ("Search, digits", partial(search.measure_race, course=search.DIGITS)),
    "search-fashion": ("Search, Fashion-MNIST", partial(search.measure_race, course=search.FASHION)),
    "search-best": ("Search at equal budget", search.measure_best),
}
PARTS = SHORT | LONG
"""Name → title and what measures it."""


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--long", action="store_true", help="whole sweeps, too")
    parser.add_argument("--repeats", type=int, default=5, help="measurements of each program (default: 5)")
    parser.add_argument(
        "--data", type=Path, help="folder with Fashion-MNIST's IDX files; default: random data"
    )
    parser.add_argument(
        "--out", type=Path, default=MEASURED, help="the JSON file; the picture is drawn for the default"
    )
    given = parser.parse_args()
    unknown = [part for part in given.parts if part not in PARTS]
    if unknown or given.repeats < 1:
        parser.error(f"parts are {', '.join(PARTS)}; repeats at least 1")
    data, here = given.data and given.data.resolve(), machine()
    for name in given.parts or (PARTS if given.long else SHORT):
        rows = [comparison.to_json() for comparison in PARTS[name][1](given.repeats, data)]
        # After every part, so that an interrupted run keeps what it has.
        measured = keep(given.out, name, {"machine": here, "rows": rows})
        print(report({PARTS[name][0]: measured[PARTS[name][0]]}), end="\n\n", flush=True)
        if name == "stacks" and given.out == MEASURED:
            plot.draw(rows, plot.PICTURE)
    print(f"wrote {given.out}; `python tests/test_readme.py` puts the tables into README.md")


def keep(path: Path, name: str, part: dict[str, Any]) -> dict[str, Any]:
    """Write a part among those that the file has, in the order of PARTS; gives all of them."""
    measured = json.loads(path.read_text()) if path.exists() else {}
    measured[PARTS[name][0]] = part
    measured = {title: measured[title] for title, _ in PARTS.values() if title in measured}
    path.write_text(json.dumps(measured, indent=2) + "\n")
    return measured


if __name__ == "__main__":
    main()

"""`raydnn plan`: what a job would take, before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from raydnn.cli.options import job_argument, output_option, overrides_argument
from raydnn.cli.printing.observer import Terminal
from raydnn.cli.printing.output import print_record
from raydnn.launch.plan import plan as plan_job
from raydnn.machine import GIB

if TYPE_CHECKING:
    from raydnn.procedures.plan import SweepPlan


@click.command()
@job_argument
@overrides_argument
@click.option(
    "--slots",
    type=click.IntRange(min=1),
    metavar="K",
    help="Plan for K stacks at once, as on a cluster; without it, for as many as this machine can train.",
)
@output_option
def plan(job: Path, overrides: tuple[str, ...], slots: int | None, output: str) -> None:
    """Say what JOB would take: trials, stacks, rungs, steps, time, memory, disk. Nothing is run or written.

    A few steps of a stack of each shape are timed in this process; the sweep is then simulated with the
    scheduler's own rule over made-up results. What cannot fit is refused.

    \b
    Example:
      raydnn plan jobs/digits-asha.yaml
      raydnn plan jobs/digits-asha.yaml search.trials=1000 --slots 16
    """
    expected = plan_job(job, overrides, slots, Terminal())
    print_record(told(expected) if output == "table" else record(expected), output)


def record(plan: SweepPlan) -> dict[str, Any]:
    """A plan's fields, seconds and bytes as numbers."""
    from dataclasses import asdict

    return asdict(plan)


def told(plan: SweepPlan) -> dict[str, Any]:
    """A plan for people."""
    shortest, longest = plan.seconds_between
    fields = {
        "trials": plan.trials,
        "generations": plan.generations,
        "stacks": f"{plan.stacks}, {plan.slots} at once",
        "epochs": f"about {plan.epochs} of at most {plan.epochs_at_most}",
        "steps": f"about {plan.steps}, each of a whole stack",
        "time": f"about {duration(plan.seconds)}, of which training {duration(plan.training_seconds)}",
        "between": f"{duration(shortest)} and {duration(longest)}, as the results fall",
        "load": f"{plan.load:.2g} (1: nothing else runs here)",
        "memory": f"{plan.memory_bytes / GIB:.2g} GiB, {plan.stack_memory_bytes / GIB:.2g} GiB a training process",
        "disk": f"{plan.disk_bytes / 2**20:.3g} MiB",
        "assumed": ", ".join(
            f"{name.removesuffix('_seconds')} {s:.2g} s" for name, s in vars(plan.overhead).items()
        ),
    }
    return {**fields, "shapes": plan.shapes, **({"rungs": plan.rungs} if plan.rungs else {})}


def duration(seconds: float) -> str:
    """`85 s`, `12 min`, `3.4 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"

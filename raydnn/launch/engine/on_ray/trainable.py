"""What a process of Ray Tune runs: it trains the stacks that it is given, one after the other.

Ray imports this module in the processes it has waiting.
"""

from __future__ import annotations

from typing import Any

from ray import tune

from raydnn.launch.engine.on_ray.adapters import REPORT
from raydnn.launch.engine.on_ray.values import RayValues
from raydnn.launch.worker.reports import Report
from raydnn.launch.worker.stack_training import StackTask, train_stack


def trainable(config: dict[str, Any], *, task: StackTask) -> None:
    """Train stack number `config["stack"]`; Tune starts it again when its process dies."""
    train_stack(config["stack"], task, RayValues(), report)


def report(report: Report) -> None:
    """Have Tune take a report to the driver."""
    tune.report({REPORT: report})

"""What is done with members that have come to an end: their best weights are restored, tested and kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from raydnn.data.dataset import Dataset
from raydnn.optim.pruning import prune
from raydnn.training.crossing import to_host
from raydnn.training.facts import facts_of_data, facts_of_trial
from raydnn.training.measures.evaluation import evaluate
from raydnn.training.measures.statistics import set_exact_statistics
from raydnn.training.stack.member import Member
from raydnn.training.stack.stack import Stack


def complete(
    stack: Stack,
    dataset: Dataset,
    positions: Sequence[int],
    save: Callable[[Member, dict[str, Tensor], dict[str, Any]], None],
) -> None:
    """Restore the best weights of members, test them, and keep them.

    The best ones are those of the epoch by whose value the trial is ranked, unless `restore_best` is off.

    Args:
        stack: Their stack.
        dataset: The data, on its device.
        positions: The members that have ended, with weights of use.
        save: Keeps a member's weights, and what is needed to use them.
    """
    kept = [position for position in positions if stack.members[position].spec.train.keeps_best]
    stack.restore_best([position for position in kept if stack.members[position].ranked is not None])
    for position in positions:
        row = stack.parameters[position : position + 1]
        prune([stack.members[position].spec.regularization], stack.layout, stack.layout.views(row))
    set_exact_statistics(stack, dataset.train, positions)
    tested: dict[str, list[float]] = {}
    if dataset.test is not None:
        loss, accuracy = evaluate(stack, dataset.test, flips=stack.members[0].spec.train.test_time_flips)
        tested = to_host({"loss": loss} if accuracy is None else {"loss": loss, "accuracy": accuracy})
        tested["loss"] = [loss * stack.loss_unit for loss in tested["loss"]]
    fitted, facts = facts_of_data(
        dataset, stack.outputs, [*stack.layout.parameters, *stack.layout.statistics]
    )
    for position, tensors in zip(positions, stack.on_host(positions), strict=True):
        member = stack.members[position]
        member.test |= {name: values[position] for name, values in tested.items()}
        save(member, tensors | fitted, facts | facts_of_trial(member.spec))

"""raydnn: distributed batch training on Ray, with results as Parquet.

One word means one thing in the whole package:

| word | is |
|---|---|
| job | a file (or mapping) that says what to train or to search; `Job`, and `SweepJob` where it searches |
| request | a job and how it is to be run, as the command line or Python asks for it |
| run | one execution of a job, with an id and a folder of its own: `store.run.Run` |
| storage | the folder or address that holds runs |
| trial | one concrete configuration: `TrialSpec`; it is trained once in a run |
| sweep | a run that searches; a training is a run of one trial |
| space | what a sweep draws trials from; an assignment is one point of it |
| segment | what a sweep was begun with, or one extension of it |
| generation | trials that are proposed at once |
| stage | the search, or the confirmation of its best with further seeds |
| warm start | configurations that a sweep begins with |
| seed spread | how far a configuration's seeds lie apart |
| stack plan | trials that are to be trained together: `search.packing.StackPlan` |
| stack | these trials in one module, their parameters in one matrix: `training.stack.stack.Stack` |
| member | a trial in a stack; a member group is neighbours with the same component |
| part (of a stack) | members that are computed at once; part (of the data): training, validation, test |
| role | what a parameter does in its layer: weight, bias, scale, shift, slope, embedding |
| layout | a member's parameters, their roles, and the span where each lies in its row |
| layer, architecture | a layer says what it has and costs; an architecture composes layers |
| context | what a forward pass depends on besides inputs and parameters |
| gradients | the way to a step's gradients, by autograd or by hand; a destination is where one goes |
| examples | one part of the data, asked for batches and chunks |
| epoch, step, batch, piece | a pass over the training part; an update; its examples; as many as fit into memory |
| horizon | what the updates of the next steps depend on |
| rung, bracket | epochs after which trials are judged; trials that are judged together |
| verdict | what a scheduler decides of a trial at a rung |
| engine | what trains stacks: Ray, embedded or joined, or this process; a slot has room for one stack |
| queue, mailbox | which stack is trained next; the way of an answer to a stack that waits |
| observer | who watches a run being driven |
| positions | where the fields of a job stand |

`raydnn/README.md` follows a learning rate, a stack's rows and a verdict through the files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raydnn.face import open as open
    from raydnn.face import plan as plan
    from raydnn.face import submit as submit
    from raydnn.face import sweep as sweep
    from raydnn.face import train as train
    from raydnn.store.read import load as load

    __version__: str

__all__ = ["__version__", "load", "open", "plan", "submit", "sweep", "train"]
_FACE = frozenset({"open", "plan", "submit", "sweep", "train"})


def __getattr__(name: str) -> Any:
    """Import on first use, so that `import raydnn` alone costs nothing."""
    if name == "load":
        from raydnn.store.read import load

        return load
    if name in _FACE:
        from raydnn import face

        return getattr(face, name)
    if name == "__version__":
        from importlib.metadata import version

        return version("raydnn")
    raise AttributeError(f"module 'raydnn' has no attribute {name!r}")


def __dir__() -> list[str]:
    """All names, also those that are imported on first use."""
    return sorted({*globals(), *__all__})

"""What augmentation holds of a batch, counted storage by storage, against what is told of it."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from raydnn.data.augmentation.augment import Augmenter, numbers_held
from raydnn.data.augmentation.mixing import mixed_inputs, mixing
from raydnn.data.augmentation.shades import Shades
from raydnn.spec.axes.augmentation import HOW_RANDAUGMENT, Augmentation
from raydnn.stacking.noise import Noise

CPU = torch.device("cpu")
SHADES = Shades(torch.tensor(1.0), torch.tensor(0.0))


class Counted(TorchDispatchMode):
    """Counts the bytes that are held at most."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.held: dict[int, int] = {}
        self.peak = 0

    def __torch_dispatch__(
        self, kernel: OpOverload, _: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        found = kernel(*args, **(kwargs or {}))
        for tensor in tree_leaves(found):
            storage = tensor.untyped_storage()
            if storage._cdata not in self.held:
                self.held[storage._cdata] = storage.nbytes()
                weakref.finalize(storage, self.held.pop, storage._cdata, 0)
        self.peak = max(self.peak, sum(self.held.values()))
        return found


@pytest.mark.parametrize("name", sorted(set(Augmentation.model_fields) - HOW_RANDAUGMENT))
@pytest.mark.parametrize("shape", [(3, 32, 32), (8, 8)], ids=str)
def test_what_is_held_is_as_much_as_is_told(name: str, shape: tuple[int, ...]) -> None:
    members, examples = 2, 40
    images = torch.rand(1, examples, *shape)
    spec = Augmentation.model_validate(
        {name: 2 if Augmentation.model_fields[name].annotation is int else 0.5}
    )
    augment = Augmenter([spec] * members, CPU, lambda: SHADES)
    mix = mixing([spec] * members, range(members), 1, 1, shape)
    noise = Noise(range(members), 1, CPU)
    with Counted() as counted:
        found = augment(images, noise, examples)
        if mix is not None:
            found = mixed_inputs(mix[0], found, found + 1)
    assert found.shape == (members, examples, *shape)
    told = 4 * members * examples * (numbers_held(spec, shape) + images[0, 0].numel())
    assert told / 8 < counted.peak <= told

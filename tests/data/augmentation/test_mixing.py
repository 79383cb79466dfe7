"""Mixing: each member's own technique and draws, one of two where a member has both, shares that fit what is pasted."""

from __future__ import annotations

import pytest
import torch

from raydnn.data.augmentation.cutmix import boxes
from raydnn.data.augmentation.mixing import mixed_inputs, mixing
from raydnn.data.augmentation.mixup import shares
from raydnn.spec.axes.augmentation import Augmentation

SPECS = [
    Augmentation(mixup=0.4),
    Augmentation(),
    Augmentation(cutmix=1.0),
    Augmentation(mixup=0.4, cutmix=1.0),
    Augmentation(mixup=0.4),
]
SEEDS = [1, 1, 2, 3, 3]


def drawn(specs: list[Augmentation], seeds: list[int], epoch: int = 4, batches: int = 200) -> torch.Tensor:
    found = mixing(specs, seeds, epoch, batches, (3, 6, 5))
    assert found is not None
    return found


def test_a_member_draws_what_it_draws_alone() -> None:
    together = drawn(SPECS, SEEDS)
    assert together.shape == (200, 5, 5)
    for member, (spec, seed) in enumerate(zip(SPECS, SEEDS, strict=True)):
        alone = mixing([spec], [seed], 4, 200, (3, 6, 5))
        if alone is None:
            assert together[:, 0, member].equal(torch.ones(200))
        else:
            assert together[:, : alone.shape[1], member].equal(alone[..., 0])
            assert not together[:, alone.shape[1] :, member].any()
    assert not together[:, 0, 0].equal(together[:, 0, 4])
    assert not together.equal(drawn(SPECS, SEEDS, epoch=5))
    alike = drawn([SPECS[2]] * 2, [2, 2])
    assert alike.shape == (200, 5, 1)
    assert alike[..., 0].equal(together[..., 2])
    assert mixing([SPECS[1]] * 2, [1, 2], 1, 3, (7,)) is None


def test_mixup_alone_needs_no_box_and_no_pictures() -> None:
    found = mixing([SPECS[0]] * 2, [1, 2], 4, 9, (7,))
    assert found is not None
    assert found.shape == (9, 1, 2)
    assert found[:, 0, 1].equal(shares(0.4, 2, 4, 9))


def test_a_batch_of_a_member_with_both_is_mixed_or_cut() -> None:
    share, box = drawn([SPECS[3]], [3])[..., 0].split([1, 4], dim=1)
    mixes = share[:, 0] == shares(0.4, 3, 4, 200)
    assert 70 < mixes.sum() < 130
    assert not box[mixes].any()
    assert box[~mixes].equal(boxes(1.0, 3, 4, 200, 6, 5)[~mixes])
    torch.testing.assert_close(share[~mixes, 0], 1 - box[~mixes][:, 2:].prod(1) / 30)


@pytest.mark.parametrize("shape", [(6, 5), (3, 6, 5)], ids=str)
def test_each_member_gets_its_own_mixture(shape: tuple[int, ...]) -> None:
    own, theirs = torch.rand(1, 7, *shape), torch.rand(1, 7, *shape)
    for mix in drawn(SPECS, SEEDS, batches=20):
        found = mixed_inputs(mix, own, theirs)
        assert found.shape == (5, 7, *shape)
        for member in range(5):
            share, top, left, height, width = mix[:, member].tolist()
            expected = own[0].clone()
            if height * width:
                box = (..., slice(int(top), int(top + height)), slice(int(left), int(left + width)))
                expected[box] = theirs[0][box]
            elif share < 1:
                expected = share * own[0] + (1 - share) * theirs[0]
            torch.testing.assert_close(found[member], expected)
        assert found[1].equal(own[0])

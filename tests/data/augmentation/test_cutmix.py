"""CutMix: rectangles of as much area as Beta says, cut at the border, anywhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from raydnn.data.augmentation.cutmix import boxes, own_shares
from raydnn.stacking.random import generator


def of_the_paper(share: float, down: int, right: int, height: int, width: int) -> list[int]:
    """`rand_bbox` of github.com/clovaai/CutMix-PyTorch, in its rows and columns, with its draws given."""
    cut_rat = np.sqrt(1.0 - share)
    cut_w, cut_h = int(width * cut_rat), int(height * cut_rat)
    bbx1, bbx2 = (int(np.clip(right + way * (cut_w // 2), 0, width)) for way in (-1, 1))
    bby1, bby2 = (int(np.clip(down + way * (cut_h // 2), 0, height)) for way in (-1, 1))
    return [bby1, bbx1, bby2 - bby1, bbx2 - bbx1]


@pytest.mark.parametrize("alpha", [0.3, 1.0, 4.0])
@pytest.mark.parametrize(("height", "width"), [(8, 8), (5, 12), (100, 60)])
def test_boxes_are_those_of_the_paper(alpha: float, height: int, width: int) -> None:
    stream = np.random.default_rng(generator("cutmix", 6, 2).initial_seed())
    shares = stream.beta(alpha, alpha, 300)
    down, right = stream.integers(height, size=300), stream.integers(width, size=300)
    expected = [of_the_paper(*each, height, width) for each in zip(shares, down, right, strict=True)]
    assert boxes(alpha, 6, 2, 300, height, width).tolist() == expected


def test_centers_are_drawn_evenly() -> None:
    top, left, height, width = boxes(1.0, 0, 1, 4000, 1000, 600).double().T
    inner = (top > 0) & (top + height < 1000) & (height < 300)
    center = (top + height / 2)[inner]
    middle = center[(center > 150) & (center < 850)]
    assert kstest(((middle - 150) / 700).numpy(), "uniform").pvalue > 0.01
    assert (left + width / 2).mean().item() == pytest.approx(300, rel=0.05)


def test_the_share_is_what_is_left_of_the_area() -> None:
    assert own_shares(torch.tensor([[0.0, 0, 0, 0], [1, 1, 2, 3], [0, 0, 4, 5]]), 4, 5).tolist() == [
        1.0,
        pytest.approx(0.7),
        0.0,
    ]


@pytest.mark.parametrize("alpha", [1e-300, 1e300])
def test_extreme_settings_are_borne(alpha: float) -> None:
    drawn = boxes(alpha, 0, 1, 100, 8, 8)
    assert ((drawn >= 0) & (drawn <= 8)).all()

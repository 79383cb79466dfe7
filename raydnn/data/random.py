"""Random streams that depend on their keys and on nothing else."""

from __future__ import annotations

import hashlib
import json

import torch


def generator(*keys: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a generator seeded by the BLAKE2b hash of its keys.

    Equal keys give equal streams on one kind of device; the number 1 and the text "1" are different keys.
    On the CPU torch's Mersenne Twister takes 32 bits of the seed, so two of n streams coincide with a
    probability of about n² / 2³³.

    Args:
        keys: What the stream belongs to, as in `generator("dropout", seed, epoch)`.
        device: Where the numbers are drawn.
    """
    digest = hashlib.blake2b(json.dumps(keys).encode(), digest_size=8).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest, "big"))

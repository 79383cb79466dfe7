"""Random streams that depend on their keys and on nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager

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
    return torch.Generator(device).manual_seed(seed_of(*keys))


def seed_of(*keys: int | str) -> int:
    """The seed of the generator that belongs to some keys."""
    digest = hashlib.blake2b(json.dumps(keys).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


@contextmanager
def drawing_from(stream: torch.Generator) -> Iterator[None]:
    """Let code that draws from torch's global generator go on where a stream stands, and move the stream along.

    The global generator of the stream's device is afterwards as it was.
    """
    cuda = stream.device.type == "cuda"
    get, put = (
        (torch.cuda.get_rng_state, torch.cuda.set_rng_state)
        if cuda
        else (torch.get_rng_state, torch.set_rng_state)
    )
    before = get()
    put(stream.get_state())
    try:
        yield
        stream.set_state(get())
    finally:
        put(before)

from __future__ import annotations

import subprocess
import sys

import torch
from hypothesis import given
from hypothesis import strategies as st

from raydnn.stacking.random import drawing_from, generator


def draws(*keys: int | str) -> list[float]:
    return torch.rand(4, generator=generator(*keys)).tolist()


@given(st.lists(st.one_of(st.integers(0, 10**12), st.text(max_size=8)), max_size=4))
def test_equal_keys_give_equal_streams(keys: list[int | str]) -> None:
    assert draws(*keys) == draws(*keys)


def test_different_keys_give_different_streams() -> None:
    streams = [(1,), ("1",), (1, 1), (11,), ("a", "b"), ("ab",), ("a,b",), ('a", "b',), (), ("",)]
    assert len({tuple(draws(*keys)) for keys in streams}) == len(streams)


def test_a_stream_does_not_depend_on_the_global_state_or_the_process() -> None:
    torch.manual_seed(1)
    expected = draws("dropout", 3, 7)
    torch.manual_seed(2)
    assert draws("dropout", 3, 7) == expected
    script = (
        "import torch; from raydnn.stacking.random import generator;"
        "print(torch.rand(4, generator=generator('dropout', 3, 7)).tolist())"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert found.strip() == str(expected)


def test_code_that_draws_globally_can_be_given_a_stream() -> None:
    stream, before = generator("own", 1), torch.get_rng_state()
    found = []
    for _ in range(2):
        with drawing_from(stream):
            found.append(torch.rand(3))
        torch.testing.assert_close(torch.get_rng_state(), before)
    assert torch.equal(torch.cat(found), torch.rand(6, generator=generator("own", 1)))

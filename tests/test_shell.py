"""Printed commands come back from a shell as the words they were made of."""

from __future__ import annotations

import shlex

from hypothesis import given
from hypothesis import strategies as st

from raydnn.shell import command

WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(st.lists(WORDS, max_size=4))
def test_a_shell_reads_the_words_again(words: list[str]) -> None:
    assert shlex.split(command(*words)) == ["raydnn", *words]


def test_what_needs_no_quotes_has_none() -> None:
    text = command("train", "--resume", "s3://bucket/my-run_1.2")
    assert text == "raydnn train --resume s3://bucket/my-run_1.2"

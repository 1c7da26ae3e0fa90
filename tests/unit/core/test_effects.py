"""The words that others say to a plan."""

from __future__ import annotations

import pytest

from etcd_election._core.effects import Word


@pytest.mark.parametrize("word", Word)
def test_who_cancels_or_closes_does_not_wait_for_a_call_and_a_turn_ends_none(word: Word) -> None:
    assert word.interrupts == (word in {Word.CANCELLED, Word.CLOSED})

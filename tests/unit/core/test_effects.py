"""The words that others say to a plan."""

from __future__ import annotations

import pytest

from etcd_election._core.effects import KeyGone, LookUp, Open, Shut, Watch, WatchStands, Word
from etcd_election._core.method import Method
from etcd_election.pb import v3election_pb2


@pytest.mark.parametrize("word", Word)
def test_who_cancels_or_closes_does_not_wait_for_a_call_and_a_turn_ends_none(word: Word) -> None:
    assert word.interrupts == (word in {Word.CANCELLED, Word.CLOSED})


def test_values_are_told_by_their_class_and_attributes() -> None:
    assert KeyGone(b"k", 7) == KeyGone(b"k", 7)
    assert KeyGone(b"k", 7) != KeyGone(b"k", 8)
    assert KeyGone(b"k", 7) != WatchStands(b"k", 7)
    assert KeyGone(b"k", 7) != (KeyGone, b"k", 7)
    assert Shut() == Shut() != LookUp()
    assert {Watch(), Watch(frozenset((b"k",))), Watch()} == {Watch(frozenset((b"k",))), Watch()}
    assert repr(KeyGone(b"k", 7)) == "KeyGone(key=b'k', revision=7)"
    assert repr(Shut()) == "Shut()"


def test_long_calls_show_no_token() -> None:
    opened = Open(0, Method.CAMPAIGN, v3election_pb2.CampaignRequest(), (("token", "t-1"),))
    assert "t-1" not in repr(opened)

"""What observers see: in order, never going back, never twice, and always the latest."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcd_election._core.observe import ObserveCursor
from etcd_election.types import Leader

from .support import NAME, quick


def leader(token: int, mod: int | None = None, *, value: bytes = b"", revision: int = 0) -> Leader:
    return Leader(
        name=NAME,
        key=b"jobs/%x" % token,
        value=value,
        lease_id=token,
        token=token,
        mod_revision=token if mod is None else mod,
        revision=revision,
    )


class Reader:
    """Notes every change that a cursor announces."""

    def __init__(self) -> None:
        self.seen: list[Leader | None] = []
        self.cursor = ObserveCursor(self._news)

    def _news(self) -> None:
        number, state = self.cursor.latest()
        self.seen.append(state)
        assert number == len(self.seen)


@pytest.fixture
def reader() -> Reader:
    return Reader()


def test_nothing_was_seen_is_not_a_vacancy() -> None:
    assert ObserveCursor().latest() == (0, None)


def test_cursor_nobody_listens_to_keeps_the_state() -> None:
    cursor = ObserveCursor()
    assert cursor.leader(leader(10))
    assert cursor.latest() == (1, leader(10))


def test_leaders_and_their_values_follow_each_other(reader: Reader) -> None:
    states = [leader(10), leader(10, 12, value=b"new"), leader(20)]
    assert [reader.cursor.leader(state) for state in states] == [True] * 3
    assert reader.seen == states


def test_same_state_from_two_sources_is_told_once(reader: Reader) -> None:
    assert reader.cursor.leader(leader(10, revision=10))
    assert not reader.cursor.leader(leader(10, revision=15))
    assert reader.seen == [leader(10)]


@pytest.mark.parametrize("late", [leader(10, 99), leader(20, 21)], ids=["leader", "value"])
def test_late_source_does_not_bring_back_the_past(reader: Reader, late: Leader) -> None:
    reader.cursor.leader(leader(20, 25))
    assert not reader.cursor.leader(late)
    assert reader.cursor.latest() == (1, leader(20, 25))


def test_vacancy_follows_its_leader_and_comes_once(reader: Reader) -> None:
    reader.cursor.leader(leader(10, 12))
    assert reader.cursor.vacancy(15)
    assert not reader.cursor.vacancy(15)
    assert not reader.cursor.vacancy(16)
    assert reader.cursor.leader(leader(17))
    assert reader.seen == [leader(10, 12), None, leader(17)]


def test_election_that_nobody_leads_yet_is_a_vacancy(reader: Reader) -> None:
    assert reader.cursor.vacancy(0)
    assert reader.seen == [None]


@pytest.mark.parametrize("revision", [9, 11, 12])
def test_vacancy_read_before_the_leaders_last_write_is_outdated(
    reader: Reader, revision: int
) -> None:
    reader.cursor.leader(leader(10, 12))
    assert not reader.cursor.vacancy(revision)
    assert reader.seen == [leader(10, 12)]


def test_leader_from_before_a_vacancy_does_not_come_back(reader: Reader) -> None:
    reader.cursor.vacancy(15)
    assert not reader.cursor.leader(leader(14, 15))
    assert reader.seen == [None]


def test_leader_between_two_reads_of_a_vacancy_does_not_come_back(reader: Reader) -> None:
    reader.cursor.vacancy(15)
    reader.cursor.vacancy(30)
    assert not reader.cursor.leader(leader(20, 25))
    assert reader.seen == [None]


def test_another_cluster_begins_anew(reader: Reader) -> None:
    reader.cursor.leader(leader(1000))
    assert reader.cursor.leader(leader(5), 1)
    assert reader.seen == [leader(1000), leader(5)]


def test_vacancy_of_another_cluster_ends_the_leader_of_the_old_one(reader: Reader) -> None:
    reader.cursor.leader(leader(1000))
    assert reader.cursor.vacancy(5, 1)
    assert reader.seen == [leader(1000), None]
    assert reader.cursor.leader(leader(6), 1)


def test_source_of_the_old_cluster_is_not_listened_to(reader: Reader) -> None:
    reader.cursor.leader(leader(5), 1)
    assert not reader.cursor.leader(leader(1000), 0)
    assert not reader.cursor.vacancy(1001, 0)
    assert reader.seen == [leader(5)]


def test_restored_backup_shows_nothing_twice(reader: Reader) -> None:
    reader.cursor.leader(leader(10))
    assert not reader.cursor.leader(leader(10), 1)
    assert reader.cursor.vacancy(20, 1)
    assert not reader.cursor.vacancy(5, 2)
    assert reader.cursor.leader(leader(6), 2)
    assert reader.seen == [leader(10), None, leader(6)]


@dataclass(frozen=True)
class Sight:
    """What a source saw, and when in truth that was: cluster, revision of the state's beginning."""

    generation: int
    began_at: int
    revision: int
    state: Leader | None

    def show(self, cursor: ObserveCursor) -> bool:
        if self.state is None:
            return cursor.vacancy(self.revision, self.generation)
        return cursor.leader(self.state, self.generation)


@st.composite
def histories(draw: st.DrawFn) -> list[Sight]:
    """All that sources may have seen of an election, cluster after cluster, in true order."""
    sights: list[Sight] = []
    for generation in range(draw(st.integers(1, 3))):
        revision = draw(st.integers(1, 30))
        state: Leader | None = None
        for change in draw(st.lists(st.sampled_from("elvx"), max_size=8)):
            # x: something else is written.
            revision += 1
            if change == "e":
                state = leader(revision)
            elif change == "v" and state is not None:
                state = leader(state.token, revision, value=b"%d" % revision)
            elif change == "l":
                state = None
            began_at = revision
            if sights and sights[-1].generation == generation and sights[-1].state == state:
                began_at = sights[-1].began_at
            sights.append(Sight(generation, began_at, revision, state))
    return sights


@quick
@given(histories(), st.data())
def test_from_any_sources_in_any_order_time_goes_forward_and_ends_at_the_latest(
    history: list[Sight], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(history + history))
    reader = Reader()
    shown = [sight for sight in shuffled if sight.show(reader.cursor)]
    when = [(sight.generation, sight.began_at) for sight in shown]
    assert when == sorted(when), "went back"
    assert [sight.state for sight in shown] == reader.seen
    assert all(one != next_ for one, next_ in zip(reader.seen, reader.seen[1:], strict=False))
    if history:
        assert reader.seen[-1] == history[-1].state, "the latest was lost"


@quick
@given(histories())
def test_who_watches_everything_misses_nothing(history: list[Sight]) -> None:
    reader = Reader()
    changes: list[Leader | None] = []
    for sight in history:
        sight.show(reader.cursor)
        if not changes or changes[-1] != sight.state:
            changes.append(sight.state)
    assert reader.seen == changes

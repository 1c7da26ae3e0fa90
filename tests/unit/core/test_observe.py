"""What observers see: in order, never going back, never twice, and always the latest."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcd_election._core.observe import ObserveCursor, ObserveReader
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


def news(reader: ObserveReader) -> list[Leader | None]:
    """What an observer is given now."""
    given: list[Leader | None] = []
    while reader.ready():
        assert reader.ready(), "asking takes nothing away"
        given.append(reader.take())
    return given


def test_observer_is_given_the_newest_state_once() -> None:
    cursor = ObserveCursor()
    observer = ObserveReader(cursor, vacancies=False)
    assert news(observer) == []
    cursor.leader(leader(10))
    assert news(observer) == [leader(10)]
    assert news(observer) == []
    cursor.leader(leader(20))
    cursor.leader(leader(20, 21))
    assert news(observer) == [leader(20, 21)], "what it was too slow for is skipped"


def test_observers_have_places_of_their_own() -> None:
    cursor = ObserveCursor()
    first = ObserveReader(cursor, vacancies=False)
    cursor.leader(leader(10))
    assert news(first) == [leader(10)]
    assert news(ObserveReader(cursor, vacancies=False)) == [leader(10)]


def test_vacancy_is_news_to_those_alone_who_asked_for_it() -> None:
    cursor = ObserveCursor()
    leaders = ObserveReader(cursor, vacancies=False)
    everything = ObserveReader(cursor, vacancies=True)
    assert news(everything) == [], "nothing was seen yet"
    for step, state in ((5, None), (10, leader(10)), (15, None), (20, leader(20))):
        if state is None:
            cursor.vacancy(step)
        else:
            cursor.leader(state)
        assert news(everything) == [state]
        assert news(leaders) == ([state] if state is not None else [])


def test_leader_not_taken_yet_is_given_though_nobody_leads_by_now() -> None:
    cursor = ObserveCursor()
    leaders = ObserveReader(cursor, vacancies=False)
    everything = ObserveReader(cursor, vacancies=True)
    cursor.leader(leader(10))
    assert leaders.ready()
    assert everything.ready()
    cursor.vacancy(15)
    assert news(leaders) == [leader(10)]
    assert news(everything) == [None]


def test_state_that_was_given_last_is_not_given_again() -> None:
    """A leader and its vacancy both passed unseen, and a restored backup shows the one before."""
    cursor = ObserveCursor()
    observer = ObserveReader(cursor, vacancies=True)
    cursor.leader(leader(10))
    assert news(observer) == [leader(10)]
    cursor.vacancy(20)
    cursor.leader(leader(10, revision=12), 1)
    assert news(observer) == []


def test_state_that_came_back_takes_away_the_news_in_between() -> None:
    cursor = ObserveCursor()
    observer = ObserveReader(cursor, vacancies=True)
    cursor.leader(leader(10))
    assert news(observer) == [leader(10)]
    cursor.vacancy(20)
    assert observer.ready()
    cursor.leader(leader(10, revision=12), 1)
    assert not observer.ready()
    cursor.vacancy(20, 1)
    assert news(observer) == [None]


@quick
@given(histories(), st.booleans(), st.data())
def test_observer_of_any_pace_never_hears_the_same_twice_and_ends_at_the_latest(
    history: list[Sight], vacancies: bool, data: st.DataObject
) -> None:
    cursor = ObserveCursor()
    observer = ObserveReader(cursor, vacancies=vacancies)
    given_all: list[Leader | None] = []
    for sight in history:
        sight.show(cursor)
        if data.draw(st.booleans()):
            given_all += news(observer)
    given_all += news(observer)
    assert all(one != next_ for one, next_ in pairwise(given_all))
    assert vacancies or None not in given_all
    if history and (vacancies or history[-1].state is not None):
        assert given_all[-1] == history[-1].state, "the latest was lost"

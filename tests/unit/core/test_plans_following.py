"""Following an election: nothing is missed for long, whatever the Observe stream does."""

from __future__ import annotations

import logging

import pytest

from etcd_election import errors
from etcd_election._core import standing, timing
from etcd_election._core.effects import (
    Ended,
    Failure,
    Invoke,
    KeyGone,
    KeyPut,
    Observed,
    Open,
    Receive,
    Sleep,
    Watch,
    WatchBroken,
    WatchStands,
    Word,
)
from etcd_election._core.method import Method
from etcd_election._core.observe import ObserveCursor
from etcd_election._core.plans.following import Following
from etcd_election.pb import kv_pb2, v3election_pb2

from .support import (
    DENIED,
    NAME,
    SILENCE,
    TOKEN_REFUSED,
    FakeClock,
    Script,
    kv,
    led_by,
    make_link,
    ranged,
    steady,
)

A = kv(b"jobs/a", 10, lease=0xA)
B = kv(b"jobs/b", 20, lease=0xB)


class Followed:
    """A followed election and what its observers see."""

    def __init__(self, *, observes: bool = True) -> None:
        self.clock = FakeClock()
        self.link = make_link(self.clock, random=steady(0.5))
        self.seen: list[bytes | None] = []
        self.cursor = ObserveCursor(self._news)
        following = Following(self.link, NAME, self.cursor, observes=observes)
        self.script = Script(following.follow(), self.clock)

    def _news(self) -> None:
        leader = self.cursor.latest()[1]
        self.seen.append(leader.key if leader else None)

    def read(self, *kvs: kv_pb2.KeyValue, revision: int = 30) -> None:
        request = self.script.invoke(Method.RANGE, ranged(*kvs, revision=revision)).request
        assert request == standing.queue(NAME, limit=1)

    def tell(self, response: v3election_pb2.LeaderResponse) -> None:
        self.script.receive(Observed(response), after=0.001)


def led(*, observes: bool = True) -> Followed:
    """Followed, led by A, all quiet."""
    followed = Followed(observes=observes)
    followed.read(A)
    assert followed.script.watch() == {A.key}
    if observes:
        opened = followed.script.open()
        assert opened.request == v3election_pb2.LeaderRequest(name=NAME)
        assert opened.method is Method.OBSERVE
        assert ("hasleader", "true") in opened.metadata
    return followed


def test_present_leader_is_read_first_and_then_followed() -> None:
    followed = led()
    followed.script.expect(Receive)
    assert followed.seen == [A.key]


def test_observed_leaders_are_told_and_watched() -> None:
    followed = led()
    followed.tell(led_by(B))
    assert followed.script.watch() == {B.key}
    followed.tell(led_by(kv(B.key, 20, 25, value=b"new", lease=0xB)))
    followed.script.expect(Receive)
    assert followed.seen == [A.key, B.key, B.key]


def test_what_etcd_cannot_have_said_is_no_leader() -> None:
    followed = led()
    followed.tell(v3election_pb2.LeaderResponse())
    followed.tell(v3election_pb2.LeaderResponse(header=led_by(B).header))
    followed.tell(v3election_pb2.LeaderResponse(kv=B))
    followed.script.expect(Receive)
    assert followed.seen == [A.key]


def test_vacancy_is_read_when_the_leaders_key_is_gone() -> None:
    """Observe never tells of one."""
    followed = led()
    followed.script.receive(KeyGone(A.key, 31), after=0.001)
    followed.read(revision=31)
    assert followed.script.watch_prefix() == b"jobs/"
    followed.script.expect(Receive)
    assert followed.seen == [A.key, None]


def test_first_leader_after_a_vacancy_is_read_when_any_key_is_put() -> None:
    """Without a place among the waits, only a watch tells of it before the beat."""
    followed = led()
    followed.script.receive(KeyGone(A.key, 31), after=0.001)
    followed.read(revision=31)
    assert followed.script.watch_prefix() == b"jobs/"
    later = kv(b"jobs/c", 40)
    followed.script.receive(KeyPut(later), after=0.001)
    followed.read(later)
    assert followed.script.watch() == {later.key}
    assert followed.seen == [A.key, None, later.key]


def test_next_leader_after_a_vacancy_is_told() -> None:
    followed = led()
    followed.script.receive(KeyGone(A.key, 31), after=0.001)
    followed.read(revision=31)
    followed.script.watch_prefix()
    later = kv(b"jobs/c", 40)
    followed.tell(led_by(later, revision=40))
    assert followed.script.watch() == {later.key}
    assert followed.seen == [A.key, None, later.key]


@pytest.mark.parametrize(
    "fact",
    [KeyGone(A.key, 31), KeyPut(kv(A.key, 40)), WatchStands(A.key, 31)],
    ids=["gone", "written or put anew", "watched from now on"],
)
def test_what_happens_to_the_leaders_key_is_read_at_once(fact: object) -> None:
    followed = led()
    followed.script.receive(fact, after=0.001)  # type: ignore[arg-type]
    followed.read(B)
    assert followed.script.watch() == {B.key}
    assert followed.seen == [A.key, B.key]


@pytest.mark.parametrize(
    "fact",
    [KeyGone(B.key, 31), KeyPut(B), WatchStands(B.key, 31), WatchBroken(A.key), Word.STOP],
    ids=["other gone", "other put", "other stands", "broken", "word"],
)
def test_what_says_nothing_about_the_leader_costs_no_read(fact: object) -> None:
    followed = led()
    followed.script.receive(fact, after=0.001)  # type: ignore[arg-type]
    followed.script.expect(Receive)
    assert followed.seen == [A.key]


def test_silent_observe_is_mended_within_a_beat() -> None:
    followed = led()
    assert followed.script.receive().seconds <= timing.OBSERVE_BEAT
    followed.read(B)
    followed.script.watch()
    assert followed.seen == [A.key, B.key]
    assert followed.script.expect(Receive).seconds == pytest.approx(3.8, abs=0.01)


@pytest.mark.parametrize(
    "reply", [None, SILENCE, Failure("OUT_OF_RANGE", "required revision has been compacted")]
)
def test_end_of_the_stream_is_never_the_end_of_the_election(reply: Failure | None) -> None:
    """It may end with OK though nothing is over; what happened since is read."""
    followed = led()
    followed.script.receive(Ended(reply), after=1)
    followed.read(B)
    followed.script.watch()
    assert followed.script.receive().seconds == pytest.approx(0.1, abs=0.01)
    followed.script.open()
    assert followed.seen == [A.key, B.key]


def test_stream_that_ends_over_and_over_is_opened_ever_less_often() -> None:
    followed = led()
    pauses = []
    for _ in range(7):
        followed.script.receive(Ended(SILENCE), after=0.001)
        followed.read(A)
        waited = followed.script.receive().seconds
        pauses.append(waited)
        followed.script.open()
    assert pauses == pytest.approx([0.1, 0.2, 0.5, 1.0, 2.0, 2.0, 2.0], abs=0.01)
    followed.tell(led_by(A))
    followed.script.receive(Ended(None), after=0.001)
    followed.read(A)
    assert followed.script.receive().seconds == pytest.approx(0.1, abs=0.01)


def test_opening_again_uses_whatever_endpoint_works_and_its_place_among_the_waits() -> None:
    followed = led()
    waits = followed.link.waits
    for _ in range(timing.MAX_WAITS - 1):
        assert waits.take(0)
    assert not waits.take(0)
    followed.script.receive(Ended(None), after=0.001)
    assert waits.take(0), "it was given back"
    waits.give(0)
    followed.read(A)
    followed.script.receive()
    followed.script.open()
    assert not waits.take(0)


def test_without_a_place_among_the_waits_watch_and_beat_do_it() -> None:
    followed = Followed()
    for _ in range(timing.MAX_WAITS):
        followed.link.waits.take(0)
    followed.read(A)
    followed.script.watch()
    assert followed.script.receive().seconds == pytest.approx(2.0)
    assert followed.script.expect(Receive).seconds < 1.9, "the beat is due before the next try"
    followed.script.receive(KeyGone(A.key, 31), after=0.001)
    followed.read(B)
    followed.script.watch()
    assert followed.seen == [A.key, B.key]
    followed.link.waits.give(0)
    while not isinstance(followed.script.effect, Open):
        followed.script.receive()
    followed.script.open()


def test_follower_that_is_closed_gives_its_place_back() -> None:
    followed = led()
    followed.script.close()
    for _ in range(timing.MAX_WAITS):
        assert followed.link.waits.take(0)


def test_follower_without_observe_never_opens_a_stream() -> None:
    followed = led(observes=False)
    followed.script.receive(KeyGone(A.key, 31), after=0.001)
    followed.read(B)
    followed.script.watch()
    assert followed.script.receive().seconds > 3
    followed.read(B)
    followed.script.expect(Receive)
    assert followed.seen == [A.key, B.key]


def test_read_that_failed_is_soon_repeated() -> None:
    followed = Followed()
    while isinstance(followed.script.effect, (Invoke, Sleep)):
        if isinstance(followed.script.effect, Invoke):
            followed.script.silent(Method.RANGE)
        else:
            followed.script.sleep()
    followed.script.open()
    assert followed.script.receive().seconds == pytest.approx(0.1)
    followed.read(A)
    assert followed.script.watch() == {A.key}
    assert followed.seen == [A.key]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [(DENIED, errors.PermissionDenied), (TOKEN_REFUSED, errors.AuthenticationFailed)],
)
def test_what_cannot_heal_is_raised_and_the_place_given_back(
    reply: Failure, kind: type[errors.EtcdError]
) -> None:
    followed = led()
    followed.script.receive(Ended(None), after=0.001)
    followed.script.invoke(Method.RANGE, reply)
    followed.script.raised(kind)
    for _ in range(timing.MAX_WAITS):
        assert followed.link.waits.take(0)


def test_what_heals_is_not_raised() -> None:
    followed = Followed()
    followed.script.invoke(Method.RANGE, Failure("INTERNAL", "something odd"))
    followed.script.open()
    followed.script.receive()
    followed.read(A)
    followed.script.expect(Watch)


def test_foreign_key_that_leads_is_told_and_warned_about(
    caplog: pytest.LogCaptureFixture,
) -> None:
    followed = Followed()
    foreign = kv(b"jobs/sub/1", 5)
    with caplog.at_level(logging.WARNING, "etcd_election"):
        followed.read(foreign)
    assert followed.script.watch() == {foreign.key}
    assert "b'jobs/sub/1'" in caplog.text
    assert followed.seen == [foreign.key]


def test_change_of_cluster_that_a_read_shows_begins_anew() -> None:
    followed = led()
    lease = followed.link.new_lease()
    followed.script.receive()
    restored = kv(b"jobs/d", 3)
    followed.script.invoke(Method.RANGE, ranged(restored, revision=5, cluster=2))
    followed.script.watch()
    assert followed.seen == [A.key, restored.key]
    assert not lease.alive


def test_change_of_cluster_that_the_stream_shows_begins_anew() -> None:
    followed = led()
    lease = followed.link.new_lease()
    restored = kv(b"jobs/d", 3)
    followed.tell(led_by(restored, revision=5, cluster=2))
    followed.script.watch()
    assert followed.seen == [A.key, restored.key]
    assert not lease.alive

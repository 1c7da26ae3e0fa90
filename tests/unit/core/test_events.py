"""What the core tells, when, and how loud: each fact once, where it becomes known."""

from __future__ import annotations

import copy
import dataclasses
import logging
import os
import pickle

import pytest

import etcd_election
from etcd_election import events
from etcd_election._core import timing, weights
from etcd_election._core.background import Background
from etcd_election._core.candidate import Session
from etcd_election._core.effects import Ended, Receive
from etcd_election._core.leadership import LeadershipState
from etcd_election._core.lease import LeaseClock
from etcd_election._core.link import Link
from etcd_election._core.method import Method
from etcd_election._core.observe import ObserveCursor
from etcd_election._core.plans import session
from etcd_election._core.plans.authenticating import authenticate
from etcd_election._core.plans.following import Following
from etcd_election.events import (
    AuthenticatedAgain,
    CampaignStarted,
    ClusterChanged,
    Elected,
    EndpointLeft,
    Event,
    EventsDropped,
    LeadershipLost,
    ObserverMoved,
    SessionEnded,
    SessionGranted,
    SessionRenewedLate,
    WaitRescued,
)
from etcd_election.types import LostReason

from .support import (
    AUTH_OFF,
    NAME,
    REFUSED_CONNECTION,
    SILENCE,
    START,
    FakeClock,
    FakeHost,
    Script,
    authenticated,
    kept,
    make_link,
    ranged,
    steady,
)
from .test_background import FakeRunner, Task
from .test_plans_campaign import Campaigning
from .test_plans_following import A, led

ID = 0xABC
TTL = 15
TOKEN = 20
SECRET = "hunter2"


def heard(link: Link) -> list[Event]:
    """What the link tells from now on."""
    told: list[Event] = []
    link._listener = told.append
    return told


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def link(clock: FakeClock) -> Link:
    return make_link(clock, endpoints=2, random=steady())


@pytest.fixture
def told(link: Link) -> list[Event]:
    return heard(link)


@pytest.fixture
def lease(link: Link) -> LeaseClock:
    """Granted."""
    lease = link.new_lease(ID, name=NAME)
    assert lease.renewed(sent_at=START, ttl=TTL)
    return lease


@pytest.fixture
def state(lease: LeaseClock) -> LeadershipState:
    return LeadershipState(
        name=NAME, key=b"jobs/abc", token=TOKEN, value=b"me", mod_revision=TOKEN, lease=lease
    )


@pytest.fixture
def background(link: Link, clock: FakeClock) -> Background[Task]:
    return Background(link, FakeRunner(clock))


LOST = [reason for reason in LostReason if reason not in (LostReason.RESIGNED, LostReason.CLOSED)]


@pytest.mark.parametrize(
    ("event", "level"),
    [
        (SessionGranted(name=NAME, lease_id=ID, ttl=TTL, resumed=False), logging.DEBUG),
        (SessionRenewedLate(name=NAME, lease_id=ID, ttl=TTL, remaining=1.0), logging.WARNING),
        (CampaignStarted(name=NAME, via="kv"), logging.DEBUG),
        (EndpointLeft(endpoint="etcd0:2379", said="no"), logging.INFO),
        (AuthenticatedAgain(user="root", endpoint="etcd0:2379"), logging.DEBUG),
        *(
            (LeadershipLost(name=NAME, lease_id=ID, token=1, reason=r, led=1.0), logging.INFO)
            for r in LOST
        ),
        *((SessionEnded(name=NAME, lease_id=ID, reason=r, lasted=1.0), logging.INFO) for r in LOST),
        *(
            (kind, logging.DEBUG)
            for reason in (LostReason.RESIGNED, LostReason.CLOSED)
            for kind in (
                LeadershipLost(name=NAME, lease_id=ID, token=1, reason=reason, led=1.0),
                SessionEnded(name=NAME, lease_id=ID, reason=reason, lasted=1.0),
            )
        ),
    ],
    ids=repr,
)
def test_what_is_no_ordinary_fact_is_loud(
    link: Link, caplog: pytest.LogCaptureFixture, event: Event, level: int
) -> None:
    caplog.set_level(logging.DEBUG, "etcd_election")
    link.tell(event)
    assert weights.level(event) == level
    assert caplog.record_tuples == [("etcd_election", level, repr(event))]


def test_every_event_is_frozen_has_named_fields_only_and_is_at_the_top() -> None:
    kinds = [getattr(events, name) for name in events.__all__]
    assert set(Event.__subclasses__()) | {Event} == set(kinds)
    for kind in kinds:
        assert getattr(etcd_election, kind.__name__) is kind
        assert kind.__dataclass_params__.frozen
        assert all(field.kw_only for field in dataclasses.fields(kind))
        for field in dataclasses.fields(kind):
            assert f"    {field.name}: " in (kind.__doc__ or ""), (kind, field.name)


@pytest.mark.parametrize("resumed", [False, True])
def test_session_is_told_from_its_grant_to_its_end(
    link: Link, told: list[Event], lease: LeaseClock, clock: FakeClock, resumed: bool
) -> None:
    Session(link, FakeHost(), TTL, None).adopt(lease, resumed=resumed)
    assert told == [SessionGranted(name=NAME, lease_id=ID, ttl=TTL, resumed=resumed)]
    clock.advance(4)
    lease.end(LostReason.CLOSED)
    lease.end(LostReason.SESSION_EXPIRED)
    assert told[1:] == [
        SessionEnded(name=NAME, lease_id=ID, reason=LostReason.CLOSED, lasted=pytest.approx(4))
    ]


def test_session_that_ran_out_unnoticed_lasted_to_its_deadline(
    link: Link, told: list[Event], lease: LeaseClock, clock: FakeClock
) -> None:
    Session(link, FakeHost(), TTL, None).adopt(lease)
    clock.advance(1000)
    lease.settle()
    (ended,) = told[1:]
    assert isinstance(ended, SessionEnded)
    assert ended.reason is LostReason.SESSION_EXPIRED
    assert ended.lasted == pytest.approx(TTL - timing.margin(TTL))


@pytest.mark.parametrize(("late_by", "is_late"), [(0.0, False), (3.4, False), (3.6, True)])
def test_renewal_that_leaves_little_is_told(
    link: Link,
    told: list[Event],
    lease: LeaseClock,
    clock: FakeClock,
    late_by: float,
    is_late: bool,
) -> None:
    """A third of the ttl, here 5 s, is to be left of the 13.5 s that a renewal brings."""
    script = Script(session.keep(link, lease), clock)
    script.receive()
    clock.advance(late_by)
    remaining = lease.remaining()
    script.invoke(Method.KEEPALIVE, kept(ID), took=0.001)
    script.expect(Receive)
    late = SessionRenewedLate(
        name=NAME, lease_id=ID, ttl=TTL, remaining=pytest.approx(remaining - 0.001)
    )
    assert told == ([late] if is_late else [])


def test_renewal_that_comes_after_the_end_is_not_late_but_none(
    link: Link, told: list[Event], lease: LeaseClock, clock: FakeClock
) -> None:
    script = Script(session.keep(link, lease), clock)
    script.receive()
    clock.advance(8)
    script.invoke(Method.KEEPALIVE, kept(ID, ttl=0))
    script.returned()
    assert told == []


def test_leadership_is_told_from_its_beginning_to_its_end(
    background: Background[Task], told: list[Event], state: LeadershipState, clock: FakeClock
) -> None:
    clock.advance(2)
    background.announce(state, began_at=START - 1)
    clock.advance(3)
    state.end(LostReason.RESIGNED)
    state.end(LostReason.CLOSED)
    assert told == [
        Elected(name=NAME, lease_id=ID, token=TOKEN, waited=pytest.approx(3)),
        LeadershipLost(
            name=NAME,
            lease_id=ID,
            token=TOKEN,
            reason=LostReason.RESIGNED,
            led=pytest.approx(3),
        ),
    ]


def test_time_after_the_deadline_was_not_led(
    background: Background[Task], told: list[Event], state: LeadershipState, clock: FakeClock
) -> None:
    background.announce(state, began_at=START)
    clock.advance(1000)
    state.settle()
    lost = told[-1]
    assert isinstance(lost, LeadershipLost)
    assert lost.reason is LostReason.SESSION_EXPIRED
    assert lost.led == pytest.approx(TTL - timing.margin(TTL))


def test_child_process_tells_no_loss(
    background: Background[Task],
    told: list[Event],
    state: LeadershipState,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    background.announce(state, began_at=START)
    parent = os.getpid()
    monkeypatch.setattr("os.getpid", lambda: parent + 1)
    state.settle()
    assert state.lost is LostReason.FORKED
    assert [type(event) for event in told] == [Elected]


def test_suspected_endpoint_is_told_once_until_it_has_answered(
    link: Link, told: list[Event], clock: FakeClock
) -> None:
    left = EndpointLeft(endpoint="etcd0:2379", said="connection refused")
    for _ in range(3):
        link.unanswered(0, clock(), reached=False, said="connection refused")
    assert told == [left]
    link.suspect(0, "it answers, but")
    assert told == [left], "suspected already"
    link.answered(0, Method.RANGE, ranged(), clock(), 0)
    clock.advance(1)
    link.unanswered(0, clock() - 2, reached=True, said="an old call")
    assert told == [left], "it has worked since"
    link.suspect(0, "it answers, but")
    assert told == [left, EndpointLeft(endpoint="etcd0:2379", said="it answers, but")]


def test_answer_of_a_deposed_raft_leader_is_why_an_endpoint_is_left(
    link: Link, told: list[Event], lease: LeaseClock, clock: FakeClock
) -> None:
    script = Script(session.renew(link, lease, deadline=START + 5), clock)
    link.answered(1, Method.RANGE, ranged(), START, 0)
    script.invoke(Method.KEEPALIVE, kept(ID, term=1))
    (left,) = told
    assert isinstance(left, EndpointLeft)
    assert left.endpoint == "etcd0:2379"


def test_further_token_is_told_and_no_secret_with_it(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "etcd_election")
    link = make_link(clock, credentials=("root", SECRET))
    told = heard(link)
    for number in range(3):
        script = Script(authenticate(link, clock() + 5), clock)
        assert len(told) == max(0, number - 1)
        script.invoke(Method.AUTHENTICATE, authenticated(f"{SECRET}-token"))
        script.returned()
        assert link.tokens.refused(link.metadata()[1])
    assert told == [AuthenticatedAgain(user="root", endpoint="etcd0:2379")] * 2
    assert SECRET not in f"{told}{caplog.text}"


def test_fetch_that_brought_no_token_is_not_told(clock: FakeClock) -> None:
    link = make_link(clock, credentials=("root", SECRET))
    told = heard(link)
    for _ in range(2):
        script = Script(authenticate(link, clock() + 5), clock)
        script.invoke(Method.AUTHENTICATE, AUTH_OFF)
        assert link.tokens.refused(link.metadata()[1])
    assert told == []
    script = Script(authenticate(link, clock() + 5), clock)
    script.invoke(Method.AUTHENTICATE, REFUSED_CONNECTION)
    assert told == [EndpointLeft(endpoint="etcd0:2379", said=REFUSED_CONNECTION.details)]


def test_campaign_is_told_when_its_turn_has_come() -> None:
    c = Campaigning(via="kv")
    told = heard(c.link)
    c.clock.advance(3)
    assert told == []
    c.turn()
    assert told == [CampaignStarted(name=NAME, via="kv")]
    assert c.candidate.began_at == c.clock()
    c.grant()
    assert told[1:] == [
        SessionGranted(name=NAME, lease_id=c.lease.lease_id, ttl=TTL, resumed=False)
    ]


def test_lease_that_a_predecessor_left_is_told_as_such() -> None:
    c = Campaigning(resume=ID)
    told = heard(c.link)
    c.turn()
    c.script.invoke(Method.KEEPALIVE, kept(ID, TTL))
    assert told[-1] == SessionGranted(name=NAME, lease_id=ID, ttl=TTL, resumed=True)


def test_wait_that_the_beat_rescues_is_told() -> None:
    c = Campaigning().wait()
    told = heard(c.link)
    hanging = c.lease.lease_id
    c.incumbent_leaves()
    c.read(c.own())
    c.script.receive()
    c.read(c.own())
    c.script.receive()
    assert told == [WaitRescued(name=NAME, lease_id=hanging, endpoint="etcd0:2379")]


def test_campaign_that_is_stuck_leaves_its_endpoint() -> None:
    c = Campaigning(endpoints=2).start()
    told = heard(c.link)
    while isinstance(c.script.effect, Receive):
        c.script.receive()
        if not told:
            c.read(None)
    (left,) = told
    assert isinstance(left, EndpointLeft)
    assert left.endpoint == "etcd0:2379"


@pytest.mark.parametrize("observes", [False, True])
def test_observer_that_is_answered_elsewhere_has_moved(clock: FakeClock, observes: bool) -> None:
    link = make_link(clock, endpoints=2, random=steady(0.5))
    told = heard(link)
    following = Following(link, NAME, ObserveCursor(), observes=observes)
    script = Script(following.follow(), clock)
    script.invoke(Method.RANGE, ranged(A))
    script.watch()
    if observes:
        script.open()
        script.receive(Ended(SILENCE), after=1.0)
    else:
        script.receive()
    script.silent(Method.RANGE)
    script.invoke(Method.RANGE, ranged(A))
    left, moved = told
    assert isinstance(left, EndpointLeft)
    assert moved == ObserverMoved(name=NAME, endpoint="etcd1:2379", former="etcd0:2379")
    if observes:
        assert script.open().endpoint == 1
        assert told == [left, moved]


def test_open_stream_has_not_moved_when_a_read_is_answered_elsewhere(clock: FakeClock) -> None:
    link = make_link(clock, endpoints=2, random=steady(0.5))
    script = Script(Following(link, NAME, ObserveCursor(), observes=True).follow(), clock)
    script.invoke(Method.RANGE, ranged(A))
    script.watch()
    script.open()
    told = heard(link)
    script.receive()
    script.silent(Method.RANGE)
    script.invoke(Method.RANGE, ranged(A))
    assert [type(event) for event in told] == [EndpointLeft]


def test_stream_that_is_opened_where_it_was_has_not_moved() -> None:
    followed = led()
    told = heard(followed.link)
    followed.script.receive(Ended(SILENCE))
    followed.read(A)
    followed.script.receive()
    followed.script.open()
    assert told == []


@pytest.mark.parametrize("cluster", [1, 2])
def test_other_cluster_is_told_before_what_it_ends(
    link: Link, told: list[Event], lease: LeaseClock, clock: FakeClock, cluster: int
) -> None:
    link.new_lease(5)
    ended = link.new_lease(6)
    ended.end(LostReason.CLOSED)
    Session(link, FakeHost(), TTL, None).adopt(lease)
    link.answered(0, Method.RANGE, ranged(revision=10), START, 0)
    link.answered(0, Method.RANGE, ranged(revision=5, cluster=cluster), START, 10)
    changed, session_ended = told[1:]
    assert changed == ClusterChanged(cluster_id=cluster, former_id=1, sessions=1)
    assert isinstance(session_ended, SessionEnded)
    assert session_ended.reason is LostReason.CLUSTER_CHANGED


def test_events_are_equal_by_what_they_say_and_show_it() -> None:
    told = EventsDropped(count=3)
    assert told == EventsDropped(count=3)
    assert told != EventsDropped(count=4)
    assert told != 3
    assert len({told, EventsDropped(count=3), EventsDropped(count=4)}) == 2
    assert repr(told) == "EventsDropped(count=3)"
    assert pickle.loads(pickle.dumps(told)) == copy.copy(told) == told
    with pytest.raises(dataclasses.FrozenInstanceError):
        told.count = 4  # type: ignore[misc]

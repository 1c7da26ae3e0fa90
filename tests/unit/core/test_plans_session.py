"""The life of a lease: never two for one, never believed by an answer that proves nothing."""

from __future__ import annotations

import logging

import pytest

from etcd_election import errors
from etcd_election._core import timing
from etcd_election._core.condition import Condition
from etcd_election._core.effects import Consulted, Invoke, LeaseEnded, Receive, Word
from etcd_election._core.lease import LeaseClock
from etcd_election._core.link import Link
from etcd_election._core.method import Method
from etcd_election._core.plans import session
from etcd_election._core.plans.interrupting import Interrupted
from etcd_election.types import LostReason

from .support import (
    DENIED,
    LEASE_EXISTS,
    LEASE_NOT_FOUND,
    REFUSED_CONNECTION,
    START,
    FakeClock,
    Script,
    granted,
    header,
    kept,
    make_link,
    revoked,
    steady,
)

ID = 0xABC


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def link(clock: FakeClock) -> Link:
    return make_link(clock, endpoints=2, random=steady())


@pytest.fixture
def lease(link: Link) -> LeaseClock:
    """Not granted yet."""
    return link.new_lease(ID)


@pytest.fixture
def ours(lease: LeaseClock) -> LeaseClock:
    """Granted."""
    lease.renewed(sent_at=START, ttl=15)
    return lease


def granting(link: Link, lease: LeaseClock) -> Script[None]:
    clock = link.clock
    assert isinstance(clock, FakeClock)
    return Script(session.grant(link, lease, 15, deadline=clock() + 5), clock)


def test_lease_is_granted_under_our_number_and_counts_from_the_send(
    link: Link, lease: LeaseClock, clock: FakeClock
) -> None:
    script = granting(link, lease)
    request = script.invoke(Method.GRANT, granted(ID, ttl=20), took=0.1).request
    assert (request.ID, request.TTL) == (ID, 15)  # type: ignore[attr-defined]
    script.returned()
    assert lease.ttl == 20
    assert lease.renewed_at == START


def test_lost_answer_to_a_grant_is_made_good_by_a_renewal(
    link: Link, lease: LeaseClock, clock: FakeClock
) -> None:
    """The lease is ours, but since when is not known."""
    script = granting(link, lease)
    script.silent(Method.GRANT)
    script.invoke(Method.GRANT, LEASE_EXISTS)
    assert lease.ttl == 0
    sent_at = clock()
    assert script.invoke(Method.KEEPALIVE, kept(ID), took=0.1).request.ID == ID  # type: ignore[attr-defined]
    script.returned()
    assert lease.renewed_at == sent_at
    assert lease.alive


def test_number_that_was_taken_before_we_asked_is_not_ours(link: Link, lease: LeaseClock) -> None:
    script = granting(link, lease)
    script.invoke(Method.GRANT, LEASE_EXISTS)
    assert "lease already exists" in str(script.raised(errors.EtcdError))
    assert lease.ttl == 0


@pytest.mark.parametrize("answer", [granted(ID + 1), granted(ID, ttl=0), granted(ID, ttl=-1)])
def test_grant_of_something_else_is_an_error(link: Link, lease: LeaseClock, answer: object) -> None:
    script = granting(link, lease)
    script.invoke(Method.GRANT, answer)  # type: ignore[arg-type]
    assert script.raised(errors.EtcdError).maybe_applied
    assert lease.ttl == 0


def test_grant_that_etcd_refuses_is_its_error(link: Link, lease: LeaseClock) -> None:
    script = granting(link, lease)
    script.invoke(Method.GRANT, DENIED)
    assert not script.raised(errors.PermissionDenied).maybe_applied


def test_grant_refused_after_a_lost_answer_may_have_been_carried_out(
    link: Link, lease: LeaseClock
) -> None:
    script = granting(link, lease)
    script.silent(Method.GRANT)
    script.invoke(Method.GRANT, DENIED)
    assert script.raised(errors.PermissionDenied).maybe_applied


def test_renewal_counts_from_its_send(link: Link, ours: LeaseClock, clock: FakeClock) -> None:
    clock.advance(5)
    script = Script(session.renew(link, ours, deadline=clock() + 5), clock)
    script.invoke(Method.KEEPALIVE, kept(ID), took=0.2)
    assert script.returned() is True
    assert ours.renewed_at == START + 5


def test_renewal_of_a_lease_that_etcd_does_not_know_ends_it(
    link: Link, ours: LeaseClock, clock: FakeClock
) -> None:
    script = Script(session.renew(link, ours, deadline=clock() + 5), clock)
    script.invoke(Method.KEEPALIVE, kept(ID, ttl=0))
    assert script.returned() is False
    assert ours.ended is LostReason.SESSION_EXPIRED


def test_answer_of_a_deposed_raft_leader_is_no_renewal(
    link: Link, ours: LeaseClock, clock: FakeClock
) -> None:
    link.saw(header(term=5), floor=None)
    clock.advance(5)
    script = Script(session.renew(link, ours, deadline=clock() + 5), clock)
    script.invoke(Method.KEEPALIVE, kept(ID, term=4))
    assert ours.renewed_at == START
    script.sleep()
    sent_at = clock()
    script.invoke(Method.KEEPALIVE, kept(ID, term=5))
    assert script.returned() is True
    assert ours.renewed_at == sent_at


def test_deposed_raft_leader_is_left_for_another_member(
    link: Link, ours: LeaseClock, clock: FakeClock
) -> None:
    link.saw(header(term=5), floor=None)
    script = Script(session.renew(link, ours, deadline=clock() + 5), clock)
    assert script.invoke(Method.KEEPALIVE, kept(ID, term=4)).endpoint == 0
    script.sleep()
    assert script.expect(Invoke).endpoint == 1


def test_campaign_can_be_cancelled_while_it_renews(
    link: Link, ours: LeaseClock, clock: FakeClock
) -> None:
    link.saw(header(term=5), floor=None)
    script = Script(session.renew(link, ours, deadline=clock() + 5), clock)
    script.invoke(Method.KEEPALIVE, kept(ID, term=4))
    script.sleep(Word.CANCELLED)
    assert script.raised(Interrupted).word is Word.CANCELLED


def test_lease_is_renewed_at_every_beat(link: Link, ours: LeaseClock, clock: FakeClock) -> None:
    script = Script(session.keep(link, ours), clock)
    for beat in range(1, 4):
        assert script.receive().seconds <= 15 / 3
        script.invoke(Method.KEEPALIVE, kept(ID), took=0.0)
        assert ours.renewed_at == pytest.approx(START + 5 * beat, abs=0.01)


def test_nothing_that_happens_in_between_renews_too_early(
    link: Link, ours: LeaseClock, clock: FakeClock
) -> None:
    script = Script(session.keep(link, ours), clock)
    script.receive(Word.STOP, after=1)
    assert script.expect(Receive).seconds == pytest.approx(4)


def test_beat_is_drawn_once_and_anew_when_the_campaign_has_renewed(clock: FakeClock) -> None:
    """A number drawn at every look would put the beat off, and wake for nothing."""
    numbers = iter([0.5, 0.0, 1.0])
    link = make_link(clock, random=lambda: next(numbers))
    lease = link.new_lease(ID)
    lease.renewed(sent_at=clock(), ttl=15)
    script = Script(session.keep(link, lease), clock)
    script.receive(Word.STOP, after=4.0)
    assert script.receive().seconds == pytest.approx(0.75, abs=timing.BEATS_TOGETHER)
    script.invoke(Method.KEEPALIVE, kept(ID))
    script.receive(Word.STOP, after=4.0)
    lease.renewed(sent_at=clock(), ttl=15)
    script.receive(Word.STOP)
    assert script.expect(Receive).seconds == pytest.approx(4.5, abs=timing.BEATS_TOGETHER)


def test_keepalive_that_failed_is_repeated_until_the_lease_has_ended(
    link: Link, ours: LeaseClock, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[float] = []
    ours.when_ended(lambda: told.append(clock()))
    script = Script(session.keep(link, ours), clock)
    script.receive()
    with caplog.at_level(logging.WARNING, "etcd_election"):
        script.invoke(Method.KEEPALIVE, DENIED)
        assert script.receive().seconds == pytest.approx(0.5)
        while script.effect is not None:
            if isinstance(script.effect, Invoke):
                script.silent(Method.KEEPALIVE)
            else:
                script.receive()
    script.returned()
    assert "lease abc could not be renewed" in caplog.text
    assert told == [pytest.approx(START + 15 - timing.margin(15), abs=0.01)]


def test_lease_that_ended_is_renewed_no_more(
    link: Link, ours: LeaseClock, clock: FakeClock
) -> None:
    script = Script(session.keep(link, ours), clock)
    ours.end(LostReason.CLOSED)
    script.receive(LeaseEnded())
    script.returned()


def test_lease_that_etcd_lost_ends_with_its_keepalive(
    link: Link, ours: LeaseClock, clock: FakeClock
) -> None:
    told: list[None] = []
    ours.when_ended(lambda: told.append(None))
    script = Script(session.keep(link, ours), clock)
    script.receive()
    script.invoke(Method.KEEPALIVE, kept(ID, ttl=0))
    script.returned()
    assert told == [None]


# What a renewal may hang on


@pytest.fixture
def condition(ours: LeaseClock) -> Condition:
    ours.condition = Condition(lambda: True, None)
    return ours.condition


def test_lease_is_renewed_while_the_user_says_yes(
    link: Link, ours: LeaseClock, condition: Condition, clock: FakeClock
) -> None:
    script = Script(session.keep(link, ours), clock)
    for _ in range(3):
        script.receive()
        assert script.consult() is condition
        script.receive(Consulted(condition, renews=True))
        script.invoke(Method.KEEPALIVE, kept(ID), took=0.0)
    assert not condition.withheld


def test_lease_is_not_renewed_after_a_no_and_the_user_is_asked_again(
    link: Link, ours: LeaseClock, condition: Condition, clock: FakeClock
) -> None:
    script = Script(session.keep(link, ours), clock)
    script.receive()
    script.consult()
    script.receive(Consulted(condition, renews=False))
    assert condition.withheld
    assert script.receive().seconds == pytest.approx(5)
    script.consult()
    script.receive(Consulted(condition, renews=True))
    script.invoke(Method.KEEPALIVE, kept(ID))
    assert ours.remaining() > 10


def test_lease_ends_when_the_user_never_answers(
    link: Link, ours: LeaseClock, condition: Condition, clock: FakeClock
) -> None:
    script = Script(session.keep(link, ours), clock)
    script.receive()
    script.consult()
    while script.effect is not None:
        script.receive()
    script.returned()
    assert not ours.alive
    assert not script.calls
    assert condition.withheld


def test_question_of_another_term_holds_up_no_renewal(
    link: Link, ours: LeaseClock, condition: Condition, clock: FakeClock
) -> None:
    script = Script(session.keep(link, ours), clock)
    script.receive()
    script.consult()
    # Resigned, and campaigning again on the same lease.
    ours.condition = None
    script.receive()
    script.invoke(Method.KEEPALIVE, kept(ID))
    assert not condition.withheld


def test_answer_of_another_term_counts_for_nothing(
    link: Link, ours: LeaseClock, condition: Condition, clock: FakeClock
) -> None:
    script = Script(session.keep(link, ours), clock)
    script.receive()
    script.consult()
    script.receive(Consulted(Condition(None, None), renews=True))
    assert not script.calls
    script.receive(Consulted(condition, renews=True))
    script.invoke(Method.KEEPALIVE, kept(ID))


def test_lease_is_not_renewed_beyond_the_longest_term(
    link: Link, ours: LeaseClock, clock: FakeClock
) -> None:
    condition = ours.condition = Condition(None, START + 20)
    script = Script(session.keep(link, ours), clock)
    script.receive()
    script.invoke(Method.KEEPALIVE, kept(ID), took=0.0)
    while script.effect is not None:
        script.receive()
    script.returned()
    assert condition.withheld
    assert len(script.calls) == 1
    assert clock() <= START + 20


def test_revoke_says_whether_etcd_knew_the_lease(
    link: Link, ours: LeaseClock, clock: FakeClock
) -> None:
    for reply, known in ((revoked(), True), (LEASE_NOT_FOUND, False)):
        script = Script(session.revoke(link, ours, deadline=clock() + 5), clock)
        assert script.invoke(Method.REVOKE, reply).request.ID == ID  # type: ignore[attr-defined]
        assert script.returned() is known


def test_lease_that_is_gone_after_a_lost_answer_was_gone_by_us(
    link: Link, ours: LeaseClock, clock: FakeClock
) -> None:
    script = Script(session.revoke(link, ours, deadline=clock() + 5), clock)
    script.silent(Method.REVOKE)
    script.invoke(Method.REVOKE, LEASE_NOT_FOUND)
    assert script.returned() is True


def test_revoke_that_etcd_refuses_is_its_error(
    link: Link, ours: LeaseClock, clock: FakeClock
) -> None:
    script = Script(session.revoke(link, ours, deadline=clock() + 5), clock)
    script.invoke(Method.REVOKE, DENIED)
    script.raised(errors.PermissionDenied)


@pytest.mark.parametrize("reply", [revoked(), LEASE_NOT_FOUND])
def test_retired_lease_is_not_believed_in_before_etcd_has_confirmed(
    link: Link, ours: LeaseClock, clock: FakeClock, reply: object
) -> None:
    script = Script(session.retire(link, ours), clock)
    assert ours.ended is LostReason.CLOSED
    script.invoke(Method.REVOKE, reply)  # type: ignore[arg-type]
    assert script.returned() is True


def test_retired_lease_is_revoked_over_and_over_until_it_must_have_run_out(
    link: Link, ours: LeaseClock, clock: FakeClock
) -> None:
    script = Script(session.retire(link, ours), clock)
    pauses = []
    while script.effect is not None:
        if isinstance(script.effect, Invoke):
            script.invoke(Method.REVOKE, DENIED)
        else:
            pauses.append(script.receive().seconds)
    assert script.returned() is False
    assert pauses[:6] == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.8, 1.0])
    assert max(pauses) == 1.0
    assert clock() == pytest.approx(START + 15 + timing.RETIRE_AFTER, abs=1.1)


def test_retired_lease_is_revoked_as_soon_as_etcd_is_back(
    link: Link, ours: LeaseClock, clock: FakeClock
) -> None:
    script = Script(session.retire(link, ours), clock)
    while not isinstance(script.effect, Receive):
        if isinstance(script.effect, Invoke):
            script.invoke(Method.REVOKE, REFUSED_CONNECTION)
        else:
            script.sleep()
    assert clock() == pytest.approx(START + link.timeout, abs=0.1)
    script.receive()
    script.invoke(Method.REVOKE, revoked())
    assert script.returned() is True


def test_lease_whose_grant_was_never_answered_is_revoked_until_that_can_no_longer_land(
    link: Link, clock: FakeClock
) -> None:
    script = Script(session.retire(link, link.new_lease(77)), clock)
    revokes = 0
    while script.effect is not None:
        if isinstance(script.effect, Invoke):
            script.invoke(Method.REVOKE, LEASE_NOT_FOUND)
            revokes += 1
        else:
            script.receive()
    assert script.returned() is True
    assert revokes > 5
    assert clock() > START + timing.GRANT_MAY_LAND


def test_lease_whose_grant_landed_late_is_gone_with_the_next_revoke(
    link: Link, clock: FakeClock
) -> None:
    script = Script(session.retire(link, link.new_lease(77)), clock)
    script.invoke(Method.REVOKE, LEASE_NOT_FOUND)
    script.receive()
    script.invoke(Method.REVOKE, revoked())
    assert script.returned() is True


def test_successor_is_left_the_whole_ttl(link: Link, ours: LeaseClock, clock: FakeClock) -> None:
    clock.advance(10)
    script = Script(session.bequeath(link, ours, deadline=clock() + 2), clock)
    assert script.invoke(Method.KEEPALIVE, kept(ID)).request.ID == ID  # type: ignore[attr-defined]
    script.returned()
    assert ours.renewed_at == START + 10


def test_lease_that_cannot_be_renewed_once_more_is_left_as_it_is(
    link: Link, ours: LeaseClock, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Closing goes on, and the successor has what is left of the ttl."""
    script = Script(session.bequeath(link, ours, deadline=clock() + 2), clock)
    with caplog.at_level(logging.WARNING, "etcd_election"):
        while script.effect is not None:
            script.silent(Method.KEEPALIVE)
    script.returned()
    assert clock() == pytest.approx(START + 2, abs=0.01)
    assert "lease abc is left without a last renewal" in caplog.text
    assert ours.alive


def test_lease_is_left_though_the_connection_is_closed_meanwhile(
    link: Link, ours: LeaseClock, clock: FakeClock
) -> None:
    """By another thread: close() of the client is as well through."""
    link.closed = True
    Script(session.bequeath(link, ours, deadline=clock() + 2), clock).returned()
    assert ours.alive

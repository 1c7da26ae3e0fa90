"""From a value to a verified leadership, past every hazard of etcd's Election service."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import pytest

from etcd_election import errors
from etcd_election._core import standing, timing
from etcd_election._core.candidate import Candidate, Session
from etcd_election._core.effects import (
    Connect,
    Ended,
    Fact,
    Failure,
    Invoke,
    KeyGone,
    KeyPut,
    LeaseEnded,
    LookUp,
    Open,
    Receive,
    Shut,
    Sleep,
    Watch,
    WatchBroken,
    WatchStands,
    Word,
)
from etcd_election._core.leadership import LeadershipState
from etcd_election._core.lease import LeaseClock
from etcd_election._core.method import Method
from etcd_election._core.plans.campaign import campaign, wait_turn
from etcd_election._core.plans.interrupting import Interrupted
from etcd_election.pb import kv_pb2, rpc_pb2, v3election_pb2
from etcd_election.types import LostReason

from .support import (
    DENIED,
    LEASE_EXISTS,
    LEASE_NOT_FOUND,
    NAME,
    REFUSED_CONNECTION,
    SILENCE,
    START,
    TOKEN_REFUSED,
    WRONG_CA,
    FakeClock,
    FakeHost,
    Script,
    authenticated,
    campaigned,
    granted,
    kept,
    kv,
    make_link,
    proclaimed,
    ranged,
    revoked,
    txn,
)

TTL = 15
VALUE = b"host-1"
TOKEN = 20
BEFORE = kv(b"jobs/1", 10, lease=1)
NEWER = (kv(b"jobs/8", 98, lease=8), kv(b"jobs/7", 97, lease=7))
NOT_LEADER = Failure("UNKNOWN", "election: not leader")
COMPACTED = Failure("UNKNOWN", "etcdserver: mvcc: required revision has been compacted")


class Campaigning:
    """A campaign under way; the methods are what etcd and the front-end do."""

    def __init__(
        self,
        *,
        via: str = "service",
        timeout: float | None = None,
        endpoints: int = 1,
        patience: float = 5.0,
        resume: int | None = None,
        credentials: tuple[str, str] | None = None,
        hosts: Sequence[str] = (),
    ) -> None:
        self.clock = FakeClock()
        self.link = make_link(
            self.clock,
            endpoints=endpoints,
            timeout=patience,
            credentials=credentials,
            hosts=hosts,
        )
        for endpoint in range(endpoints):
            self.link.ring.worked(endpoint, START - 1)
        self.host = FakeHost()
        self.session = Session(self.link, self.host, TTL, resume)
        self.leading: LeadershipState | None = None
        self.begin(via=via, timeout=timeout)

    def begin(self, *, via: str = "service", timeout: float | None = None) -> None:
        """One more campaign() on the same client."""
        self.told: list[Fact] = []
        self.candidate = Candidate(
            self.link,
            self.session,
            name=NAME,
            value=VALUE,
            via=via,
            timeout=timeout,
            tell=self.told.append,
        )
        self.script = Script(campaign(self.candidate, lambda: self.leading), self.clock)

    @property
    def lease(self) -> LeaseClock:
        lease = self.session.lease
        assert lease is not None
        return lease

    @property
    def key(self) -> bytes:
        return standing.candidate_key(NAME, self.lease.lease_id)

    def own(self, token: int = TOKEN, *, value: bytes = VALUE) -> kv_pb2.KeyValue:
        return kv(self.key, token, value=value, lease=self.lease.lease_id)

    def turn(self, *, after: float = 0.0) -> None:
        self.script.receive(Word.TURN, after=after)
        leads = self.leading is not None and self.leading.held
        if self.candidate.via == "service" and not leads:
            self.connect()

    def connect(self) -> None:
        """Where Campaign will be called, a connection is made, and not waited for."""
        self.script.aside(Connect(self.link.ring.pick()))

    def grant(self, *, cluster: int = 1) -> None:
        request = self.script.expect(Invoke).request
        assert isinstance(request, rpc_pb2.LeaseGrantRequest)
        assert request.TTL == TTL
        self.script.invoke(Method.GRANT, granted(request.ID, TTL, cluster=cluster))

    def open(self) -> Open:
        opened = self.script.open()
        assert opened.method is Method.CAMPAIGN
        assert opened.request == v3election_pb2.CampaignRequest(
            name=NAME, lease=self.lease.lease_id, value=VALUE
        )
        return opened

    def start(self) -> Campaigning:
        """Up to the open Campaign call."""
        self.turn()
        self.grant()
        self.open()
        return self

    def read(
        self,
        own: kv_pb2.KeyValue | None,
        before: kv_pb2.KeyValue | None = None,
        *,
        revision: int = 30,
        cluster: int = 1,
    ) -> None:
        """The queue is read: by one Range, for nobody has joined after us."""
        request = self.script.expect(Invoke).request
        assert isinstance(request, rpc_pb2.RangeRequest)
        up_to = request.max_create_revision
        assert request == standing.newest(NAME, up_to=up_to)
        kvs = [key for key in (own, before) if key]
        self.script.invoke(Method.RANGE, ranged(*kvs, revision=revision, cluster=cluster))

    def wait(self) -> Campaigning:
        """Up to a candidate that waits behind another, seen and watched."""
        self.start()
        self.script.receive()
        self.read(self.own(), BEFORE)
        assert self.script.watch() == {self.key, BEFORE.key}
        self.script.expect(Receive)
        return self

    def answer(self) -> None:
        """The Campaign call answers OK."""
        ok = campaigned(self.key, TOKEN, self.lease.lease_id)
        self.script.receive(Ended(ok), after=0.001)

    def incumbent_leaves(self) -> None:
        self.script.receive(KeyGone(BEFORE.key, 40), after=0.001)

    def leave(self) -> None:
        """The call is cancelled before anything else, and nothing is watched any more."""
        self.script.shut()
        assert self.script.watch() == frozenset()

    def rejoin(self) -> None:
        """The candidacy is left, its lease revoked, another one granted."""
        before = self.lease
        self.leave()
        request = self.script.invoke(Method.REVOKE, revoked()).request
        assert request == rpc_pb2.LeaseRevokeRequest(ID=before.lease_id)
        assert not before.alive
        self.grant()
        assert self.lease.lease_id != before.lease_id, "never the same lease again"

    def join(self, *others: kv_pb2.KeyValue) -> None:
        """The transaction of via="kv" puts the key; who stands before it is read with it."""
        request = self.script.expect(Invoke).request
        assert request == standing.joining(NAME, self.key, VALUE, self.lease.lease_id)
        self.script.invoke(Method.TXN, txn(None, [self.own(), *others], revision=30))

    def suffer(self, *, until: type[Receive] | None = None) -> None:
        """Nobody answers anything, up to the next wait or the end."""
        while self.script.effect is not None and not isinstance(self.script.effect, Receive):
            if isinstance(self.script.effect, Invoke):
                self.script.silent(self.script.effect.method)
            else:
                self.script.sleep()
        if until is not None:
            self.script.expect(until)

    def won(self) -> LeadershipState:
        state = self.script.returned()
        assert state.held
        assert (state.name, state.key, state.value) == (NAME, self.key, VALUE)
        assert state.lease is self.lease
        return state

    def waits_free(self) -> bool:
        """All places for waits in the Election service are given back."""
        return all(map(self.link.waits.take, [0] * timing.MAX_WAITS))


# The way that goes well


def test_uncontested_candidate_is_elected_as_soon_as_a_read_confirms_it() -> None:
    c = Campaigning().start()
    c.answer()
    c.script.invoke(Method.RANGE, ranged(c.own(), revision=TOKEN + 5))
    state = c.won()
    assert state.token == TOKEN
    assert state.knows(TOKEN + 5), "a watch that stands since then has missed nothing"
    assert not state.knows(TOKEN + 6)
    assert state.remaining() > timing.enough(TTL)
    assert c.host.kept == [c.lease]
    assert c.candidate.clean, "the lease is good for the next campaign"
    assert c.waits_free()


def test_campaign_carries_what_every_call_carries() -> None:
    c = Campaigning()
    c.turn()
    c.grant()
    assert ("hasleader", "true") in c.open().metadata


def test_campaign_is_not_sent_without_a_token_where_there_is_a_user() -> None:
    """Somebody's token was refused meanwhile: without one etcd would refuse for good."""
    c = Campaigning(credentials=("root", "secret"))
    c.turn()
    c.script.invoke(Method.AUTHENTICATE, authenticated("old"))
    c.script.invoke(Method.GRANT, TOKEN_REFUSED)
    c.script.invoke(Method.AUTHENTICATE, authenticated("new"))
    c.link.tokens.refused(2)
    c.grant()
    c.script.invoke(Method.AUTHENTICATE, authenticated("newest"))
    assert ("token", "newest") in c.open().metadata


def test_waiting_candidate_is_elected_when_its_turn_comes() -> None:
    c = Campaigning().wait()
    c.incumbent_leaves()
    c.read(c.own())
    c.answer()
    assert c.won().token == TOKEN


def test_who_leaves_further_up_in_the_queue_is_replaced_by_the_next_to_be_watched() -> None:
    c = Campaigning().wait()
    other = kv(b"jobs/2", 5, lease=2)
    c.incumbent_leaves()
    c.read(c.own(), other)
    assert c.script.watch() == {c.key, other.key}


# Promise 2: truth before belief


def test_no_leadership_while_the_campaign_call_is_open() -> None:
    """When the connection of that call ends, the server deletes the key."""
    c = Campaigning().wait()
    c.incumbent_leaves()
    c.read(c.own())
    assert c.script.expect(Receive).seconds <= timing.TURN_WITHIN
    c.script.receive(KeyGone(b"jobs/9", 41), after=0.1)
    c.script.expect(Receive)
    c.answer()
    c.won()


def test_phantom_win_joins_again_with_another_lease() -> None:
    """The Campaign answers OK with a key that no longer exists."""
    c = Campaigning().wait()
    c.answer()
    c.read(None)
    c.rejoin()
    c.open()
    c.answer()
    c.read(c.own(50))
    assert c.won().token == 50


def test_phantom_win_of_a_revoked_lease_is_session_expired() -> None:
    c = Campaigning().wait()
    lease = c.lease
    c.answer()
    c.read(None)
    c.leave()
    c.script.invoke(Method.REVOKE, LEASE_NOT_FOUND)
    error = c.script.raised(errors.SessionExpired)
    assert error.lease_id == lease.lease_id
    assert error.reason is LostReason.SESSION_EXPIRED


def test_second_waiter_who_is_told_ok_goes_on_waiting() -> None:
    c = Campaigning().wait()
    c.answer()
    c.read(c.own(), BEFORE)
    c.script.watch()
    c.incumbent_leaves()
    c.read(c.own())
    c.won()


def test_key_that_was_put_anew_under_the_same_name_is_not_the_one_that_waits() -> None:
    c = Campaigning().wait()
    c.answer()
    c.read(c.own(TOKEN + 5))
    c.rejoin()


def test_key_that_was_put_anew_in_between_two_reads_of_the_queue_is_not_first() -> None:
    """The last read looked at the old place."""
    c = Campaigning(via="service").start()
    c.script.receive()
    c.script.invoke(Method.RANGE, ranged(*NEWER, more=True))
    c.script.invoke(Method.RANGE, ranged(c.own()))
    c.script.invoke(Method.RANGE, ranged(BEFORE))
    c.answer()
    c.read(c.own(TOKEN + 5), BEFORE)
    assert c.script.watch() == {c.key, BEFORE.key}


def test_place_is_found_however_many_have_joined_since() -> None:
    for newer in (ranged(*NEWER, more=True), ranged(NEWER[0], more=True)):
        c = Campaigning().start()
        c.script.receive()
        c.script.invoke(Method.RANGE, newer)
        asked = c.script.invoke(Method.RANGE, ranged(c.own())).request
        assert asked == standing.one(c.key)
        asked = c.script.invoke(Method.RANGE, ranged(c.own(), BEFORE)).request
        assert asked == standing.newest(NAME, up_to=TOKEN)
        assert c.script.watch() == {c.key, BEFORE.key}


def test_key_that_is_not_among_the_few_there_are_does_not_stand() -> None:
    c = Campaigning().start()
    c.script.receive()
    c.script.invoke(Method.RANGE, ranged(*NEWER))
    assert not c.candidate.stood
    c.script.receive()
    c.script.invoke(Method.RANGE, ranged(*NEWER, more=True))
    c.script.invoke(Method.RANGE, ranged())
    assert not c.candidate.stood


def test_first_of_two_is_found_behind_the_one_who_has_joined_since() -> None:
    c = Campaigning().start()
    c.answer()
    c.script.invoke(Method.RANGE, ranged(NEWER[0], c.own()))
    c.won()


def test_key_that_vanished_in_between_two_reads_of_the_queue_is_not_seen() -> None:
    c = Campaigning().start()
    c.script.receive()
    c.script.invoke(Method.RANGE, ranged(*NEWER, more=True))
    c.script.invoke(Method.RANGE, ranged(c.own()))
    c.script.invoke(Method.RANGE, ranged(BEFORE))
    assert not c.candidate.stood
    c.script.expect(Receive)


def test_own_key_under_somebody_elses_lease_does_not_lead() -> None:
    """Proclaim with another lease moves a key; its end would then not be ours to know."""
    c = Campaigning().wait()
    taken = kv(c.key, TOKEN, 40, lease=c.lease.lease_id + 1)
    c.script.receive(KeyPut(taken), after=0.001)
    c.read(taken)
    c.answer()
    c.rejoin()


def test_lease_that_ends_before_the_last_question_is_no_win() -> None:
    c = Campaigning().wait()
    c.answer()
    c.lease.end(LostReason.CLUSTER_CHANGED)
    c.read(c.own())
    c.script.raised(errors.SessionExpired)


def test_lease_that_ends_within_the_last_read_is_no_win() -> None:
    c = Campaigning().wait()
    c.answer()
    assert isinstance(c.script.effect, Invoke)
    c.clock.advance(TTL)
    c.read(c.own())
    c.script.raised(errors.SessionExpired)


def test_win_with_too_little_left_is_renewed_and_read_again_first() -> None:
    c = Campaigning().wait()
    c.clock.advance(TTL - timing.margin(TTL) - timing.enough(TTL) + 0.5)
    c.answer()
    c.read(c.own())
    sent_at = c.clock()
    c.script.invoke(Method.KEEPALIVE, kept(c.lease.lease_id))
    c.read(c.own())
    state = c.won()
    assert state.lease.renewed_at == sent_at
    assert state.remaining() > timing.enough(TTL)


def test_key_that_vanished_during_that_renewal_is_noticed() -> None:
    c = Campaigning().wait()
    c.clock.advance(10)
    c.answer()
    c.read(c.own())
    c.script.invoke(Method.KEEPALIVE, kept(c.lease.lease_id))
    c.read(None)
    c.rejoin()


def test_lease_that_is_gone_at_that_renewal_is_session_expired() -> None:
    c = Campaigning().wait()
    c.clock.advance(10)
    c.answer()
    c.read(c.own())
    c.script.invoke(Method.KEEPALIVE, kept(c.lease.lease_id, ttl=0))
    c.script.raised(errors.SessionExpired)


def test_lease_that_runs_out_during_that_renewal_is_session_expired() -> None:
    c = Campaigning().wait()
    c.clock.advance(10)
    c.answer()
    c.read(c.own())
    c.suffer()
    c.script.raised(errors.SessionExpired)
    assert c.clock() == pytest.approx(START + TTL - timing.margin(TTL), abs=0.1)


def test_campaign_that_runs_out_of_time_during_that_renewal_is_a_timeout() -> None:
    c = Campaigning(timeout=11).wait()
    c.clock.advance(10)
    c.answer()
    c.read(c.own())
    c.suffer()
    c.script.raised(errors.CampaignTimeout)


# Promise 3: nobody waits deaf


def test_key_that_vanished_is_put_again_under_another_lease() -> None:
    c = Campaigning().wait()
    c.script.receive(KeyGone(c.key, 40), after=0.001)
    c.read(None)
    c.rejoin()
    c.open()
    c.answer()
    c.read(c.own(50))
    c.won()


def test_key_that_vanished_with_its_lease_is_session_expired() -> None:
    c = Campaigning().wait()
    c.script.receive(KeyGone(c.key, 40), after=0.001)
    c.read(None)
    c.leave()
    c.script.invoke(Method.REVOKE, LEASE_NOT_FOUND)
    c.script.raised(errors.SessionExpired)


def test_lease_that_is_gone_after_a_lost_answer_was_revoked_by_us() -> None:
    c = Campaigning().wait()
    c.script.receive(KeyGone(c.key, 40), after=0.001)
    c.read(None)
    c.leave()
    c.script.silent(Method.REVOKE)
    c.script.invoke(Method.REVOKE, LEASE_NOT_FOUND)
    c.grant()
    c.open()


def test_watch_that_begins_anew_is_followed_by_a_read() -> None:
    c = Campaigning().wait()
    c.script.receive(WatchBroken(BEFORE.key), after=0.001)
    c.script.receive(WatchStands(BEFORE.key, 60), after=0.001)
    c.read(c.own(), BEFORE, revision=60)
    c.script.watch()


def test_queue_is_read_at_every_beat_though_nothing_is_told() -> None:
    c = Campaigning().wait()
    for _ in range(3):
        c.lease.renewed(sent_at=c.clock(), ttl=TTL)
        assert c.script.receive().seconds <= TTL / 3
        c.read(c.own(), BEFORE)
        c.script.watch()


def test_hanging_election_service_is_left_for_the_queue_itself(
    caplog: pytest.LogCaptureFixture,
) -> None:
    c = Campaigning().wait()
    c.incumbent_leaves()
    c.read(c.own())
    with caplog.at_level(logging.WARNING, "etcd_election"):
        assert c.script.receive().seconds == pytest.approx(timing.TURN_WITHIN)
        c.read(c.own())
        assert c.script.receive().seconds <= timing.SETTLE
    assert "Election service of etcd0:2379 hangs" in caplog.text
    c.rejoin()
    c.join()
    c.won()
    assert c.waits_free()


def test_campaign_stuck_in_raft_is_left_for_another_endpoint() -> None:
    c = Campaigning(endpoints=2)
    c.turn()
    c.grant()
    assert c.open().endpoint == 0
    while isinstance(c.script.effect, (Receive, Invoke)):
        if isinstance(c.script.effect, Receive):
            c.script.receive()
        else:
            c.read(None)
    assert c.clock() == pytest.approx(START + timing.KEY_WITHIN, abs=0.05)
    c.rejoin()
    assert c.open().endpoint == 1


def test_campaign_stuck_on_the_only_endpoint_goes_on_without_the_election_service() -> None:
    """A server that limits the streams of a connection has none left for the call, ever."""
    c = Campaigning()
    c.turn()
    c.grant()
    c.open()
    while isinstance(c.script.effect, (Receive, Invoke)):
        if isinstance(c.script.effect, Receive):
            c.script.receive()
        else:
            c.read(None)
    c.rejoin()
    c.join()
    c.won()


def test_foreign_key_in_front_is_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    c = Campaigning().start()
    c.script.receive()
    with caplog.at_level(logging.WARNING, "etcd_election"):
        c.read(c.own(), kv(b"jobs/sub/1", 5))
    assert "b'jobs/sub/1'" in caplog.text
    c.script.expect(Watch)


# Promise 4: nothing is left behind, nothing thrown away


@pytest.mark.parametrize(
    "reply",
    [
        SILENCE,
        REFUSED_CONNECTION,
        Failure("UNAVAILABLE", "Socket closed"),
        Failure("CANCELLED", ""),
    ],
)
def test_call_that_broke_off_is_followed_by_another_lease(reply: Failure) -> None:
    """The server's clean-up after it would delete the key of the next."""
    c = Campaigning().wait()
    c.script.receive(Ended(reply), after=0.001)
    c.rejoin()
    c.open()
    c.answer()
    c.read(c.own(50))
    c.won()


def test_broken_call_of_a_dead_lease_is_session_expired_without_another_call() -> None:
    c = Campaigning().wait()
    c.clock.advance(TTL)
    c.script.receive(Ended(SILENCE))
    c.script.raised(errors.SessionExpired)


def test_lease_that_cannot_be_revoked_is_not_replaced_while_it_lives() -> None:
    c = Campaigning().wait()
    c.script.receive(Ended(SILENCE), after=0.001)
    c.leave()
    c.suffer()
    c.script.raised(errors.SessionExpired)
    assert c.clock() == pytest.approx(START + TTL - timing.margin(TTL), abs=0.1)
    assert c.session.drop_tainted()
    assert len(c.host.retired) == 1


def test_campaign_that_runs_out_of_time_while_revoking_is_a_timeout() -> None:
    c = Campaigning(timeout=2).wait()
    c.script.receive(Ended(SILENCE), after=0.001)
    c.leave()
    c.suffer()
    c.script.raised(errors.CampaignTimeout)
    assert c.clock() == pytest.approx(START + 2, abs=0.1)


def test_broken_call_before_the_key_stood_is_unavailable_when_nobody_answers() -> None:
    c = Campaigning().start()
    c.script.receive(Ended(SILENCE), after=0.001)
    c.leave()
    c.suffer()
    c.script.raised(errors.Unavailable)
    assert c.clock() == pytest.approx(START + 5, abs=0.1)


def test_short_lease_that_runs_out_while_it_is_revoked_is_session_expired() -> None:
    """Also before the key stood: what ended is the session, whoever answers."""
    c = Campaigning(patience=60).start()
    c.script.receive(Ended(SILENCE), after=0.001)
    c.leave()
    c.suffer()
    c.script.raised(errors.SessionExpired)
    assert c.clock() == pytest.approx(START + TTL - timing.margin(TTL), abs=0.1)


def test_cluster_that_changed_before_the_key_stood_is_session_expired() -> None:
    c = Campaigning().start()
    c.answer()
    c.read(None, revision=3, cluster=2)
    c.leave()
    c.script.raised(errors.SessionExpired)


def test_revoke_that_etcd_refuses_ends_the_campaign() -> None:
    c = Campaigning().wait()
    c.script.receive(Ended(SILENCE), after=0.001)
    c.leave()
    c.script.invoke(Method.REVOKE, DENIED)
    c.script.raised(errors.PermissionDenied)
    assert c.session.drop_tainted()


@pytest.mark.parametrize(
    "reply",
    [COMPACTED, TOKEN_REFUSED, Failure("UNKNOWN", "etcdserver: too many requests")],
    ids=["compaction", "token", "busy"],
)
def test_error_that_the_server_answered_costs_no_place_in_the_queue(reply: Failure) -> None:
    c = Campaigning().wait()
    lease = c.lease
    c.script.receive(Ended(reply), after=0.001)
    c.read(c.own(), BEFORE)
    c.script.watch()
    c.incumbent_leaves()
    c.read(c.own())
    assert c.won().lease is lease
    assert c.candidate.clean


def test_error_that_the_server_answered_before_the_key_stood_joins_again() -> None:
    c = Campaigning().start()
    c.script.receive(Ended(TOKEN_REFUSED), after=0.001)
    c.read(None)
    c.rejoin()
    c.open()


ELECTION_DENIED = Failure("UNKNOWN", "etcdserver: permission denied")


def test_refusal_for_good_ends_the_campaign_and_leaves_no_key() -> None:
    """A candidate refused with permission denied leaves its key on the server."""
    c = Campaigning().start()
    lease = c.lease
    c.script.receive(Ended(ELECTION_DENIED), after=0.001)
    c.read(None)
    c.script.raised(errors.PermissionDenied)
    assert c.session.drop_tainted()
    assert c.host.retired == [lease]


def test_candidate_whose_key_stands_is_not_refused_for_another_users_fault() -> None:
    """Of two users who wait on one member, one is told that it has no permission (issue 17502)."""
    c = Campaigning().wait()
    c.script.receive(Ended(ELECTION_DENIED), after=0.001)
    c.read(c.own(), BEFORE)
    assert c.script.watch() == {c.key, BEFORE.key}
    c.incumbent_leaves()
    c.read(c.own())
    c.won()


def test_blocked_call_keeps_its_own_token_alive_on_its_own_member() -> None:
    """A simple token lives by use; with a newer one in use elsewhere, the call's would run out."""
    c = Campaigning(credentials=("root", "secret"))
    c.turn()
    c.script.invoke(Method.AUTHENTICATE, authenticated("old"))
    c.grant()
    opened = c.open()
    c.script.receive()
    c.read(c.own(), BEFORE)
    c.script.watch()
    c.link.tokens.refused(1)
    c.link.tokens.begin()
    c.link.tokens.renewed("new")
    c.script.receive()
    used = c.script.invoke(Method.RANGE, TOKEN_REFUSED)
    assert (used.endpoint, used.metadata) == (opened.endpoint, opened.metadata)
    assert ("token", "old") in used.metadata
    assert used.request.serializable  # type: ignore[attr-defined]
    c.read(c.own(), BEFORE)


def test_grant_whose_answer_was_lost_is_ours_and_renewed() -> None:
    c = Campaigning()
    c.turn()
    c.script.silent(Method.GRANT)
    c.script.invoke(Method.GRANT, LEASE_EXISTS)
    c.script.invoke(Method.KEEPALIVE, kept(c.lease.lease_id))
    c.open()
    c.answer()
    c.read(c.own())
    c.won()


def test_grant_of_unknown_outcome_is_revoked_in_the_background() -> None:
    c = Campaigning()
    c.turn()
    c.suffer()
    c.script.raised(errors.Unavailable)
    lease = c.lease
    assert c.session.drop_tainted()
    assert c.host.retired == [lease]


def test_grant_that_never_left_leaves_nothing_to_revoke() -> None:
    c = Campaigning()
    c.turn()
    while c.script.effect is not None:
        if isinstance(c.script.effect, Invoke):
            c.script.invoke(Method.GRANT, REFUSED_CONNECTION)
        else:
            c.script.sleep()
    c.script.raised(errors.Unavailable)
    assert c.session.lease is None
    assert not c.session.drop_tainted()


def test_lease_granted_by_another_cluster_than_before_is_granted_again() -> None:
    """Its own answer showed the change, which ends all leases."""
    c = Campaigning()
    c.link.new_lease()
    c.turn()
    c.link.saw(ranged(cluster=1).header, floor=None)
    c.grant(cluster=2)
    c.grant(cluster=2)
    assert c.lease.alive
    assert len(c.host.retired) == 1
    c.open()


def test_change_of_cluster_while_waiting_is_session_expired() -> None:
    c = Campaigning().wait()
    c.script.receive(KeyGone(BEFORE.key, 40), after=0.001)
    c.read(c.own(), revision=3, cluster=2)
    c.answer()
    c.script.raised(errors.SessionExpired)


# The lease: taken up, used again, replaced


def leased(*, age: float, tainted: bool = False) -> Campaigning:
    """A client with a lease from an earlier campaign."""
    c = Campaigning()
    lease = c.link.new_lease()
    lease.renewed(sent_at=START, ttl=TTL)
    lease.tainted = tainted
    c.session.adopt(lease)
    c.clock.advance(age)
    c.turn()
    return c


def test_lease_of_the_last_campaign_is_used_again_without_a_call() -> None:
    c = leased(age=1)
    c.open()
    c.answer()
    c.read(c.own())
    c.won()


def test_lease_with_little_left_is_renewed_first() -> None:
    c = leased(age=9)
    c.script.invoke(Method.KEEPALIVE, kept(c.lease.lease_id))
    c.open()


def test_session_whose_death_only_this_campaign_brings_to_light_is_replaced() -> None:
    c = leased(age=9)
    lease = c.lease
    c.script.invoke(Method.KEEPALIVE, kept(lease.lease_id, ttl=0))
    assert c.host.retired == [lease]
    c.grant()
    c.open()


def test_dead_session_is_replaced_first() -> None:
    c = leased(age=60)
    c.grant()
    c.open()


def test_lease_that_may_still_be_written_under_is_never_used_again() -> None:
    c = leased(age=1, tainted=True)
    assert len(c.host.retired) == 1
    c.grant()
    c.open()


def test_lease_that_etcd_forgot_is_replaced_once() -> None:
    c = leased(age=1)
    old = c.lease
    c.open()
    c.script.receive(Ended(LEASE_NOT_FOUND), after=0.001)
    c.leave()
    c.grant()
    assert c.lease is not old
    c.open()
    c.script.receive(Ended(LEASE_NOT_FOUND), after=0.001)
    c.script.raised(errors.SessionExpired)


def test_lease_that_etcd_forgot_is_replaced_once_without_the_election_service() -> None:
    c = leased(age=1)
    c.candidate.via = "kv"
    old = c.lease
    # The plan stands at its Open already: let it begin anew.
    c.script.close()
    c.lease.tainted = False
    c.begin(via="kv")
    c.turn()
    c.script.invoke(Method.TXN, LEASE_NOT_FOUND)
    c.leave()
    c.grant()
    assert c.lease is not old
    c.script.invoke(Method.TXN, LEASE_NOT_FOUND)
    c.script.raised(errors.SessionExpired)


def test_lease_of_a_predecessor_is_taken_up() -> None:
    c = Campaigning(resume=0xABC, via="kv")
    c.turn()
    c.script.invoke(Method.KEEPALIVE, kept(0xABC))
    assert c.host.kept == [c.lease]
    assert c.key == b"jobs/abc"
    c.join()
    c.won()
    assert c.session.resume is None


def test_place_of_a_predecessor_is_kept_and_given_our_value() -> None:
    c = Campaigning(resume=0xABC, via="kv")
    c.turn()
    c.script.invoke(Method.KEEPALIVE, kept(0xABC))
    left = c.own(value=b"predecessor")
    c.script.invoke(Method.TXN, txn([left], succeeded=False))
    put = c.script.invoke(Method.TXN, txn(None)).request
    assert isinstance(put, rpc_pb2.TxnRequest)
    assert list(put.compare) == [standing.created_at(c.key, TOKEN)]
    (op,) = put.success
    assert op.request_put == rpc_pb2.PutRequest(key=c.key, value=VALUE, ignore_lease=True)
    assert not c.candidate.settled, "our value may still be written"
    c.read(c.own(), BEFORE)
    assert c.script.watch() == {c.key, BEFORE.key}
    assert c.candidate.settled
    c.incumbent_leaves()
    c.read(c.own())
    assert c.won().token == TOKEN


def test_place_that_vanished_while_it_was_taken_over_is_not_believed_in() -> None:
    c = Campaigning(resume=0xABC, via="kv")
    c.turn()
    c.script.invoke(Method.KEEPALIVE, kept(0xABC))
    c.script.invoke(Method.TXN, txn([c.own()], succeeded=False))
    c.script.invoke(Method.TXN, txn(succeeded=False))
    c.read(None)
    assert not c.candidate.settled
    c.rejoin()


def test_place_that_is_given_up_for_another_is_left_to_nobody() -> None:
    c = Campaigning(via="kv")
    c.turn()
    c.grant()
    c.join(BEFORE)
    c.script.watch()
    c.script.receive(KeyGone(c.key, 99))
    c.read(None)
    c.script.shut()
    assert not c.candidate.settled


def test_unknown_lease_of_a_predecessor_is_session_expired_and_then_replaced() -> None:
    c = Campaigning(resume=0xABC)
    c.turn()
    c.script.invoke(Method.KEEPALIVE, kept(0xABC, ttl=0))
    assert c.script.raised(errors.SessionExpired).lease_id == 0xABC
    c.begin()
    c.start()


def test_time_that_is_up_after_a_predecessors_lease_was_taken_up_is_a_timeout() -> None:
    c = Campaigning(resume=0xABC, timeout=2)
    c.turn()
    c.script.invoke(Method.KEEPALIVE, kept(0xABC))
    c.open()
    c.script.receive()
    c.suffer()
    c.script.raised(errors.CampaignTimeout)


def test_lease_of_a_predecessor_is_not_given_up_because_nobody_answers() -> None:
    c = Campaigning(resume=0xABC)
    c.turn()
    c.suffer()
    c.script.raised(errors.Unavailable)
    assert c.session.resume == 0xABC


# Without the Election service


def test_queue_alone_elects_in_one_round_trip() -> None:
    c = Campaigning(via="kv")
    c.turn()
    c.grant()
    c.join()
    c.won()
    assert [call.method for call in c.script.calls] == [Method.GRANT, Method.TXN]
    assert c.candidate.clean


def test_queue_alone_is_waited_in_by_watch() -> None:
    c = Campaigning(via="kv")
    c.turn()
    c.grant()
    c.join(BEFORE)
    assert c.script.watch() == {c.key, BEFORE.key}
    c.incumbent_leaves()
    c.read(c.own())
    c.won()


def test_queue_alone_is_waited_in_through_an_outage_that_the_lease_survives() -> None:
    c = Campaigning(via="kv")
    c.turn()
    c.grant()
    c.join(BEFORE)
    c.script.watch()
    c.clock.advance(6)
    c.script.receive(WatchBroken(BEFORE.key))
    c.lease.renewed(sent_at=c.clock(), ttl=TTL)
    for _ in range(5):
        c.script.silent(Method.RANGE)
    c.read(c.own(), revision=60)
    c.won()


def test_key_whose_joining_was_sent_twice_taints_its_lease_for_good() -> None:
    """The first one may land when the key is gone again."""
    c = Campaigning(via="kv")
    c.turn()
    c.grant()
    c.script.silent(Method.TXN)
    c.join()
    c.won()
    assert not c.candidate.clean


def test_joining_that_etcd_refuses_ends_the_campaign() -> None:
    c = Campaigning(via="kv")
    c.turn()
    c.grant()
    c.script.invoke(Method.TXN, Failure("INVALID_ARGUMENT", "etcdserver: request is too large"))
    c.script.raised(errors.ValueTooLarge)
    assert c.session.drop_tainted()


def test_joining_that_brings_nothing_back_is_no_win() -> None:
    c = Campaigning(via="kv")
    c.turn()
    c.grant()
    c.script.invoke(Method.TXN, txn(None, []))
    c.rejoin()


def test_members_election_service_is_not_filled_until_it_deadlocks() -> None:
    c = Campaigning()
    for _ in range(timing.MAX_WAITS):
        c.link.waits.take(0)
    c.turn()
    c.grant()
    c.join(BEFORE)
    c.script.watch()
    c.incumbent_leaves()
    c.read(c.own())
    c.won()


# Time


def test_nobody_answers_before_the_key_stands_is_unavailable() -> None:
    c = Campaigning().start()
    c.script.receive()
    c.suffer()
    error = c.script.raised(errors.Unavailable)
    assert c.clock() == pytest.approx(START + 5, abs=0.1)
    assert error.attempts == ("etcd0:2379: Deadline Exceeded",)
    assert c.session.drop_tainted()


def test_less_time_than_one_attempt_takes_says_nothing_about_etcd() -> None:
    c = Campaigning(timeout=0.01)
    c.turn()
    c.script.silent(Method.GRANT)
    c.script.sleep()
    c.script.raised(errors.CampaignTimeout)


def test_hardly_any_time_left_when_the_turn_comes_says_nothing_about_etcd() -> None:
    c = Campaigning(timeout=5.0)
    c.turn(after=4.99)
    c.script.silent(Method.GRANT)
    c.script.sleep()
    c.script.raised(errors.CampaignTimeout)


def test_time_for_an_attempt_and_no_answer_is_unavailable() -> None:
    c = Campaigning(timeout=0.3)
    c.turn()
    c.script.silent(Method.GRANT)
    c.script.raised(errors.Unavailable)


def test_an_endpoint_that_cannot_be_reached_is_unavailable_in_any_time() -> None:
    c = Campaigning(timeout=0.01)
    c.turn()
    c.script.invoke(Method.GRANT, REFUSED_CONNECTION)
    c.script.sleep()
    c.script.raised(errors.Unavailable)


def test_campaign_held_up_by_thousands_of_others_that_etcd_answers_is_not_unavailable() -> None:
    c = Campaigning(via="kv", patience=5.0)
    c.turn()
    effect = c.script.expect(Invoke)
    c.clock.advance(20.0)
    effect.sent_at = c.clock()
    c.link.gate.held_up += 20.0
    c.grant()
    c.join()
    c.won()


def test_beat_of_a_candidate_stands_aside_and_its_turn_does_not() -> None:
    c = Campaigning().wait()
    c.script.receive()
    assert c.script.expect(Invoke).beat
    c.read(c.own(), BEFORE)
    assert c.script.watch() == {c.key, BEFORE.key}
    c.incumbent_leaves()
    assert not c.script.expect(Invoke).beat


def test_no_key_within_the_connections_timeout_is_unavailable() -> None:
    c = Campaigning(patience=0.5).start()
    while c.script.effect is not None:
        if isinstance(c.script.effect, Receive):
            c.script.receive()
        else:
            c.read(None)
    assert "no key stands" in str(c.script.raised(errors.Unavailable))
    assert c.clock() == pytest.approx(START + 0.5, abs=0.1)


def test_before_its_key_stands_a_campaign_ends_at_once_where_no_secure_connection_can_be_made() -> (
    None
):
    c = Campaigning()
    c.turn()
    c.script.invoke(Method.GRANT, WRONG_CA)
    c.script.raised(errors.Unavailable)
    assert c.clock() == pytest.approx(START, abs=0.1)


def test_candidate_that_waits_or_joins_again_endures_that_as_any_outage() -> None:
    c = Campaigning().wait()
    c.script.receive()
    for _ in range(3):
        c.script.invoke(Method.RANGE, WRONG_CA)
        c.script.sleep()
    c.read(c.own(), BEFORE)
    c.script.watch()
    c.script.receive(Ended(SILENCE), after=0.001)
    c.leave()
    for method, answer in ((Method.REVOKE, revoked()), (Method.GRANT, None)):
        c.script.invoke(method, WRONG_CA)
        c.script.sleep()
        if answer is not None:
            c.script.invoke(method, answer)
    c.grant()
    c.open()
    c.script.receive()
    c.script.invoke(Method.RANGE, WRONG_CA)
    c.script.sleep()
    c.read(c.own(60))
    c.answer()
    assert c.won().token == 60


def test_key_that_stands_waits_through_an_outage_that_the_lease_survives() -> None:
    c = Campaigning().wait()
    for _ in range(4):
        c.lease.renewed(sent_at=c.clock(), ttl=TTL)
        c.script.receive()
        c.lease.renewed(sent_at=c.clock(), ttl=TTL)
        for _ in range(5):
            # Not one answer, for longer than the connection's timeout.
            c.script.silent(Method.RANGE)
        c.lease.renewed(sent_at=c.clock(), ttl=TTL)
        c.read(c.own(), BEFORE)
        c.script.watch()
    assert c.clock() > START + 30
    c.incumbent_leaves()
    c.read(c.own())
    c.answer()
    c.won()


def test_read_that_failed_for_too_long_is_given_up_and_the_wait_goes_on() -> None:
    c = Campaigning().wait()
    c.script.receive()
    deadline = c.clock() + c.lease.remaining()
    while isinstance(c.script.effect, (Invoke, Sleep)):
        # Renewed in the background, on another connection.
        c.lease.renewed(sent_at=c.clock(), ttl=TTL)
        c.suffer() if isinstance(c.script.effect, Sleep) else c.script.silent(Method.RANGE)
    assert c.clock() == pytest.approx(deadline, abs=0.1)
    assert c.script.expect(Receive).seconds <= TTL / 3
    c.script.receive()
    c.read(c.own(), BEFORE)


def test_outage_that_the_lease_does_not_survive_is_session_expired() -> None:
    c = Campaigning().wait()
    c.script.receive()
    c.suffer()
    c.script.raised(errors.SessionExpired)
    assert c.clock() == pytest.approx(START + TTL - timing.margin(TTL), abs=0.1)


def test_read_outlasting_the_campaigns_time_is_a_timeout() -> None:
    c = Campaigning(timeout=6).wait()
    c.script.receive()
    c.suffer()
    c.script.raised(errors.CampaignTimeout)
    assert c.clock() == pytest.approx(START + 6, abs=0.1)


def test_end_of_the_lease_ends_the_wait_at_once() -> None:
    c = Campaigning().wait()
    c.lease.renewed(sent_at=START, ttl=0)
    assert c.told == [LeaseEnded()]
    c.script.receive(LeaseEnded())
    c.script.raised(errors.SessionExpired)


def test_end_of_an_earlier_lease_means_nothing() -> None:
    c = Campaigning().wait()
    c.script.receive(LeaseEnded())
    c.script.expect(Receive)


def test_deadline_of_the_lease_ends_the_wait_though_nobody_tells() -> None:
    c = Campaigning().wait()
    c.clock.advance(10)
    c.script.receive(WatchBroken(c.key))
    c.read(c.own(), BEFORE)
    c.script.watch()
    assert c.script.receive().seconds == pytest.approx(3.5, abs=0.1)
    c.script.raised(errors.SessionExpired)


def test_campaign_gives_up_when_its_time_is_up() -> None:
    c = Campaigning(timeout=2).wait()
    c.script.receive()
    assert "within 2 s" in str(c.script.raised(errors.CampaignTimeout))
    assert c.clock() == pytest.approx(START + 2, abs=0.01)
    assert c.session.drop_tainted()


def test_time_that_is_up_between_two_candidacies_is_a_timeout() -> None:
    c = Campaigning(timeout=2).wait()
    c.clock.advance(1.9)
    c.script.receive(Ended(SILENCE), after=0.0)
    c.leave()
    c.script.invoke(Method.REVOKE, revoked(), took=0.07)
    c.script.invoke(Method.GRANT, SILENCE, took=0.005)
    while c.script.effect is not None:
        c.suffer()
    c.script.raised(errors.CampaignTimeout)


def test_time_that_is_up_when_the_lease_is_revoked_grants_no_other() -> None:
    c = Campaigning(timeout=2).wait()
    c.clock.advance(1.8)
    c.script.receive(Ended(SILENCE), after=0.0)
    c.leave()
    wait = c.script.expect(Invoke).timeout
    c.clock.advance(1.0)
    c.script.invoke(Method.REVOKE, revoked(), took=wait / 2)
    c.script.raised(errors.CampaignTimeout)


def test_time_that_was_up_before_etcd_ever_answered_is_unavailable() -> None:
    """That says more than that nobody won."""
    c = Campaigning(timeout=1)
    c.turn()
    c.suffer()
    c.script.raised(errors.Unavailable)
    assert c.clock() == pytest.approx(START + 1, abs=0.1)


def test_time_that_was_up_after_etcd_had_answered_is_a_timeout() -> None:
    c = Campaigning(timeout=2).start()
    c.script.receive()
    c.suffer()
    c.script.raised(errors.CampaignTimeout)
    assert c.clock() == pytest.approx(START + 2, abs=0.1)


def test_candidate_that_cannot_join_again_is_unavailable_though_its_lease_lives() -> None:
    c = Campaigning().wait()
    c.script.receive(Ended(SILENCE), after=0.001)
    c.rejoin()
    c.open()
    c.lease.renewed(sent_at=c.clock(), ttl=60)
    left_at = c.clock()
    c.script.receive()
    c.suffer()
    c.script.raised(errors.Unavailable)
    assert c.clock() == pytest.approx(left_at + TTL, abs=0.1)


# timeout=0: elected at once or not at all


def test_without_time_an_election_that_somebody_leads_is_not_even_joined() -> None:
    c = Campaigning(timeout=0)
    c.turn()
    request = c.script.invoke(Method.RANGE, ranged(BEFORE)).request
    assert request == standing.queue(NAME, limit=1, keys_only=True)
    assert "at once" in str(c.script.raised(errors.CampaignTimeout))
    assert c.session.lease is None


@pytest.mark.parametrize("via", ["service", "kv"])
def test_without_time_an_election_that_nobody_leads_is_won(via: str) -> None:
    c = Campaigning(timeout=0, via=via)
    c.turn()
    c.script.invoke(Method.RANGE, ranged())
    c.grant()
    if via == "kv":
        c.join()
    else:
        c.open()
        c.answer()
        c.read(c.own())
    c.won()


@pytest.mark.parametrize("via", ["service", "kv"])
def test_without_time_a_lost_race_is_a_timeout_and_leaves_no_key(via: str) -> None:
    c = Campaigning(timeout=0, via=via)
    c.turn()
    c.script.invoke(Method.RANGE, ranged())
    c.grant()
    if via == "kv":
        c.join(BEFORE)
    else:
        c.open()
        c.script.receive()
        c.read(c.own(), BEFORE)
    c.script.raised(errors.CampaignTimeout)
    assert c.session.drop_tainted()


def test_without_time_the_own_place_is_not_taken_for_anothers() -> None:
    c = Campaigning(timeout=0, resume=0xABC)
    c.turn()
    c.script.invoke(Method.RANGE, ranged(kv(b"jobs/abc", 5, lease=0xABC)))
    c.script.invoke(Method.KEEPALIVE, kept(0xABC))
    c.open()


def test_without_time_the_own_key_of_the_last_campaign_is_not_taken_for_anothers() -> None:
    c = leased(age=1)
    c.script.close()
    c.lease.tainted = False
    c.begin(timeout=0)
    c.turn()
    c.script.invoke(Method.RANGE, ranged(c.own()))
    c.open()


def test_without_time_nobody_waits_for_an_earlier_campaign() -> None:
    c = Campaigning(timeout=0)
    assert c.script.receive().seconds == 0
    c.script.raised(errors.CampaignTimeout)


def test_without_time_the_connections_timeout_holds_for_reaching_etcd() -> None:
    c = Campaigning(timeout=0)
    c.turn()
    c.suffer()
    c.script.raised(errors.Unavailable)
    assert c.clock() == pytest.approx(START + 5, abs=0.1)


# The turn, and a client that leads already


def test_no_connection_is_made_to_a_name_whose_addresses_are_about_to_be_known() -> None:
    c = Campaigning(hosts=["etcd0"])
    c.script.receive(Word.TURN)
    c.script.aside(LookUp())
    c.link.found("etcd0", ["10.0.0.1"])
    c.link.names.ended()
    c.script.sleep()
    c.grant()
    c.open()


def test_campaign_waits_for_the_one_before_it_and_its_own_time_starts_then() -> None:
    c = Campaigning()
    c.script.receive()
    c.script.receive(LeaseEnded(), after=100)
    c.turn(after=10)
    c.suffer()
    asked_at = c.clock()
    c.script.raised(errors.Unavailable)
    assert asked_at == pytest.approx(START + 60 + 100 + 10 + 5, abs=0.1)


def test_campaign_that_waits_for_its_turn_gives_up_in_time() -> None:
    c = Campaigning(timeout=3)
    c.script.receive()
    c.script.receive()
    c.script.raised(errors.CampaignTimeout)
    assert c.clock() == pytest.approx(START + 3, abs=0.01)
    assert c.script.calls == []


def test_waiting_for_the_turn_ends_with_a_word() -> None:
    c = Campaigning()
    script = Script(wait_turn(c.link, START + 5), c.clock)
    script.receive(Word.CLOSED)
    assert script.raised(Interrupted).word is Word.CLOSED


def elected(c: Campaigning) -> LeadershipState:
    """This client leads, and campaigns again."""
    c.start()
    c.answer()
    c.read(c.own())
    c.leading = c.won()
    c.lease.tainted = not c.candidate.clean
    c.begin()
    c.turn()
    return c.leading


def test_campaign_while_leading_proclaims_and_keeps_the_leadership() -> None:
    c = Campaigning()
    state = elected(c)
    c.script.invoke(Method.PROCLAIM, proclaimed(50))
    assert c.script.returned() is state


def test_campaign_that_finds_its_leadership_gone_joins_with_another_lease() -> None:
    c = Campaigning()
    state = elected(c)
    c.script.invoke(Method.PROCLAIM, NOT_LEADER)
    assert state.lost is LostReason.KEY_DELETED
    c.connect()
    c.grant()
    assert c.lease is not state.lease
    assert c.host.retired == [state.lease]
    c.open()


def test_campaign_after_a_lost_leadership_joins_with_another_lease() -> None:
    c = Campaigning()
    state = elected(c)
    c.script.close()
    state.end(LostReason.TAKEN_OVER)
    c.begin()
    c.turn()
    c.grant()
    assert c.lease is not state.lease


def test_campaign_after_a_resigned_leadership_uses_its_lease_again() -> None:
    c = Campaigning()
    state = elected(c)
    c.script.close()
    state.end(LostReason.RESIGNED)
    state.key_left = False
    c.begin()
    c.turn()
    c.open()
    assert c.lease is state.lease


def test_campaign_while_a_resign_is_under_way_takes_another_lease() -> None:
    c = Campaigning()
    state = elected(c)
    c.script.close()
    state.end(LostReason.RESIGNED)
    c.begin()
    c.turn()
    assert c.host.retired == [state.lease], "the Resign would remove the key of this campaign"
    c.grant()
    c.open()
    assert c.lease is not state.lease


def test_proclamation_of_unknown_outcome_is_an_error_and_the_leadership_stays() -> None:
    c = Campaigning()
    state = elected(c)
    c.script.invoke(Method.PROCLAIM, SILENCE)
    assert c.script.raised(errors.Unavailable).maybe_applied
    assert state.held


# Words and the end of a plan, wherever it stands

Step = Callable[[Campaigning], object]

LONG_WAY: tuple[Step, ...] = (
    Campaigning.turn,
    lambda c: c.script.invoke(Method.GRANT, REFUSED_CONNECTION),
    lambda c: c.script.sleep(),
    Campaigning.grant,
    Campaigning.open,
    lambda c: c.script.receive(),
    lambda c: c.script.invoke(Method.RANGE, ranged(*NEWER, more=True)),
    lambda c: c.script.invoke(Method.RANGE, ranged(c.own())),
    lambda c: c.script.invoke(Method.RANGE, ranged(c.own(), BEFORE)),
    lambda c: c.script.watch(),
    Campaigning.incumbent_leaves,
    lambda c: c.script.invoke(Method.RANGE, REFUSED_CONNECTION),
    lambda c: c.script.sleep(),
    lambda c: c.script.invoke(Method.RANGE, ranged(c.own())),
    lambda c: c.script.receive(),
    lambda c: c.script.invoke(Method.RANGE, ranged(c.own())),
    lambda c: c.script.receive(),  # ... and the Election service hangs
    lambda c: c.script.shut(),
    lambda c: c.script.watch(),
    lambda c: c.script.invoke(Method.REVOKE, revoked()),
    Campaigning.grant,
    lambda c: c.join(BEFORE),
    lambda c: c.script.watch(),
    Campaigning.incumbent_leaves,
    lambda c: c.read(c.own()),
    Campaigning.won,
)
OPENED, JOINED = LONG_WAY.index(Campaigning.open), 19


def on_the_way(steps: int) -> Campaigning:
    c = Campaigning()
    for step in LONG_WAY[:steps]:
        step(c)
    return c


def test_long_way_ends_in_a_leadership() -> None:
    assert on_the_way(len(LONG_WAY)).candidate.clean


def nothing_is_left(c: Campaigning, steps: int) -> None:
    """What may be left on the server is known, and dropped by the front-end."""
    assert c.waits_free()
    lease = c.session.lease
    if lease is not None:
        lease.end(LostReason.CLOSED)
    assert c.told == [], "nobody listens any more"
    if lease is not None and (lease.ttl == 0 or OPENED <= steps < 17 or steps > JOINED):
        assert c.session.drop_tainted()
        assert c.host.retired == [lease]


@pytest.mark.parametrize(
    ("word", "kind"),
    [(Word.CANCELLED, errors.CampaignCancelled), (Word.CLOSED, errors.ClientClosed)],
    ids=["cancelled", "closed"],
)
@pytest.mark.parametrize("steps", range(len(LONG_WAY) - 1))
def test_word_ends_the_campaign_wherever_it_waits(
    steps: int, word: Word, kind: type[errors.ElectionError]
) -> None:
    c = on_the_way(steps)
    if isinstance(c.script.effect, Receive):
        c.script.receive(word)
    elif isinstance(c.script.effect, Sleep):
        c.script.sleep(word)
    elif isinstance(c.script.effect, Invoke):
        c.script.invoke(c.script.effect.method, word)
    else:
        # These are done at once: a word waits for the next wait.
        assert isinstance(c.script.effect, (Open, Shut, Watch))
        return
    c.script.raised(kind)
    nothing_is_left(c, steps)


@pytest.mark.parametrize("steps", range(len(LONG_WAY) - 1))
def test_plan_that_is_given_up_anywhere_leaves_nothing_unknown(steps: int) -> None:
    """By Ctrl-C or a cancelled task."""
    c = on_the_way(steps)
    c.script.close()
    nothing_is_left(c, steps)


# What a campaign works on


def test_session_without_a_lease_has_nothing_to_drop() -> None:
    c = Campaigning()
    c.session.drop()
    assert not c.session.drop_tainted()
    assert c.host.retired == []


def test_clean_lease_is_kept_for_the_next_campaign() -> None:
    c = leased(age=1)
    c.script.close()
    c.lease.tainted = False
    assert not c.session.drop_tainted()
    assert c.session.lease is not None


def test_lease_in_use_cannot_be_taken_up_by_another_client_of_the_connection() -> None:
    c = leased(age=1)
    number = c.lease.lease_id
    assert not c.link.claim(number)
    c.session.drop()
    assert c.link.claim(number)


def test_lease_that_was_revoked_is_not_in_use_any_more() -> None:
    c = Campaigning().wait()
    number = c.lease.lease_id
    c.script.receive(Ended(SILENCE), after=0.001)
    c.rejoin()
    assert c.link.claim(number)

"""What a leader does: notice its loss, proclaim, write under its guard, leave nothing behind."""

from __future__ import annotations

import logging

import pytest

from etcd_election import errors
from etcd_election._core import standing, timing
from etcd_election._core.effects import (
    Failure,
    Invoke,
    KeyGone,
    KeyPut,
    Receive,
    Sleep,
    WatchBroken,
    WatchStands,
    Word,
)
from etcd_election._core.leadership import LeadershipState
from etcd_election._core.link import Link
from etcd_election._core.method import Method
from etcd_election._core.plans import leading
from etcd_election.pb import kv_pb2, rpc_pb2, v3election_pb2
from etcd_election.types import LostReason

from .support import (
    DENIED,
    NAME,
    REFUSED_CONNECTION,
    SILENCE,
    START,
    FakeClock,
    FakeHost,
    Script,
    kv,
    make_link,
    proclaimed,
    ranged,
    resigned,
    steady,
    txn,
)

ID = 0xABC
KEY = b"jobs/abc"
TOKEN = 20
READ_AT = 25
"""Others have joined the queue since."""
TTL = 15
BEAT = TTL / 3
OWN = kv(KEY, TOKEN, lease=ID)
NOT_LEADER = Failure("UNKNOWN", "election: not leader")


class Leading:
    """A leader, its connection, its background."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.link: Link = make_link(self.clock, random=steady())
        self.link.ring.worked(0, START)
        self.host = FakeHost()
        lease = self.link.new_lease(ID)
        lease.renewed(sent_at=START, ttl=TTL)
        self.lease = lease
        self.state = LeadershipState(
            name=NAME,
            key=KEY,
            token=TOKEN,
            value=b"me",
            mod_revision=TOKEN,
            lease=lease,
            read_at=READ_AT,
        )

    def watch_over(self) -> Script[None]:
        script = Script(leading.watch_over(self.link, self.host, self.state), self.clock)
        script.receive(after=timing.SHORT_TERM)
        assert script.watch() == {KEY}
        return script

    def proclaim(self, value: bytes = b"new", *, seconds: float = 5) -> Script[None]:
        deadline = self.clock() + seconds
        return Script(leading.proclaim(self.link, self.state, value, deadline=deadline), self.clock)

    def resign(self) -> Script[None]:
        self.state.end(LostReason.RESIGNED)
        deadline = self.clock() + 5
        return Script(
            leading.resign(self.link, self.host, self.state, deadline=deadline), self.clock
        )


@pytest.fixture
def leader() -> Leading:
    return Leading()


def test_deleted_key_ends_leadership_at_once_and_its_lease_is_retired(leader: Leading) -> None:
    script = leader.watch_over()
    script.heard(KeyGone(KEY, TOKEN + 5))
    script.returned()
    assert leader.state.lost is LostReason.KEY_DELETED
    assert leader.host.retired == [leader.lease]


def test_end_of_an_earlier_key_of_the_same_name_is_not_ours(leader: Leading) -> None:
    """The same lease led before: the watch may still tell of it."""
    script = leader.watch_over()
    script.unheard(KeyGone(KEY, TOKEN - 1))
    script.unheard(KeyPut(kv(KEY, TOKEN - 10, TOKEN - 5, lease=ID)))
    script.unheard(KeyPut(OWN))


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (kv(KEY, TOKEN, 30, value=b"theirs", lease=ID), LostReason.TAKEN_OVER),
        (kv(KEY, TOKEN, 30, lease=ID + 1), LostReason.TAKEN_OVER),
        (kv(KEY, 30, lease=ID), LostReason.KEY_DELETED),
    ],
    ids=["other value", "other lease", "put anew"],
)
def test_key_written_by_others_ends_leadership_at_once(
    leader: Leading, written: kv_pb2.KeyValue, reason: LostReason
) -> None:
    script = leader.watch_over()
    script.heard(KeyPut(written))
    script.returned()
    assert leader.state.lost is reason
    assert leader.host.retired == [leader.lease]


def test_own_proclamation_told_before_its_answer_is_no_takeover(leader: Leading) -> None:
    script = leader.watch_over()
    proclaiming = leader.proclaim(b"new")
    put = KeyPut(kv(KEY, TOKEN, 30, value=b"new", lease=ID))
    script.unheard(put)
    proclaiming.invoke(Method.PROCLAIM, proclaimed(30))
    proclaiming.returned()
    script.unheard(put)


@pytest.mark.parametrize(
    "fact", [WatchStands(KEY, 40), WatchBroken(KEY)], ids=["stands anew", "broken"]
)
def test_what_a_deaf_watch_missed_is_read(leader: Leading, fact: object) -> None:
    script = leader.watch_over()
    script.heard(fact)  # type: ignore[arg-type]
    request = script.invoke(Method.RANGE, ranged(OWN)).request
    assert request == standing.one(KEY)
    script.expect(Receive)
    assert leader.state.held


def test_watch_that_stands_since_the_key_was_known_to_stand_has_missed_nothing(
    leader: Leading,
) -> None:
    script = leader.watch_over()
    script.unheard(WatchStands(KEY, READ_AT))
    script.heard(WatchStands(KEY, READ_AT + 1))
    script.invoke(Method.RANGE, ranged(OWN))


def test_own_proclamation_tells_how_the_key_stands(leader: Leading) -> None:
    proclaiming = leader.proclaim(b"new")
    proclaiming.invoke(Method.PROCLAIM, proclaimed(30))
    proclaiming.returned()
    leader.watch_over().unheard(WatchStands(KEY, 30))


def test_watch_that_broke_proves_nothing_by_its_revision(leader: Leading) -> None:
    """A restored cluster counts from an earlier one."""
    script = leader.watch_over()
    script.heard(WatchBroken(KEY))
    script.invoke(Method.RANGE, ranged(OWN))
    script.heard(WatchStands(KEY, TOKEN - 1))
    script.invoke(Method.RANGE, ranged(OWN))


def test_leadership_that_is_over_at_once_costs_no_watch(leader: Leading) -> None:
    script = Script(leading.watch_over(leader.link, leader.host, leader.state), leader.clock)
    assert script.expect(Receive).seconds <= timing.SHORT_TERM
    leader.state.end(LostReason.RESIGNED)
    script.receive()
    script.returned()


def test_key_is_read_at_every_beat_though_the_watch_is_silent(leader: Leading) -> None:
    script = leader.watch_over()
    assert script.receive().seconds == pytest.approx(BEAT)
    script.invoke(Method.RANGE, ranged(OWN))
    assert script.receive().seconds == pytest.approx(BEAT, abs=0.01)
    script.invoke(Method.RANGE, ranged())
    script.returned()
    assert leader.state.lost is LostReason.KEY_DELETED


def test_beat_does_not_come_before_its_time(leader: Leading) -> None:
    script = leader.watch_over()
    script.receive(KeyPut(OWN), after=2)
    assert script.expect(Receive).seconds == pytest.approx(BEAT - 2)


def test_wait_that_ended_early_is_gone_on_with(leader: Leading) -> None:
    script = leader.watch_over()
    script.receive(after=1)
    assert script.expect(Receive).seconds == pytest.approx(BEAT - 1)


def test_key_that_cannot_be_read_costs_no_leadership_while_the_lease_lives(
    leader: Leading, caplog: pytest.LogCaptureFixture
) -> None:
    script = leader.watch_over()
    script.receive(WatchBroken(KEY), after=0.001)
    with caplog.at_level(logging.WARNING, "etcd_election"):
        script.invoke(Method.RANGE, DENIED)
    script.expect(Receive)
    assert leader.state.held
    assert "b'jobs/abc' could not be read" in caplog.text


def test_reading_ends_with_the_lease_and_the_leadership(leader: Leading) -> None:
    script = leader.watch_over()
    script.receive(WatchBroken(KEY), after=0.001)
    while script.effect is not None:
        if isinstance(script.effect, Invoke):
            script.silent(Method.RANGE)
        else:
            script.sleep() if isinstance(script.effect, Sleep) else script.receive()
    script.returned()
    assert leader.state.lost is LostReason.SESSION_EXPIRED
    assert leader.clock() == pytest.approx(START + TTL - 1.5, abs=0.01)
    assert leader.host.retired == [leader.lease]


def test_end_of_the_lease_is_told_to_the_leader_though_nobody_asks(leader: Leading) -> None:
    told: list[LostReason | None] = []
    leader.state.when_ended(lambda: told.append(leader.state.lost))
    script = leader.watch_over()
    leader.clock.advance(9 - timing.SHORT_TERM)
    script.receive(KeyPut(OWN))
    assert script.receive().seconds == 0, "overdue"
    script.invoke(Method.RANGE, ranged(OWN))
    assert script.receive().seconds == pytest.approx(4.5, abs=0.01)
    script.returned()
    assert told == [LostReason.SESSION_EXPIRED]


def test_resigned_leadership_is_watched_no_more_and_keeps_its_lease(leader: Leading) -> None:
    script = leader.watch_over()
    leader.state.end(LostReason.RESIGNED)
    script.receive(Word.STOP)
    script.returned()
    assert leader.host.retired == []
    assert leader.lease.alive


def test_proclaimed_value_is_the_leaders_once_etcd_has_confirmed(leader: Leading) -> None:
    script = leader.proclaim(b"new")
    invoke = script.expect(Invoke)
    assert invoke.request == v3election_pb2.ProclaimRequest(
        leader=v3election_pb2.LeaderKey(name=NAME, key=KEY, rev=TOKEN, lease=ID), value=b"new"
    )
    assert leader.state.value == b"me"
    script.invoke(Method.PROCLAIM, proclaimed(30))
    script.returned()
    assert leader.state.value == b"new"


def test_proclamation_of_unknown_outcome_says_so_and_is_not_repeated(leader: Leading) -> None:
    script = leader.proclaim(b"new")
    script.invoke(Method.PROCLAIM, SILENCE)
    assert script.raised(errors.Unavailable).maybe_applied
    assert leader.state.value == b"me"
    landed_late = kv(KEY, TOKEN, 30, value=b"new", lease=ID)
    assert leader.state.judge(landed_late) is None, "it is ours if it lands after all"


def test_proclamation_that_never_left_is_sent_again(leader: Leading) -> None:
    script = leader.proclaim()
    script.invoke(Method.PROCLAIM, REFUSED_CONNECTION)
    script.sleep()
    script.invoke(Method.PROCLAIM, proclaimed(30))
    script.returned()


def test_proclaiming_without_the_key_finds_out_the_loss(leader: Leading) -> None:
    script = leader.proclaim()
    script.invoke(Method.PROCLAIM, NOT_LEADER)
    script.returned()
    assert leader.state.lost is LostReason.KEY_DELETED


def test_value_that_etcd_refuses_costs_no_leadership(leader: Leading) -> None:
    script = leader.proclaim(b"x" * 10)
    script.invoke(Method.PROCLAIM, Failure("UNKNOWN", "etcdserver: request is too large"))
    script.raised(errors.ValueTooLarge)
    assert leader.state.held
    theirs = kv(KEY, TOKEN, 30, value=b"x" * 10, lease=ID)
    assert leader.state.judge(theirs) is LostReason.TAKEN_OVER


PUT = rpc_pb2.RequestOp(request_put=rpc_pb2.PutRequest(key=b"k", value=b"v"))
GET = rpc_pb2.RequestOp(request_range=standing.one(b"k"))
COMPARE = standing.created_at(b"k", 0)


def transacting(leader: Leading) -> Script[rpc_pb2.TxnResponse | None]:
    plan = leading.transaction(
        leader.link, leader.state, [PUT], [GET], [COMPARE], deadline=leader.clock() + 5
    )
    return Script(plan, leader.clock)


def test_transaction_is_carried_out_only_under_the_leaders_key(leader: Leading) -> None:
    script = transacting(leader)
    request = script.expect(Invoke).request
    assert isinstance(request, rpc_pb2.TxnRequest)
    assert list(request.compare) == [standing.created_at(KEY, TOKEN)]
    assert not request.failure
    (outer,) = request.success
    assert outer.request_txn == rpc_pb2.TxnRequest(compare=[COMPARE], success=[PUT], failure=[GET])
    inner = txn(None)
    inner.ClearField("header")
    answer = txn(revision=30)
    answer.responses.add(response_txn=inner)
    script.invoke(Method.TXN, answer)
    response = script.returned()
    assert response is not None
    assert response.succeeded
    assert response.header.revision == 30


def test_transaction_of_a_former_leader_writes_nothing_and_says_so(leader: Leading) -> None:
    script = transacting(leader)
    script.invoke(Method.TXN, txn(succeeded=False))
    assert script.returned() is None
    assert leader.state.lost is LostReason.KEY_DELETED


@pytest.mark.parametrize(("reply", "maybe"), [(SILENCE, True), (DENIED, False)])
def test_transaction_says_whether_it_may_have_been_carried_out(
    leader: Leading, reply: Failure, maybe: bool
) -> None:
    script = transacting(leader)
    script.invoke(Method.TXN, reply)
    error = script.raised(errors.Unavailable if maybe else errors.PermissionDenied)
    assert error.maybe_applied is maybe
    assert leader.state.held


def test_resigning_removes_the_key_and_keeps_the_lease_for_the_next_campaign(
    leader: Leading,
) -> None:
    script = leader.resign()
    request = script.invoke(Method.RESIGN, resigned()).request
    assert request == v3election_pb2.ResignRequest(leader=leading.leader_key(leader.state))
    script.returned()
    assert not leader.state.key_left
    assert leader.lease.alive
    assert leader.host.retired == []


def test_resigning_under_a_lease_that_may_still_be_written_under_revokes_it(
    leader: Leading,
) -> None:
    """A transaction that was sent twice may put the key again."""
    leader.lease.tainted = True
    script = leader.resign()
    script.invoke(Method.RESIGN, resigned())
    script.returned()
    assert leader.host.retired == [leader.lease]


def test_resign_that_etcd_did_not_confirm_is_left_to_the_background(leader: Leading) -> None:
    script = leader.resign()
    while script.effect is not None:
        if isinstance(script.effect, Invoke):
            script.silent(Method.RESIGN)
        else:
            script.sleep()
    script.raised(errors.Unavailable)
    assert leader.state.key_left
    assert leader.host.retired == [leader.lease]
    again = leader.resign()
    again.invoke(Method.RESIGN, resigned())
    again.returned()
    assert not leader.state.key_left


def test_refused_resign_is_an_error_and_left_to_the_background(leader: Leading) -> None:
    script = leader.resign()
    script.invoke(Method.RESIGN, DENIED)
    script.raised(errors.PermissionDenied)
    assert leader.state.key_left
    assert leader.host.retired == [leader.lease]


def test_resign_that_is_interrupted_is_left_to_the_background(leader: Leading) -> None:
    """By Ctrl-C, for example."""
    script = leader.resign()
    script.close()
    assert leader.state.key_left
    assert leader.host.retired == [leader.lease]

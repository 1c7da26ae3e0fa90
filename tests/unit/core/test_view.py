"""What clients and leaderships tell about themselves, and the errors a leader acts on."""

from __future__ import annotations

import pytest

from etcd_election import errors
from etcd_election._core.effects import Fact, Word
from etcd_election._core.leadership import LeadershipState
from etcd_election._core.lease import LeaseClock
from etcd_election._core.line import Ticket
from etcd_election._core.link import Link
from etcd_election._core.member import Member, Terms
from etcd_election._core.view import ClientView, LeadershipView
from etcd_election.pb import rpc_pb2
from etcd_election.types import LostReason, State

from .support import NAME, FakeClock, FakeHost, make_link

LEASE = 0xABC
KEY = b"jobs/abc"
TOKEN = 20


class Leadership(LeadershipView):
    def __init__(self, state: LeadershipState) -> None:
        self._state = state


class Client(ClientView[Leadership]):
    def __init__(self, link: Link) -> None:
        self._member: Member[Leadership] = Member(link, Terms(NAME, 15, None, "service"))

    def enter(self, *, campaigns: bool = True) -> tuple[Ticket, list[Fact]]:
        told: list[Fact] = []
        ticket = Ticket(campaigns=campaigns, tell=told.append)
        assert self._member.line.enter(ticket)
        return ticket, told


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def link(clock: FakeClock) -> Link:
    return make_link(clock)


@pytest.fixture
def lease(link: Link, clock: FakeClock) -> LeaseClock:
    lease = link.new_lease(LEASE)
    lease.renewed(sent_at=clock(), ttl=10)
    return lease


@pytest.fixture
def leadership(lease: LeaseClock) -> Leadership:
    state = LeadershipState(
        name=NAME, key=KEY, token=TOKEN, value=b"me", mod_revision=TOKEN, lease=lease
    )
    return Leadership(state)


@pytest.fixture
def client(link: Link) -> Client:
    return Client(link)


def test_leadership_tells_what_a_leader_needs_for_its_writes(leadership: Leadership) -> None:
    assert (leadership.name, leadership.key) == (NAME, KEY)
    assert (leadership.token, leadership.lease_id) == (TOKEN, LEASE)
    assert leadership.value == b"me"
    assert leadership.guard() == rpc_pb2.Compare(
        key=KEY,
        target=rpc_pb2.Compare.CREATE,
        result=rpc_pb2.Compare.EQUAL,
        create_revision=TOKEN,
    )


def test_value_is_the_one_that_etcd_confirmed_last(leadership: Leadership) -> None:
    state = leadership._state
    proposal = state.proposed(b"new")
    assert leadership.value == b"me"
    state.confirmed(proposal, TOKEN + 1)
    assert leadership.value == b"new"


def test_leadership_is_true_while_it_is_held(leadership: Leadership, clock: FakeClock) -> None:
    clock.advance(4)
    assert leadership
    assert leadership.held
    assert leadership.lost is None
    assert leadership.remaining == pytest.approx(5.0)
    leadership.check()
    clock.advance(5)
    assert not leadership
    assert not leadership.held
    assert leadership.lost is LostReason.SESSION_EXPIRED
    assert leadership.remaining == 0.0


def test_check_of_a_leadership_lost_with_its_lease_says_so(
    leadership: Leadership, clock: FakeClock
) -> None:
    clock.advance(10)
    with pytest.raises(errors.SessionExpired, match=r"b'jobs' ended with lease abc") as caught:
        leadership.check()
    assert caught.value.lease_id == LEASE
    assert caught.value.leadership is leadership
    assert caught.value.reason is LostReason.SESSION_EXPIRED


@pytest.mark.parametrize(
    "reason", [reason for reason in LostReason if reason is not LostReason.SESSION_EXPIRED]
)
def test_check_of_a_leadership_that_ended_otherwise_says_why(
    leadership: Leadership, reason: LostReason
) -> None:
    leadership._state.end(reason)
    with pytest.raises(errors.NotLeader, match=f"b'jobs' ended: {reason.value}") as caught:
        leadership.check()
    assert caught.value.leadership is leadership
    assert caught.value.reason is reason


def test_repr_of_a_leadership_says_whether_it_is_to_be_believed(leadership: Leadership) -> None:
    assert repr(leadership) == "<Leadership b'jobs' token=20 held, 9.0 s left>"
    leadership._state.end(LostReason.TAKEN_OVER)
    assert repr(leadership) == "<Leadership b'jobs' token=20 lost: taken over>"


def test_client_tells_what_it_is_doing(
    client: Client, leadership: Leadership, lease: LeaseClock
) -> None:
    member = client._member
    assert repr(client) == "<Client b'jobs' idle>"
    assert (client.name, client.state) == (NAME, State.IDLE)
    assert (client.leadership, client.lease_id) == (None, None)
    client.enter()
    assert repr(client) == "<Client b'jobs' campaigning>"
    member.begin_session(FakeHost()).adopt(lease)
    assert client.lease_id == LEASE
    member.latest = leadership
    assert (client.state, client.leadership) == (State.LEADING, leadership)
    member.close(revoke=True)
    assert repr(client) == "<Client b'jobs' closed>"
    assert client.leadership is None


def test_there_is_nothing_to_cancel_while_nobody_campaigns(client: Client) -> None:
    assert not client.cancel_campaign()
    resigning, told = client.enter(campaigns=False)
    assert not client.cancel_campaign()
    assert told == [Word.TURN], "a resign goes on"
    client._member.line.leave(resigning)
    campaign, _ = client.enter()
    client._member.line.leave(campaign)
    assert not client.cancel_campaign()
    assert campaign.win(), "it was over"


def test_all_campaigns_are_cancelled_those_that_wait_for_their_turn_too(client: Client) -> None:
    running, told = client.enter()
    resigning, spared = client.enter(campaigns=False)
    queued, waiting = client.enter()
    assert client.cancel_campaign()
    assert (told, spared, waiting) == ([Word.TURN, Word.CANCELLED], [], [Word.CANCELLED])
    assert not running.win()
    assert not queued.win()
    assert resigning.win(), "nobody cancelled that"


def test_campaign_that_is_won_is_not_cancelled_and_the_next_one_is(client: Client) -> None:
    running, told = client.enter()
    assert running.win()
    assert not client.cancel_campaign()
    assert told == [Word.TURN]
    queued, _ = client.enter()
    assert client.cancel_campaign()
    assert not queued.win()
    assert running.win()


def test_campaign_that_begins_after_the_cancel_is_another_one(client: Client) -> None:
    client.enter()
    assert client.cancel_campaign()
    later, _ = client.enter()
    assert later.win()

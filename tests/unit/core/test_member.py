"""One client's part: who gets a leadership, and what becomes of the lease when nobody does."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

import pytest

from etcd_election import errors
from etcd_election._core.candidate import Candidate, Session
from etcd_election._core.effects import Fact, Word
from etcd_election._core.leadership import LeadershipState
from etcd_election._core.lease import LeaseClock
from etcd_election._core.line import Ticket
from etcd_election._core.link import Link
from etcd_election._core.member import Member, Terms
from etcd_election._core.view import LeadershipView
from etcd_election.types import LostReason, State

from .support import NAME, FakeClock, FakeHost, interrupt, make_link

RESUMED = 0x5EED
KEY = b"jobs/abc"
TOKEN = 20


class Leadership(LeadershipView):
    """As a front-end hands it out."""

    def __init__(self, state: LeadershipState) -> None:
        self._state = state


class Client:
    """Goes through a member's life step by step, as a front-end does."""

    def __init__(
        self, link: Link, clock: FakeClock, *, lease: int | None = None, via: str = "service"
    ) -> None:
        self.link = link
        self.clock = clock
        self.host = FakeHost()
        self.member: Member[Leadership] = Member(link, Terms(NAME, 15, lease, via))
        self.told: list[Fact] = []
        self.tickets: list[Ticket] = []

    @property
    def session(self) -> Session:
        return self.member.session or self.member.begin_session(self.host)

    def enter(self, *, campaigns: bool = True) -> Ticket:
        ticket = Ticket(campaigns=campaigns, tell=self.told.append)
        assert self.member.line.enter(ticket)
        return ticket

    def leased(self) -> LeaseClock:
        """A lease is granted, and a request that may write under it is about to leave."""
        lease = self.link.new_lease()
        assert lease.renewed(sent_at=self.clock(), ttl=15)
        self.session.adopt(lease)
        lease.tainted = True
        return lease

    def candidate(self, *, clean: bool = True) -> Candidate:
        candidate = self.member.candidate(self.session, b"me", None, self.told.append)
        candidate.clean = clean
        return candidate

    def won(self, lease: LeaseClock) -> LeadershipState:
        """What the plan of a campaign returns."""
        return LeadershipState(
            name=NAME, key=KEY, token=TOKEN, value=b"me", mod_revision=TOKEN, lease=lease
        )

    def elected(self, ticket: Ticket, state: LeadershipState, *, clean: bool = True) -> Leadership:
        """What a campaign returns, at its end or later."""
        return self.member.elected(
            self.host, ticket, self.candidate(clean=clean), state, Leadership
        )

    def abandon(
        self, candidate: Candidate | None = None, error: BaseException | None = None
    ) -> LeaseClock | None:
        """What the campaign that has the turn does in the end, if it brought no leadership."""
        tickets = self.member.line.tickets() or (self.enter(),)
        candidate = candidate or self.candidate()
        lease = self.member.abandon(candidate, tickets[0], error or errors.ClientClosed())
        self.member.line.leave(tickets[0])
        return lease

    def lead(self, *, clean: bool = True) -> Leadership:
        """A campaign from its beginning to its end."""
        ticket = self.enter()
        leadership = self.elected(ticket, self.won(self.leased()), clean=clean)
        self.member.line.leave(ticket)
        return leadership


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def link(clock: FakeClock) -> Link:
    return make_link(clock)


@pytest.fixture
def client(link: Link, clock: FakeClock) -> Client:
    return Client(link, clock)


# What a client is asked for


@pytest.mark.parametrize(
    ("argument", "wrong", "error"),
    [
        ("name", 5, TypeError),
        ("ttl", 1.5, TypeError),
        ("ttl", 1, ValueError),
        ("lease", "5", TypeError),
        ("lease", 0, ValueError),
        ("via", None, TypeError),
        ("via", "magic", ValueError),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(
    argument: str, wrong: object, error: type[Exception]
) -> None:
    asked: dict[str, Any] = {"name": "jobs", "ttl": 15, "lease": None, "via": "service"}
    assert Terms.checked(**asked) == Terms(NAME, 15, None, "service")
    with pytest.raises(error, match=argument):
        Terms.checked(**{**asked, argument: wrong})


def test_lease_that_another_client_goes_on_with_is_refused(link: Link, clock: FakeClock) -> None:
    Client(link, clock, lease=RESUMED)
    with pytest.raises(ValueError, match=f"lease {RESUMED} is already used"):
        Client(link, clock, lease=RESUMED)
    Client(link, clock, lease=RESUMED + 1)
    Client(link, clock)


def test_lease_that_a_client_campaigns_with_is_no_other_clients_to_go_on_with(
    link: Link, clock: FakeClock, client: Client
) -> None:
    lease = client.leased()
    with pytest.raises(ValueError, match="already used"):
        Client(link, clock, lease=lease.lease_id)


def test_lease_of_a_client_that_never_campaigned_is_free_again(
    link: Link, clock: FakeClock
) -> None:
    first = Client(link, clock, lease=RESUMED)
    first.member.close(revoke=True)
    assert first.member.drop() is None
    Client(link, clock, lease=RESUMED)


def test_campaign_works_with_what_the_client_and_the_call_were_given(
    link: Link, clock: FakeClock
) -> None:
    client = Client(link, clock, lease=RESUMED)
    session = client.member.begin_session(client.host)
    assert client.member.session is session
    assert (session.ttl, session.resume, session.lease) == (15, RESUMED, None)
    candidate = client.member.candidate(session, b"me", 3.0, client.told.append)
    assert (candidate.session, candidate.name, candidate.value) == (session, NAME, b"me")
    assert (candidate.via, candidate.timeout) == ("service", 3.0)
    candidate.tell(Word.STOP)
    assert client.told == [Word.STOP]


# What a client shows


def test_state_is_leading_exactly_while_a_leadership_is_held(
    client: Client, clock: FakeClock
) -> None:
    member = client.member
    assert (member.state, member.leadership) == (State.IDLE, None)
    ticket = client.enter()
    state = client.won(client.leased())
    assert (member.state, member.leadership) == (State.CAMPAIGNING, None)
    leadership = client.elected(ticket, state)
    assert (member.state, member.leadership) == (State.LEADING, leadership)
    member.line.leave(ticket)
    again = client.enter()
    assert member.state is State.LEADING, "a campaign while leading proclaims"
    clock.advance(20)
    assert (member.state, member.leadership) == (State.CAMPAIGNING, None)
    member.line.leave(again)
    assert (member.state, member.leadership) == (State.IDLE, None)


def test_resign_that_waits_for_its_turn_is_no_campaign(client: Client) -> None:
    client.enter(campaigns=False)
    assert client.member.state is State.IDLE


def test_closed_client_is_closed_whatever_it_did(client: Client) -> None:
    client.lead()
    client.enter()
    client.member.close(revoke=True)
    assert client.member.state is State.CLOSED
    assert client.member.leadership is None


def test_lease_is_shown_while_there_is_one(client: Client, link: Link, clock: FakeClock) -> None:
    member = client.member
    assert member.lease_id is None
    lease = client.session.lease = link.new_lease()
    assert member.lease_id is None, "not granted yet"
    lease.renewed(sent_at=clock(), ttl=15)
    assert member.lease_id == lease.lease_id
    clock.advance(20)
    assert member.lease_id is None, "run out"
    lease = client.leased()
    assert member.lease_id == lease.lease_id
    client.session.drop()
    assert member.lease_id is None


# Who gets a leadership


def test_win_is_published_and_watched_over(client: Client) -> None:
    lease = client.leased()
    state = client.won(lease)
    assert client.member.current() is None
    leadership = client.elected(client.enter(), state)
    assert leadership.held
    assert client.member.latest is client.member.leadership is leadership
    assert client.member.current() is state
    assert client.host.watched_over == [state]


def test_win_that_was_cancelled_before_is_nobodys_leadership(client: Client) -> None:
    lease = client.leased()
    state = client.won(lease)
    ticket = client.enter()
    assert ticket.cancel()
    with pytest.raises(errors.CampaignCancelled):
        client.elected(ticket, state)
    assert state.lost is LostReason.RESIGNED
    assert client.member.leadership is None
    assert client.member.state is State.CAMPAIGNING
    assert client.abandon() is lease, "its key leads until it is revoked"
    assert client.host.retired == [lease]
    assert client.session.lease is None


def publish(
    client: Client, ticket: Ticket, state: LeadershipState, call: Callable[[], object], *, at: int
) -> tuple[bool, Leadership | None]:
    """A campaign ends in a win, and meanwhile ``call`` happens, at one of its steps.

    Returns:
        Whether it has so many steps; the leadership that it returned.
    """
    returned: list[Leadership] = []

    def campaign() -> None:
        try:
            returned.append(client.elected(ticket, state))
        except (errors.CampaignCancelled, errors.ClientClosed):
            client.abandon()

    reached = interrupt(campaign, call, at=at)
    return reached, returned[0] if returned else None


def test_after_cancel_said_true_there_is_no_win_and_after_false_there_is_one(
    clock: FakeClock,
) -> None:
    """Wherever in the publishing of a win a signal handler cancels."""
    outcomes: set[bool] = set()
    for at in count(1):
        client = Client(make_link(clock), clock)
        ticket, state = client.enter(), client.won(client.leased())
        said: list[bool] = []
        cancel = partial(lambda said, ticket: said.append(ticket.cancel()), said, ticket)
        reached, leadership = publish(client, ticket, state, cancel, at=at)
        if not reached:
            break
        (cancelled,) = said
        assert (leadership is None) == cancelled, f"at step {at}"
        assert state.held == (not cancelled), f"at step {at}"
        assert client.member.leadership is leadership
        assert client.session.lease is (None if cancelled else state.lease)
        outcomes.add(cancelled)
    assert outcomes == {True, False}, "early and late"


def test_after_closing_nothing_is_led_however_late_the_win_came(clock: FakeClock) -> None:
    """Wherever in the publishing of a win another thread closes the client."""
    outcomes: set[bool] = set()
    for at in count(1):
        client = Client(make_link(clock), clock)
        ticket, state = client.enter(), client.won(client.leased())
        close = partial(client.member.close, revoke=False)
        reached, leadership = publish(client, ticket, state, close, at=at)
        if not reached:
            break
        assert not state.held, f"at step {at}"
        led = leadership is not None
        assert (client.member.bequest() is not None) == led, "left is what was a leadership"
        if leadership is None:
            assert client.session.lease is None, "its key is to go"
        outcomes.add(led)
    assert outcomes == {True, False}, "early and late"


def test_win_that_closing_did_not_see_any_more_is_nobodys_leadership(
    client: Client,
) -> None:
    lease = client.leased()
    state = client.won(lease)
    ticket = client.enter()

    class Closing(Member[Leadership]):
        def __setattr__(self, name: str, value: object) -> None:
            if name == "latest":
                self.close(revoke=True)
            super().__setattr__(name, value)

    client.member.__class__ = Closing
    with pytest.raises(errors.ClientClosed):
        client.elected(ticket, state)
    assert state.lost is LostReason.CLOSED
    assert client.abandon() is lease


def test_win_on_a_client_that_closes_is_nobodys_leadership(client: Client) -> None:
    lease = client.leased()
    state = client.won(lease)
    ticket = client.enter()
    client.member.close(revoke=False)
    with pytest.raises(errors.ClientClosed):
        client.elected(ticket, state)
    assert not state.held
    assert client.member.latest is None
    assert client.abandon() is lease


def test_campaign_while_leading_returns_the_same_leadership(client: Client) -> None:
    leadership = client.lead()
    again = client.elected(client.enter(), leadership._state)
    assert again is leadership
    assert client.host.watched_over == [leadership._state], "watched over already"


def test_campaign_cancelled_while_leading_does_not_cost_the_leadership(client: Client) -> None:
    leadership = client.lead()
    ticket = client.enter()
    assert ticket.cancel()
    with pytest.raises(errors.CampaignCancelled):
        client.elected(ticket, leadership._state)
    assert client.abandon() is None
    assert client.member.leadership is leadership
    assert client.host.retired == []


def test_win_after_a_leadership_that_was_lost_is_another_one(client: Client) -> None:
    first = client.lead()
    first._state.end(LostReason.KEY_DELETED)
    second = client.lead()
    assert second is not first
    assert client.member.leadership is second
    assert client.host.watched_over == [first._state, second._state]


# What becomes of the lease


def test_lease_of_a_clean_win_is_kept_by_the_campaign_that_fails_next(client: Client) -> None:
    leadership = client.lead(clean=True)
    leadership._state.end(LostReason.RESIGNED)
    assert client.abandon() is None
    assert client.session.lease is leadership._state.lease
    assert client.host.retired == []


def test_lease_that_a_stray_request_may_still_write_under_is_never_kept(client: Client) -> None:
    leadership = client.lead(clean=False)
    lease = leadership._state.lease
    assert client.abandon() is None, "not while it is led on"
    assert client.host.retired == []
    leadership._state.end(LostReason.RESIGNED)
    assert client.abandon() is lease
    assert client.host.retired == [lease]
    assert client.session.lease is None


def test_lease_of_a_campaign_in_vain_is_revoked(client: Client, link: Link) -> None:
    lease = client.leased()
    assert client.abandon() is lease
    assert client.host.retired == [lease]
    assert link.claim(lease.lease_id), "nobody's any more"


def test_campaign_that_failed_before_it_had_a_lease_leaves_nothing(client: Client) -> None:
    assert client.abandon() is None
    assert client.host.retired == []


def test_lease_whose_grant_was_not_answered_is_retired_and_not_waited_for(
    client: Client, link: Link
) -> None:
    """Its grant may land for seconds: longer than a campaign may take to end."""
    lease = client.session.lease = link.new_lease()
    assert client.abandon() is None
    assert client.host.retired == [lease]
    assert client.session.lease is None


# The end of a client


def test_closing_ends_a_leadership_that_is_held_and_no_other(client: Client) -> None:
    assert not client.member.closed
    leadership = client.lead()
    client.member.close(revoke=True)
    assert client.member.closed
    assert leadership.lost is LostReason.CLOSED
    assert leadership._state.lease.alive, "what removes the key is still to come"
    assert client.member.bequest() is None


def test_closing_after_a_leadership_was_lost_ends_none(client: Client) -> None:
    leadership = client.lead()
    leadership._state.end(LostReason.TAKEN_OVER)
    client.member.close(revoke=False)
    assert leadership.lost is LostReason.TAKEN_OVER
    assert client.member.bequest() is None


def test_closing_a_client_that_never_led_leaves_nothing_to_anybody(client: Client) -> None:
    client.member.close(revoke=False)
    assert client.member.closed
    assert client.member.bequest() is None


def test_lease_of_the_leadership_that_closing_ended_is_left_to_a_successor(
    client: Client, link: Link, clock: FakeClock
) -> None:
    leadership = client.lead()
    client.member.close(revoke=False)
    lease = client.member.bequest()
    assert lease is leadership._state.lease
    client.member.handed_on(lease)
    assert lease.ended is LostReason.CLOSED, "renewed by us no more"
    assert client.host.retired == [], "and not revoked"
    Client(link, clock, lease=lease.lease_id)


def test_no_other_lease_than_that_of_the_leadership_is_left(client: Client) -> None:
    client.lead()
    client.session.drop()
    client.leased()
    client.member.close(revoke=False)
    assert client.member.bequest() is None, "a campaign has begun another candidacy meanwhile"


def waiting(client: Client, *, settled: bool = True) -> tuple[LeaseClock, Candidate]:
    """A campaign has its key in the queue and waits."""
    client.enter()
    lease, candidate = client.leased(), client.candidate()
    candidate.settled = settled
    return lease, candidate


def test_place_of_a_candidate_that_waits_is_left_to_a_successor(
    link: Link, clock: FakeClock
) -> None:
    client = Client(link, clock, via="kv")
    lease, candidate = waiting(client)
    queued = client.enter()
    client.member.close(revoke=False)
    assert client.abandon(candidate) is None
    assert client.member.abandon(client.candidate(), queued, errors.ClientClosed()) is None
    assert client.member.bequest() is lease
    client.member.handed_on(lease)
    assert client.host.retired == []
    Client(link, clock, lease=lease.lease_id)


@pytest.mark.parametrize(
    ("via", "settled", "revoke", "error"),
    [
        ("service", True, False, errors.ClientClosed()),
        ("kv", False, False, errors.ClientClosed()),
        ("kv", True, True, errors.ClientClosed()),
        ("kv", True, False, errors.CampaignCancelled()),
    ],
    ids=["a call owns its key", "a request is under way", "as ever", "cancelled before"],
)
def test_place_of_any_other_candidate_is_given_up(
    link: Link, clock: FakeClock, via: str, settled: bool, revoke: bool, error: Exception
) -> None:
    client = Client(link, clock, via=via)
    lease, candidate = waiting(client, settled=settled)
    client.member.close(revoke=revoke)
    assert client.abandon(candidate, error) is lease
    assert client.member.bequest() is None
    assert client.host.retired == [lease]


def test_dropped_client_has_its_lease_revoked(client: Client, link: Link) -> None:
    leadership = client.lead()
    lease = leadership._state.lease
    client.member.close(revoke=True)
    assert client.member.drop() is lease
    assert client.host.retired == [lease]
    assert client.session.lease is None
    assert link.claim(lease.lease_id)
    assert client.member.drop() is None
    assert client.host.retired == [lease]


def test_lease_that_was_gone_on_with_is_free_again_after_the_drop(
    link: Link, clock: FakeClock
) -> None:
    first = Client(link, clock, lease=RESUMED)
    lease = link.new_lease(RESUMED)
    first.session.adopt(lease)
    first.member.close(revoke=True)
    assert first.member.drop() is lease
    Client(link, clock, lease=RESUMED)


def test_lease_that_was_gone_when_it_was_to_be_gone_on_with_is_free_after_the_next_handover(
    link: Link, clock: FakeClock
) -> None:
    first = Client(link, clock, lease=RESUMED)
    leadership = first.lead()
    assert leadership.lease_id != RESUMED
    first.member.close(revoke=True)
    first.member.handed_on(leadership._state.lease)
    Client(link, clock, lease=RESUMED)


def test_campaign_that_only_stood_in_line_takes_no_lease_from_the_one_before_it(
    client: Client,
) -> None:
    """A second campaign on the client that is cancelled or runs out of time."""
    client.enter()
    lease = client.leased()
    queued = client.enter()
    error = errors.CampaignCancelled()
    assert client.member.abandon(client.candidate(), queued, error) is None
    assert client.session.lease is lease
    assert client.host.retired == []

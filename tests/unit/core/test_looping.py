"""After a campaign and after a term: again, at what distance, or the end."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from etcd_election import errors
from etcd_election._core import timing
from etcd_election._core.condition import Condition
from etcd_election._core.effects import Word
from etcd_election._core.leadership import LeadershipState
from etcd_election._core.line import Ticket
from etcd_election._core.link import Link
from etcd_election._core.looping import After, Conditions, Loop
from etcd_election._core.member import Member, Terms
from etcd_election._core.view import ClientView, LeadershipView
from etcd_election.types import LostReason

from .support import NAME, FakeClock, make_link, steady

TTL = 15
LOST = LostReason.SESSION_EXPIRED


class Leadership(LeadershipView):
    def __init__(self, state: LeadershipState) -> None:
        self._state = state


class Client(ClientView[Leadership]):
    def __init__(self, link: Link) -> None:
        self._member: Member[Leadership] = Member(link, Terms(NAME, TTL, None, "service"))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def link(clock: FakeClock) -> Link:
    return make_link(clock, random=steady(0.5))


def make_loop(link: Link, *, once: bool = False, wake: Callable[[], None] = bool) -> Loop:
    return Loop(link, ttl=TTL, once=once, cooldown=1.5, wake=wake)


def leading(link: Link) -> LeadershipState:
    lease = link.new_lease()
    lease.renewed(sent_at=link.clock(), ttl=TTL)
    return LeadershipState(
        name=NAME, key=b"jobs/abc", token=20, value=b"me", mod_revision=20, lease=lease
    )


# Campaigns in vain


@pytest.mark.parametrize("error", [errors.Unavailable("x"), errors.SessionExpired("x")])
def test_outage_is_outlasted_at_growing_distance(
    link: Link, error: errors.ElectionError, caplog: pytest.LogCaptureFixture
) -> None:
    loop = make_loop(link)
    delays = []
    with caplog.at_level(logging.WARNING, "etcd_election"):
        for _ in range(len(timing.LOOP_DELAY) + 1):
            assert loop.failed(error)
            delays.append(loop.delay)
    assert delays == [pytest.approx(delay) for delay in (*timing.LOOP_DELAY, 5.0)]
    assert caplog.text.count("campaigning again in") == len(delays)


@pytest.mark.parametrize(
    "error",
    [
        errors.AuthenticationFailed("x"),
        errors.PermissionDenied("x"),
        errors.ValueTooLarge("x"),
        errors.CampaignCancelled(),
        errors.ClientClosed(),
    ],
)
def test_what_no_repetition_mends_is_not_repeated(link: Link, error: errors.ElectionError) -> None:
    assert not make_loop(link).failed(error)


def test_pauses_have_jitter() -> None:
    assert {timing.loop_delay(2, lambda: 0.0), timing.loop_delay(2, lambda: 1.0)} == {0.75, 1.25}


# Terms


@pytest.mark.parametrize("once", [False, True])
def test_work_that_was_over_while_leading_has_its_result(link: Link, once: bool) -> None:
    loop = make_loop(link, once=once)
    loop.began()
    assert loop.after(leading(link), None) is After.RESULT


def test_loss_after_a_term_of_some_length_campaigns_at_once(link: Link, clock: FakeClock) -> None:
    loop = make_loop(link)
    loop.failed(errors.Unavailable("x"))
    loop.began()
    clock.advance(TTL)
    assert loop.after(leading(link), LOST) is After.AGAIN
    assert loop.delay == 0.0


def test_short_terms_are_campaigns_in_vain(link: Link, clock: FakeClock) -> None:
    loop = make_loop(link)
    delays = []
    for _ in range(2):
        loop.began()
        clock.advance(TTL - 0.1)
        assert loop.after(leading(link), LOST) is After.AGAIN
        delays.append(loop.delay)
    assert delays == [pytest.approx(0.1), pytest.approx(0.5)]


def test_who_resigned_cools_down(link: Link) -> None:
    loop = make_loop(link)
    loop.began()
    assert loop.after(leading(link), LostReason.RESIGNED) is After.AGAIN
    assert loop.delay == 1.5


def test_who_was_not_renewed_any_more_cools_down(link: Link) -> None:
    loop = make_loop(link)
    state = leading(link)
    state.lease.condition = Condition(lambda: False, None)
    loop.began()
    loop.after(state, LOST)
    assert loop.delay == pytest.approx(0.1)
    state.lease.condition.withheld = True
    loop.after(state, LOST)
    assert loop.delay == 1.5


@pytest.mark.parametrize(
    ("lost", "after"),
    [
        (LOST, After.LOSS),
        (LostReason.KEY_DELETED, After.LOSS),
        (LostReason.RESIGNED, After.RESULT),
        (LostReason.CLOSED, After.RESULT),
    ],
)
def test_one_term_is_all_if_so_wanted(link: Link, lost: LostReason, after: After) -> None:
    loop = make_loop(link, once=True)
    loop.began()
    assert loop.after(leading(link), lost) is after


def test_error_is_a_loss_only_if_it_tells_of_this_leadership(link: Link) -> None:
    loop = make_loop(link)
    ours, other = object(), object()
    assert loop.is_loss(errors.NotLeader(leadership=ours), ours)
    assert loop.is_loss(errors.SessionExpired("x", leadership=ours), ours)
    assert not loop.is_loss(errors.NotLeader(leadership=other), ours)
    assert not loop.is_loss(errors.Unavailable("x"), ours)
    assert not loop.is_loss(KeyError(ours), ours)


# Stopping


def test_stop_says_whether_there_was_a_loop(link: Link) -> None:
    client = Client(link)
    assert not client.stop()
    woken: list[None] = []
    loop = make_loop(link, wake=lambda: woken.append(None))
    with client._member.looping(loop):
        assert client.stop()
        assert loop.stopping
        assert woken == [None]
    assert not client.stop()


def test_stop_cancels_the_campaigns_of_before_and_of_after(link: Link) -> None:
    client = Client(link)
    member = client._member
    told: list[object] = []
    before, after, resigns = (
        Ticket(campaigns=campaigns, tell=told.append) for campaigns in (True, True, False)
    )
    with member.looping(make_loop(link)):
        member.enter(before)
        client.stop()
        assert told == [Word.TURN, Word.CANCELLED]
        # As if it had begun before the stop and came to the line only now.
        member.enter(after)
        assert told[2:] == [Word.CANCELLED]
        member.enter(resigns)
        assert told[3:] == []
    assert not after.win()
    assert resigns.win()


def test_closed_line_lets_nobody_in(link: Link) -> None:
    member = Client(link)._member
    member.line.close()
    with pytest.raises(errors.ClientClosed):
        member.enter(Ticket(campaigns=True, tell=lambda _: None))


def test_one_loop_at_a_time(link: Link) -> None:
    member = Client(link)._member
    with member.looping(make_loop(link)):
        with pytest.raises(RuntimeError, match="already running"), member.looping(make_loop(link)):
            pytest.fail("two at once")
        assert member.loop is not None
    with member.looping(make_loop(link)):
        assert member.loop is not None
    assert member.loop is None


def test_stopped_leader_believes_no_more_and_leaves_its_key(link: Link) -> None:
    member = Client(link)._member
    state = leading(link)
    loop = make_loop(link)
    with member.looping(loop):
        loop.stop()
        # Stopped while it campaigned in vain.
        member.stop_believing()
        member.latest = Leadership(state)
        member.stop_believing()
    assert state.lost is LostReason.RESIGNED
    assert state.key_left
    assert state.lease.alive


def test_stop_that_comes_to_its_work_late_ends_no_other_leadership(link: Link) -> None:
    member = Client(link)._member
    stopped = make_loop(link)
    with member.looping(stopped):
        stopped.stop()
    state = leading(link)
    member.latest = Leadership(state)
    # Nobody would remove the key of this one.
    member.stop_believing()
    with member.looping(make_loop(link)):
        member.stop_believing()
    assert state.held


# What a term is bound to


def test_conditions_that_are_none_bind_nothing(link: Link) -> None:
    state = leading(link)
    Conditions(link, TTL, None, None).bind(state)
    assert state.lease.condition is None


def test_longest_term_counts_from_the_win(link: Link, clock: FakeClock) -> None:
    conditions = Conditions(link, TTL, None, 60)
    clock.advance(1000)
    state = leading(link)
    conditions.bind(state)
    condition = state.lease.condition
    assert condition is not None
    assert not condition.asks
    reach = TTL - timing.margin(TTL)
    now = clock()
    assert not condition.outlasts(now + 60 - reach, TTL)
    assert condition.outlasts(now + 60 - reach + 0.01, TTL)


def test_without_a_longest_term_nothing_outlasts_it() -> None:
    assert not Condition(lambda: True, None).outlasts(1e9, TTL)


async def never_awaited() -> bool:
    return False


@pytest.mark.parametrize(
    ("renew_while", "max_term", "error", "names"),
    [
        (1, None, TypeError, "renew_while"),
        (never_awaited, None, TypeError, "renew_while"),
        (None, "1", TypeError, "max_term"),
        (None, TTL - 0.1, ValueError, "max_term"),
        (None, float("inf"), ValueError, "max_term"),
    ],
)
def test_conditions_that_cannot_be_are_refused(
    link: Link, renew_while: object, max_term: object, error: type[Exception], names: str
) -> None:
    with pytest.raises(error, match=names):
        Conditions(link, TTL, renew_while, max_term)


def test_answer_that_is_an_error_is_a_no(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> bool:
        raise KeyError("the worker is lost")

    with caplog.at_level(logging.ERROR, "etcd_election"):
        assert not Condition(broken, None).ask()
    assert "the worker is lost" in caplog.text
    assert Condition(lambda: "yes", None).ask()
    assert not Condition(lambda: "", None).ask()
    assert Condition(None, 1.0).ask()

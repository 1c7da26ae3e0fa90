"""``held`` and the end of a leadership: what a leader acts on."""

from __future__ import annotations

import gc
import os
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcd_election._core.leadership import OURS, LeadershipState
from etcd_election._core.lease import LeaseClock
from etcd_election.types import LostReason

from .support import NAME, START, FakeClock, kv, quick

LEASE = 0xABC
KEY = b"jobs/abc"
TOKEN = 20


def make(clock: FakeClock) -> LeadershipState:
    lease = LeaseClock(LEASE, clock=clock)
    lease.renewed(sent_at=START, ttl=10)
    state = LeadershipState(
        name=NAME, key=KEY, token=TOKEN, value=b"me", mod_revision=TOKEN, lease=lease
    )
    assert (state.name, state.key, state.token, state.value) == (NAME, KEY, TOKEN, b"me")
    return state


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def state(clock: FakeClock) -> LeadershipState:
    return make(clock)


def test_held_until_the_local_deadline_without_anybody_running(
    clock: FakeClock, state: LeadershipState
) -> None:
    clock.now = START + 8.99
    assert state.held
    assert state.lost is None
    assert state.remaining() == pytest.approx(0.01)
    clock.now = START + 9
    assert not state.held
    assert state.lost is LostReason.SESSION_EXPIRED
    assert state.remaining() == 0.0


def test_reason_why_the_lease_ended_is_why_the_leadership_ended(state: LeadershipState) -> None:
    state.lease.end(LostReason.CLUSTER_CHANGED)
    assert not state.held
    assert state.lost is LostReason.CLUSTER_CHANGED


@pytest.mark.parametrize("reason", LostReason)
def test_end_is_at_once_and_told_once(state: LeadershipState, reason: LostReason) -> None:
    told: list[bool] = []
    state.when_ended(lambda: told.append(state.held))
    assert state.end(reason)
    assert not state.held
    assert state.lost is reason
    assert state.remaining() == 0.0
    assert not state.end(LostReason.CLOSED)
    assert state.lost is reason
    assert told == [False]


def test_leadership_lost_by_itself_is_not_ours_to_end(
    clock: FakeClock, state: LeadershipState
) -> None:
    clock.advance(10)
    assert not state.end(LostReason.RESIGNED)
    assert state.lost is LostReason.SESSION_EXPIRED


def test_end_of_the_lease_is_told(state: LeadershipState) -> None:
    told: list[LostReason | None] = []
    state.when_ended(lambda: told.append(state.lost))
    state.lease.renewed(sent_at=START, ttl=0)
    assert told == [LostReason.SESSION_EXPIRED]


def test_asking_calls_no_callback(clock: FakeClock, state: LeadershipState) -> None:
    told: list[None] = []
    state.when_ended(lambda: told.append(None))
    clock.advance(10)
    assert not state.held
    assert state.lost
    assert told == []
    state.settle()
    assert told == [None]


def test_who_asks_after_the_end_is_told_at_once_and_nobody_after_leaving(
    state: LeadershipState,
) -> None:
    told: list[str] = []
    leave = state.when_ended(lambda: told.append("left"))
    leave()
    state.settle()
    state.end(LostReason.RESIGNED)
    state.when_ended(lambda: told.append("late"))
    assert told == ["late"]


def test_lease_that_ends_in_the_moment_of_the_win_makes_no_leader(clock: FakeClock) -> None:
    lease = LeaseClock(LEASE, clock=clock)
    lease.renewed(sent_at=START, ttl=10)
    lease.end(LostReason.CLUSTER_CHANGED)
    state = LeadershipState(
        name=NAME, key=KEY, token=TOKEN, value=b"me", mod_revision=TOKEN, lease=lease
    )
    assert not state.held
    assert state.lost is LostReason.CLUSTER_CHANGED


@pytest.mark.parametrize("reason", OURS)
def test_lease_outlives_an_end_of_our_own(state: LeadershipState, reason: LostReason) -> None:
    state.end(reason)
    assert state.lease.alive


def test_lease_that_goes_on_does_not_keep_its_former_leaderships(clock: FakeClock) -> None:
    state = make(clock)
    lease, former = state.lease, weakref.ref(state)
    state.end(LostReason.RESIGNED)
    del state
    gc.collect()
    assert former() is None
    assert lease.alive


@pytest.mark.parametrize("reason", [LostReason.KEY_DELETED, LostReason.TAKEN_OVER])
def test_next_campaign_does_not_use_the_lease_of_a_lost_leadership(
    state: LeadershipState, reason: LostReason
) -> None:
    state.end(reason)
    assert state.lease.ended is reason


def test_key_is_to_be_removed_until_etcd_says_otherwise(state: LeadershipState) -> None:
    state.end(LostReason.RESIGNED)
    assert state.key_left


def test_child_process_does_not_lead_and_its_parent_goes_on(
    state: LeadershipState, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as child:
        child.setattr(os, "getpid", lambda: -1)
        assert not state.held
        assert state.lost is LostReason.FORKED
        assert state.remaining() == 0.0
        assert not state.end(LostReason.RESIGNED)
        assert state.lost is LostReason.FORKED
    assert state.lease.alive
    assert state.held
    assert state.lost is None


def test_own_key_as_we_know_it_means_nothing(state: LeadershipState) -> None:
    assert state.judge(kv(KEY, TOKEN, lease=LEASE)) is None


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (None, LostReason.KEY_DELETED),
        (kv(KEY, TOKEN + 5, lease=LEASE), LostReason.KEY_DELETED),
        (kv(KEY, TOKEN, TOKEN + 1, lease=LEASE + 1), LostReason.TAKEN_OVER),
        (kv(KEY, TOKEN, TOKEN + 1, lease=0), LostReason.TAKEN_OVER),
        (kv(KEY, TOKEN, TOKEN + 1, value=b"theirs", lease=LEASE), LostReason.TAKEN_OVER),
    ],
    ids=["gone", "put anew", "other lease", "no lease", "other value"],
)
def test_key_gone_or_written_by_others_is_noticed(
    state: LeadershipState, found: object, reason: LostReason
) -> None:
    assert state.judge(found) is reason  # type: ignore[arg-type]


def test_own_write_under_way_is_not_taken_for_somebody_elses(state: LeadershipState) -> None:
    proposal = state.proposed(b"new")
    written = kv(KEY, TOKEN, 25, value=b"new", lease=LEASE)
    assert state.judge(written) is None
    assert state.value == b"me"
    state.confirmed(proposal, 25)
    assert state.value == b"new"
    assert state.judge(written) is None


def test_write_of_unknown_outcome_stays_ours_and_a_refused_one_does_not(
    state: LeadershipState,
) -> None:
    state.proposed(b"lost")
    refused = state.proposed(b"refused")
    state.refused(refused)
    assert state.judge(kv(KEY, TOKEN, 25, value=b"lost", lease=LEASE)) is None
    by_others = kv(KEY, TOKEN, 25, value=b"refused", lease=LEASE)
    assert state.judge(by_others) is LostReason.TAKEN_OVER


def test_value_is_etcds_latest_in_whatever_order_the_answers_come(state: LeadershipState) -> None:
    first, second = state.proposed(b"first"), state.proposed(b"second")
    state.confirmed(second, 31)
    state.confirmed(first, 30)
    assert state.value == b"second"


_steps = st.lists(
    st.one_of(
        st.tuples(st.just("advance"), st.floats(0, 12)),
        st.tuples(st.just("renewed"), st.floats(0, 12), st.integers(-1, 20)),
        st.tuples(st.just("end"), st.sampled_from(LostReason)),
        st.tuples(st.just("lease ends"), st.sampled_from(LostReason)),
    ),
    max_size=25,
)


@quick
@given(_steps)
def test_nothing_makes_it_held_again(steps: list[tuple[object, ...]]) -> None:
    clock = FakeClock()
    state = make(clock)
    told: list[LostReason | None] = []
    state.when_ended(lambda: told.append(state.lost))
    held, reason = True, None
    for step in steps:
        match step:
            case ("advance", float(seconds)):
                clock.advance(seconds)
            case ("renewed", float(age), int(ttl)):
                state.lease.renewed(sent_at=clock() - age, ttl=ttl)
            case ("end", LostReason() as why):
                assert state.end(why) is held
            case ("lease ends", LostReason() as why):
                state.lease.end(why)
        assert held or not state.held, "held again"
        held = state.held
        assert held == (state.lost is None)
        assert held <= state.lease.alive
        assert held or state.remaining() == 0.0
        assert reason is None or state.lost is reason, "another reason"
        reason = state.lost
    state.settle()
    assert told == ([] if held else [reason])

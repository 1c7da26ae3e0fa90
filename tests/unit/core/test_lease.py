"""What may be believed about a lease: never more than its server would."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcd_election._core import timing
from etcd_election._core.lease import LeaseClock
from etcd_election.types import LostReason

from .support import START, FakeClock, quick, steady


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def lease(clock: FakeClock) -> LeaseClock:
    made = LeaseClock(0xABC, clock=clock)
    assert made.renewed(sent_at=START, ttl=10)
    return made


def test_deadline_counts_from_the_send_and_leaves_a_margin(clock: FakeClock) -> None:
    lease = LeaseClock(1, clock=clock)
    clock.advance(4)
    assert lease.renewed(sent_at=START, ttl=10)
    assert lease.remaining() == pytest.approx(10 - timing.margin(10) - 4)


def test_believed_until_its_deadline_and_not_at_it(clock: FakeClock, lease: LeaseClock) -> None:
    clock.now = START + 8.999
    assert lease.alive
    assert lease.ended is None
    assert lease.remaining() == pytest.approx(0.001)
    clock.now = START + 9
    assert not lease.alive
    assert lease.ended is LostReason.SESSION_EXPIRED
    assert lease.remaining() == 0.0


def test_renewal_prolongs(clock: FakeClock, lease: LeaseClock) -> None:
    clock.advance(5)
    assert lease.renewed(sent_at=clock(), ttl=10)
    clock.advance(8.9)
    assert lease.alive
    assert lease.renewed_at == START + 5
    assert lease.ttl == 10


def test_server_may_grant_another_ttl_than_asked_for(clock: FakeClock) -> None:
    lease = LeaseClock(1, clock=clock)
    assert lease.ttl == 0
    lease.renewed(sent_at=START, ttl=60)
    assert lease.ttl == 60
    clock.advance(53.9)
    assert lease.alive


def test_renewal_that_was_sent_earlier_does_not_shorten(
    clock: FakeClock, lease: LeaseClock
) -> None:
    clock.advance(5)
    lease.renewed(sent_at=START + 5, ttl=10)
    assert lease.renewed(sent_at=START + 3, ttl=10)
    assert lease.renewed_at == START + 5
    clock.now = START + 13.9
    assert lease.alive


def test_late_answer_never_revives(clock: FakeClock, lease: LeaseClock) -> None:
    clock.advance(9)
    # Nobody asked in between: the deadline has passed all the same.
    assert not lease.renewed(sent_at=START + 8.9, ttl=10)
    assert not lease.alive


def test_grant_answered_too_late_is_dead_from_the_start(clock: FakeClock) -> None:
    lease = LeaseClock(1, clock=clock)
    clock.advance(2)
    assert not lease.renewed(sent_at=START, ttl=2)
    assert not lease.alive


@pytest.mark.parametrize("ttl", [0, -1])
def test_lease_unknown_to_etcd_ends_at_once(lease: LeaseClock, ttl: int) -> None:
    assert not lease.renewed(sent_at=START, ttl=ttl)
    assert lease.ended is LostReason.SESSION_EXPIRED
    assert not lease.renewed(sent_at=START, ttl=10)


def test_first_reason_is_the_one_that_stays(lease: LeaseClock) -> None:
    lease.end(LostReason.CLUSTER_CHANGED)
    lease.end(LostReason.CLOSED)
    lease.renewed(sent_at=START, ttl=0)
    assert lease.ended is LostReason.CLUSTER_CHANGED


def test_lease_not_granted_yet_has_nothing_left_and_is_not_over(clock: FakeClock) -> None:
    lease = LeaseClock(1, clock=clock)
    clock.advance(1e6)
    assert lease.alive
    assert lease.remaining() == 0.0


def test_next_beat_is_a_third_of_the_ttl_after_the_send_or_a_little_earlier(
    clock: FakeClock, lease: LeaseClock
) -> None:
    clock.advance(1)
    assert lease.next_beat(steady(0.0)) == pytest.approx(START + 10 / 3, abs=timing.BEATS_TOGETHER)
    assert lease.next_beat(steady(1.0)) == pytest.approx(START + 3, abs=timing.BEATS_TOGETHER)


def test_end_is_told_once(lease: LeaseClock) -> None:
    told: list[str] = []
    lease.when_ended(lambda: told.append("told"))
    lease.settle()
    assert told == []
    lease.end(LostReason.CLOSED)
    lease.end(LostReason.CLOSED)
    lease.settle()
    assert told == ["told"]


def test_end_that_a_keepalive_brings_is_told(lease: LeaseClock) -> None:
    told: list[str] = []
    lease.when_ended(lambda: told.append("told"))
    lease.renewed(sent_at=START, ttl=0)
    assert told == ["told"]


def test_deadline_is_told_when_it_is_noticed(clock: FakeClock, lease: LeaseClock) -> None:
    told: list[str] = []
    lease.when_ended(lambda: told.append("told"))
    clock.advance(60)
    # Asking must stay free of callbacks: it may happen anywhere.
    assert not lease.alive
    assert told == []
    lease.settle()
    assert told == ["told"]


def test_who_asks_after_the_end_is_told_at_once(lease: LeaseClock) -> None:
    lease.end(LostReason.CLOSED)
    told: list[str] = []
    lease.when_ended(lambda: told.append("told"))
    assert told == ["told"]


def test_removed_callback_is_not_called(lease: LeaseClock) -> None:
    told: list[str] = []
    first = lease.when_ended(lambda: told.append("first"))
    lease.when_ended(lambda: told.append("second"))
    first()
    lease.end(LostReason.CLOSED)
    first()
    assert told == ["second"]


def test_callback_may_ask_and_end_the_lease_itself(lease: LeaseClock) -> None:
    seen: list[LostReason | None] = []

    def callback() -> None:
        lease.end(LostReason.CLOSED)
        seen.append(lease.ended)

    lease.when_ended(callback)
    lease.end(LostReason.CLUSTER_CHANGED)
    assert seen == [LostReason.CLUSTER_CHANGED]


def test_may_be_asked_while_a_renewal_is_being_noted() -> None:
    """As a signal handler does, on the thread that it interrupts."""
    asked: list[tuple[bool, float]] = []
    depth = 0

    def clock() -> float:
        nonlocal depth
        if noting and not depth:
            depth += 1
            asked.append((lease.alive, lease.remaining()))
            depth -= 1
        return START

    noting = False
    lease = LeaseClock(1, clock=clock)
    lease.renewed(sent_at=START, ttl=10)
    noting = True
    lease.renewed(sent_at=START, ttl=20)
    assert asked
    assert asked[0][0]
    assert asked[0][1] == pytest.approx(9.0)


def test_renewal_between_reading_deadline_and_clock_is_not_taken_for_the_end() -> None:
    now = START
    renewing = False

    def clock() -> float:
        nonlocal now, renewing
        if renewing:
            renewing = False
            # The answer comes in time, and the deadline passes before the clock is read.
            held.renewed(sent_at=START + 8, ttl=10)
            now = START + 9.5
        return now

    held = LeaseClock(1, clock=clock)
    held.renewed(sent_at=START, ttl=10)
    now = START + 8.5
    renewing = True
    assert held.alive
    assert now == START + 9.5


def test_deadline_that_passes_while_it_is_asked_for_leaves_nothing_not_less() -> None:
    now, pace = START, 0.0

    def clock() -> float:
        nonlocal now
        now += pace
        return now

    lease = LeaseClock(1, clock=clock)
    lease.renewed(sent_at=START, ttl=10)
    now, pace = START + 8.8, 0.15
    assert lease.remaining() == 0.0
    assert now == pytest.approx(START + 9.1), "believed in at first"


def test_repr_names_the_lease_as_etcdctl_does(lease: LeaseClock) -> None:
    assert repr(lease) == "<LeaseClock abc remaining=9.000>"


_steps = st.lists(
    st.one_of(
        st.tuples(st.just("advance"), st.floats(0, 20)),
        st.tuples(st.just("renewed"), st.floats(0, 30), st.integers(-1, 30)),
        st.tuples(st.just("end"), st.sampled_from(LostReason)),
        st.tuples(st.just("settle")),
    ),
    max_size=30,
)


@quick
@given(_steps)
def test_no_facts_revive_it_or_outlast_what_etcd_granted(steps: list[tuple[object, ...]]) -> None:
    clock = FakeClock()
    lease = LeaseClock(1, clock=clock)
    told: list[None] = []
    lease.when_ended(lambda: told.append(None))
    deadline, ended = float("-inf"), False
    was_alive, reason = True, None
    for step in steps:
        match step:
            case ("advance", float(seconds)):
                clock.advance(seconds)
            case ("renewed", float(age), int(ttl)):
                sent_at = clock() - age
                if ttl <= 0:
                    ended = True
                elif was_alive:
                    deadline = max(deadline, sent_at + ttl - timing.margin(ttl))
                alive = lease.renewed(sent_at=sent_at, ttl=ttl)
                assert alive == lease.alive
            case ("end", LostReason() as why):
                lease.end(why)
                ended = True
            case _:
                lease.settle()
        alive = lease.alive
        assert was_alive or not alive, "revived"
        granted = deadline > float("-inf")
        assert alive == (was_alive and not ended and (not granted or clock() < deadline))
        if alive:
            assert lease.remaining() == pytest.approx(deadline - clock() if granted else 0.0)
        else:
            assert lease.remaining() == 0.0
            assert reason is None or lease.ended is reason, "another reason"
            reason = lease.ended
        was_alive = alive
    lease.settle()
    assert len(told) == (0 if was_alive else 1)

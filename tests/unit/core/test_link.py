"""What the plans of one connection share and learn."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcd_election._core import timing
from etcd_election._core.link import Link
from etcd_election._core.method import Lane, Method
from etcd_election.types import LostReason

from .support import START, FakeClock, kept, make_link, quick, ranged, seeded


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_every_call_asks_for_a_raft_leader_and_carries_the_token(clock: FakeClock) -> None:
    link = make_link(clock)
    assert link.metadata() == ((("hasleader", "true"),), 0)
    link.tokens.begin()
    link.tokens.renewed("secret")
    assert link.metadata() == ((("hasleader", "true"), ("token", "secret")), 1)


def test_keepalives_and_long_calls_do_not_share_a_channel_with_the_rest() -> None:
    lanes = {lane: {m.rpc for m in Method if m.lane is lane} for lane in Lane}
    assert lanes[Lane.KEEPALIVES] == {"LeaseKeepAlive"}
    assert lanes[Lane.WAITS] == {"Campaign", "Observe"}


def test_latency_is_learnt_and_smoothed(clock: FakeClock) -> None:
    link = make_link(clock)
    clock.advance(0.08)
    link.answered(0, Method.RANGE, ranged(), START, 0)
    assert link.latency == pytest.approx(0.08)
    clock.advance(0.16)
    link.answered(0, Method.RANGE, ranged(), START + 0.08, 0)
    assert link.latency == pytest.approx(0.09)
    clock.advance(0.03)
    link.answered(0, Method.RANGE, ranged(), START + 0.24, 0)
    assert link.latency == pytest.approx(0.06)


def answered_after(link: Link, clock: FakeClock, *seconds: float) -> None:
    sent_at = clock()
    clock.advance(max(seconds))
    for took in seconds:
        link.answered(0, Method.RANGE, ranged(), clock() - took, 0)
    assert clock() - max(seconds) == sent_at


def test_standstill_is_no_latency(clock: FakeClock) -> None:
    """The process was stopped, or raft had no leader: the next attempts are short all the same."""
    link = make_link(clock)
    answered_after(link, clock, 0.002)
    answered_after(link, clock, *[3.0] * timing.MAX_CALLS)
    assert timing.patience(0, link.latency, 100.0) == timing.PATIENCE[0]


def test_cluster_that_was_slow_at_first_is_not_for_long(clock: FakeClock) -> None:
    link = make_link(clock)
    answered_after(link, clock, 2.0)
    for _ in range(6):
        answered_after(link, clock, 0.002)
    assert timing.patience(0, link.latency, 100.0) == timing.PATIENCE[0]


def test_cluster_that_grows_distant_is_learnt_in_time(clock: FakeClock) -> None:
    link = make_link(clock)
    answered_after(link, clock, 0.01)
    for _ in range(30):
        answered_after(link, clock, 0.2)
    assert timing.patience(0, link.latency, 100.0) == pytest.approx(1.6, rel=0.2)


def test_answer_clears_its_endpoint(clock: FakeClock) -> None:
    link = make_link(clock, endpoints=2)
    link.unanswered(0, START, reached=False, said="")
    assert link.ring.pick() == 1
    link.unanswered(1, START, reached=False, said="")
    link.answered(0, Method.RANGE, ranged(), START, 0)
    assert link.ring.pick() == 0


def test_silent_connection_is_made_anew_and_a_refused_one_cannot_be(clock: FakeClock) -> None:
    link = make_link(clock, endpoints=2)
    link.unanswered(0, START, reached=False, said="")
    assert link.ages == [0, 0]
    link.unanswered(0, START, reached=True, said="")
    assert link.ages == [1, 0]


def test_starved_call_costs_no_connection(clock: FakeClock) -> None:
    link = make_link(clock)
    clock.advance(1)
    link.answered(0, Method.RANGE, ranged(), START, 0)
    link.unanswered(0, START, reached=True, said="")
    assert link.ages == [0]


def test_change_of_cluster_ends_every_lease(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    link = make_link(clock, endpoints=2)
    leases = [link.new_lease(), link.new_lease(5)]
    link.answered(0, Method.RANGE, ranged(revision=10), START, 0)
    assert all(lease.alive for lease in leases)
    with caplog.at_level(logging.WARNING, "etcd_election"):
        link.answered(0, Method.RANGE, ranged(revision=10, cluster=2), START, 10)
    assert [lease.ended for lease in leases] == [LostReason.CLUSTER_CHANGED] * 2
    assert "another etcd cluster" in caplog.text
    assert "etcd0:2379, etcd1:2379" in caplog.text


def test_restored_backup_is_noticed_by_a_linearizable_answer_alone(clock: FakeClock) -> None:
    link = make_link(clock)
    lease = link.new_lease()
    link.answered(0, Method.RANGE, ranged(revision=50), START, 0)
    link.answered(0, Method.KEEPALIVE, kept(lease.lease_id), START, 50)
    assert lease.alive
    link.answered(0, Method.RANGE, ranged(revision=10), START, 50)
    assert lease.ended is LostReason.CLUSTER_CHANGED


def test_lease_that_nobody_uses_any_more_is_forgotten(clock: FakeClock) -> None:
    link = make_link(clock)
    told: list[str] = []
    link.new_lease(1).when_ended(lambda: told.append("forgotten"))
    still_used = link.new_lease(2)
    gc.collect()
    link.answered(0, Method.RANGE, ranged(cluster=1), START, 0)
    link.answered(0, Method.RANGE, ranged(cluster=2), START, 0)
    assert not still_used.alive
    assert told == []


def test_lease_of_a_predecessor_keeps_its_number(clock: FakeClock) -> None:
    assert make_link(clock).new_lease(0xABC).lease_id == 0xABC


_almost_one = 1 - 2**-53


@pytest.mark.parametrize("numbers", [(0.0, 0.0), (_almost_one, 0.0), (_almost_one, _almost_one)])
def test_lease_number_is_never_0_which_etcd_takes_for_a_lease_of_its_own(
    clock: FakeClock, numbers: tuple[float, float]
) -> None:
    drawn = iter(numbers)
    lease = make_link(clock, random=lambda: next(drawn)).new_lease()
    assert 0 < lease.lease_id < 1 << 63


@quick
@given(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True))
def test_lease_number_fits_etcd(high: float, low: float) -> None:
    drawn = iter((high, low))
    assert 0 < make_link(FakeClock(), random=lambda: next(drawn)).new_lease().lease_id < 1 << 63


def test_lease_numbers_are_not_used_twice(clock: FakeClock) -> None:
    link = make_link(clock, random=seeded())
    numbers = {link.new_lease().lease_id for _ in range(1000)}
    assert len(numbers) == 1000
    assert max(numbers) > 1 << 62
    assert len({number >> 32 for number in numbers}) > 990
    assert len({number & 0xFFFFFFFF for number in numbers}) > 990


def test_two_clients_cannot_go_on_with_the_same_lease(clock: FakeClock) -> None:
    link = make_link(clock)
    assert link.claim(5)
    assert not link.claim(5)
    link.release(5)
    assert link.claim(5)
    link.release(6)


def test_foreign_key_is_warned_about_once_per_election(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    link = make_link(clock)
    warned: Callable[[], int] = lambda: len(caplog.records)  # noqa: E731
    with caplog.at_level(logging.WARNING, "etcd_election"):
        link.warn_foreign(b"a", b"a/b/1")
        assert warned() == 1
        assert "b'a/b/1'" in caplog.text
        link.warn_foreign(b"a", b"a/c/2")
        assert warned() == 1
        link.warn_foreign(b"b", b"b/x/1")
        assert warned() == 2


def test_defaults_are_the_documented_ones() -> None:
    link = make_link(FakeClock())
    assert link.timeout == timing.DEFAULT_TIMEOUT == 5.0
    assert timing.DEFAULT_TTL == 15


def test_whoever_sees_the_other_cluster_next_finds_no_lease_of_the_former_one_alive(
    clock: FakeClock,
) -> None:
    """Otherwise a read that finds no key there would be told as the key's deletion."""
    link = make_link(clock)
    lease = link.new_lease()
    lease.renewed(sent_at=clock(), ttl=15)
    link.answered(0, Method.RANGE, ranged(cluster=1), START, 0)
    seen: list[LostReason | None] = []

    def meanwhile(_: logging.LogRecord) -> bool:
        link.answered(0, Method.RANGE, ranged(cluster=2), START, 0)
        seen.append(lease.ended)
        return True

    log = logging.getLogger("etcd_election")
    log.addFilter(meanwhile)
    try:
        link.answered(0, Method.RANGE, ranged(cluster=2), START, 0)
    finally:
        log.removeFilter(meanwhile)
    assert seen == [LostReason.CLUSTER_CHANGED]

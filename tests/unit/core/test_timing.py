"""The times that everything is decided by."""

from __future__ import annotations

import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcd_election._core import timing

from .support import quick, steady


@pytest.mark.parametrize(("ttl", "margin"), [(1, 0.2), (2, 0.2), (15, 1.5), (60, 6.0)])
def test_margin_is_a_tenth_and_at_least_a_fifth_of_a_second(ttl: int, margin: float) -> None:
    assert timing.margin(ttl) == pytest.approx(margin)


@quick
@given(st.integers(timing.MIN_TTL, timing.MAX_TTL), st.floats(0, 1, exclude_max=True))
def test_two_beats_may_fail_before_a_lease_is_given_up(ttl: int, number: float) -> None:
    beat = timing.beat(ttl, steady(number))
    assert ttl * 0.3 <= beat <= ttl / 3
    assert 2 * beat < ttl - timing.margin(ttl)


@quick
@given(
    st.floats(0, 1e9),
    st.integers(timing.MIN_TTL, timing.MAX_TTL),
    st.floats(0, 1, exclude_max=True),
)
def test_beats_of_all_clients_fall_on_one_grid_and_none_is_later_for_it(
    instant: float, ttl: int, number: float
) -> None:
    beat_at = timing.beat_after(instant, ttl, steady(number))
    assert (beat_at / timing.BEATS_TOGETHER).is_integer()
    due_at = instant + timing.beat(ttl, steady(number))
    assert due_at - timing.BEATS_TOGETHER < beat_at <= due_at


def test_leadership_is_handed_out_with_time_for_the_next_renewal() -> None:
    assert timing.enough(15) == timing.beat(15, steady())


def test_first_attempts_are_short_and_a_slow_cluster_is_given_more() -> None:
    attempts = [timing.patience(attempt, 0.0, 30.0) for attempt in range(8)]
    assert attempts == [0.3, 0.5, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0]
    assert timing.patience(0, 0.2, 30.0) == pytest.approx(1.6)
    assert timing.patience(4, 0.2, 30.0) == 2.0
    assert timing.patience(0, 0.8, 5.0) == 2.5, "time is left for another endpoint"
    assert timing.patience(4, 0.8, 3.0) == 2.0
    assert timing.patience(0, 0.8, 1.0) == 1.6, "no attempt is too short to be answered"


@quick
@given(st.integers(1, 100), st.floats(0, 1, exclude_max=True))
def test_rounds_in_vain_come_ever_less_often_but_go_on(rounds: int, number: float) -> None:
    delay = timing.round_delay(rounds, steady(number))
    bound = timing.ROUND_DELAY[min(rounds, 5) - 1]
    assert bound * 0.75 <= delay <= bound * 1.25


def test_watch_stream_in_vain_is_opened_ever_less_often_and_within_a_second() -> None:
    delays = [timing.watch_delay(failures) for failures in range(8)]
    assert delays == [0.05, 0.1, 0.2, 0.5, 1.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("platform", "name"), [("linux", "CLOCK_BOOTTIME"), ("darwin", "CLOCK_MONOTONIC_RAW")]
)
def test_clock_goes_on_while_the_machine_sleeps(
    monkeypatch: pytest.MonkeyPatch, platform: str, name: str
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(time, name, 77, raising=False)
    monkeypatch.setattr(time, "clock_gettime", float)
    assert timing._system_clock()() == 77.0


def test_other_platforms_take_the_monotonic_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert timing._system_clock() is time.monotonic


def test_system_clock_runs() -> None:
    assert timing.system_clock() <= timing.system_clock()

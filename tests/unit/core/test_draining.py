"""How long the end of a connection waits for what it left on the server."""

from __future__ import annotations

import pytest

from etcd_election._core import timing
from etcd_election._core.draining import Draining

from .support import FakeClock

NEVER = float("-inf")


def test_etcd_that_confirms_nothing_is_soon_given_up() -> None:
    clock = FakeClock()
    draining = Draining(clock)
    assert draining.left(NEVER) == timing.CLEANUP
    clock.advance(timing.CLEANUP)
    assert draining.left(NEVER) == 0.0


def test_etcd_that_goes_on_confirming_is_waited_for() -> None:
    clock = FakeClock()
    draining = Draining(clock)
    for _ in range(5):
        clock.advance(timing.CLEANUP - 0.1)
        assert draining.left(clock()) == timing.CLEANUP
    confirmed_at = clock()
    clock.advance(timing.CLEANUP)
    assert draining.left(confirmed_at) == 0.0, "it has fallen silent"


def test_even_then_it_is_over_some_day() -> None:
    clock = FakeClock()
    draining = Draining(clock)
    clock.advance(timing.CLEANUP_OF_MANY - 0.5)
    assert draining.left(clock()) == pytest.approx(0.5)
    clock.advance(0.5)
    assert draining.left(clock()) == 0.0


def test_time_that_the_user_gave_is_all_there_is() -> None:
    clock = FakeClock()
    draining = Draining(clock, 0.5)
    assert draining.deadline == clock() + 0.5
    assert draining.left(clock()) == 0.5
    clock.advance(0.5)
    assert draining.left(clock()) == 0.0

"""Limits: nobody is starved, forgotten or let in twice, and etcd's watches are not deadlocked."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcd_election._core.budget import Gate, Stagger, WaitBudget

from .support import FakeClock, quick


class Caller:
    def __init__(self, log: list[Caller]) -> None:
        self._log = log

    def __call__(self) -> None:
        self._log.append(self)


def test_calls_beyond_the_limit_are_admitted_in_the_order_of_asking() -> None:
    log: list[Caller] = []
    first, second, third = (Caller(log) for _ in range(3))
    gate = Gate(1)
    assert gate.enter(first)
    assert not gate.enter(second)
    assert not gate.enter(third)
    assert log == []
    gate.leave()
    assert log == [second]
    gate.leave()
    assert log == [second, third]
    gate.leave()
    assert gate.enter(first)


def test_who_does_not_wait_takes_no_place_in_the_line() -> None:
    log: list[Caller] = []
    first, second = Caller(log), Caller(log)
    gate = Gate(1)
    assert gate.try_enter()
    assert not gate.try_enter()
    assert not gate.enter(first)
    gate.leave()
    assert log == [first]
    gate.leave()
    assert gate.enter(second)


def test_who_gave_up_waiting_holds_up_nobody() -> None:
    log: list[Caller] = []
    first, second, third = (Caller(log) for _ in range(3))
    gate = Gate(1)
    gate.enter(first)
    gate.enter(second)
    gate.enter(third)
    gate.forget(second)
    gate.leave()
    assert log == [third]


def test_who_gave_up_while_being_admitted_passes_it_on() -> None:
    log: list[Caller] = []
    first, second, third = (Caller(log) for _ in range(3))
    gate = Gate(1)
    gate.enter(first)
    gate.enter(second)
    gate.enter(third)
    gate.leave()
    gate.forget(second)
    assert log == [second, third]
    gate.leave()
    assert gate.enter(first)


@quick
@given(st.integers(1, 3), st.lists(st.sampled_from(["enter", "leave", "forget"]), max_size=40))
def test_never_more_than_the_limit_and_never_idle_while_somebody_waits(
    size: int, steps: list[str]
) -> None:
    gate = Gate(size)
    log: list[Caller] = []
    inside: list[Caller] = []
    line: list[Caller] = []
    for step in steps:
        if step == "enter":
            caller = Caller(log)
            (inside if gate.enter(caller) else line).append(caller)
        elif step == "leave" and inside:
            inside.pop()
            gate.leave()
        elif step == "forget" and line:
            gate.forget(line.pop())
        while log:
            caller = log.pop(0)
            assert caller is line.pop(0), "out of order"
            inside.append(caller)
        assert len(inside) <= size
        assert len(inside) == size or not line


def test_waits_of_each_member_are_counted_for_itself() -> None:
    budget = WaitBudget(2)
    assert [budget.take(0), budget.take(0), budget.take(0)] == [True, True, False]
    assert budget.take(1)
    budget.give(0)
    assert budget.take(0)
    assert not budget.take(0)


def test_ends_of_waits_are_kept_apart() -> None:
    stagger = Stagger(0.003)
    assert [stagger.delay(100.0) for _ in range(3)] == pytest.approx([0.0, 0.003, 0.006])
    assert stagger.delay(100.008) == pytest.approx(0.001)
    assert stagger.delay(200.0) == 0.0


@quick
@given(st.lists(st.floats(0, 0.02), max_size=20))
def test_no_two_waits_end_together(pauses: list[float]) -> None:
    stagger = Stagger(0.003)
    now, ends = 100.0, []
    for pause in pauses:
        now += pause
        delay = stagger.delay(now)
        assert delay >= 0
        ends.append(now + delay)
    assert all(b - a > 0.0029 for a, b in pairwise(ends))


def test_calls_that_fail_at_once_are_admitted_one_after_the_other_not_inside_each_other() -> None:
    """A connection that is closed ends hundreds of waiting calls: no stack is deep enough."""
    gate = Gate(1)
    gate.enter(lambda: None)
    depth: list[int] = []
    deepest = 0
    ended = 0

    def admitted() -> None:
        nonlocal deepest, ended
        depth.append(1)
        deepest = max(deepest, len(depth))
        ended += 1
        gate.leave()
        depth.pop()

    for _ in range(5000):
        assert not gate.enter(admitted)
    gate.leave()
    assert (ended, deepest) == (5000, 1)
    assert gate.enter(lambda: None), "the place is free again"


def test_signal_handlers_exception_while_a_call_is_admitted_holds_up_nobody() -> None:
    gate = Gate(1)
    gate.enter(lambda: None)

    def interrupted() -> None:
        raise KeyboardInterrupt

    admitted: list[str] = []
    gate.enter(interrupted)
    gate.enter(lambda: admitted.append("next"))
    with pytest.raises(KeyboardInterrupt):
        gate.leave()
    gate.leave()
    assert admitted == ["next"]


def test_call_that_was_about_to_be_admitted_then_is_so_by_whoever_leaves_next() -> None:
    """Also where nobody waits any more: who waits for its reply would wait for ever."""
    gate = Gate(2)
    admitted: list[str] = []

    def interrupted() -> None:
        gate.leave()
        raise KeyboardInterrupt

    for _ in range(2):
        gate.try_enter()
    gate.enter(interrupted)
    gate.enter(lambda: admitted.append("next"))
    with pytest.raises(KeyboardInterrupt):
        gate.leave()
    assert admitted == []
    gate.leave()
    assert admitted == ["next"]
    assert gate.try_enter()
    assert not gate.try_enter(), "one is still under way"


def test_calls_that_stand_aside_for_others_are_not_starved() -> None:
    admitted: list[str] = []
    gate = Gate(1)
    assert gate.try_enter()
    assert not gate.try_enter()
    for i in range(2):
        gate.enter(lambda i=i: admitted.append(f"beat {i}"), aside=True)  # type: ignore[misc]
    for i in range(5):
        gate.enter(lambda i=i: admitted.append(f"call {i}"))  # type: ignore[misc]
    for _ in range(7):
        gate.leave()
    assert admitted == ["call 0", "call 1", "call 2", "beat 0", "call 3", "call 4", "beat 1"]


def test_call_aside_that_gave_up_waiting_holds_up_nobody() -> None:
    admitted: list[str] = []
    gate = Gate(1)
    gate.try_enter()
    beat = partial(admitted.append, "beat")
    gate.enter(beat, aside=True)
    gate.forget(beat)
    gate.leave()
    assert admitted == []
    assert gate.try_enter()


def test_time_that_calls_wait_for_others_does_not_count_while_etcd_answers_those() -> None:
    clock = FakeClock()
    gate = Gate(2, clock)
    until = clock() + 5.0 - gate.held_up
    gate.try_enter()
    clock.advance(1.0)
    gate.leave(answered=True)
    assert gate.held_up == 0.0, "nobody waited"
    for _ in range(2):
        gate.try_enter()
    for _ in range(3):
        gate.enter(lambda: None)
    clock.advance(2.0)
    gate.leave()
    assert gate.left(until) == 2.0, "nothing says yet that etcd is well"
    gate.leave(answered=True)
    assert gate.held_up == 2.0
    assert gate.left(until) == 4.0
    clock.advance(1.0)
    gate.leave(answered=True)
    assert gate.held_up == 3.0, "up to the admission of the last"
    clock.advance(4.0)
    assert gate.left(until) == 0.0, "it has fallen silent"
    gate.leave(answered=True)
    assert gate.held_up == 3.0, "nobody waits any more"


def test_only_waiting_that_begins_anew_counts_from_its_beginning() -> None:
    clock = FakeClock()
    gate = Gate(1, clock)
    gate.try_enter()
    gate.enter(lambda: None)
    clock.advance(1.0)
    gate.leave()
    clock.advance(10.0)
    gate.enter(lambda: None, aside=True)
    clock.advance(1.0)
    gate.leave(answered=True)
    assert gate.held_up == 1.0

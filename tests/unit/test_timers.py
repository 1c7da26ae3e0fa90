"""Timers that share a millisecond: never early, each by itself, and none left behind."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any, cast

import pytest

from etcd_election._io.timers import Timers


class Loop:
    """As an event loop, with a clock that is turned by hand."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.skipped = 0.0
        self.handles: list[Handle] = []
        self.soon: list[Callable[[], None]] = []

    def time(self) -> float:
        return self.now

    def clock(self) -> float:
        return self.now + self.skipped

    def call_at(self, when: float, call: Callable[..., None], *args: Any) -> Handle:
        handle = Handle(self, when, call, args)
        self.handles.append(handle)
        return handle

    def call_later(self, delay: float, call: Callable[..., None], *args: Any) -> Handle:
        return self.call_at(self.now + delay, call, *args)

    def call_soon(self, call: Callable[[], None]) -> None:
        self.soon.append(call)

    def turn(self, seconds: float) -> None:
        self.now += seconds
        for handle in [handle for handle in self.handles if handle.when <= self.now]:
            if handle in self.handles:
                self.handles.remove(handle)
                handle.call(*handle.args)


class Handle:
    def __init__(
        self, loop: Loop, when: float, call: Callable[..., None], args: tuple[Any, ...]
    ) -> None:
        self.when = when
        self.call = call
        self.args = args
        self._loop = loop

    def cancel(self) -> None:
        self._loop.handles.remove(self)


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def timers(loop: Loop) -> Timers:
    return Timers(cast("asyncio.AbstractEventLoop", loop), loop.clock)


def test_those_of_one_millisecond_share_a_timer_and_are_called_in_order(
    loop: Loop, timers: Timers
) -> None:
    called: list[float] = []
    for seconds in (0.0103, 0.0101, 0.0109, 0.0111):
        timers.after(seconds, lambda seconds=seconds: called.append(seconds))  # type: ignore[misc]
    assert len(loop.handles) == 2
    loop.turn(0.011)
    assert called == [0.0103, 0.0101, 0.0109]
    loop.turn(0.001)
    assert called == [0.0103, 0.0101, 0.0109, 0.0111]


@pytest.mark.parametrize("seconds", [0.0, 0.0004, 0.001, 0.0015, 1 / 64, 5.0])
def test_none_is_early_and_none_much_later(loop: Loop, timers: Timers, seconds: float) -> None:
    timers.after(seconds, lambda: None)
    (handle,) = loop.handles
    assert 0 <= handle.when - (loop.now + seconds) <= 0.001 + math.ulp(loop.now)


def test_what_is_cancelled_is_not_called_and_leaves_nothing_in_the_loop(
    loop: Loop, timers: Timers
) -> None:
    called: list[str] = []
    first = timers.after(1.0, lambda: called.append("first"))
    second = timers.after(1.0, lambda: called.append("second"))
    first()
    first()
    assert len(loop.handles) == 1
    second()
    assert not loop.handles
    again = timers.after(1.0, lambda: called.append("again"))
    second()
    assert len(loop.handles) == 1, "it was another one's timer"
    loop.turn(1.001)
    again()
    assert called == ["again"]
    assert not loop.handles


def test_one_may_cancel_another_of_the_same_millisecond(loop: Loop, timers: Timers) -> None:
    called: list[str] = []

    def cancel() -> None:
        second()

    timers.after(1.0, cancel)
    second = timers.after(1.0, lambda: called.append("second"))
    timers.after(1.0, lambda: called.append("third"))
    loop.turn(1.001)
    assert called == ["third"]


def test_one_may_ask_for_another_at_once(loop: Loop, timers: Timers) -> None:
    called: list[str] = []
    timers.after(0.0, lambda: timers.after(0.0, lambda: called.append("next")) and None)
    loop.turn(0.001)
    loop.turn(0.001)
    assert called == ["next"]
    assert not loop.handles


def test_what_one_raises_holds_up_no_other(loop: Loop, timers: Timers) -> None:
    called: list[str] = []

    def fail() -> None:
        raise KeyboardInterrupt

    timers.after(1.0, fail)
    timers.after(1.0, lambda: called.append("second"))
    with pytest.raises(KeyboardInterrupt):
        loop.turn(1.001)
    for call in loop.soon:
        call()
    assert called == ["second"]


def test_when_the_clock_jumps_they_are_set_anew(loop: Loop, timers: Timers) -> None:
    called: list[str] = []
    timers.after(1.0, lambda: called.append("soon"))
    timers.after(60.0, lambda: called.append("later"))
    loop.skipped = 59.0
    timers.set_anew()
    loop.turn(0.001)
    assert called == ["soon"]
    loop.turn(1.0)
    assert called == ["soon", "later"]
    assert not loop.handles


def test_after_a_sleep_of_the_machine_the_next_one_sets_the_others_anew(
    loop: Loop, timers: Timers
) -> None:
    """Beats fall on one grid: it would share the timer of one that was set before, and be late."""
    called: list[str] = []
    timers.after(60.0, lambda: called.append("before"))
    loop.skipped = 59.0
    timers.after(1.0, lambda: called.append("after"))
    loop.turn(1.001)
    assert called == ["before", "after"]


def test_they_are_called_in_a_real_loop() -> None:
    async def wait() -> list[str]:
        loop = asyncio.get_running_loop()
        timers = Timers(loop, loop.time)
        called: list[str] = []
        done = asyncio.Event()
        timers.after(0.002, lambda: called.append("never"))()
        timers.after(0.004, done.set)
        timers.after(0.002, lambda: called.append("first"))
        await asyncio.wait_for(done.wait(), 15)
        return called

    assert asyncio.run(wait()) == ["first"]

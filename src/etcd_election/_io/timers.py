"""Timers of an event loop: those that are due within the same millisecond share one of the loop's.

None is early, and none later by more than that millisecond. The clock is the connection's: where it
jumps, those that are set are late by as much, until they are set anew. That is done when it is said
so, and else (the machine was asleep) before the next one: which may share one of theirs. Used in
the loop only.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from functools import partial

from .._core.timing import Clock

_PER_SECOND = 1000
_JUMP = 0.1
"""So far the clocks of the loop and the connection may go apart: some loops look at theirs once a
turn."""

Call = Callable[[], None]
Cancel = Callable[[], None]
Calls = dict[int, Call]


class Timers:
    """The timers of one connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock) -> None:
        self._loop = loop
        self._clock = clock
        self._due: dict[int, tuple[asyncio.TimerHandle, Calls]] = {}
        self._number = 0
        self._ahead = clock() - loop.time()

    def after(self, seconds: float, call: Call) -> Cancel:
        """Calls later, in the order of asking; returns what cancels it, also when it is over."""
        now = self._clock()
        if abs(now - self._loop.time() - self._ahead) > _JUMP:
            self.set_anew()
        tick = math.ceil((now + seconds) * _PER_SECOND)
        due = self._due.get(tick)
        if due is None:
            due = self._due[tick] = (self._set(tick), {})
        calls = due[1]
        self._number += 1
        calls[self._number] = call
        return partial(self._cancel, tick, calls, self._number)

    def set_anew(self) -> None:
        """The clock has jumped."""
        self._ahead = self._clock() - self._loop.time()
        for tick, (handle, calls) in list(self._due.items()):
            handle.cancel()
            self._due[tick] = (self._set(tick), calls)

    def _set(self, tick: int) -> asyncio.TimerHandle:
        return self._loop.call_later(tick / _PER_SECOND - self._clock(), self._fire, tick)

    def _cancel(self, tick: int, calls: Calls, number: int) -> None:
        if calls.pop(number, None) is None or calls:
            return
        due = self._due.get(tick)
        # While they are being called they are not there any more.
        if due is not None and due[1] is calls:
            due[0].cancel()
            del self._due[tick]

    def _fire(self, tick: int) -> None:
        _, calls = self._due.pop(tick)
        try:
            # One may cancel others of them.
            while calls:
                calls.pop(next(iter(calls)))()
        finally:
            # What one raises is the loop's to tell, and keeps no other from its time.
            for call in calls.values():
                self._loop.call_soon(call)

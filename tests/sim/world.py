"""Virtual time: one heap of events, one random number generator, one list of what went wrong.

Two runs with the same seed and the same core are alike, event by event. No wall clock is looked at
and no thread is started. Time stands still while an event is carried out.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

LATE = 1e-6
"""A timer never fires early: without this, rounding could make a plan wait for nothing for ever."""

_MOST = 100_000
"""Events of one run; ordinary ones have some thousands."""

Event = list[Any]
"""[when, number, what to call or None, its arguments]: what is cancelled calls nothing."""


class World:
    """The time, the chance and the record of one run.

    Attributes:
        now: True time, in seconds.
        random: Uniform in [0, 1).
        counts: How often what happened: "fault: ...", "hazard: ...", ...
        violations: The invariants that were broken; the run ends with the first.
        trace: Lines of what happened, None when nobody wants them.
    """

    def __init__(self, seed: int, *, trace: bool = False) -> None:
        self.now = 0.0
        self.rng = random.Random(seed)
        self.random = self.rng.random
        self.counts: Counter[str] = Counter()
        self.violations: list[str] = []
        self.trace: list[str] | None = [] if trace else None
        self._heap: list[Event] = []
        self._number = 0

    def after(self, delay: float, call: Callable[..., object], *args: Any) -> Event:
        """Calls later; the event's third field may be set to None to cancel it."""
        self._number += 1
        if self._number == _MOST:
            self.violated("it goes round and round")
        event = [self.now + delay, self._number, call, args]
        heapq.heappush(self._heap, event)
        return event

    def between(self, low: float, high: float) -> float:
        """A uniform random number."""
        return low + (high - low) * self.random()

    def chance(self, probability: float) -> bool:
        """True so often."""
        return self.random() < probability

    def say(self, text: str, *args: object) -> None:
        """Adds a line to the trace."""
        if self.trace is not None:
            self.trace.append(f"{self.now:9.4f}  " + text % args)

    def violated(self, text: str) -> None:
        """An invariant is broken."""
        self.say("VIOLATION %s", text)
        self.violations.append(f"{text} (at {self.now:.4f} s)")

    def run(self, until: float) -> None:
        """Lets time pass, unless an invariant breaks before."""
        heap, pop, violations = self._heap, heapq.heappop, self.violations
        while heap and heap[0][0] <= until:
            at, _, call, args = pop(heap)
            if call is not None:
                self.now = at
                call(*args)
                if violations:
                    return
        self.now = until

    def run_until(self, done: Callable[[], bool], most: float) -> bool:
        """Lets time pass until ``done``; False if that takes longer than ``most`` seconds."""
        until = self.now + most
        while not done():
            if self.violations or not self._heap or self._heap[0][0] > until:
                return False
            self.run(self._heap[0][0])
        return True

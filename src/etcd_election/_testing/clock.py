"""The time of an in-memory etcd and of its clients: the machine's, plus what a test has skipped.

What is due is done by a daemon thread, which runs only while anything is waited for; or by whoever
lets the time jump, before that goes on.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

from .._core.timing import system_clock

Cancel = Callable[[], None]


class Time:
    """A clock with timers. Thread-safe; timers are called without its lock."""

    def __init__(self) -> None:
        self._skipped = 0.0
        self._changed = threading.Condition()
        self._timers: dict[int, tuple[float, Callable[[], None]]] = {}
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None

    def __call__(self) -> float:
        """The present instant, in seconds."""
        return system_clock() + self._skipped

    def after(self, seconds: float, call: Callable[[], None]) -> Cancel:
        """Calls later, on any thread; returns what prevents it."""
        with self._changed:
            number = next(self._numbers)
            self._timers[number] = self() + seconds, call
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._run, name="etcd_election-testing", daemon=True
                )
                self._thread.start()
            self._changed.notify()
        return lambda: self._forget(number)

    def skip(self, seconds: float) -> None:
        """Lets the time jump, for all who ask."""
        with self._changed:
            self._skipped += seconds

    def fire(self) -> None:
        """Does all that is due."""
        with self._changed:
            due = self._take_due()
            self._changed.notify()
        for call in due:
            call()

    def _forget(self, number: int) -> None:
        with self._changed:
            self._timers.pop(number, None)
            self._changed.notify()

    def _take_due(self) -> list[Callable[[], None]]:
        now = self()
        due = sorted((at, number) for number, (at, _) in self._timers.items() if at <= now)
        return [self._timers.pop(number)[1] for _, number in due]

    def _run(self) -> None:
        while True:
            with self._changed:
                due = self._take_due()
                if not due:
                    if not self._timers:
                        self._thread = None
                        return
                    first_at = min(at for at, _ in self._timers.values())
                    self._changed.wait(first_at - self())
            for call in due:
                call()

"""Who is to look at the clock again when it has jumped: a wait does not see that by itself.

The clock of a machine jumps when that was asleep, and nobody is told: no wait of the library is
long enough for that to matter. The clock of ``etcd_election.testing`` jumps when a test says so.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

Wake = Callable[[], None]


class Jumps:
    """Whoever waits for an instant. Thread-safe; the lock is not held while they are woken."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wakes: dict[object, Wake] = {}

    def add(self, wake: Wake) -> Wake:
        """Has it woken at every jump, on any thread; returns the removal."""
        mark = object()
        with self._lock:
            self._wakes[mark] = wake
        return lambda: self._remove(mark)

    def tell(self) -> None:
        """The clock has jumped."""
        with self._lock:
            wakes = list(self._wakes.values())
        for wake in wakes:
            wake()

    def _remove(self, mark: object) -> None:
        with self._lock:
            self._wakes.pop(mark, None)

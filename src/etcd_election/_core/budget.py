"""Limits on what one connection has under way."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable


class Gate:
    """Admits so many calls at a time, in the order of asking. Thread-safe.

    Without it, 900 clients that woke at once starved each other's calls (463 of 900 were elected
    within 12 s; with it all within 1.9 s).
    """

    def __init__(self, size: int) -> None:
        self._lock = threading.Lock()
        self._free = size
        self._waiting: deque[Callable[[], None]] = deque()
        self._admitted: deque[Callable[[], None]] = deque()
        self._admitting = False

    def enter(self, admitted: Callable[[], None] | None) -> bool:
        """True: admitted at once. False: ``admitted`` is called once later, on any thread.

        Without ``admitted``, only what is admitted at once is.
        """
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            if admitted is not None:
                self._waiting.append(admitted)
            return False

    def forget(self, admitted: Callable[[], None]) -> None:
        """Gives up a place in the line, or the admission if that came meanwhile."""
        with self._lock:
            if admitted in self._waiting:
                self._waiting.remove(admitted)
                return
        self.leave()

    def leave(self) -> None:
        """An admitted call is over."""
        with self._lock:
            if not self._waiting:
                self._free += 1
                return
            self._admitted.append(self._waiting.popleft())
            if self._admitting:
                # A call that fails at once leaves while it is being admitted: no deeper stack.
                return
            self._admitting = True
        self._admit()

    def _admit(self) -> None:
        try:
            while True:
                with self._lock:
                    if not self._admitted:
                        self._admitting = False
                        return
                    admitted = self._admitted.popleft()
                admitted()
        except BaseException:
            # A signal handler's: whoever leaves next goes on.
            self._admitting = False
            raise


class WaitBudget:
    """Counts the waits in each member's Election service. Thread-safe.

    All waits of all clients of a member share one watch stream inside the server, which deadlocks
    when some 30 or more of its watches close together (etcd issues 20716 and 18879).
    """

    def __init__(self, limit: int) -> None:
        self._lock = threading.Lock()
        self._limit = limit
        self._open: dict[int, int] = {}

    def take(self, endpoint: int) -> bool:
        """True if one more wait may be opened on this endpoint."""
        with self._lock:
            count = self._open.get(endpoint, 0)
            if count >= self._limit:
                return False
            self._open[endpoint] = count + 1
            return True

    def give(self, endpoint: int) -> None:
        """A wait on this endpoint is over."""
        with self._lock:
            self._open[endpoint] -= 1


class Stagger:
    """Keeps endings of waits a few milliseconds apart. Thread-safe."""

    def __init__(self, interval: float) -> None:
        self._lock = threading.Lock()
        self._interval = interval
        self._next_at = float("-inf")

    def delay(self, now: float) -> float:
        """How long the caller is to wait before it ends its wait."""
        with self._lock:
            at = max(now, self._next_at)
            self._next_at = at + self._interval
            return at - now

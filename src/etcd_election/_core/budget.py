"""Limits on what one connection has under way."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from . import timing

_BEFORE_ONE_ASIDE = 3
"""So many calls pass before one that stands aside for them."""


class Gate:
    """Admits so many calls at a time, in the order of asking. Thread-safe.

    Without it, 900 clients that woke at once starved each other's calls (463 of 900 were elected
    within 12 s; with it all within 1.9 s).

    Some stand aside for the others, but for one in four: those of a beat, for which nobody waits,
    and those that begin something. Of thousands that campaign at once each is to have its key soon
    after its lease, not after the leases of all.

    While calls wait here and etcd answers those before them, that is no silence of etcd's: no
    operation's time runs.

    Attributes:
        held_up: How much such time there has been, in seconds.
    """

    def __init__(self, size: int, clock: timing.Clock = timing.system_clock) -> None:
        self.held_up = 0.0
        self._lock = threading.Lock()
        self._clock = clock
        self._free = size
        self._waiting: deque[Callable[[], None]] = deque()
        self._aside: deque[Callable[[], None]] = deque()
        self._passed = 0
        self._held_up_since = 0.0
        self._admitted: deque[Callable[[], None]] = deque()
        self._admitting = False

    def try_enter(self) -> bool:
        """True if admitted; waits for nothing."""
        with self._lock:
            if not self._free:
                return False
            self._free -= 1
            return True

    def enter(self, admitted: Callable[[], None], *, aside: bool = False) -> bool:
        """True: admitted at once. False: ``admitted`` is called once later, on any thread.

        Args:
            admitted: What is called.
            aside: Others are admitted first.
        """
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            if not (self._waiting or self._aside):
                self._held_up_since = self._clock()
            (self._aside if aside else self._waiting).append(admitted)
            return False

    def forget(self, admitted: Callable[[], None]) -> None:
        """Gives up a place in the line, or the admission if that came meanwhile."""
        with self._lock:
            for line in (self._waiting, self._aside):
                if admitted in line:
                    line.remove(admitted)
                    return
        self.leave()

    def left(self, until: float) -> float:
        """Seconds to an instant that lies the later, the longer calls were held up here.

        Args:
            until: The instant, less ``held_up`` as it was when that was decided.
        """
        return until + self.held_up - self._clock()

    def leave(self, *, answered: bool = False) -> None:
        """An admitted call is over.

        Args:
            answered: Whether etcd answered it.
        """
        with self._lock:
            if not (self._waiting or self._aside):
                self._free += 1
            else:
                if answered:
                    now = self._clock()
                    self.held_up += now - self._held_up_since
                    self._held_up_since = now
                self._admitted.append(self._next())
            if self._admitting or not self._admitted:
                # A call that fails at once leaves while it is being admitted: no deeper stack.
                return
            self._admitting = True
        self._admit()

    def _next(self) -> Callable[[], None]:
        """Who is admitted next; there is somebody."""
        if self._aside and (not self._waiting or self._passed >= _BEFORE_ONE_ASIDE):
            self._passed = 0
            return self._aside.popleft()
        self._passed += 1
        return self._waiting.popleft()

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

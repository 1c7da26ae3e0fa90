"""How long the end of a connection waits until what it left on the server is removed.

An etcd that does not answer is given up soon, and what is left then runs out by itself. One that
goes on confirming removals is waited for: thousands of leases take longer than one.
"""

from __future__ import annotations

from . import timing


class Draining:
    """The time that one ``close()`` has.

    Args:
        clock: The clock.
        seconds: What the user gave, and no more than that; None: ``timing.CLEANUP``, and after
            every removal that etcd confirms as much again, ``timing.CLEANUP_OF_MANY`` in all.

    Attributes:
        deadline: When it is over without any progress.
    """

    def __init__(self, clock: timing.Clock, seconds: float | None = None) -> None:
        now = clock()
        self.deadline = now + (timing.CLEANUP if seconds is None else seconds)
        self._clock = clock
        self._latest = self.deadline if seconds is not None else now + timing.CLEANUP_OF_MANY

    def left(self, confirmed_at: float) -> float:
        """How many seconds may still be waited.

        Args:
            confirmed_at: When etcd last confirmed a removal.
        """
        until = max(self.deadline, min(confirmed_at + timing.CLEANUP, self._latest))
        return max(0.0, until - self._clock())

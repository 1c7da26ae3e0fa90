"""An observer of the election: it may skip leaders, but never goes back, nor is late for long.

Counted on: that a read every few seconds mends whatever the Observe stream and the watch keep back.
"""

from __future__ import annotations

from etcd_election._core import timing
from etcd_election._core.observe import ObserveCursor
from etcd_election._core.plans.following import Following

from .process import Process

LATE = timing.OBSERVE_BEAT + 1.0
"""After this time an observer whose etcd is well knows who leads."""


class Observer:
    """One process that only observes."""

    def __init__(self, process: Process, name: str) -> None:
        self.process = process
        self._cursor = ObserveCursor(self._news)
        self._token = 0
        following = Following(process.link, name.encode(), self._cursor, observes=True)
        process.start(following.follow(), "follow")

    def _news(self) -> None:
        _, leader = self._cursor.latest()
        counts = self.process.world.counts
        counts["observed: a leader" if leader else "observed: a vacancy"] += 1
        if leader is not None:
            if leader.token < self._token:
                self.process.world.violated(f"observed {leader.token} after {self._token}")
            self._token = leader.token

    @property
    def sees_vacancy(self) -> bool:
        """True if it knows that nobody leads."""
        number, leader = self._cursor.latest()
        return number > 0 and leader is None

    def end(self) -> None:
        self.process.stop()

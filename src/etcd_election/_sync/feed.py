"""One followed election, shared by all its observers on a connection."""

from __future__ import annotations

import threading

from .._core.member import Terms
from .._core.observe import ObserveCursor
from .._core.plans.following import Following
from .connection import Etcd, Machinery
from .engine import Task


class Feed:
    """Follows an election while anybody observes it. Thread-safe.

    Attributes:
        changed: Notified of news and of the end.
        cursor: The newest state.
        error: What following ended with.
    """

    def __init__(self, machinery: Machinery, terms: Terms) -> None:
        self.changed = threading.Condition()
        self.error: Exception | None = None
        self.cursor = ObserveCursor(self.wake)
        self._readers = 0
        observes = terms.via == "service"
        following = Following(machinery.link, terms.name, self.cursor, observes=observes)
        self._engine = machinery.engine
        self._task = self._engine.start(following.follow(), self._ended)

    @classmethod
    def join(cls, etcd: Etcd, terms: Terms) -> Feed:
        """The feed of an election, for one more reader."""
        machinery = etcd._in_use()
        key = terms.name, terms.via
        with etcd._lock:
            feed = etcd._feeds.get(key)
            if feed is None or feed.error is not None:
                feed = etcd._feeds[key] = cls(machinery, terms)
            feed._readers += 1
            return feed

    def leave(self, etcd: Etcd, terms: Terms) -> None:
        """One reader less; nobody follows for nobody."""
        key = terms.name, terms.via
        with etcd._lock:
            self._readers -= 1
            if self._readers:
                return
            if etcd._feeds.get(key) is self:
                del etcd._feeds[key]
        self._engine.cancel(self._task)

    def leave_later(self, etcd: Etcd, terms: Terms) -> None:
        """For an observer that was collected unclosed: takes no lock here."""
        self._engine.later(lambda: self.leave(etcd, terms))

    def wake(self) -> None:
        """Lets all readers look again."""
        with self.changed:
            self.changed.notify_all()

    def _ended(self, task: Task) -> None:
        self.error = task.error
        self.wake()

"""One followed election, shared by all its observers on a connection."""

from __future__ import annotations

import asyncio

from .._core.member import Terms
from .._core.observe import ObserveCursor
from .._core.plans.following import Following
from .connection import Etcd, Machinery
from .engine import Task
from .waiting import settled


class Feed:
    """Follows an election while anybody observes it. Used in its event loop only.

    Attributes:
        cursor: The newest state.
        error: What following ended with.
    """

    def __init__(self, machinery: Machinery, terms: Terms) -> None:
        self.error: Exception | None = None
        self.cursor = ObserveCursor(self.wake)
        self._readers = 0
        self._waiting: set[asyncio.Future[None]] = set()
        observes = terms.via == "service"
        following = Following(machinery.link, terms.name, self.cursor, observes=observes)
        self._engine = machinery.engine
        self._task = self._engine.start(following.follow(), self._ended)

    @classmethod
    def join(cls, etcd: Etcd, terms: Terms) -> Feed:
        """The feed of an election, for one more reader."""
        machinery = etcd._in_use()
        key = terms.name, terms.via
        feed = etcd._feeds.get(key)
        if feed is None or feed.error is not None:
            feed = etcd._feeds[key] = cls(machinery, terms)
        feed._readers += 1
        return feed

    def leave(self, etcd: Etcd, terms: Terms) -> None:
        """One reader less; nobody follows for nobody."""
        key = terms.name, terms.via
        self._readers -= 1
        if self._readers:
            return
        if etcd._feeds.get(key) is self:
            del etcd._feeds[key]
        self._engine.cancel(self._task)

    def leave_later(self, etcd: Etcd, terms: Terms) -> None:
        """For an observer that was collected unclosed: on any thread."""
        self._engine.later(lambda: self.leave(etcd, terms))

    async def changed(self, seconds: float | None) -> bool:
        """Waits until there may be news, or the end; False if the time was not enough."""
        waiting: asyncio.Future[None] = self._engine.loop.create_future()
        self._waiting.add(waiting)
        try:
            return await settled(waiting, seconds)
        finally:
            self._waiting.discard(waiting)

    def wake(self) -> None:
        """Lets all readers look again."""
        waiting, self._waiting = self._waiting, set()
        for future in waiting:
            future.set_result(None)

    def _ended(self, task: Task) -> None:
        self.error = task.error
        self.wake()

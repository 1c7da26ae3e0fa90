"""An iterator over the leaders of an election."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Awaitable, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .. import errors
from .._core import arguments
from .._core.observe import ObserveReader
from ..types import Leader
from .feed import Feed

if TYPE_CHECKING:
    from .client import ElectionClient

S = TypeVar("S", bound="Leader | None")


class Observer(Generic[S]):
    """The current leader, then newer states, in order, without repeats, never going back.

    A leader of a millisecond may be skipped, the latest never; a slow reader sees the latest. Goes
    on by itself after disconnects, compactions and restarts. An asynchronous iterator and context
    manager; several tasks may share it, each state then goes to one of them.

    Raises (from ``next`` and iteration):
        AuthenticationFailed, PermissionDenied: What cannot heal.
    """

    def __init__(self, client: ElectionClient, *, vacancies: bool) -> None:
        self._client = client
        self._vacancies = vacancies
        self._feed: Feed | None = None
        self._reader: ObserveReader | None = None
        self._closed = False
        self._finalizer: weakref.finalize[Any, Any] | None = None

    def __repr__(self) -> str:
        return f"<Observer {self._client.name!r}{' closed' if self._closed else ''}>"

    def __aiter__(self) -> Observer[S]:
        return self

    async def __anext__(self) -> S:
        try:
            return await self.next()
        except errors.ClientClosed:
            raise StopAsyncIteration from None

    async def next(self, timeout: float | None = None) -> S:
        """The next state that is news.

        Args:
            timeout: Seconds; None waits for ever.

        Returns:
            A Leader, or None for a vacancy if those were asked for.

        Raises:
            OperationTimeout: Nothing new came in time; the observer goes on.
            ClientClosed: The observer or its client is closed.
        """
        patience = arguments.optional_seconds("timeout", timeout)
        if self._closed:
            raise errors.ClientClosed("the observer is closed")
        feed, reader = self._join()
        clock = self._client._link.clock
        ends_at = None if patience is None else clock() + patience
        while not self._ready(feed, reader):
            left = None if ends_at is None else max(0.0, ends_at - clock())
            if not await feed.changed(left):
                raise errors.OperationTimeout(f"no news of {self._client.name!r} in {timeout} s")
        if self._closed:
            raise errors.ClientClosed("the observer is closed")
        if not reader.ready() and feed.error is not None:
            raise copy.copy(feed.error) from feed.error
        state: S = reader.take()  # type: ignore[assignment]
        return state

    def close(self) -> Awaitable[None]:
        """Ends the iteration. Idempotent; the client goes on.

        Returns:
            Something that may be awaited and need not be: it is closed already.
        """
        if not self._closed:
            self._closed = True
            if self._finalizer is not None:
                self._finalizer.detach()
            self._client._observers.discard(self)
            if self._feed is not None:
                self._feed.leave(self._client._etcd, self._client._member.terms)
                self._feed.wake()
        return _Done()

    async def __aenter__(self) -> Observer[S]:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ready(self, feed: Feed, reader: ObserveReader) -> bool:
        """True if there is something to return or to raise."""
        return self._closed or reader.ready() or feed.error is not None

    def _join(self) -> tuple[Feed, ObserveReader]:
        """Begins to follow, at the first question: only then there surely is an event loop."""
        if self._feed is None or self._reader is None:
            client = self._client
            self._feed = Feed.join(client._etcd, client._member.terms)
            self._reader = ObserveReader(self._feed.cursor, vacancies=self._vacancies)
            self._finalizer = weakref.finalize(
                self, self._feed.leave_later, client._etcd, client._member.terms
            )
            self._finalizer.atexit = False
        else:
            self._client._etcd._in_use()
        return self._feed, self._reader


class _Done:
    def __await__(self) -> Generator[Any, None, None]:
        return iter(())  # type: ignore[return-value]

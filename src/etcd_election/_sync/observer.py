"""An iterator over the leaders of an election."""

from __future__ import annotations

import copy
import threading
import weakref
from types import TracebackType
from typing import TYPE_CHECKING, Generic, TypeVar

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
    on by itself after disconnects, compactions and restarts. An iterator and a context manager;
    several threads may share it, each state then goes to one of them.

    Raises (from ``next`` and iteration):
        AuthenticationFailed, PermissionDenied: What cannot heal.
    """

    def __init__(self, client: ElectionClient, *, vacancies: bool) -> None:
        self._client = client
        self._feed = Feed.join(client._etcd, client._member.terms)
        self._reader = ObserveReader(self._feed.cursor, vacancies=vacancies)
        self._lock = threading.Lock()
        self._closed = False
        self._finalizer = weakref.finalize(
            self, self._feed.leave_later, client._etcd, client._member.terms
        )
        self._finalizer.atexit = False

    def __repr__(self) -> str:
        return f"<Observer {self._client.name!r}{' closed' if self._closed else ''}>"

    def __iter__(self) -> Observer[S]:
        return self

    def __next__(self) -> S:
        try:
            return self.next()
        except errors.ClientClosed:
            raise StopIteration from None

    def next(self, timeout: float | None = None) -> S:
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
        feed = self._feed
        with feed.changed:
            if not feed.changed.wait_for(self._ready, patience):
                raise errors.OperationTimeout(f"no news of {self._client.name!r} in {timeout} s")
            if self._closed:
                raise errors.ClientClosed("the observer is closed")
            if not self._reader.ready() and feed.error is not None:
                raise copy.copy(feed.error) from feed.error
            state: S = self._reader.take()  # type: ignore[assignment]
            return state

    def close(self) -> None:
        """Ends the iteration. Idempotent; the client goes on."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._finalizer.detach()
        self._feed.leave(self._client._etcd, self._client._member.terms)
        self._client._observers.discard(self)
        self._feed.wake()

    def __enter__(self) -> Observer[S]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ready(self) -> bool:
        """True if there is something to return or to raise."""
        return self._closed or self._reader.ready() or self._feed.error is not None

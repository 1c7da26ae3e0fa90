"""A connection to etcd, shared by any number of clients."""

from __future__ import annotations

import os
import threading
import warnings
import weakref
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from .. import errors
from .._core import timing
from .._core.background import Background
from .._core.draining import Draining
from .._core.effects import Plan
from .._core.keywatch import Watchers
from .._core.plans import reading
from .._io.grpc_sync import Wire
from .._io.network import BlockingWire
from .._io.setup import Setup
from ..events import Event
from ..types import TLS
from .driver import Driver, Inbox, run
from .engine import Engine, Task
from .hub import Hub

if TYPE_CHECKING:
    from .client import ElectionClient
    from .feed import Feed

T = TypeVar("T")


class Machinery:
    """What a connection works with once it is used: channels, watch stream, background."""

    def __init__(self, setup: Setup) -> None:
        self.link = link = setup.link
        self.wire = _wire(setup)
        first = Hub(link, self.wire)
        self.hubs = [first]
        # A name may turn out to have several addresses.
        if len(link.endpoints) > 1 or link.names.hosts:
            self.hubs.append(Hub(link, self.wire, beside=first))
        self.watcher = Watchers(self.hubs)
        self.engine = Engine(link, self.wire, self.watcher, self.stop_streams)
        self.background: Background[Task] = Background(link, self.engine)
        self.process = os.getpid()

    def run(self, plan: Plan[T]) -> T:
        """Carries out a plan of calls on the calling thread."""
        return run(self.wire, plan)

    def driver(self, inbox: Inbox) -> Driver:
        """Carries out plans that wait."""
        return Driver(self.link, self.wire, self.watcher, inbox)

    def drain(self, draining: Draining) -> None:
        """Waits until nothing is left to be revoked, or the time is up."""
        for task in self.background.retirements():
            while not task.done.is_set() and (left := draining.left(self.background.confirmed_at)):
                task.done.wait(left)

    def stop(self) -> None:
        """Ends everything at once."""
        self.link.closed = True
        self.engine.stop()
        self.stop_streams()

    def stop_streams(self) -> None:
        """Ends what goes over the wire."""
        for hub in self.hubs:
            hub.stop()
        self.wire.close()


def _wire(setup: Setup) -> BlockingWire:
    if setup.network is not None:
        return setup.network.blocking(setup.link)
    return Wire(setup.link, setup.certificates, setup.options)


class Etcd:
    """A connection to one etcd cluster. Nothing is sent before it is used.

    Thread-safe, and shared by as many clients as you like. After a fork, the child must make its
    own (one that was never used before the fork works in both). Fork before anything is used where
    you can: grpcio itself does not always survive a fork while its threads are at work.

    Args:
        endpoints: ``host:port``, ``http://host:port`` or ``https://host:port``, IPv6 as
            ``[::1]:2379``; one string, also with a comma list as in etcdctl, or a sequence of
            strings. A name that has several addresses counts as that many endpoints.
        tls: How to speak TLS: to every endpoint that does not say ``http://``. Without it, TLS is
            spoken where ``https://`` says so, as ``TLS()`` does.
        user: A user of etcd's, if it asks for one; a token is fetched when it is needed.
        password: The user's password.
        timeout: What one operation may take in all, in seconds, retries included.
            Waiting for other calls of this connection does not count while etcd answers those.
        options: Further gRPC channel options, as (name, value) pairs.
        on_event: Called with every ``Event``, one after the other, on a thread of its own; what it
            raises is logged. It may block: when 1000 events wait, further ones are dropped, and
            ``EventsDropped`` tells how many. ``close()`` waits half a second at most
            for what was told before.

    Raises:
        TypeError, ValueError: An argument is not as described; nothing was sent.
    """

    def __init__(
        self,
        endpoints: str | Sequence[str] = "127.0.0.1:2379",
        *,
        tls: TLS | None = None,
        user: str | None = None,
        password: str | None = None,
        timeout: float = timing.DEFAULT_TIMEOUT,
        options: Sequence[tuple[str, Any]] = (),
        on_event: Callable[[Event], object] | None = None,
    ) -> None:
        self._setup = Setup(
            endpoints,
            tls=tls,
            user=user,
            password=password,
            timeout=timeout,
            options=options,
            on_event=on_event,
        )
        self._link = self._setup.link
        self._lock = threading.Lock()
        self._machinery: Machinery | None = None
        self._finalizer: weakref.finalize[Any, Any] | None = None
        self._closed = False
        self._clients: weakref.WeakSet[ElectionClient] = weakref.WeakSet()
        self._feeds: dict[tuple[bytes, str], Feed] = {}

    def __repr__(self) -> str:
        targets = ",".join(endpoint.authority for endpoint in self._link.given)
        return f"<Etcd {targets}{' closed' if self._closed else ''}>"

    def open(self) -> None:
        """Checks that etcd answers.

        Raises:
            Unavailable: It does not within ``timeout``.
            AuthenticationFailed: It does not know the user, the password is wrong, or it wants to
                know who asks.
            ClientClosed: This connection is closed.
        """
        self._open(None)

    def _open(self, timeout: float | None) -> None:
        link = self._link
        patience = link.timeout if timeout is None else timeout
        self._in_use().run(reading.check(link, deadline=link.clock() + patience))

    def close(self) -> None:
        """Closes its clients, then the connection. Idempotent.

        Takes up to 2 s for removing leases of an etcd that does not answer; what is left then is no
        longer renewed. As long as etcd confirms removals it goes on, up to 30 s in all.
        """
        self._close(Draining(self._link.clock))

    def _close(self, draining: Draining) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            machinery, finalizer = self._machinery, self._finalizer
            clients = list(self._clients)
        if finalizer is not None:
            finalizer.detach()
        ending = [client for client in clients if client._end()]
        if machinery is None or machinery.process != os.getpid():
            return
        try:
            for client in ending:
                client._await_line(draining.deadline)
                client._member.drop()
            machinery.drain(draining)
        finally:
            # Ctrl-C, too: what is left then is no longer renewed.
            machinery.stop()
        if self._setup.delivery is not None:
            self._setup.delivery.close()

    def __enter__(self) -> Etcd:
        try:
            self.open()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _in_use(self) -> Machinery:
        """What to work with, made at the first use."""
        with self._lock:
            if self._closed:
                raise errors.ClientClosed("the connection is closed: make a new Etcd")
            if self._machinery is None:
                self._machinery = Machinery(self._setup)
                self._finalizer = weakref.finalize(self, _collected, self._machinery, repr(self))
                self._finalizer.atexit = False
            machinery = self._machinery
        if machinery.process != os.getpid():
            raise errors.ClientClosed("made before the fork: make a new Etcd in the child")
        return machinery

    def _foreign(self) -> bool:
        """True in a child of the process that connected."""
        return self._machinery is not None and self._machinery.process != os.getpid()


def _collected(machinery: Machinery, text: str) -> None:
    """A connection was collected unclosed. Runs anywhere: takes no lock."""
    machinery.engine.stop_later()
    warnings.warn(f"unclosed {text}", ResourceWarning, stacklevel=2)

"""A connection to etcd, shared by any number of clients."""

from __future__ import annotations

import asyncio
import contextlib
import os
import warnings
import weakref
from collections.abc import AsyncGenerator, Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .. import errors
from .._core import timing
from .._core.background import Background
from .._core.draining import Draining
from .._core.keywatch import Watchers
from .._core.plans import reading
from .._io.delivery import Delivery
from .._io.grpc_aio import Wire, refuse_after_fork
from .._io.network import AsyncioWire
from .._io.setup import Setup
from ..events import Event
from ..types import TLS
from .engine import Engine, Task
from .hub import Hub
from .waiting import CleanUp

if TYPE_CHECKING:
    from .client import ElectionClient
    from .feed import Feed


class Machinery:
    """What a connection works with once it is used: channels, watch stream, background."""

    def __init__(self, setup: Setup) -> None:
        if setup.network is None:
            refuse_after_fork()
        self.link = link = setup.link
        self.loop = asyncio.get_running_loop()
        self.wire = _wire(setup, self.loop)
        first = Hub(link, self.wire, self.loop, lambda: self.engine)
        self.hubs = [first]
        # A name may turn out to have several addresses.
        if len(link.endpoints) > 1 or link.names.hosts:
            second = Hub(link, self.wire, self.loop, lambda: self.engine, beside=first)
            self.hubs.append(second)
        self.engine = Engine(link, self.wire, Watchers(self.hubs), self.loop)
        self.background: Background[Task] = Background(link, self.engine)
        self.process = os.getpid()
        self.ending: asyncio.Task[None] | None = None
        # Weakly, as what the callback refers to may be the connection.
        self._delivery = None if setup.delivery is None else weakref.ref(setup.delivery)
        self._sentinel = _until_the_loop_ends(self)
        # Runs to its yield, which makes the loop know of it.
        with contextlib.suppress(StopIteration):
            self._sentinel.__anext__().send(None)

    async def drain(self, clean_up: CleanUp, draining: Draining) -> None:
        """Waits until nothing is left to be revoked, or the time is up."""
        for task in self.background.retirements():
            while not task.done.done() and (left := draining.left(self.background.confirmed_at)):
                await clean_up.settled(task.done, left)

    def finish_events(self, done: Callable[[], None] = lambda: None) -> Delivery | None:
        """No further event is told; ``done`` is called, on any thread, when all are."""
        delivery = self._delivery() if self._delivery is not None else None
        if delivery is not None:
            delivery.finish(done)
        return delivery

    async def told(self, clean_up: CleanUp) -> None:
        """No further event is told; waits a moment until all are."""
        future: asyncio.Future[None] = self.loop.create_future()
        delivery = self.finish_events(lambda: self.engine.later(lambda: future.set_result(None)))
        if delivery is not None and not await clean_up.settled(future, timing.DELIVERY):
            delivery.abandon()

    def alive(self) -> bool:
        """False when nothing can be done any more: in another process, or after the loop's end."""
        return self.process == os.getpid() and not self.loop.is_closed()

    async def end(self) -> None:
        """Ends everything at once."""
        await self._stop()
        await self._sentinel.aclose()

    async def _stop(self) -> None:
        self.link.closed = True
        await self.engine.stop()
        for hub in self.hubs:
            hub.stop()
        await self.wire.close()


def _wire(setup: Setup, loop: asyncio.AbstractEventLoop) -> AsyncioWire:
    if setup.network is not None:
        return setup.network.asyncio(setup.link, loop)
    return Wire(setup.link, setup.certificates, setup.options, loop)


class Etcd:
    """A connection to one etcd cluster. Nothing is sent before it is used.

    Shared by as many clients as you like. It may be made anywhere, belongs to the event loop of its
    first use, and raises RuntimeError in another: make one for each loop. Close it before its loop
    ends; ``asyncio.run`` does so at its end. After a fork no connection of this kind works in the
    child: grpc.aio does not survive that.

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
            ``EventsDropped`` tells how many. What belongs to the event loop it reaches by
            ``loop.call_soon_threadsafe``. ``close()`` waits half a second at most for what was
            told before.

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
        self._machinery: Machinery | None = None
        self._finalizer: weakref.finalize[Any, Any] | None = None
        self._closed = False
        self._clients: weakref.WeakSet[ElectionClient] = weakref.WeakSet()
        self._feeds: dict[tuple[bytes, str], Feed] = {}

    def __repr__(self) -> str:
        targets = ",".join(endpoint.authority for endpoint in self._link.given)
        return f"<Etcd {targets}{' closed' if self._closed else ''}>"

    async def open(self) -> None:
        """Checks that etcd answers.

        Raises:
            Unavailable: It does not within ``timeout``.
            AuthenticationFailed: It does not know the user, the password is wrong, or it wants to
                know who asks.
            ClientClosed: This connection is closed.
        """
        await self._open(None)

    async def _open(self, timeout: float | None) -> None:
        link = self._link
        patience = link.timeout if timeout is None else timeout
        machinery = self._in_use()
        await machinery.engine.run(reading.check(link, deadline=link.clock() + patience))

    async def close(self) -> None:
        """Closes its clients, then the connection. Idempotent.

        Takes up to 2 s for removing leases of an etcd that does not answer; what is left then is no
        longer renewed. As long as etcd confirms removals it goes on, up to 30 s in all. A cancel is
        held back meanwhile.
        """
        clean_up = CleanUp()
        await self._close(clean_up, Draining(self._link.clock))
        clean_up.over()

    async def _close(self, clean_up: CleanUp, draining: Draining) -> None:
        if self._closed:
            return
        if self._alive():
            self._check_loop()
        self._closed = True
        machinery = self._machinery
        if self._finalizer is not None:
            self._finalizer.detach()
        ending = [client for client in list(self._clients) if client._end()]
        if machinery is None:
            return
        if not machinery.alive():
            machinery.finish_events()
            return
        for client in ending:
            await client._await_line(clean_up, draining.deadline)
            client._member.drop()
        await machinery.drain(clean_up, draining)
        await clean_up.settled(machinery.loop.create_task(machinery.end()), timing.CLEANUP)
        await machinery.told(clean_up)

    async def __aenter__(self) -> Etcd:
        try:
            await self.open()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def _in_use(self) -> Machinery:
        """What to work with, made at the first use."""
        self._check_open()
        if self._machinery is None:
            self._machinery = Machinery(self._setup)
            self._finalizer = weakref.finalize(self, _collected, self._machinery, repr(self))
            self._finalizer.atexit = False
        self._check_loop()
        return self._machinery

    def _check_open(self) -> None:
        if self._closed:
            raise errors.ClientClosed("the connection is closed: make a new Etcd")
        if self._foreign():
            raise errors.ClientClosed("made before the fork: make a new Etcd in the child")

    def _check_loop(self) -> None:
        """Raises RuntimeError in another event loop than that of the first use."""
        machinery = self._machinery
        if machinery is not None and machinery.loop is not asyncio.get_running_loop():
            raise RuntimeError(
                f"{self!r} belongs to the event loop of its first use: make one for each loop"
            )

    def _alive(self) -> bool:
        """False when nothing was used yet, or can be."""
        return self._machinery is not None and self._machinery.alive()

    def _foreign(self) -> bool:
        """True in a child of the process that connected."""
        return self._machinery is not None and self._machinery.process != os.getpid()


def _collected(machinery: Machinery, text: str) -> None:
    """A connection was collected unclosed. Runs anywhere: takes no lock."""

    def end() -> None:
        machinery.ending = machinery.loop.create_task(machinery.end())

    machinery.engine.later(end)
    warnings.warn(f"unclosed {text}", ResourceWarning, stacklevel=2)


async def _until_the_loop_ends(machinery: Machinery) -> AsyncGenerator[None, None]:
    """A loop that ends as it should closes its asynchronous generators, and with this one us.

    Channels that are open when their loop is closed fill the log of the next one.
    """
    try:
        yield
    finally:
        if not machinery.link.closed:
            await machinery.drain(CleanUp(), Draining(machinery.link.clock))
            await machinery._stop()
            await machinery.told(CleanUp())

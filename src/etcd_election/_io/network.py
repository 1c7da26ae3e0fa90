"""Where endpoints lead: to servers, by gRPC; or to what stands in for them.

An endpoint with a network of its own is not connected to: whoever is given it, in either front-end,
talks to that network, by its clock. Nothing but ``etcd_election.testing`` makes any.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from .._core.effects import Aside, Fact, Failure, Invoke, Metadata, Open, Reply
from .._core.endpoints import Endpoint
from .._core.link import Link
from .._core.timing import Clock
from ..pb import rpc_pb2
from .calls import Callback, Cancel


class BlockingWire(Protocol):
    """How the blocking front-end makes calls. Thread-safe."""

    def invoke(self, effect: Invoke) -> Reply:
        """Makes a unary call and waits for its end."""
        ...

    def invoke_at_once(self, effect: Invoke) -> Reply | None:
        """The same, where no other call has to end first; None otherwise."""
        ...

    def start(self, effect: Invoke, done: Callback) -> Cancel:
        """Starts a unary call; ``done`` is called with its reply, once, on any thread."""
        ...

    def open(self, effect: Open, tell: Callable[[Fact], None]) -> Cancel:
        """Starts a Campaign or an Observe; what comes of it is told. Returns what cancels it."""
        ...

    def watch(
        self, endpoint: int, requests: Iterator[rpc_pb2.WatchRequest], metadata: Metadata
    ) -> Any:
        """Opens a watch stream: an iterator of responses, with ``cancel()``."""
        ...

    def aside(self, effect: Aside) -> None:
        """Has something done apart from the calls; the link is told what is found out."""
        ...

    def close(self) -> None:
        """Ends all calls and connections."""
        ...


class WatchCall(Protocol):
    """A watch stream of the asyncio front-end."""

    def send(self, request: rpc_pb2.WatchRequest) -> None:
        """Sends a request, after those before it."""
        ...

    def cancel(self) -> None:
        """Ends the stream."""
        ...


class AsyncioWire(Protocol):
    """How the asyncio front-end makes calls. Used in its event loop only."""

    def start(self, effect: Invoke, done: Callback) -> Cancel:
        """Starts a unary call; ``done`` is called with its reply, once, and never from here."""
        ...

    def open(self, effect: Open, tell: Callable[[Fact], None]) -> Cancel:
        """Starts a Campaign or an Observe; what comes of it is told. Returns what cancels it."""
        ...

    def watch(
        self,
        endpoint: int,
        metadata: Metadata,
        heard: Callable[[rpc_pb2.WatchResponse], None],
        ended: Callable[[Failure | None], None],
    ) -> WatchCall | None:
        """Opens a watch stream; None after the end."""
        ...

    def aside(self, effect: Aside) -> None:
        """Has something done apart from the calls; the link is told what is found out."""
        ...

    async def close(self) -> None:
        """Ends all calls and connections; nothing of them is left in the loop. Idempotent."""
        ...


class Network(Protocol):
    """What stands in for servers."""

    @property
    def clock(self) -> Clock:
        """The time there, for the connections to it as well."""
        ...

    def blocking(self, link: Link) -> BlockingWire:
        """The wire of one blocking connection."""
        ...

    def asyncio(self, link: Link, loop: asyncio.AbstractEventLoop) -> AsyncioWire:
        """The wire of one asyncio connection."""
        ...


networks: weakref.WeakValueDictionary[str, Network] = weakref.WeakValueDictionary()
"""By the endpoints (``host:port``) that lead there."""


def network_of(endpoints: Iterable[Endpoint]) -> Network | None:
    """The network that an endpoint leads to, or None: they lead to servers."""
    if not networks:
        return None
    return next(filter(None, (networks.get(given.authority) for given in endpoints)), None)

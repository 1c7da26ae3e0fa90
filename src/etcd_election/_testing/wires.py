"""The way of both front-ends' connections to an in-memory etcd, in place of channels."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

from .._core.effects import Aside, Fact, Failure, Invoke, Metadata, Open, Reply
from .._core.link import Link
from .._core.method import Method
from .._io.calls import Callback, Cancel
from ..pb import rpc_pb2
from .server import UNREACHED, Call, Server
from .services import Campaign, Observe, Watch

T = TypeVar("T")

_CLOSED = Failure("CANCELLED", "the connection is closed")


class Calls:
    """The calls of one connection, told of on any thread. Thread-safe."""

    def __init__(self, server: Server, endpoint: str, link: Link) -> None:
        self.server = server
        self._endpoint = endpoint
        self._link = link
        self._calls: weakref.WeakSet[Call] = weakref.WeakSet()
        self._closed = False

    def start(self, effect: Invoke, done: Callback) -> Call:
        """Makes a unary call."""
        call = Call(done)
        if self._may_begin(call, effect.endpoint):
            self.server.call(call, effect.request, effect.timeout)
        return call

    def open(self, effect: Open, tell: Callable[[Fact], None]) -> Cancel:
        """Makes a long one."""
        kind: Any = Observe if effect.method is Method.OBSERVE else Campaign
        call = kind(self.server, effect.request, tell)
        if self._may_begin(call, effect.endpoint):
            call.begin()
        return partial(self.server.leave, call)

    def watch(
        self,
        endpoint: int,
        heard: Callable[[rpc_pb2.WatchResponse], None],
        ended: Callback,
    ) -> Watch:
        """Opens a watch stream."""
        call = Watch(self.server, heard, ended)
        if self._may_begin(call, endpoint):
            call.begin()
        return call

    def close(self) -> None:
        """Ends all."""
        with self.server.lock:
            self._closed = True
            for call in list(self._calls):
                self.server.end(call, _CLOSED)

    def _may_begin(self, call: Call, endpoint: int) -> bool:
        with self.server.lock:
            if self._closed:
                call.end(_CLOSED)
            elif self._link.endpoints[endpoint].authority != self._endpoint:
                call.end(UNREACHED)
            else:
                self._calls.add(call)
        return not call.over


class BlockingMemoryWire:
    """That of a blocking connection. Thread-safe."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def invoke(self, effect: Invoke) -> Reply:
        """Makes a unary call and waits for its end."""
        replies: SimpleQueue[Reply] = SimpleQueue()
        call = self._calls.start(effect, replies.put)
        try:
            return replies.get()
        finally:
            self._calls.server.leave(call)

    def invoke_at_once(self, effect: Invoke) -> Reply:
        """The same: no call waits for others here."""
        return self.invoke(effect)

    def start(self, effect: Invoke, done: Callback) -> Cancel:
        """Starts a unary call; ``done`` is called with its reply on any thread."""
        return partial(self._calls.server.leave, self._calls.start(effect, done))

    def open(self, effect: Open, tell: Callable[[Fact], None]) -> Cancel:
        """Starts a Campaign or an Observe; what comes of it is told. Returns what cancels it."""
        return self._calls.open(effect, tell)

    def watch(
        self,
        endpoint: int,
        requests: Iterator[rpc_pb2.WatchRequest],
        metadata: Metadata,  # noqa: ARG002 - nobody is asked who asks
    ) -> WatchResponses:
        """Opens a watch stream: an iterator of responses."""
        return WatchResponses(self._calls, endpoint, requests)

    def aside(self, effect: Aside) -> None:
        """There is nothing to be found out, and no connection to be made."""

    def close(self) -> None:
        """Ends all calls."""
        self._calls.close()


class WatchResponses:
    """The responses of a watch stream, for the thread that reads it; another one sends."""

    def __init__(
        self, calls: Calls, endpoint: int, requests: Iterator[rpc_pb2.WatchRequest]
    ) -> None:
        self._responses: SimpleQueue[rpc_pb2.WatchResponse | None] = SimpleQueue()
        self._requests = requests
        self._server = calls.server
        self._call = calls.watch(endpoint, self._responses.put, lambda _: self._responses.put(None))
        threading.Thread(target=self._send, name="etcd_election-requests", daemon=True).start()

    def __iter__(self) -> Iterator[rpc_pb2.WatchResponse]:
        return iter(self._responses.get, None)

    def cancel(self) -> None:
        """Ends the stream."""
        self._server.leave(self._call)
        self._responses.put(None)

    def _send(self) -> None:
        for request in self._requests:
            self._call.request(request)


class AsyncioMemoryWire:
    """That of an asyncio connection. Used in its event loop only."""

    def __init__(self, calls: Calls, loop: asyncio.AbstractEventLoop) -> None:
        self._calls = calls
        self._loop = loop

    def start(self, effect: Invoke, done: Callback) -> Cancel:
        """Starts a unary call; ``done`` is called with its reply, and never from here."""
        call = self._calls.start(effect, lambda reply: self._soon(done, reply))
        return partial(self._calls.server.leave, call)

    def open(self, effect: Open, tell: Callable[[Fact], None]) -> Cancel:
        """Starts a Campaign or an Observe; what comes of it is told. Returns what cancels it."""
        open_ = True

        def tell_while_open(fact: Fact) -> None:
            if open_:
                tell(fact)

        def cancel() -> None:
            nonlocal open_
            open_ = False
            leave()

        leave = self._calls.open(effect, lambda fact: self._soon(tell_while_open, fact))
        return cancel

    def watch(
        self,
        endpoint: int,
        metadata: Metadata,  # noqa: ARG002 - nobody is asked who asks
        heard: Callable[[rpc_pb2.WatchResponse], None],
        ended: Callable[[Failure | None], None],
    ) -> AsyncioWatch:
        """Opens a watch stream."""
        call = self._calls.watch(
            endpoint,
            lambda response: self._soon(heard, response),
            lambda _: self._soon(ended, None),
        )
        return AsyncioWatch(self._calls.server, call)

    def aside(self, effect: Aside) -> None:
        """There is nothing to be found out, and no connection to be made."""

    async def close(self) -> None:
        """Ends all calls."""
        self._calls.close()

    def _soon(self, call: Callable[[T], None], with_what: T) -> None:
        # RuntimeError: the loop is closed.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call, with_what)


class AsyncioWatch:
    """A watch stream."""

    def __init__(self, server: Server, call: Watch) -> None:
        self._server = server
        self._call = call

    def send(self, request: rpc_pb2.WatchRequest) -> None:
        """Sends a request, after those before it."""
        self._call.request(request)

    def cancel(self) -> None:
        """Ends the stream, which is told."""
        self._server.end(self._call, _CLOSED)

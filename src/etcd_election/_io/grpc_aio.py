"""Calls on grpc.aio channels, in the event loop that the connection is bound to.

Every call is read by a task of its own, and its end, whatever it is, becomes a fact: nobody awaits
a call that may be cancelled under them. A task that is cancelled from outside (the end of
``asyncio.run`` cancels all) only ends its call.

grpc.aio does not survive a fork: in a child of the process that used it, a new channel fails,
hangs or crashes (18 of 18 measured). There it is refused.
"""

from __future__ import annotations

import asyncio
import os
import weakref
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from google.protobuf.message import Message

from .. import errors
from .._core.effects import (
    Aside,
    Connect,
    Ended,
    Fact,
    Failure,
    Invoke,
    Metadata,
    Observed,
    Open,
    Reply,
)
from .._core.link import Link
from .._core.method import Lane, Method
from ..pb import rpc_pb2
from . import asides
from .calls import CLOSED, Callback, Calls, Cancel, failure
from .channels import Channel, Channels
from .options import Options

if TYPE_CHECKING:
    from .certificates import Certificates

_CANCELLED = Failure("CANCELLED", "the call was cancelled")

_STATUS_WITHIN = 0.1
"""So long the status of a cancelled stream is waited for."""

_used_in: int | None = None
"""The process that made the first channel."""
_loops: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()
"""Those that had channels."""


class Wire:
    """The channels of one connection. Used in its event loop only."""

    def __init__(
        self,
        link: Link,
        certificates: Certificates | None,
        options: Options,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        _silence_closed_loops()
        _loops.add(loop)
        self._link = link
        self._loop = loop
        self._channels = Channels(link, certificates, options, make=_make, close=self._close_apart)
        self._calls = Calls(link, self._channels, self._begin, soon=loop.call_soon)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._streams = 0

    def start(self, effect: Invoke, done: Callback) -> Cancel:
        """Starts a unary call; ``done`` is called with its reply, once, and never from here."""
        return self._calls.start(effect, done)

    def open(self, effect: Open, tell: Callable[[Fact], None]) -> Cancel:
        """Starts a Campaign or an Observe; what comes of it is told. Returns what cancels it."""
        if effect.method is Method.OBSERVE:
            return self._observe(effect, tell)
        return self._calls.campaign(effect, tell)

    def watch(
        self,
        endpoint: int,
        metadata: Metadata,
        heard: Callable[[rpc_pb2.WatchResponse], None],
        ended: Callable[[Failure | None], None],
    ) -> WatchCall | None:
        """Opens a watch stream; None after the end."""
        channel = self._channels.enter(endpoint, Lane.CALLS)
        if channel is None:
            return None
        call = channel.watch()(metadata=metadata)
        self._read(_responses(call, heard), channel, ended)
        return WatchCall(self, call)

    def aside(self, effect: Aside) -> None:
        """Has something done apart from the calls; the link is told what is found out."""
        if isinstance(effect, Connect):
            self._calls.connect(effect.endpoint, _connect)
        else:
            asides.begin(self._link, effect)

    async def close(self) -> None:
        """Ends all calls and connections; nothing of them is left in the loop. Idempotent."""
        # Of a cancelled stream, grpc.aio reads the status in a task that nobody is told of. The
        # streams of others, which go on, have tasks that look the same.
        unheard = {task for task in asyncio.all_tasks() if _reads_status(task)}
        # One that was opened in this turn of the loop has none yet.
        others = max(0, len(unheard) - self._streams)
        for channel in self._channels.end():
            # Waits for nothing, and cancels the calls.
            await channel.close()
        for task in self._tasks:
            task.cancel()
        while self._tasks:
            await asyncio.wait(self._tasks)
        ends_at = self._loop.time() + _STATUS_WITHIN
        while len(unheard) > others and (left := ends_at - self._loop.time()) > 0:
            _, unheard = await asyncio.wait(
                unheard, timeout=left, return_when=asyncio.FIRST_COMPLETED
            )

    def spawn(
        self, work: Coroutine[Any, Any, Any], done: Callable[[asyncio.Task[Any]], None]
    ) -> None:
        """Runs a task; ``done`` is called with it at its end, also if it never began."""
        task = self._loop.create_task(work)
        # A loop that is closed over it says so of every task; of ours there is nothing to be said.
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(done)

    def _begin(
        self, call: Any, request: Message, timeout: float | None, metadata: Metadata, done: Callback
    ) -> Cancel:
        made = call(request, timeout=timeout, metadata=metadata)
        self.spawn(_response(made), lambda task: done(_reply(task)))
        return partial(_cancel, made)

    def _observe(self, effect: Open, tell: Callable[[Fact], None]) -> Cancel:
        channel = self._channels.enter(effect.endpoint, effect.method.lane)
        if channel is None:
            self._loop.call_soon(tell, Ended(CLOSED))
            return lambda: None
        call = channel.method(effect.method)(effect.request, metadata=effect.metadata)

        def heard(response: Any) -> None:
            tell(Observed(response))

        self._read(_responses(call, heard), channel, lambda reply: tell(Ended(reply)))
        return lambda: _cancel(call)

    def _read(
        self,
        work: Coroutine[Any, Any, None],
        channel: Channel,
        ended: Callable[[Failure | None], None],
    ) -> None:
        """Reads a stream to its end."""
        self._streams += 1

        def done(task: asyncio.Task[None]) -> None:
            self._streams -= 1
            self._channels.leave(channel)
            reply = _reply(task)
            ended(reply if isinstance(reply, Failure) else None)

        self.spawn(work, done)

    def _close_apart(self, channel: grpc.aio.Channel) -> None:
        self.spawn(channel.close(), _unheard)


class WatchCall:
    """One watch stream."""

    def __init__(self, wire: Wire, call: Any) -> None:
        self._wire = wire
        self._call = call
        self._unsent: deque[rpc_pb2.WatchRequest] = deque()
        self._writing = False

    def send(self, request: rpc_pb2.WatchRequest) -> None:
        """Sends a request, after those before it."""
        self._unsent.append(request)
        if not self._writing:
            self._writing = True
            self._wire.spawn(self._write(), self._written)

    def cancel(self) -> None:
        """Ends the stream."""
        _cancel(self._call)

    async def _write(self) -> None:
        try:
            while self._unsent:
                await self._call.write(self._unsent.popleft())
        finally:
            # Here, not when the task's end is told: what is sent in between would never leave.
            self._writing = False

    @staticmethod
    def _written(task: asyncio.Task[None]) -> None:
        # Why a write failed, the reader is told as well.
        _reply(task)


def refuse_after_fork() -> None:
    """Raises ClientClosed in a child of the process that used grpc.aio.

    To be asked before the event loop is: that of the parent is not running in the child.
    """
    global _used_in  # noqa: PLW0603 - as grpc.aio's own state, it is one per process
    if _used_in is None:
        _used_in = os.getpid()
    elif _used_in != os.getpid():
        raise errors.ClientClosed(
            "grpc.aio was used before this process was forked and cannot work in it: "
            "start the process by spawn instead, or use the blocking front-end"
        )


def _make(
    target: str, credentials: grpc.ChannelCredentials | None, options: Options
) -> grpc.aio.Channel:
    if credentials is None:
        return grpc.aio.insecure_channel(target, options=options)
    return grpc.aio.secure_channel(target, credentials, options=options)


def _connect(channel: Channel) -> None:
    channel.channel.get_state(try_to_connect=True)


def _silence_closed_loops() -> None:
    """Has dropped what grpc.aio still wants to tell loops that were closed over open channels.

    It passes the events of all loops on in each of them, and an event for a loop that is closed
    would fail there, with noise and before those behind it.
    """
    for loop in list(_loops):
        if loop.is_closed():
            _loops.discard(loop)
            loop.call_soon_threadsafe = _dropped  # type: ignore[method-assign, assignment]


def _dropped(*_: object, **__: object) -> None:
    """Nobody is there to hear it."""


async def _response(call: Any) -> Message:
    response: Message = _decoded(call, await call)
    return response


async def _responses(call: Any, heard: Callable[[Any], None]) -> None:
    """Reads a stream to its end.

    Not by ``async for``: that makes an asynchronous generator of grpc.aio's, and the end of the
    loop, which closes all generators, logs one that is just being cancelled.
    """
    while (response := await call.read()) is not grpc.aio.EOF:
        heard(_decoded(call, response))


def _decoded(call: Any, response: Any) -> Any:
    """The response. Of one that means nothing, grpc.aio only logs, and hands out None."""
    if response is None:
        _cancel(call)
        nothing = grpc.aio.Metadata()
        raise grpc.aio.AioRpcError(
            grpc.StatusCode.INTERNAL, nothing, nothing, "the response could not be decoded"
        )
    return response


def _reply(task: asyncio.Task[Any]) -> Reply:
    if task.cancelled():
        return _CANCELLED
    error = task.exception()
    if error is not None:
        return failure(error)
    response: Message = task.result()
    return response


def _reads_status(task: asyncio.Task[Any]) -> bool:
    name = getattr(task.get_coro(), "__qualname__", "")
    return str(name).endswith("_handle_status_once_received")


def _cancel(call: Any) -> None:
    call.cancel()


def _unheard(task: asyncio.Task[None]) -> None:
    """Nobody wants to know of its end."""

"""Calls on blocking grpc channels.

An exception that a signal handler raises (Ctrl-C is one) may leave a lock of grpc's channel locked
for ever, when it hits the microsecond in between. A channel that was interrupted is used no more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import Message

from .._core import status
from .._core.effects import (
    NO_TURN,
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

_LONGEST = 5.0
"""Waits do not count a suspend: so long after one at most, a call's time is found to be up."""


class Wire:
    """The channels of one connection. Thread-safe."""

    def __init__(self, link: Link, certificates: Certificates | None, options: Options) -> None:
        self._link = link
        self._channels = Channels(link, certificates, options, make=_make, close=_close_apart)
        self._calls = Calls(link, self._channels, _begin, soon=_now)

    def invoke(self, effect: Invoke) -> Reply:
        """Makes a unary call and waits for its end."""
        if effect.method.lane is Lane.CALLS and not self._admitted(effect):
            return NO_TURN
        return self._make(effect)

    def invoke_at_once(self, effect: Invoke) -> Reply | None:
        """The same, where no other call has to end first; None otherwise."""
        if effect.method.lane is Lane.CALLS and not self._link.gate.try_enter():
            return None
        return self._make(effect)

    def _make(self, effect: Invoke) -> Reply:
        channel: Channel | None = None
        reply: Reply = CLOSED
        try:
            channel = self._channels.enter(effect.endpoint, effect.method.lane)
            # Its turn may have come when little was left.
            timeout = min(effect.timeout, self._link.gate.left(effect.until))
            if channel is not None:
                reply = channel.method(effect.method)(
                    effect.request, timeout=timeout, metadata=effect.metadata
                )
            return reply
        except (grpc.RpcError, ValueError) as error:
            reply = failure(error)
            return reply
        except BaseException:
            self._channels.forsake(channel)
            raise
        finally:
            self._channels.leave(channel)
            if effect.method.lane is Lane.CALLS:
                self._link.gate.leave(answered=status.answered(reply))

    def start(self, effect: Invoke, done: Callback) -> Cancel:
        """Starts a unary call; ``done`` is called with its reply, once, on any thread."""
        return self._calls.start(effect, done)

    def open(self, effect: Open, tell: Callable[[Fact], None]) -> Cancel:
        """Starts a Campaign or an Observe; what comes of it is told. Returns what cancels it."""
        if effect.method is Method.OBSERVE:
            return self._observe(effect, tell)
        return self._calls.campaign(effect, tell)

    def watch(
        self, endpoint: int, requests: Iterator[rpc_pb2.WatchRequest], metadata: Metadata
    ) -> Any:
        """Opens a watch stream: an iterator of responses that raises ``grpc.RpcError``."""
        channel = self._channels.enter(endpoint, Lane.CALLS)
        if channel is None:
            return iter(())
        call = channel.watch()(requests, metadata=metadata)
        if not call.add_callback(lambda: self._channels.leave(channel)):
            self._channels.leave(channel)
        return call

    def aside(self, effect: Aside) -> None:
        """Has something done apart from the calls; the link is told what is found out."""
        if isinstance(effect, Connect):
            self._calls.connect(effect.endpoint, _connect)
        else:
            asides.begin(self._link, effect)

    def close(self) -> None:
        """Ends all calls and connections."""
        for channel in self._channels.end():
            channel.close()

    def _observe(self, effect: Open, tell: Callable[[Fact], None]) -> Cancel:
        channel = self._channels.enter(effect.endpoint, effect.method.lane)
        if channel is None:
            tell(Ended(CLOSED))
            return lambda: None
        call = channel.method(effect.method)(effect.request, metadata=effect.metadata)

        def read() -> None:
            reply: Failure | None = None
            try:
                for response in call:
                    tell(Observed(response))
            except grpc.RpcError as error:
                reply = failure(error)
            finally:
                self._channels.leave(channel)
            tell(Ended(reply))

        threading.Thread(target=read, name="etcd_election-observe", daemon=True).start()
        return lambda: _cancel(call)

    def _admitted(self, effect: Invoke) -> bool:
        """Waits for a call's turn; False if it does not come in time."""
        if self._link.gate.try_enter():
            return True
        turn = threading.Event()
        told = turn.set
        gate, admitted = self._link.gate, False
        if gate.enter(told, aside=effect.aside):
            return True
        try:
            while not admitted and (left := gate.left(effect.until)) > 0:
                admitted = turn.wait(min(left, _LONGEST))
        finally:
            if not admitted:
                gate.forget(told)
        effect.sent_at = self._link.clock()
        return admitted


def _make(
    target: str, credentials: grpc.ChannelCredentials | None, options: Options
) -> grpc.Channel:
    if credentials is None:
        return grpc.insecure_channel(target, options=options)
    return grpc.secure_channel(target, credentials, options=options)


def _connect(channel: Channel) -> None:
    # A call that is cancelled before there is a connection never leaves, but has one made. What
    # grpc has for this starts a thread that fails, with noise, where the channel is closed by then.
    channel.method(Method.RANGE).future(rpc_pb2.RangeRequest()).cancel()


def _close_apart(channel: grpc.Channel) -> None:
    # Not on this thread: it may be the channel's own, which closing waits for; or a lock of the
    # channel may be locked for ever, and then its thread keeps it from collection.
    threading.Thread(target=channel.close, name="etcd_election-close", daemon=True).start()


def _now(call: Callable[[], None]) -> None:
    call()


def _begin(
    call: Any, request: Message, timeout: float | None, metadata: Metadata, done: Callback
) -> Cancel:
    future: grpc.Future[Any] = call.future(request, timeout=timeout, metadata=metadata)
    future.add_done_callback(lambda ended: done(_reply(ended)))
    # The returned closure keeps the call: one that is collected is a cancelled call.
    return lambda: _cancel(future)


def _cancel(call: Any) -> None:
    call.cancel()


def _reply(call: Any) -> Reply:
    try:
        response: Message = call.result()
    except (grpc.RpcError, grpc.FutureCancelledError) as error:
        return failure(error)
    return response

"""Calls on blocking grpc channels: one set of channels per endpoint, made when first used.

Calls never raise ``grpc.RpcError``: a failure is a value that plans decide about. A connection that
is suspected is left for a new one; the old one closes when its last call is over, so nothing that
still works on it is lost.

An exception that a signal handler raises (Ctrl-C is one) may leave a lock of grpc's channel locked
for ever, when it hits the microsecond in between. A channel that was interrupted is used no more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
from google.protobuf.message import Message

from .._core import timing
from .._core.budget import Gate
from .._core.effects import Ended, Fact, Failure, Invoke, Observed, Open, Reply
from .._core.link import Link
from .._core.method import Lane, Method
from ..pb import rpc_pb2, rpc_pb2_grpc, v3election_pb2_grpc
from .options import Options, channel_options

Callback = Callable[[Reply], None]

_STUBS: dict[str, Callable[[grpc.Channel], Any]] = {
    "KV": rpc_pb2_grpc.KVStub,
    "Lease": rpc_pb2_grpc.LeaseStub,
    "Watch": rpc_pb2_grpc.WatchStub,
    "Auth": rpc_pb2_grpc.AuthStub,
    "Election": v3election_pb2_grpc.ElectionStub,
}
_CLOSED = Failure("CANCELLED", "the connection is closed")


class _Channel:
    """A channel with the number of calls on it."""

    def __init__(self, target: str, options: Options, age: int) -> None:
        self.channel = grpc.insecure_channel(target, options=options)
        self.age = age
        self.calls = 0
        self.left = False
        self._stubs: dict[str, Any] = {}

    def stub(self, service: str) -> Any:
        made = self._stubs.get(service)
        if made is None:
            made = self._stubs[service] = _STUBS[service](self.channel)
        return made

    def keepalive(self) -> Any:
        """LeaseKeepAlive with one request and one answer.

        To the server it is a stream whose client has half-closed it after one request; to us it is
        a call with a deadline that blocks no thread and no other lease.
        """
        made = self._stubs.get("keepalive")
        if made is None:
            made = self._stubs["keepalive"] = self.channel.unary_unary(
                "/etcdserverpb.Lease/LeaseKeepAlive",
                request_serializer=rpc_pb2.LeaseKeepAliveRequest.SerializeToString,
                response_deserializer=rpc_pb2.LeaseKeepAliveResponse.FromString,
            )
        return made


class Wire:
    """The channels of one connection. Thread-safe."""

    def __init__(self, link: Link, options: Options) -> None:
        self._link = link
        self._options = options
        self._lock = threading.Lock()
        self._gate = Gate(timing.MAX_CALLS)
        self._channels: dict[tuple[int, Lane], _Channel] = {}
        self._closed = False

    def invoke(self, effect: Invoke) -> Reply:
        """Makes a unary call and waits for its end."""
        gated = effect.method.lane is Lane.CALLS
        if gated and not self._admitted(effect.timeout):
            return Failure("DEADLINE_EXCEEDED", "too many calls of ours were under way")
        channel = self._enter(effect.endpoint, effect.method.lane)
        try:
            if channel is None:
                return _CLOSED
            response: Message = _callable(channel, effect.method)(
                effect.request, timeout=effect.timeout, metadata=effect.metadata
            )
            return response
        except (grpc.RpcError, ValueError) as error:
            return _failure(error)
        except BaseException:
            self._forsake(channel)
            raise
        finally:
            self._leave(channel)
            if gated:
                self._gate.leave()

    def start(self, effect: Invoke, done: Callback) -> Callable[[], None]:
        """Starts a unary call; ``done`` is called with its reply, once, on any thread.

        Returns:
            What cancels the call, or its place in the line before it left.
        """
        cancelled = threading.Event()
        call: list[grpc.Future[Any]] = []
        gated = effect.method.lane is Lane.CALLS

        def finished(reply: Reply) -> None:
            if gated:
                self._gate.leave()
            done(reply)

        def admitted() -> None:
            if cancelled.is_set():
                finished(_CLOSED)
                return
            future = self._future(
                effect.endpoint,
                effect.method,
                effect.request,
                metadata=effect.metadata,
                timeout=effect.timeout,
                done=finished,
            )
            if future is not None:
                call.append(future)
                if cancelled.is_set():
                    future.cancel()

        def cancel() -> None:
            cancelled.set()
            for future in call:
                future.cancel()

        if not gated or self._gate.enter(admitted):
            admitted()
        return cancel

    def open(self, effect: Open, tell: Callable[[Fact], None]) -> Callable[[], None]:
        """Starts a Campaign or an Observe; what comes of it is told. Returns what cancels it."""
        if effect.method is Method.OBSERVE:
            return self._observe(effect, tell)
        future = self._future(
            effect.endpoint,
            effect.method,
            effect.request,
            metadata=effect.metadata,
            timeout=None,
            done=lambda reply: tell(Ended(reply)),
        )
        if future is None:
            return lambda: None
        # The returned closure keeps the call: one that is collected is a cancelled call.
        return lambda: _cancel(future)

    def watch(self, endpoint: int, requests: Iterator[rpc_pb2.WatchRequest]) -> Any:
        """Opens a watch stream: an iterator of responses that raises ``grpc.RpcError``."""
        channel = self._enter(endpoint, Lane.CALLS)
        if channel is None:
            return iter(())
        metadata, _ = self._link.metadata()
        call = channel.stub("Watch").Watch(requests, metadata=metadata)
        if not call.add_callback(lambda: self._leave(channel)):
            self._leave(channel)
        return call

    def close(self) -> None:
        """Ends all calls and connections."""
        with self._lock:
            self._closed = True
            channels = list(self._channels.values())
            self._channels.clear()
        for channel in channels:
            channel.channel.close()

    def _future(
        self,
        endpoint: int,
        method: Method,
        request: Message,
        *,
        metadata: Any,
        timeout: float | None,
        done: Callback,
    ) -> grpc.Future[Any] | None:
        channel = self._enter(endpoint, method.lane)
        if channel is None:
            done(_CLOSED)
            return None
        try:
            future: grpc.Future[Any] = _callable(channel, method).future(
                request, timeout=timeout, metadata=metadata
            )
        except (grpc.RpcError, ValueError) as error:
            self._leave(channel)
            done(_failure(error))
            return None
        except BaseException:
            self._forsake(channel)
            self._leave(channel)
            raise

        def ended(call: Any) -> None:
            self._leave(channel)
            done(_reply(call))

        future.add_done_callback(ended)
        return future

    def _observe(self, effect: Open, tell: Callable[[Fact], None]) -> Callable[[], None]:
        channel = self._enter(effect.endpoint, effect.method.lane)
        if channel is None:
            tell(Ended(_CLOSED))
            return lambda: None
        call = channel.stub("Election").Observe(effect.request, metadata=effect.metadata)

        def read() -> None:
            reply: Failure | None = None
            try:
                for response in call:
                    tell(Observed(response))
            except grpc.RpcError as error:
                reply = _failure(error)
            finally:
                self._leave(channel)
            tell(Ended(reply))

        threading.Thread(target=read, name="etcd_election-observe", daemon=True).start()
        return lambda: _cancel(call)

    def _admitted(self, timeout: float) -> bool:
        turn = threading.Event()
        if self._gate.enter(turn.set):
            return True
        admitted = False
        try:
            admitted = turn.wait(timeout)
        finally:
            if not admitted:
                self._gate.forget(turn.set)
        return admitted

    def _enter(self, endpoint: int, lane: Lane) -> _Channel | None:
        # A wait is never moved: what ends its connection ends the candidacy.
        age = 0 if lane is Lane.WAITS else self._link.ages[endpoint]
        old: _Channel | None = None
        with self._lock:
            if self._closed:
                return None
            channel = self._channels.get((endpoint, lane))
            if channel is None or channel.age != age:
                old = channel
                address = self._link.endpoints[endpoint]
                options = channel_options(address, lane, self._options)
                channel = _Channel(address.target, options, age)
                self._channels[endpoint, lane] = channel
            channel.calls += 1
            if old is not None:
                old.left = True
                if old.calls:
                    old = None
        if old is not None:
            old.channel.close()
        return channel

    def _forsake(self, channel: _Channel | None) -> None:
        """Never uses the channel again; it is closed when its last call is over."""
        with self._lock:
            for place, used in list(self._channels.items()):
                if used is channel:
                    del self._channels[place]
                    used.left = True

    def _leave(self, channel: _Channel | None) -> None:
        if channel is None:
            return
        with self._lock:
            channel.calls -= 1
            over = channel.left and not channel.calls
        if over:
            # Not on this thread: it may be the channel's own, which closing waits for; or a lock
            # of the channel may be locked for ever, and then its thread keeps it from collection.
            threading.Thread(
                target=channel.channel.close, name="etcd_election-close", daemon=True
            ).start()


def _callable(channel: _Channel, method: Method) -> Any:
    if method is Method.KEEPALIVE:
        return channel.keepalive()
    return getattr(channel.stub(method.service), method.rpc)


def _cancel(call: Any) -> None:
    call.cancel()


def _reply(call: Any) -> Reply:
    try:
        response: Message = call.result()
    except (grpc.RpcError, grpc.FutureCancelledError) as error:
        return _failure(error)
    return response


def _failure(error: BaseException) -> Failure:
    if isinstance(error, grpc.RpcError):
        code = getattr(error, "code", lambda: None)()
        details = getattr(error, "details", lambda: None)()
        return Failure(code.name if code else "UNKNOWN", details or "", error)
    return Failure("CANCELLED", str(error), error)

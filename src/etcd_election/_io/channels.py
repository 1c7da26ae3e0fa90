"""The channels of one connection: one set per endpoint, made when first used.

A connection that is suspected is left for a new one; the old one closes when its last call is over,
so nothing that still works on it is lost.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from .._core.link import Link
from .._core.method import Lane, Method
from ..pb import rpc_pb2, rpc_pb2_grpc, v3election_pb2_grpc
from .options import Options, channel_options

_STUBS: dict[str, Callable[[Any], Any]] = {
    "KV": rpc_pb2_grpc.KVStub,
    "Lease": rpc_pb2_grpc.LeaseStub,
    "Watch": rpc_pb2_grpc.WatchStub,
    "Auth": rpc_pb2_grpc.AuthStub,
    "Election": v3election_pb2_grpc.ElectionStub,
}


class Channel:
    """A channel of grpc, or of grpc.aio, with the number of calls on it.

    Attributes:
        channel: The channel itself.
        age: The age of its endpoint when it was made.
        calls: How many are under way.
        left: True once it is not to be used again.
    """

    def __init__(self, channel: Any, age: int) -> None:
        self.channel = channel
        self.age = age
        self.calls = 0
        self.left = False
        self._stubs: dict[str, Any] = {}

    def method(self, method: Method) -> Any:
        """What makes the calls of a method."""
        if method is Method.KEEPALIVE:
            return self._keepalive()
        return getattr(self.stub(method.service), method.rpc)

    def stub(self, service: str) -> Any:
        """The stub of one of etcd's services."""
        made = self._stubs.get(service)
        if made is None:
            made = self._stubs[service] = _STUBS[service](self.channel)
        return made

    def _keepalive(self) -> Any:
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


class Channels:
    """Lends channels to calls. Thread-safe.

    Args:
        link: Knows the endpoints, and which connections are to be made anew.
        further: Options that the user has given.
        make: Makes a channel to a target with options.
        close: Closes one; may go on after it has returned.
    """

    def __init__(
        self,
        link: Link,
        further: Options,
        *,
        make: Callable[[str, Options], Any],
        close: Callable[[Any], None],
    ) -> None:
        self._link = link
        self._further = further
        self._make = make
        self._close = close
        self._lock = threading.Lock()
        self._channels: dict[tuple[int, Lane], Channel] = {}
        self._closed = False

    def enter(self, endpoint: int, lane: Lane) -> Channel | None:
        """The channel for one more call, or None after the end."""
        # A wait is never moved: what ends its connection ends the candidacy.
        age = 0 if lane is Lane.WAITS else self._link.ages[endpoint]
        old: Channel | None = None
        with self._lock:
            if self._closed:
                return None
            channel = self._channels.get((endpoint, lane))
            if channel is None or channel.age != age:
                old = channel
                address = self._link.endpoints[endpoint]
                options = channel_options(address, lane, self._further)
                channel = Channel(self._make(address.target, options), age)
                self._channels[endpoint, lane] = channel
            channel.calls += 1
            if old is not None:
                old.left = True
                if old.calls:
                    old = None
        if old is not None:
            self._close(old.channel)
        return channel

    def leave(self, channel: Channel | None) -> None:
        """A call is over."""
        if channel is None:
            return
        with self._lock:
            channel.calls -= 1
            over = channel.left and not channel.calls
        if over:
            self._close(channel.channel)

    def forsake(self, channel: Channel | None) -> None:
        """Never lends the channel again; it is closed when its last call is over."""
        with self._lock:
            for place, used in list(self._channels.items()):
                if used is channel:
                    del self._channels[place]
                    used.left = True

    def end(self) -> list[Any]:
        """Lends no more; returns the channels, to be closed at once."""
        with self._lock:
            self._closed = True
            channels = [channel.channel for channel in self._channels.values()]
            self._channels.clear()
            return channels

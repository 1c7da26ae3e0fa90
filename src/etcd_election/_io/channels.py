"""The channels of one connection: one set per endpoint, made when first used.

A connection that is suspected is left for a new one, and so is one that was made with certificates
that have changed since, or to an address that a name no longer has. The old one closes when its
last call is over, so nothing that still works on it is lost.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from .._core.endpoints import Endpoint
from .._core.link import Link
from .._core.method import Lane, Method
from . import wire_methods
from .options import Options, channel_options

if TYPE_CHECKING:
    from .certificates import Certificates


class Origin(NamedTuple):
    """What a channel was made for: one with another is not used any more."""

    endpoint: Endpoint
    age: int
    certificates: int


class Channel:
    """A channel of grpc, or of grpc.aio, with the number of calls on it.

    Attributes:
        channel: The channel itself.
        origin: What it was made for.
        calls: How many are under way.
        left: True once it is not to be used again.
        connecting: True once it was told to connect, or used.
    """

    def __init__(self, channel: Any, origin: Origin) -> None:
        self.channel = channel
        self.origin = origin
        self.calls = 0
        self.left = False
        self.connecting = False
        self._made: dict[Method, Any] = {}

    def method(self, method: Method) -> Any:
        """What makes the calls of a method."""
        self.connecting = True
        made = self._made.get(method)
        if made is None:
            made = self._made[method] = wire_methods.on(self.channel, method)
        return made

    def watch(self) -> Any:
        """What opens watch streams."""
        return wire_methods.watch_on(self.channel)


class Channels:
    """Lends channels to calls. Thread-safe.

    Args:
        link: Knows the endpoints, and which connections are to be made anew.
        certificates: For the endpoints that speak TLS.
        further: Options that the user has given.
        make: Makes a channel to a target, with credentials if it speaks TLS, and options.
        close: Closes one; may go on after it has returned.
    """

    def __init__(
        self,
        link: Link,
        certificates: Certificates | None,
        further: Options,
        *,
        make: Callable[[str, Any, Options], Any],
        close: Callable[[Any], None],
    ) -> None:
        self._link = link
        self._certificates = certificates
        self._further = further
        self._make = make
        self._close = close
        self._lock = threading.Lock()
        self._channels: dict[tuple[int, Lane], Channel] = {}
        self._closed = False

    def enter(self, endpoint: int, lane: Lane) -> Channel | None:
        """The channel for one more call, or None after the end."""
        address = self._link.endpoints[endpoint]
        # A wait is never moved: what ends its connection ends the candidacy.
        age = 0 if lane is Lane.WAITS else self._link.ages[endpoint]
        version, credentials, server_name = 0, None, None
        if address.tls and self._certificates is not None:
            version, credentials = self._certificates.current()
            server_name = self._certificates.server_name
        origin = Origin(address, age, version)
        old: Channel | None = None
        with self._lock:
            if self._closed:
                return None
            channel = self._channels.get((endpoint, lane))
            if channel is None or channel.origin != origin:
                old = channel
                options = channel_options(address, lane, self._further, server_name)
                channel = Channel(self._make(address.target, credentials, options), origin)
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

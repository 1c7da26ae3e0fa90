"""One watch stream for all keys of a connection, read by one task.

The stream is opened with the first watch, and again whenever it ends; what may have been missed
meanwhile is read by whoever watches, once the watch stands again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from .._core import timing
from .._core.effects import Failure
from .._core.keywatch import Sink, Span, WatchBook
from .._core.link import Link
from .._core.plans.authenticating import token_at_hand
from .._core.running import Carrier, Running
from .._io.network import AsyncioWire, WatchCall
from ..pb import rpc_pb2

logger = logging.getLogger("etcd_election")


class Hub:
    """A watch stream of one connection. Used in its event loop only.

    Args:
        link: The state of the connection.
        wire: Its channels.
        loop: The event loop.
        carrier: Who carries out the fetching of a token.
        beside: Another stream of the connection, which this one is not to share a member with.

    Attributes:
        endpoint: Where the stream is, or was last.
    """

    def __init__(
        self,
        link: Link,
        wire: AsyncioWire,
        loop: asyncio.AbstractEventLoop,
        carrier: Callable[[], Carrier],
        *,
        beside: Hub | None = None,
    ) -> None:
        self.endpoint = 0
        self._beside = beside
        self._carrier = carrier
        self._link = link
        self._wire = wire
        self._loop = loop
        self._book = WatchBook()
        self._call: WatchCall | None = None
        self._token = 0
        self._opening: Running[None] | None = None
        self._reopening: asyncio.TimerHandle | None = None
        self._heard_any = False
        self._failures = 0
        self._stopped = False

    def add(self, span: Span, sink: Sink) -> None:
        """Tells ``sink`` about ``span`` from now on."""
        request = self._book.add(span, sink)
        if self._call is not None:
            self._send(request)
        elif self._opening is None and self._reopening is None:
            self._open()

    def remove(self, span: Span, sink: Sink) -> None:
        """No longer tells ``sink`` about ``span``."""
        self._send(self._book.remove(span, sink))

    def stop(self) -> None:
        """Ends the stream for good."""
        self._stopped = True
        if self._reopening is not None:
            self._reopening.cancel()
        if self._opening is not None:
            self._opening.cancel()
        if self._call is not None:
            self._call.cancel()

    def _send(self, request: rpc_pb2.WatchRequest | None) -> None:
        if request is not None and self._call is not None and not self._loop.is_closed():
            self._call.send(request)

    def _open(self) -> None:
        self._reopening = None
        if self._beside is not None and len(self._link.ring) == 1:
            # One stream is enough for one member; there may be more when names are looked up.
            self._reopening = self._loop.call_later(timing.WATCH_DELAY[-1], self._open)
            return
        self._opening = Running(self._carrier(), token_at_hand(self._link), self._go_on)
        self._opening.start()

    def _go_on(self, _: Running[None]) -> None:
        self._opening = None
        if self._stopped:
            return
        self._heard_any = False
        metadata, self._token = self._link.metadata()
        ring, beside = self._link.ring, self._beside
        self.endpoint = ring.other(beside.endpoint) if beside else ring.pick()
        self._call = self._wire.watch(self.endpoint, metadata, self._heard, self._ended)
        for request in self._book.restart():
            self._send(request)

    def _heard(self, response: rpc_pb2.WatchResponse) -> None:
        self._heard_any = True
        if self._link.credentials and self._book.doubts(response, self._link.clock()):
            self._link.tokens.refused(self._token)
            if self._call is not None:
                self._call.cancel()
        self._link.saw(response.header, floor=None)
        self._send(self._book.response(response))

    def _ended(self, failure: Failure | None) -> None:
        logger.debug("the watch stream ended: %s", failure.details if failure else "with OK")
        self._call = None
        self._book.broken()
        self._failures = 0 if self._heard_any else self._failures + 1
        if not self._stopped:
            delay = timing.watch_delay(self._failures)
            self._reopening = self._loop.call_later(delay, self._open)

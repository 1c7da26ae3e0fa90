"""One watch stream for all keys of a connection, kept open by a thread.

The stream is opened with the first watch, and again whenever it ends; what may have been missed
meanwhile is read by whoever watches, once the watch stands again.
"""

from __future__ import annotations

import logging
import threading
from queue import SimpleQueue
from typing import Any

import grpc

from .._core import timing
from .._core.keywatch import Sink, Span, WatchBook
from .._core.link import Link
from .._core.plans.authenticating import token_at_hand
from .._io.network import BlockingWire
from ..pb import rpc_pb2
from .driver import run

logger = logging.getLogger("etcd_election")


class Hub:
    """A watch stream of one connection. Thread-safe.

    Args:
        link: The state of the connection.
        wire: Its channels.
        beside: Another stream of the connection, which this one is not to share a member with.

    Attributes:
        endpoint: Where the stream is, or was last.
    """

    def __init__(self, link: Link, wire: BlockingWire, *, beside: Hub | None = None) -> None:
        self.endpoint = 0
        self._link = link
        self._beside = beside
        self._wire = wire
        self._book = WatchBook()
        self._lock = threading.Lock()
        self._requests: SimpleQueue[rpc_pb2.WatchRequest | None] = SimpleQueue()
        self._stopped = threading.Event()
        self._call: Any = None
        self._thread: threading.Thread | None = None

    def add(self, span: Span, sink: Sink) -> None:
        """Tells ``sink`` about ``span`` from now on."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="etcd_election-watch", daemon=True
                )
                self._thread.start()
            self._send(self._book.add(span, sink))

    def remove(self, span: Span, sink: Sink) -> None:
        """No longer tells ``sink`` about ``span``."""
        with self._lock:
            self._send(self._book.remove(span, sink))

    def stop(self) -> None:
        """Ends the stream for good, and its thread."""
        self._stopped.set()
        with self._lock:
            call, thread = self._call, self._thread
            self._requests.put(None)
        if call is not None:
            call.cancel()
        if thread is not None and thread is not threading.current_thread():
            thread.join(1.0)

    def _send(self, request: rpc_pb2.WatchRequest | None) -> None:
        if request is not None:
            self._requests.put(request)

    def _run(self) -> None:
        failures = 0
        while not self._stopped.is_set():
            if self._beside is not None and len(self._link.ring) == 1:
                # One stream is enough for one member; there may be more when names are looked up.
                with self._lock:
                    self._requests = SimpleQueue()
                self._stopped.wait(timing.WATCH_DELAY[-1])
                continue
            heard = self._stream()
            self._book.broken()
            failures = 0 if heard else failures + 1
            self._stopped.wait(timing.watch_delay(failures))

    def _stream(self) -> bool:
        """Reads one stream to its end; True if anything came."""
        run(self._wire, token_at_hand(self._link))
        metadata, token = self._link.metadata()
        ring, beside = self._link.ring, self._beside
        endpoint = self.endpoint = ring.other(beside.endpoint) if beside else ring.pick()
        requests: SimpleQueue[rpc_pb2.WatchRequest | None] = SimpleQueue()
        heard = False
        with self._lock:
            self._requests = requests
            for request in self._book.restart():
                requests.put(request)
        try:
            call = self._wire.watch(endpoint, iter(requests.get, None), metadata)
            with self._lock:
                self._call = call
            if self._stopped.is_set():
                call.cancel()
            for response in call:
                heard = True
                if self._link.credentials and self._book.doubts(response, self._link.clock()):
                    self._link.tokens.refused(token)
                    call.cancel()
                self._heard(response)
        except (grpc.RpcError, ValueError) as error:
            said = error.details() if isinstance(error, grpc.Call) else error
            logger.debug("the watch stream on endpoint %d ended: %s", endpoint, said)
        finally:
            requests.put(None)
        return heard

    def _heard(self, response: rpc_pb2.WatchResponse) -> None:
        self._link.saw(response.header, floor=None)
        with self._lock:
            self._send(self._book.response(response))

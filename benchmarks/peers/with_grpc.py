"""How long the calls of the library are with gRPC."""

from __future__ import annotations

import threading
from time import perf_counter
from typing import Any

from etcd_election._core.method import Method
from etcd_election._io import wire_methods


class WithGrpc:
    """Counts the time in which the library has at least one call under way: unary ones, no watch.

    From handing a call to gRPC to its end, so that etcd's own time is part of it, and in asyncio
    the time that the answer waits for its turn in the event loop.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way = 0
        self._since = 0.0
        self._seconds = 0.0
        made = wire_methods.on

        def on(channel: Any, method: Method) -> Any:
            return _Counted(self, made(channel, method))

        wire_methods.on = on

    def seconds(self) -> float:
        """How much there has been so far."""
        with self._lock:
            going_on = perf_counter() - self._since if self._under_way else 0.0
            return self._seconds + going_on

    def began(self) -> None:
        """A call is handed over."""
        with self._lock:
            if not self._under_way:
                self._since = perf_counter()
            self._under_way += 1

    def ended(self, *_: object) -> None:
        """A call is over."""
        with self._lock:
            self._under_way -= 1
            if not self._under_way:
                self._seconds += perf_counter() - self._since


class _Counted:
    """What makes the calls of one method, of grpc or of grpc.aio."""

    def __init__(self, counts: WithGrpc, made: Any) -> None:
        self._counts = counts
        self._made = made

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._counted(self._made, *args, **options)

    def _counted(self, make: Any, *args: Any, **options: Any) -> Any:
        self._counts.began()
        try:
            call = make(*args, **options)
        except BaseException:
            self._counts.ended()
            raise
        if hasattr(call, "add_done_callback"):
            call.add_done_callback(self._counts.ended)
        else:
            self._counts.ended()
        return call

    def future(self, *args: Any, **options: Any) -> Any:
        """The call, not waited for."""
        return self._counted(self._made.future, *args, **options)

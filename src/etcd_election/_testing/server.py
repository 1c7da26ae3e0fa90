"""An in-memory etcd as its clients meet it: it answers, is silent, or cannot be reached.

Whatever becomes of the way to it, it goes on by itself: leases run out, and others lead.
"""

from __future__ import annotations

import enum
import threading
from collections.abc import Callable
from typing import Any

from google.protobuf.message import Message

from .._core.effects import Failure, Reply
from .clock import Time
from .store import Refused, Store

UNREACHED = Failure("UNAVAILABLE", "failed to connect to all addresses")
_BROKEN = Failure("UNAVAILABLE", "Socket closed")
_LATE = Failure("DEADLINE_EXCEEDED", "Deadline Exceeded")


class Way(enum.Enum):
    """What becomes of what is sent, by either side."""

    OPEN = "arrives"
    SILENT = "is kept until the way is open"
    BROKEN = "is refused"


class Call:
    """One call under way. Its end is told once, unless its client has given it up before.

    Attributes:
        over: True from its end on.
        settled: False while its client is about to look at what has come of it.
    """

    def __init__(self, told: Callable[[Reply], None]) -> None:
        self.over = False
        self.settled = True
        self._told = told

    def end(self, reply: Reply) -> None:
        """It has its reply."""
        if not self.over:
            self.close()
            self._told(reply)

    def close(self) -> None:
        """Nobody is told any more."""
        self.over = True

    def saw(self, request: Message) -> None:
        """This was answered to a client."""


class Server:
    """One etcd. Thread-safe; calls back with its lock held, so who is told must be quick.

    Args:
        time: Its time.

    Attributes:
        lock: To be held over several questions to ``store``.
        store: Its keys and leases.
        way: How its clients reach it.
    """

    def __init__(self, time: Time) -> None:
        self.lock = threading.RLock()
        self.time = time
        self.store = Store(1, time)
        self.way = Way.OPEN
        self._kept: list[Callable[[], None]] = []
        self._calls: dict[Call, None] = {}
        self._wakes_at = float("inf")
        self._sleep_on: Callable[[], None] = lambda: None

    def set_way(self, way: Way) -> None:
        """From now on it is reached so."""
        with self.lock:
            if way is Way.BROKEN:
                self._kept.clear()
                self._end_calls()
            elif way is Way.OPEN:
                # What comes of one is kept behind the others: the way stays as it is until the end.
                while self._kept:
                    self._kept.pop(0)()
            self.way = way

    def replace(self) -> None:
        """Another etcd, empty, takes its place; connections end."""
        with self.lock:
            self.store = Store(self.store.cluster_id + 1, self.time)
            self._end_calls()
            self._look_after_leases()

    def do(self, request: Message) -> Any:
        """Answers a request, however its clients reach it.

        Raises:
            Refused: It does not like it.
        """
        with self.lock:
            try:
                return self.store.carry_out(request)
            finally:
                self._look_after_leases()

    def call(self, call: Call, request: Message, timeout: float) -> None:
        """A client makes a unary call, which has so many seconds."""

        def answer() -> None:
            self._calls.pop(call, None)
            in_time()
            if not call.over:
                call.end(self._reply(request))

        def late() -> None:
            with self.lock:
                self._calls.pop(call, None)
                call.end(_LATE)

        with self.lock:
            if self.way is not Way.SILENT:
                call.end(self._reply(request) if self.way is Way.OPEN else UNREACHED)
                return
            self._calls[call] = None
            in_time = self.time.after(timeout, late)
            self._kept.append(answer)

    def begin(self, call: Call, begin: Callable[[], None]) -> None:
        """A client begins a call that goes on."""
        with self.lock:
            if self.way is Way.BROKEN:
                call.end(UNREACHED)
                return
            self._calls[call] = None
            self.pass_on(call, begin)

    def end(self, call: Call, reply: Reply) -> None:
        """A call that went on has its reply."""
        with self.lock:
            self._calls.pop(call, None)
            call.end(reply)

    def settled(self) -> bool:
        """False while a client is about to look at what has come of a call."""
        with self.lock:
            return all(call.settled for call in self._calls)

    def leave(self, call: Call) -> None:
        """A client gives a call up."""
        with self.lock:
            self._calls.pop(call, None)
            if not call.over:
                call.close()

    def pass_on(self, call: Call, news: Callable[[], None]) -> None:
        """Lets something through, either way, as soon as that is open; unless the call is over."""
        with self.lock:
            if self.way is Way.SILENT:
                self._kept.append(lambda: None if call.over else news())
            elif not call.over:
                news()

    def _reply(self, request: Message) -> Reply:
        try:
            response: Message = self.do(request)
        except Refused as refused:
            return refused.failure
        for call in self._calls:
            call.saw(request)
        return response

    def _end_calls(self) -> None:
        calls, self._calls = list(self._calls), {}
        for call in calls:
            call.end(_BROKEN)

    def _look_after_leases(self) -> None:
        """Wakes up when the next lease runs out."""
        leases = self.store.leases.values()
        first_at = min((lease.expires_at for lease in leases), default=float("inf"))
        if first_at < self._wakes_at or first_at == float("inf"):
            self._sleep_on()
            self._wakes_at, self._sleep_on = first_at, lambda: None
            if first_at < float("inf"):
                self._sleep_on = self.time.after(first_at - self.time(), self._wake)

    def _wake(self) -> None:
        with self.lock:
            self._wakes_at = float("inf")
            self.store.expire()
            self._look_after_leases()

"""Tells events to the user's callback: in order, on a daemon thread of its own.

Whatever the callback does, raise, block or end its thread, nobody who tells waits for it, and no
lock of the library is held while it runs. What it has no room for is dropped, counted, and told as
``EventsDropped`` where it was missed.

Not guaranteed: that it ever hears of what was told when the process ended, or when nobody had
closed the connection before that was collected.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import weakref
from collections.abc import Callable
from queue import Empty, SimpleQueue

from .._core import timing
from ..events import Event, EventsDropped

logger = logging.getLogger("etcd_election")

Callback = Callable[[Event], object]
_Item = tuple[Callback, Event] | Callable[[], None]
"""An event with whom to tell it, or the end with whom to tell that."""


class Delivery:
    """One connection's way to its user. Thread-safe.

    The connection owns it; the thread, and what tells the events, do not: so a callback that refers
    to its connection does not keep it from being collected.
    """

    def __init__(self, callback: Callback) -> None:
        self._callback = callback
        self._queue: SimpleQueue[_Item] = SimpleQueue()
        # A signal handler may come while its thread is in here, and lead here again.
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._process = 0
        self._dropped = 0
        self._finished = False

    def listener(self) -> Callback:
        """What is to be called with every event; does not keep this alive."""
        weak = weakref.ref(self)

        def listen(event: Event) -> None:
            delivery = weak()
            if delivery is not None:
                delivery.tell(event)

        return listen

    def tell(self, event: Event) -> None:
        """Has the callback called; never waits. Nothing in a child of the process it began in."""
        if self._process and self._process != os.getpid():
            return
        with self._lock:
            if self._finished:
                return
            if not self._begun() or self._queue.qsize() >= timing.MAX_EVENTS:
                self._dropped += 1
                first = self._dropped == 1
            else:
                first = False
                if self._dropped:
                    self._queue.put((self._callback, EventsDropped(count=self._dropped)))
                    self._dropped = 0
                self._queue.put((self._callback, event))
        if first:
            logger.warning("on_event does not keep up: events are dropped")

    def finish(self, done: Callable[[], None]) -> None:
        """Takes no more; ``done`` is called when all are told.

        At once where nobody can wait for that: in the callback itself, and in a child process.
        """
        with self._lock:
            begun = self._thread is not None and self._process == os.getpid()
            if begun and not self._finished:
                if self._dropped:
                    self._queue.put((self._callback, EventsDropped(count=self._dropped)))
                self._queue.put(done)
            self._finished = True
        if not begun or self._thread is threading.current_thread():
            done()

    def abandon(self) -> None:
        """Whatever was not told yet never is."""
        left = 0
        with contextlib.suppress(Empty):
            while True:
                left += isinstance(self._queue.get_nowait(), tuple)
        self._queue.put(_nothing)
        if left:
            logger.warning("on_event did not return in time: %d events were not told", left)

    def close(self) -> None:
        """Takes no more; waits a moment until all are told."""
        told = threading.Event()
        self.finish(told.set)
        if not told.wait(timing.DELIVERY):
            self.abandon()

    def _begun(self) -> bool:
        """Whether there is a thread; made at the first event."""
        if self._thread is not None:
            return True
        thread = threading.Thread(
            target=_deliver, args=(self._queue,), name="etcd_election-events", daemon=True
        )
        # No thread can be started where there are too many, or the interpreter is about to end.
        with contextlib.suppress(RuntimeError):
            thread.start()
            self._thread, self._process = thread, os.getpid()
            weakref.finalize(self, self._queue.put, _nothing).atexit = False
        return self._thread is not None


def _nothing() -> None:
    """Nobody wants to know of the end."""


def _deliver(queue: SimpleQueue[_Item]) -> None:
    """The thread. Between two events it refers to nothing of the user's."""
    while True:
        item = queue.get()
        if not isinstance(item, tuple):
            item()
            return
        callback, event = item
        try:
            callback(event)
        except BaseException:
            logger.exception("on_event failed with %r", event)
        del item, callback

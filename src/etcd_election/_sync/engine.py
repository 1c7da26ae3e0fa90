"""Carries out plans in the background: one daemon thread for all of a connection's.

It knows no client: one that is collected unclosed is told to it by a finalizer, and is renewed no
more.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from .._core.effects import Aside, Fact, Invoke, Open, Plan, Reply
from .._core.keywatch import Subscription, Watcher
from .._core.link import Link
from .._core.running import Cancel, Running
from .._io.network import BlockingWire

logger = logging.getLogger("etcd_election")

_LONGEST = 5.0
"""Waits do not count a suspend; after one, whatever is due is done at most so late."""


class Task:
    """A plan under way in the background. Thread-safe.

    Attributes:
        done: Set when it has ended.
        error: What it ended with, if that was an error.
    """

    def __init__(self, engine: Engine, plan: Plan[Any], on_done: Callable[[Task], None]) -> None:
        self.done = threading.Event()
        self.error: Exception | None = None
        self.running = Running(engine, plan, self._ended)
        self._engine = engine
        self._on_done = on_done

    def _ended(self, running: Running[Any]) -> None:
        self.error = running.error
        self._engine.tasks.discard(self)
        try:
            self._on_done(self)
        except Exception:
            logger.exception("a background task's end could not be told")
        self.done.set()


def _unheard(task: Task) -> None:
    """Nobody wants to know of its end."""


def _look() -> None:
    """After it the timers are looked at."""


class Engine:
    """The background of one connection; a ``Carrier`` of plans, on its own thread.

    Args:
        link: The state of the connection.
        wire: Its channels.
        watcher: Its watch streams.
        at_end: Called on the thread when it ends.

    Attributes:
        tasks: The plans under way.
    """

    def __init__(
        self, link: Link, wire: BlockingWire, watcher: Watcher, at_end: Callable[[], None]
    ) -> None:
        self.tasks: set[Task] = set()
        self._events: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._link = link
        self._wire = wire
        self._watcher = watcher
        self._at_end = at_end
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._timers: list[tuple[float, int, list[Callable[[], None]]]] = []
        self._numbers = itertools.count()
        link.jumps.add(lambda: self.later(_look))

    def start(self, plan: Plan[Any], on_done: Callable[[Task], None] = _unheard) -> Task:
        """Starts a plan; ``on_done`` is called on the engine's thread when it has ended."""
        task = Task(self, plan, on_done)
        with self._lock:
            if self._stopped:
                task.running.cancel()
                return task
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="etcd_election-engine", daemon=True
                )
                self._thread.start()
        self.later(partial(self._begin, task))
        return task

    def tell(self, task: Task, fact: Fact) -> None:
        """Puts a fact into a plan's inbox."""
        self.later(partial(task.running.tell, fact))

    def cancel(self, task: Task) -> None:
        """Ends one plan."""
        self.later(task.running.cancel)

    def later(self, call: Callable[[], None]) -> None:
        """Has something quick done on the engine's thread; takes no lock (for finalizers)."""
        self._events.put(call)

    def stop(self) -> None:
        """Ends all plans and the thread."""
        with self._lock:
            self._stopped = True
            thread = self._thread
        self.stop_later()
        if thread is not None and thread is not threading.current_thread():
            thread.join(1.0)

    def stop_later(self) -> None:
        """Has all plans and the thread ended; takes no lock (for finalizers)."""
        self._events.put(None)

    # -- as a carrier: on the engine's thread

    def subscribe(self, tell: Callable[[Fact], None]) -> Subscription:
        """A set of watched keys."""
        return Subscription(self._watcher, lambda fact: self.later(partial(tell, fact)))

    def invoke(self, effect: Invoke, done: Callable[[Reply], None]) -> Cancel:
        """Starts a call."""
        return self._wire.start(effect, partial(self._reply, done))

    def after(self, seconds: float, call: Callable[[], None]) -> Cancel:
        """Calls later."""
        calls = [call]
        due_at = self._link.clock() + seconds
        heapq.heappush(self._timers, (due_at, next(self._numbers), calls))
        return calls.clear

    def open(self, effect: Open, tell: Callable[[Fact], None]) -> Cancel:
        """Starts a long call."""
        return self._wire.open(effect, lambda fact: self.later(partial(tell, fact)))

    def aside(self, effect: Aside) -> None:
        """Has something done apart from the calls."""
        self._wire.aside(effect)

    def consult(self, ask: Callable[[], bool], done: Callable[[bool], None]) -> None:
        """Has the user asked, on a thread of its own: the answer may never come."""

        def answer() -> None:
            self.later(partial(done, ask()))

        threading.Thread(target=answer, name="etcd_election-consult", daemon=True).start()

    def shut(self, cancel: Cancel) -> None:
        """Ends a long call, a little apart from others."""
        delay = self._link.stagger.delay(self._link.clock())
        if delay:
            threading.Event().wait(delay)
        cancel()

    def _reply(self, done: Callable[[Reply], None], reply: Reply) -> None:
        self.later(partial(done, reply))

    def _begin(self, task: Task) -> None:
        self.tasks.add(task)
        task.running.start()

    def _run(self) -> None:
        while True:
            self._fire_timers()
            try:
                call = self._events.get(timeout=self._until_next_timer())
            except Empty:
                continue
            if call is None:
                break
            _do(call)
        for task in list(self.tasks):
            task.running.cancel()
        self._at_end()

    def _until_next_timer(self) -> float:
        if not self._timers:
            return _LONGEST
        return min(_LONGEST, max(0.0, self._timers[0][0] - self._link.clock()))

    def _fire_timers(self) -> None:
        while self._timers and self._timers[0][0] <= self._link.clock():
            _, _, calls = heapq.heappop(self._timers)
            for call in calls:
                _do(call)


def _do(call: Callable[[], None]) -> None:
    """What fails is told, as by an event loop, and ends no other plan: all have this thread."""
    try:
        call()
    except Exception:
        logger.exception("a step in the background failed")

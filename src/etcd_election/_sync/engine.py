"""Carries out plans in the background: one daemon thread for all of a connection's.

It renews leases, watches over leaderships, follows elections and removes what was left behind. It
knows no client: one that is collected unclosed is told to it by a finalizer, and is renewed no
more.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import weakref
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

from .._core.effects import Fact, Invoke, Open, Plan, Receive, Shut, Sleep, Watch, Word
from .._core.leadership import LeadershipState
from .._core.lease import LeaseClock
from .._core.link import Link
from .._core.plans import leading, session
from .._io.grpc_sync import Reply, Wire
from ..types import LostReason
from .driver import OfCall
from .hub import Hub, Subscription

logger = logging.getLogger("etcd_election")

_LONGEST = 5.0
"""Waits do not count a suspend; after one, whatever is due is done at most so late."""


class Task:
    """A plan under way in the background.

    Attributes:
        done: Set when it has ended.
        error: What it ended with, if that was an error.
    """

    def __init__(self, engine: Engine, plan: Plan[Any], on_done: Callable[[Task], None]) -> None:
        self.done = threading.Event()
        self.error: Exception | None = None
        self.plan = plan
        self.on_done = on_done
        self.inbox: deque[Fact] = deque()
        self.receiving = False
        self.turn = 0
        self.cancel_call: Callable[[], None] | None = None
        self.call = 0
        self._engine = engine
        self._watches: Subscription | None = None

    def tell(self, fact: Fact) -> None:
        """Puts a fact into the plan's inbox; may be called on any thread."""
        self._engine.events.put((self, None, fact))

    def watches(self, hub: Hub) -> Subscription:
        """The keys this plan watches."""
        if self._watches is None:
            self._watches = Subscription(hub, self.tell)
        return self._watches


def _unheard(task: Task) -> None:
    """Nobody wants to know of its end."""


_Event = tuple[Task | None, int | None, Any]
"""(task, the turn that waits for it or None for a fact, value); no task: call it, or stop."""


class Engine:
    """The background of one connection. ``events`` takes anything from any thread at any time."""

    def __init__(self, link: Link, wire: Wire, hub: Hub) -> None:
        self.events: SimpleQueue[_Event] = SimpleQueue()
        self._link = link
        self._wire = wire
        self._hub = hub
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._tasks: set[Task] = set()
        self._retiring: weakref.WeakKeyDictionary[LeaseClock, Task] = weakref.WeakKeyDictionary()
        self._timers: list[tuple[float, int, Task, int]] = []
        self._numbers = itertools.count()

    def start(self, plan: Plan[Any], on_done: Callable[[Task], None] = _unheard) -> Task:
        """Starts a plan; ``on_done`` is called on the engine's thread when it has ended."""
        with self._lock:
            return self._start(Task(self, plan, on_done))

    def keep(self, lease: LeaseClock) -> None:
        """Renews the lease at every beat until it ends."""
        task = self.start(session.keep(self._link, lease))
        lease.when_ended(lambda: task.tell(Word.STOP))

    def watch_over(self, state: LeadershipState) -> None:
        """Ends the leadership when its key is gone or written by others."""
        task = self.start(leading.watch_over(self._link, self, state))
        state.when_ended(lambda: task.tell(Word.STOP))

    def retire(self, lease: LeaseClock) -> None:
        """Stops believing in the lease and revokes it until etcd has confirmed."""
        self.retiring(lease)

    def retiring(self, lease: LeaseClock) -> Task:
        """The task that retires the lease, or has retired it; started if there is none."""
        lease.end(LostReason.CLOSED)
        with self._lock:
            task = self._retiring.get(lease)
            if task is None:
                task = self._start(Task(self, session.retire(self._link, lease), _unheard))
                self._retiring[lease] = task
            return task

    def later(self, call: Callable[[], None]) -> None:
        """Has something quick done on the engine's thread; takes no lock (for finalizers)."""
        self.events.put((None, 0, call))

    def drain(self, timeout: float) -> bool:
        """Waits until nothing is left to be revoked; False if the time was not enough."""
        ends_at = self._link.clock() + timeout
        with self._lock:
            tasks = list(self._retiring.values())
        return all(task.done.wait(max(0.0, ends_at - self._link.clock())) for task in tasks)

    def stop(self) -> None:
        """Ends all plans and the thread."""
        with self._lock:
            self._stopped = True
            thread = self._thread
        self.events.put((None, None, None))
        if thread is not None and thread is not threading.current_thread():
            thread.join(1.0)

    def cancel(self, task: Task) -> None:
        """Ends one plan, on the engine's thread."""
        self.events.put((task, -1, None))

    def _start(self, task: Task) -> Task:
        """With the lock held."""
        if self._stopped:
            task.plan.close()
            task.done.set()
            return task
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, name="etcd_election-engine", daemon=True
            )
            self._thread.start()
        self.events.put((task, 0, None))
        return task

    def _run(self) -> None:
        while True:
            self._fire_timers()
            try:
                task, turn, value = self.events.get(timeout=self._until_next_timer())
            except Empty:
                continue
            if task is None:
                if value is None:
                    break
                value()
            elif turn is None:
                if isinstance(value, OfCall):
                    if value.number != task.call:
                        continue
                    value = value.fact
                task.inbox.append(value)
                if task.receiving:
                    self._advance(task, task.inbox.popleft())
            elif turn == -1:
                self._end(task, None)
            elif turn == task.turn:
                self._tasks.add(task)
                self._advance(task, value)
        for task in list(self._tasks):
            self._end(task, None)
        self._hub.stop()
        self._wire.close()

    def _until_next_timer(self) -> float:
        if not self._timers:
            return _LONGEST
        return min(_LONGEST, max(0.0, self._timers[0][0] - self._link.clock()))

    def _fire_timers(self) -> None:
        while self._timers and self._timers[0][0] <= self._link.clock():
            _, _, task, turn = heapq.heappop(self._timers)
            if turn == task.turn:
                self._advance(task, None)

    def _advance(self, task: Task, value: Any) -> None:
        """Sends a plan what it waited for, and carries out effects up to the next wait."""
        if task.done.is_set():
            return
        task.turn += 1
        task.receiving = False
        try:
            while True:
                effect = task.plan.send(value)
                value = None
                if isinstance(effect, Invoke):
                    self._wire.start(effect, self._replies_to(task))
                    return
                if isinstance(effect, Receive) and task.inbox:
                    value = task.inbox.popleft()
                elif isinstance(effect, (Receive, Sleep)):
                    task.receiving = isinstance(effect, Receive)
                    due_at = self._link.clock() + effect.seconds
                    number = next(self._numbers)
                    heapq.heappush(self._timers, (due_at, number, task, task.turn))
                    return
                elif isinstance(effect, Watch):
                    task.watches(self._hub).set(effect.keys)
                elif isinstance(effect, Open):
                    self._open(task, effect)
                elif isinstance(effect, Shut):
                    self._shut(task)
        except StopIteration:
            self._end(task, None)
        except Exception as error:  # noqa: BLE001 - handed to whoever started the plan
            self._end(task, error)

    def _replies_to(self, task: Task) -> Callable[[Reply], None]:
        turn, events = task.turn, self.events
        return lambda reply: events.put((task, turn, reply))

    def _end(self, task: Task, error: Exception | None) -> None:
        if task.done.is_set():
            return
        task.error = error
        self._tasks.discard(task)
        task.plan.close()
        self._shut(task)
        task.watches(self._hub).set(frozenset())
        try:
            task.on_done(task)
        except Exception:
            logger.exception("a background task's end could not be told")
        task.done.set()

    def _open(self, task: Task, effect: Open) -> None:
        task.call += 1
        number, events = task.call, self.events
        task.cancel_call = self._wire.open(
            effect, lambda fact: events.put((task, None, OfCall(number, fact)))
        )

    def _shut(self, task: Task) -> None:
        cancel, task.cancel_call = task.cancel_call, None
        task.call += 1
        if cancel is not None:
            delay = self._link.stagger.delay(self._link.clock())
            if delay:
                threading.Event().wait(delay)
            cancel()

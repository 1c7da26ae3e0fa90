"""Carries out plans in the event loop: by callbacks and timers, with no task or thread of its own.

It knows no client: one that is collected unclosed is told to it by a finalizer, and is renewed no
more. In a loop that was closed nothing is done, and nothing said: there is no way to.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from .._core.effects import Aside, Fact, Invoke, Open, Plan, Reply
from .._core.keywatch import Subscription, Watcher
from .._core.link import Link
from .._core.running import Cancel, Running
from .._io.network import AsyncioWire
from .._io.timers import Timers

logger = logging.getLogger("etcd_election")

T = TypeVar("T")


class Task:
    """A plan under way in the background.

    Attributes:
        done: Done when it has ended; not to be awaited itself, for a cancel would go through.
        error: What it ended with, if that was an error.
    """

    def __init__(self, engine: Engine, plan: Plan[Any], on_done: Callable[[Task], None]) -> None:
        self.done: asyncio.Future[None] = engine.loop.create_future()
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
        if not self._engine.loop.is_closed():
            self.done.set_result(None)


def _unheard(task: Task) -> None:
    """Nobody wants to know of its end."""


class Inbox:
    """Facts for one plan. ``tell`` may be called on any thread and in signal handlers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._facts: deque[Fact] = deque()
        self._running: Running[Any] | None = None

    def tell(self, fact: Fact) -> None:
        """Puts a fact into the plan's inbox."""
        # First this: whoever binds the plan meanwhile looks afterwards.
        self._facts.append(fact)
        if self._running is not None:
            self._engine.later(self._deliver)

    def bind(self, running: Running[Any]) -> None:
        """The plan is about to start."""
        self._running = running
        self._deliver()

    def _deliver(self) -> None:
        while self._facts and self._running is not None:
            self._running.tell(self._facts.popleft())


class Engine:
    """The background of one connection, and a ``Carrier`` of all its plans.

    Attributes:
        loop: The event loop.
        tasks: The background plans under way.
    """

    def __init__(
        self, link: Link, wire: AsyncioWire, watcher: Watcher, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.loop = loop
        self.tasks: set[Task] = set()
        self._timers = Timers(loop, link.clock)
        self._link = link
        self._wire = wire
        self._watcher = watcher
        self._stopped = False
        self._shut_by = float("-inf")
        link.jumps.add(partial(self.later, self._timers.set_anew))

    def start(self, plan: Plan[Any], on_done: Callable[[Task], None] = _unheard) -> Task:
        """Starts a plan; ``on_done`` is called when it has ended."""
        task = Task(self, plan, on_done)
        if self._stopped or self.loop.is_closed():
            task.running.cancel()
            return task
        self.tasks.add(task)
        # Not from here: another plan may be at work.
        self.loop.call_soon(task.running.start)
        return task

    async def run(self, plan: Plan[T], inbox: Inbox | None = None) -> T:
        """Carries out a plan for whoever awaits it; a cancel ends it where it is."""
        done: asyncio.Future[None] = self.loop.create_future()

        def ended(_: Running[T]) -> None:
            if not done.done() and not self.loop.is_closed():
                done.set_result(None)

        running = Running(self, plan, ended)
        if inbox is not None:
            inbox.bind(running)
        try:
            running.start()
            await done
        finally:
            running.cancel()
        if running.error is not None:
            raise running.error
        result: T = running.result  # type: ignore[assignment]
        return result

    def tell(self, task: Task, fact: Fact) -> None:
        """Puts a fact into a plan's inbox; on any thread."""
        self.later(partial(task.running.tell, fact))

    def cancel(self, task: Task) -> None:
        """Ends one plan."""
        self.later(task.running.cancel)

    def later(self, call: Callable[[], None]) -> None:
        """Has something quick done in the loop; on any thread, in finalizers, signal handlers."""
        # RuntimeError: the loop is closed. Asked before, it could be closed in between.
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(call)

    async def stop(self) -> None:
        """Ends all plans."""
        self._stopped = True
        for task in list(self.tasks):
            task.running.cancel()
        await asyncio.sleep(max(0.0, self._shut_by - self.loop.time()))

    # -- as a carrier

    def subscribe(self, tell: Callable[[Fact], None]) -> Subscription:
        """A set of watched keys."""
        return Subscription(self._watcher, partial(self._soon, tell))

    def invoke(self, effect: Invoke, done: Callable[[Reply], None]) -> Cancel:
        """Starts a call."""
        return self._while_open(self._wire.start(effect, done))

    def after(self, seconds: float, call: Callable[[], None]) -> Cancel:
        """Calls later."""
        return self._timers.after(seconds, call)

    def open(self, effect: Open, tell: Callable[[Fact], None]) -> Cancel:
        """Starts a long call."""
        return self._while_open(self._wire.open(effect, tell))

    def aside(self, effect: Aside) -> None:
        """Has something done apart from the calls."""
        self._wire.aside(effect)

    def consult(self, ask: Callable[[], bool], done: Callable[[bool], None]) -> None:
        """Has the user asked, in the loop."""
        self.loop.call_soon(lambda: done(ask()))

    def shut(self, cancel: Cancel) -> None:
        """Ends a long call, a little apart from others."""
        delay = self._link.stagger.delay(self._link.clock())
        if not delay or self.loop.is_closed():
            cancel()
            return
        self.loop.call_later(delay, cancel)
        self._shut_by = self.loop.time() + delay

    def _soon(self, tell: Callable[[Fact], None], fact: Fact) -> None:
        # Whoever tells holds a lock that the plan may want.
        self.loop.call_soon(tell, fact)

    def _while_open(self, cancel: Cancel) -> Cancel:
        """A cancel that a closed loop makes needless, and impossible."""
        return partial(self._cancel_call, cancel)

    def _cancel_call(self, cancel: Cancel) -> None:
        if not self.loop.is_closed():
            cancel()

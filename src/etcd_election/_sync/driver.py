"""Carries out a plan on the calling thread.

Short calls are direct. A future is one that may be asked of another endpoint as well, and in a
campaign (a driver with an inbox) a longer one or one that has to wait for others: a word from
outside ends the wait for it at once. Ctrl-C ends any wait.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from .._core import status
from .._core.effects import (
    OF_CALL,
    Aside,
    Beside,
    Connect,
    Effect,
    Ended,
    Fact,
    Invoke,
    Open,
    Plan,
    Receive,
    Reply,
    Shut,
    Sleep,
    Watch,
    Word,
)
from .._core.keywatch import Subscription, Watcher
from .._core.link import Link
from .._io.network import BlockingWire

T = TypeVar("T")

Cancel = Callable[[], None]

_DIRECT = 0.5
"""Calls that take no longer, and need not wait for others, are not interrupted by words."""


class _Replied:
    """The end of a call started by a driver."""

    def __init__(self, number: int, reply: Reply) -> None:
        self.number = number
        self.reply = reply


class OfCall:
    """A fact of the long call number ``number``: after that was shut, it is none."""

    def __init__(self, number: int, fact: Fact) -> None:
        self.number = number
        self.fact = fact


class _Jumped:
    """The clock has jumped."""


class Inbox:
    """Facts for one plan. ``tell`` may be called on any thread and in signal handlers."""

    def __init__(self) -> None:
        self.queue: SimpleQueue[Fact | OfCall | _Replied | _Jumped] = SimpleQueue()
        self.tell: Callable[[Fact], None] = self.queue.put


def run(wire: BlockingWire, plan: Plan[T]) -> T:
    """Carries out a plan of calls and pauses."""
    value: Any = None
    try:
        while True:
            effect = plan.send(value)
            if isinstance(effect, Invoke):
                value = wire.invoke(effect) if effect.beside is None else _both(wire, effect)
            elif isinstance(effect, Aside):
                wire.aside(effect)
                value = None
            else:
                assert isinstance(effect, (Sleep, Receive))  # noqa: S101 - plans of reads only
                threading.Event().wait(effect.seconds)
                value = None
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        plan.close()


def _both(wire: BlockingWire, effect: Invoke) -> Reply | Beside:
    """Makes a call, and when it is time the same one on another endpoint."""
    replies: SimpleQueue[tuple[bool, Reply]] = SimpleQueue()
    cancels = [wire.start(effect, lambda reply: replies.put((False, reply)))]
    try:
        try:
            return replies.get(timeout=effect.beside_after)[1]
        except Empty:
            second = effect.second()
            cancels.append(wire.start(second, lambda reply: replies.put((True, reply))))
        while True:
            beside, reply = replies.get()
            if not beside:
                return reply
            if status.final(reply):
                return Beside(reply)
    finally:
        for cancel in cancels:
            cancel()


class Driver:
    """Carries out plans that have an inbox: they wait, watch, and keep one long call open."""

    def __init__(self, link: Link, wire: BlockingWire, watcher: Watcher, inbox: Inbox) -> None:
        self._link = link
        self._wire = wire
        self._inbox = inbox
        self._facts: deque[Fact] = deque()
        self._watches = Subscription(watcher, inbox.tell)
        self._cancel_call: Any = None
        self._call = 0
        self._started = 0
        self._ahead: Connect | None = None

    def run(self, plan: Plan[T]) -> T:
        """Carries out a plan; however it ends, no watch and no call of it is left."""
        value: Any = None
        forget = self._link.jumps.add(lambda: self._inbox.queue.put(_Jumped()))
        try:
            while True:
                value = self._carry_out(plan.send(value))
        except StopIteration as stop:
            result: T = stop.value
            return result
        finally:
            forget()
            try:
                plan.close()
            finally:
                self._shut()
                self._watches.set(Watch())

    def _carry_out(self, effect: Effect) -> Any:
        if isinstance(effect, Receive):
            return self._receive(effect.seconds)
        if isinstance(effect, Invoke):
            return self._invoke(effect)
        if isinstance(effect, Sleep):
            return self._pause(effect.seconds)
        if isinstance(effect, Watch):
            self._watches.set(effect)
        elif isinstance(effect, Open):
            self._open(effect)
        elif isinstance(effect, Connect):
            # Once the next call has left, this thread has time for it.
            self._ahead = effect
        elif isinstance(effect, Aside):
            self._wire.aside(effect)
        else:
            assert isinstance(effect, Shut)  # noqa: S101 - the last word of the vocabulary
            self._shut()
        return None

    def _next(self, seconds: float | None) -> Fact | _Replied | None:
        """What arrives next, None if nothing does in time."""
        ends_at = None if seconds is None else self._link.clock() + seconds
        while True:
            left = None if ends_at is None else max(0.0, ends_at - self._link.clock())
            try:
                item = self._inbox.queue.get(left != 0, left)
            except Empty:
                return None
            if isinstance(item, _Jumped):
                continue
            if not isinstance(item, OfCall):
                return item
            if item.number == self._call:
                if isinstance(item.fact, Ended):
                    self._cancel_call = None
                return item.fact

    def _receive(self, seconds: float) -> Fact | None:
        ends_at = self._link.clock() + seconds
        while not self._facts:
            item = self._next(max(0.0, ends_at - self._link.clock()))
            if not isinstance(item, _Replied):
                return item
        return self._facts.popleft()

    def _pause(self, seconds: float) -> Word | None:
        ends_at = self._link.clock() + seconds
        while True:
            item = self._next(max(0.0, ends_at - self._link.clock()))
            if item is None or isinstance(item, Word):
                return item
            if not isinstance(item, _Replied):
                self._facts.append(item)

    def _invoke(self, effect: Invoke) -> Reply | Beside | Word:
        if effect.timeout <= _DIRECT and effect.beside is None:
            self._connect()
            reply = self._wire.invoke_at_once(effect)
            if reply is not None:
                return reply
        cancels: list[Cancel] = []
        first, second = self._start(effect, cancels), 0
        beside_at = None
        if effect.beside is not None:
            beside_at = self._link.clock() + effect.beside_after
        try:
            while True:
                left = None if beside_at is None else max(0.0, beside_at - self._link.clock())
                item = self._next(left)
                if isinstance(item, Word):
                    return item
                if item is None:
                    beside_at = None
                    second = self._start(effect.second(), cancels)
                elif not isinstance(item, _Replied):
                    self._facts.append(item)
                elif item.number == first:
                    return item.reply
                elif item.number == second and status.final(item.reply):
                    return Beside(item.reply)
        finally:
            for cancel in cancels:
                cancel()

    def _start(self, effect: Invoke, cancels: list[Cancel]) -> int:
        """Starts a call; returns the number of its reply."""
        self._started += 1
        number, inbox = self._started, self._inbox
        start = self._wire.start
        cancels.append(start(effect, lambda reply: inbox.queue.put(_Replied(number, reply))))
        self._connect()
        return number

    def _connect(self) -> None:
        """Has the connection made that the plan has asked for."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            self._wire.aside(ahead)

    def _open(self, effect: Open) -> None:
        self._ahead = None
        self._call += 1
        number, inbox = self._call, self._inbox
        self._cancel_call = self._wire.open(
            effect, lambda fact: inbox.queue.put(OfCall(number, fact))
        )

    def _shut(self) -> None:
        cancel, self._cancel_call = self._cancel_call, None
        self._call += 1
        # What the call said while the plan waited for something else is no fact any more either.
        self._facts = deque(fact for fact in self._facts if not isinstance(fact, OF_CALL))
        if cancel is None:
            return
        delay = self._link.stagger.delay(self._link.clock())
        try:
            if delay:
                threading.Event().wait(delay)
        finally:
            cancel()

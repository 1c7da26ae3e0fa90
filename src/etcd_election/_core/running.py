"""A plan carried out by callbacks: on an event loop, or on a thread that serves many plans.

What a plan waits for, and what ends the wait::

    CALL     the reply                         | a word that interrupts
    PAUSE    the time                          | a word that interrupts
    FACT     the next fact in its inbox        | the time

A reply or a time that comes after its wait has ended means nothing any more. All methods are called
on the carrier's one thread; the carrier calls back on it too, and never from within ``invoke`` or
``after``. Facts may arrive while the plan itself is at work: they wait in the inbox.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from . import status
from .condition import Condition
from .effects import (
    OF_CALL,
    Aside,
    Beside,
    Consult,
    Consulted,
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
from .keywatch import Subscription

T = TypeVar("T")

Cancel = Callable[[], None]


class Carrier(Protocol):
    """What carries out the effects of any number of plans."""

    def subscribe(self, tell: Callable[[Fact], None]) -> Subscription:
        """A set of watched keys, empty at first; what becomes of them is told later."""
        ...

    def invoke(self, effect: Invoke, done: Callable[[Reply], None]) -> Cancel:
        """Starts a call; ``done`` is called later, unless the call is cancelled before."""
        ...

    def after(self, seconds: float, call: Callable[[], None]) -> Cancel:
        """Calls later."""
        ...

    def open(self, effect: Open, tell: Callable[[Fact], None]) -> Cancel:
        """Starts a long call; what comes of it is told later."""
        ...

    def shut(self, cancel: Cancel) -> None:
        """Ends a long call, a little apart from others."""

    def aside(self, effect: Aside) -> None:
        """Has something done apart from the calls; nobody waits."""

    def consult(self, ask: Callable[[], bool], done: Callable[[bool], None]) -> None:
        """Has the user asked where that holds nothing else up; ``done`` is called later."""


class Running(Generic[T]):
    """One plan under way.

    Attributes:
        over: True when it has ended.
        result: What it returned.
        error: What it raised; None if it returned or was cancelled.
    """

    def __init__(
        self, carrier: Carrier, plan: Plan[T], ended: Callable[[Running[T]], None]
    ) -> None:
        self.over = False
        self.result: T | None = None
        self.error: Exception | None = None
        self._carrier = carrier
        self._plan = plan
        self._ended = ended
        self._inbox: deque[Fact] = deque()
        self._receiving = False
        self._interruptible = False
        self._turn = 0
        self._wait: Cancel | None = None
        self._call = 0
        self._cancel_call: Cancel | None = None
        self._watches: Subscription | None = None

    def start(self) -> None:
        """Begins."""
        self._advance(None)

    def tell(self, fact: Fact) -> None:
        """Puts a fact into the plan's inbox."""
        if self.over:
            return
        if self._interruptible and isinstance(fact, Word) and fact.interrupts:
            self._advance(fact)
            return
        self._inbox.append(fact)
        if self._receiving:
            self._advance(self._inbox.popleft())

    def cancel(self) -> None:
        """Ends the plan where it is; nothing of it is left open."""
        self._end()

    def _advance(self, value: Any) -> None:
        """Sends the plan what it waited for, and carries out effects up to the next wait."""
        if self.over:
            return
        self._stop_waiting()
        try:
            while True:
                effect = self._plan.send(value)
                value = None
                if isinstance(effect, Receive):
                    if not self._inbox:
                        self._receiving = True
                        self._wait = self._carrier.after(
                            effect.seconds, partial(self._resume, self._turn)
                        )
                        return
                    value = self._inbox.popleft()
                elif isinstance(effect, (Invoke, Sleep)):
                    value = self._interruption()
                    if value is None:
                        self._interruptible = True
                        self._wait = self._begin(effect)
                        return
                else:
                    self._carry_out(effect)
        except StopIteration as stop:
            self.result = stop.value
            self._end()
        except Exception as error:  # noqa: BLE001 - handed to whoever started the plan
            self.error = error
            self._end()

    def _begin(self, effect: Invoke | Sleep) -> Cancel:
        if isinstance(effect, Sleep):
            return self._carrier.after(effect.seconds, partial(self._resume, self._turn))
        if effect.beside is None:
            return self._carrier.invoke(effect, partial(self._resume, self._turn))
        return self._ask_both(effect)

    def _ask_both(self, effect: Invoke) -> Cancel:
        """Makes a call, and a second one when it is time; returns what ends all of it."""
        turn = self._turn

        def answered(reply: Reply | Beside) -> None:
            if turn == self._turn:
                self._advance(reply)

        def answered_beside(reply: Reply) -> None:
            if status.final(reply):
                answered(Beside(reply))

        def ask_beside() -> None:
            cancels.append(self._carrier.invoke(effect.second(), answered_beside))

        cancels = [
            self._carrier.invoke(effect, answered),
            self._carrier.after(effect.beside_after, ask_beside),
        ]

        def cancel_all() -> None:
            # Emptied: what it holds holds this list, and would be left to the garbage collector.
            while cancels:
                cancels.pop()()

        return cancel_all

    def _carry_out(self, effect: Effect) -> None:
        """What is not waited for."""
        if isinstance(effect, Watch):
            self._subscription().set(effect)
        elif isinstance(effect, Open):
            self._open(effect)
        elif isinstance(effect, Aside):
            self._carrier.aside(effect)
        elif isinstance(effect, Consult):
            self._consult(effect.condition)
        else:
            assert isinstance(effect, Shut)  # noqa: S101 - the last word of the vocabulary
            self._shut()

    def _resume(self, turn: int, reply: Reply | None = None) -> None:
        """What was waited for in this turn has come."""
        if turn == self._turn:
            self._wait = None
            self._advance(reply)

    def _interruption(self) -> Word | None:
        """A word that arrived while the plan was at work."""
        for fact in self._inbox:
            if isinstance(fact, Word) and fact.interrupts:
                self._inbox.remove(fact)
                return fact
        return None

    def _stop_waiting(self) -> None:
        self._turn += 1
        self._receiving = self._interruptible = False
        wait, self._wait = self._wait, None
        if wait is not None:
            wait()

    def _subscription(self) -> Subscription:
        if self._watches is None:
            self._watches = self._carrier.subscribe(self.tell)
        return self._watches

    def _consult(self, condition: Condition) -> None:
        self._carrier.consult(condition.ask, lambda renews: self.tell(Consulted(condition, renews)))

    def _open(self, effect: Open) -> None:
        self._call += 1
        self._cancel_call = self._carrier.open(effect, partial(self._tell_of, self._call))

    def _tell_of(self, call: int, fact: Fact) -> None:
        """After a long call was shut, what comes of it is no fact."""
        if call != self._call:
            return
        if isinstance(fact, Ended):
            self._cancel_call = None
        self.tell(fact)

    def _shut(self) -> None:
        cancel, self._cancel_call = self._cancel_call, None
        self._call += 1
        # What the call said while the plan waited for something else must not be taken for the next
        # call's word: a candidate would lead while that one is open.
        self._inbox = deque(fact for fact in self._inbox if not isinstance(fact, OF_CALL))
        if cancel is not None:
            self._carrier.shut(cancel)

    def _end(self) -> None:
        if self.over:
            return
        self.over = True
        self._stop_waiting()
        self._plan.close()
        self._shut()
        if self._watches is not None:
            self._watches.set(Watch())
        self._inbox.clear()
        self._ended(self)

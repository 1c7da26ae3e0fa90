"""The turns of the calls on one client: campaigns and resigns go one after the other.

A campaign's verdict is given once, without a lock: "won" or "cancelled", whichever comes first. So
``cancel_campaign()`` may be called in a signal handler, and after it has said True no Leadership is
returned.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from .callbacks import Callbacks
from .effects import Fact, Word

_VERDICT = "verdict"


class Ticket:
    """One call's place in the line.

    Attributes:
        campaigns: True for a campaign.
        tell: Reaches the call's plan, from any thread and in signal handlers.
    """

    def __init__(self, *, campaigns: bool, tell: Callable[[Fact], None]) -> None:
        self.campaigns = campaigns
        self.tell = tell
        self._verdict: dict[str, str] = {}

    def win(self) -> bool:
        """True if it was not cancelled before; from then on it cannot be."""
        return self._verdict.setdefault(_VERDICT, "won") == "won"

    def cancel(self) -> bool:
        """True if it was not won before; from then on it cannot be."""
        if self._verdict.setdefault(_VERDICT, "cancelled") != "cancelled":
            return False
        self.tell(Word.CANCELLED)
        return True


class Line:
    """The line of tickets; the first one has the turn. ``tickets`` may be asked without a lock.

    The lock is a plain one: an exception that a signal handler raises cannot leave it locked.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tickets: tuple[Ticket, ...] = ()
        self._closed = False
        self._emptied = Callbacks()

    def tickets(self) -> tuple[Ticket, ...]:
        """Who stands in the line now."""
        return self._tickets

    def campaigning(self) -> bool:
        """True while a campaign has or awaits its turn."""
        return any(ticket.campaigns for ticket in self._tickets)

    def has_turn(self, ticket: Ticket) -> bool:
        """True while nobody stands before it."""
        return self._tickets[:1] == (ticket,)

    def enter(self, ticket: Ticket) -> bool:
        """Takes a place at the end; False if the line is closed."""
        with self._lock:
            if self._closed:
                return False
            self._tickets = (*self._tickets, ticket)
            if self.has_turn(ticket):
                ticket.tell(Word.TURN)
            return True

    def leave(self, ticket: Ticket) -> None:
        """The call is over, if it ever entered; the next one has its turn."""
        with self._lock:
            had_turn = self.has_turn(ticket)
            self._tickets = tuple(other for other in self._tickets if other is not ticket)
            if had_turn and self._tickets:
                self._tickets[0].tell(Word.TURN)
        self._settle()

    def close(self) -> None:
        """Tells everybody to go and lets nobody in."""
        with self._lock:
            self._closed = True
            for ticket in self._tickets:
                ticket.tell(Word.CLOSED)
        self._settle()

    def when_empty(self, callback: Callable[[], None]) -> None:
        """Calls back once, when all have left the closed line; at once if they have."""
        self._emptied.add(callback)
        self._settle()

    def _settle(self) -> None:
        if self._closed and not self._tickets:
            self._emptied.call()

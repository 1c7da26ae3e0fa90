"""The turns of the calls on one client: campaigns and resigns go one after the other.

A campaign's verdict is given once, without a lock: "won" or "cancelled", whichever comes first. So
``cancel_campaign()`` may be called in a signal handler, and after it has said True no Leadership is
returned.
"""

from __future__ import annotations

import threading

from .._core.effects import Word
from .driver import Inbox

_VERDICT = "verdict"


class Ticket:
    """One call's place in the line."""

    def __init__(self, *, campaigns: bool) -> None:
        self.campaigns = campaigns
        self.inbox = Inbox()
        self._verdict: dict[str, str] = {}

    def win(self) -> bool:
        """True if it was not cancelled before; from then on it cannot be."""
        return self._verdict.setdefault(_VERDICT, "won") == "won"

    def cancel(self) -> bool:
        """True if it was not won before; from then on it cannot be."""
        if self._verdict.setdefault(_VERDICT, "cancelled") != "cancelled":
            return False
        self.inbox.tell(Word.CANCELLED)
        return True


class Line:
    """The line of tickets; the first one has the turn. ``tickets`` may be asked without a lock."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._tickets: tuple[Ticket, ...] = ()
        self._closed = False

    def tickets(self) -> tuple[Ticket, ...]:
        """Who stands in the line now."""
        return self._tickets

    def campaigning(self) -> bool:
        """True while a campaign has or awaits its turn."""
        return any(ticket.campaigns for ticket in self._tickets)

    def enter(self, *, campaigns: bool) -> Ticket | None:
        """A place at the end; None if the line is closed."""
        ticket = Ticket(campaigns=campaigns)
        with self._changed:
            if self._closed:
                return None
            self._tickets = (*self._tickets, ticket)
            if self._tickets[0] is ticket:
                ticket.inbox.tell(Word.TURN)
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """The call is over; the next one has its turn."""
        with self._changed:
            had_turn = self._tickets[0] is ticket
            self._tickets = tuple(other for other in self._tickets if other is not ticket)
            if had_turn and self._tickets:
                self._tickets[0].inbox.tell(Word.TURN)
            self._changed.notify_all()

    def close(self, timeout: float) -> bool:
        """Tells everybody to go, lets nobody in; True when all have left in time."""
        with self._changed:
            self._closed = True
            for ticket in self._tickets:
                ticket.inbox.tell(Word.CLOSED)
            return self._changed.wait_for(lambda: not self._tickets, timeout)

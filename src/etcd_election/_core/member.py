"""One client's part in an election, whichever front-end it belongs to.

Here is decided who gets a leadership and what becomes of the lease: a win that was cancelled
meanwhile is no win, a campaign that ended without one leaves no lease that it may have used, and a
client that closes leaves nothing, or leaves all to a successor.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from typing import Generic, NamedTuple, Protocol, TypeVar

from .. import errors
from ..types import LostReason, State
from . import arguments
from .candidate import Candidate, Session
from .effects import Fact
from .host import Host
from .leadership import LeadershipState
from .lease import LeaseClock
from .line import Line, Ticket
from .link import Link
from .looping import Loop


class Terms(NamedTuple):
    """What a client was asked for, checked."""

    name: bytes
    ttl: int
    lease: int | None
    via: str

    @classmethod
    def checked(cls, name: object, ttl: object, lease: object, via: object) -> Terms:
        """Raises TypeError or ValueError, naming the argument."""
        return cls(
            name=arguments.octets("name", name),
            ttl=arguments.whole_ttl(ttl),
            lease=arguments.lease_number(lease),
            via=arguments.campaign_via(via),
        )


class Face(Protocol):
    """What a front-end hands out for a leadership."""

    _state: LeadershipState

    @property
    def held(self) -> bool:
        """True while this is leadership."""
        ...


L = TypeVar("L", bound=Face)

_LOOP = "loop"


class Member(Generic[L]):
    """Thread-safe as far as it says so.

    Attributes:
        terms: What the client was asked for.
        line: The turns of its calls.
        session: Its lease, once it has campaigned.
        latest: The leadership handed out last.
        closed: True from the first ``close`` on.
    """

    def __init__(self, link: Link, terms: Terms) -> None:
        if terms.lease is not None and not link.claim(terms.lease):
            raise ValueError(f"lease {terms.lease} is already used by a client of this connection")
        self.terms = terms
        self.line = Line()
        self.session: Session | None = None
        self.latest: L | None = None
        self.closed = False
        self._keeps_place = False
        self._left: LeaseClock | None = None
        self._loops: dict[str, Loop] = {}
        self._link = link

    @property
    def leadership(self) -> L | None:
        """The leadership that is held now, or None; takes no lock."""
        latest = self.latest
        return latest if latest is not None and latest.held else None

    @property
    def state(self) -> State:
        """LEADING exactly while a leadership is held; takes no lock."""
        if self.closed:
            return State.CLOSED
        if self.leadership is not None:
            return State.LEADING
        return State.CAMPAIGNING if self.line.campaigning() else State.IDLE

    @property
    def lease_id(self) -> int | None:
        """The present lease; None while there is none."""
        session = self.session
        lease = session.lease if session else None
        return lease.lease_id if lease is not None and lease.ttl and lease.alive else None

    @property
    def loop(self) -> Loop | None:
        """The ``run()`` under way, or None; takes no lock."""
        return self._loops.get(_LOOP)

    def enter(self, ticket: Ticket) -> None:
        """A call takes its place in the line.

        Raises:
            ClientClosed: The line is closed.
        """
        if not self.line.enter(ticket):
            raise errors.ClientClosed
        # Whoever stops the loop from now on finds the ticket; before, it did not.
        if self._stopping() and ticket.campaigns:
            ticket.cancel()

    @contextlib.contextmanager
    def looping(self, loop: Loop) -> Generator[None, None, None]:
        """For as long as a loop runs.

        Raises:
            RuntimeError: Another one does.
        """
        if self._loops.setdefault(_LOOP, loop) is not loop:
            raise RuntimeError("run() is already running on this client")
        try:
            yield
        finally:
            self._loops.clear()

    def stop_believing(self) -> None:
        """Ends the leadership of a loop that was stopped; its key stays until the loop resigns it.

        Not when that loop is over: nobody would remove the key of whatever is led now.
        """
        if self.latest is not None and self._stopping():
            self.latest._state.end(LostReason.RESIGNED)

    def _stopping(self) -> bool:
        loop = self.loop
        return loop is not None and loop.stopping

    def begin_session(self, host: Host) -> Session:
        """The lease to come; called before the first campaign, once."""
        terms = self.terms
        self.session = Session(self._link, host, terms.ttl, terms.lease)
        return self.session

    def candidate(
        self, session: Session, value: bytes, timeout: float | None, tell: Callable[[Fact], None]
    ) -> Candidate:
        """What a campaign works on."""
        return Candidate(
            self._link,
            session,
            name=self.terms.name,
            value=value,
            via=self.terms.via,
            timeout=timeout,
            tell=tell,
        )

    def current(self) -> LeadershipState | None:
        """The state of the leadership handed out last."""
        return self.latest._state if self.latest is not None else None

    def elected(
        self,
        host: Host,
        ticket: Ticket,
        candidate: Candidate,
        state: LeadershipState,
        face: Callable[[LeadershipState], L],
    ) -> L:
        """Publishes a win, unless it was cancelled meanwhile.

        Raises:
            CampaignCancelled, ClientClosed: It was; the lease is left to ``abandon``.
        """
        leadership = self.latest
        if leadership is not None and leadership._state is state:
            if not ticket.win():
                raise errors.CampaignCancelled
            return leadership
        leadership = face(state)
        host.watch_over(state)
        if not ticket.win() or self.closed:
            state.end(LostReason.RESIGNED)
            raise errors.ClientClosed if self.closed else errors.CampaignCancelled
        self.latest = leadership
        # Whoever closed since the look above may not have seen it, and ends nothing.
        if self.closed and state.end(LostReason.CLOSED):
            raise errors.ClientClosed
        state.lease.tainted = not candidate.clean
        host.announce(state, began_at=candidate.began_at)
        return leadership

    def abandon(
        self, candidate: Candidate, ticket: Ticket, error: BaseException
    ) -> LeaseClock | None:
        """A campaign ended by an error; returns the lease that is revoked for it.

        Not the lease of a place in the queue that a successor is to have.
        """
        session = candidate.session
        lease = session.lease
        if not self.line.has_turn(ticket) or lease is self._left:
            # It only stood in line: the lease may be that of the campaign before it.
            return None
        closed = self._keeps_place and isinstance(error, errors.ClientClosed)
        if closed and self.terms.via == "kv" and candidate.settled:
            self._left = lease
            return None
        leadership = self.leadership
        if leadership is not None and leadership._state.lease is lease:
            return None
        if lease is not None and session.drop_tainted() and lease.ttl:
            return lease
        return None

    def close(self, *, revoke: bool) -> None:
        """Ends the leadership, if one is held. Without ``revoke``, its place is kept."""
        self._keeps_place = not revoke
        self.closed = True
        latest = self.latest
        if latest is not None and latest._state.end(LostReason.CLOSED) and not revoke:
            self._left = latest._state.lease

    def bequest(self) -> LeaseClock | None:
        """What ``close`` leaves to a successor: a leader's lease or a waiting candidate's, or None.

        To be asked when the line is empty.
        """
        left, session = self._left, self.session
        return left if session is not None and session.lease is left else None

    def handed_on(self, lease: LeaseClock) -> None:
        """The lease is a successor's now."""
        lease.end(LostReason.CLOSED)
        self._link.release(lease.lease_id)
        self._unclaim()

    def drop(self) -> LeaseClock | None:
        """Closed: the lease, if there is one, is revoked in the background; returns it."""
        self._unclaim()
        session = self.session
        lease = session.lease if session is not None else None
        if session is not None:
            session.drop()
        return lease

    def _unclaim(self) -> None:
        """The lease to go on with is free again, whether or not it was taken up."""
        if self.terms.lease is not None:
            self._link.release(self.terms.lease)

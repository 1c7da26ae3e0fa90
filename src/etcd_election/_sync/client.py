"""A client of one election: at most one candidacy, one lease."""

from __future__ import annotations

import logging
import threading
import warnings
import weakref
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Literal, overload

from .. import errors
from .._core import arguments, timing
from .._core.candidate import Candidate, Session
from .._core.leadership import LeadershipState
from .._core.link import Link
from .._core.plans import leading, reading
from .._core.plans.call import Interrupted
from .._core.plans.campaign import campaign, wait_turn
from ..types import Leader, LostReason, State
from .connection import Etcd, Machinery
from .engine import Engine
from .leadership import Leadership
from .observer import Observer
from .ticket import Line, Ticket

logger = logging.getLogger("etcd_election")


class ElectionClient:
    """Takes part in one election.

    Nothing is sent and no lease granted before it is needed. Thread-safe; a second ``campaign()``
    waits for the first.

    Args:
        etcd: An ``Etcd``, or endpoints: then the client owns the connection and closes it.
        name: The election; the keys of its candidates are ``name/<lease in hexadecimal>``.
        ttl: The lease's time to live in whole seconds, at least 2. The server may grant more.
        lease: A lease to go on with, left by a predecessor's ``close(revoke=False)``. Safe only
            after that, or when the predecessor is surely dead.
        via: "service": campaigns with the server's Election service, watched over by reads and
            watches. There is no other way yet.

    Raises:
        TypeError, ValueError: An argument is not as described; nothing was sent.
    """

    def __init__(
        self,
        etcd: Etcd | str | Sequence[str],
        name: str | bytes,
        *,
        ttl: int = timing.DEFAULT_TTL,
        lease: int | None = None,
        via: str = "service",
    ) -> None:
        self._name = arguments.octets("name", name)
        self._via = arguments.campaign_via(via)
        self._ttl = arguments.whole_ttl(ttl)
        self._resume = arguments.lease_number(lease)
        self._owns = not isinstance(etcd, Etcd)
        self._etcd = etcd if isinstance(etcd, Etcd) else Etcd(etcd)
        if self._resume is not None and not self._etcd._link.claim(self._resume):
            raise ValueError(f"lease {lease} is already used by a client of this connection")
        self._lock = threading.Lock()
        self._line = Line()
        self._session: Session | None = None
        self._leadership: Leadership | None = None
        self._observers: weakref.WeakSet[Observer[Any]] = weakref.WeakSet()
        self._finalizer: weakref.finalize[Any, Any] | None = None
        self._closed = False
        self._etcd._clients.add(self)

    def __repr__(self) -> str:
        return f"<ElectionClient {self._name!r} {self.state.value}>"

    @property
    def name(self) -> bytes:
        """The election."""
        return self._name

    @property
    def state(self) -> State:
        """What this client is doing; LEADING exactly while its leadership is held."""
        if self._closed:
            return State.CLOSED
        if self.leadership is not None:
            return State.LEADING
        return State.CAMPAIGNING if self._line.campaigning() else State.IDLE

    @property
    def leadership(self) -> Leadership | None:
        """The leadership that is held now, or None."""
        leadership = self._leadership
        return leadership if leadership is not None and leadership.held else None

    @property
    def lease_id(self) -> int | None:
        """The present lease; None while there is none."""
        session = self._session
        lease = session.lease if session else None
        return lease.lease_id if lease is not None and lease.ttl and lease.alive else None

    def open(self, timeout: float | None = None) -> None:
        """Checks that etcd answers. No lease is granted.

        Args:
            timeout: Seconds; None: the connection's.

        Raises:
            Unavailable: It does not answer in time.
            ClientClosed: The client is closed.
        """
        self._ready(timeout)
        self._etcd._open(timeout)

    def campaign(self, value: str | bytes, *, timeout: float | None = None) -> Leadership:
        """Waits until elected.

        While leading already, proclaims ``value`` and returns the same leadership. However it ends,
        unless in leadership, no candidate key is left, or one whose lease is no longer renewed.

        Args:
            value: What others read of the leader: ``str`` (as UTF-8) or ``bytes``.
            timeout: Seconds; None waits for ever, 0: elected at once or not at all.

        Raises:
            CampaignTimeout: Not elected in time.
            CampaignCancelled: ``cancel_campaign()`` was called.
            SessionExpired: The lease ended while waiting.
            Unavailable: Etcd did not answer and no candidate key could be made to stand.
            ClientClosed: The client is closed, or was while waiting.
            EtcdError: Etcd refused for good, as the class says.
        """
        proposed = arguments.octets("value", value)
        patience = arguments.optional_seconds("timeout", timeout)
        machinery, _ = self._ready(None)
        session = self._session_of(machinery)
        ticket = Ticket(campaigns=True)
        candidate = Candidate(
            self._link,
            session,
            name=self._name,
            value=proposed,
            via=self._via,
            timeout=patience,
            tell=ticket.inbox.tell,
        )
        try:
            self._enter(ticket)
            state = machinery.driver(ticket.inbox).run(campaign(candidate, self._current))
            return self._elected(machinery, ticket, candidate, state)
        except errors.Unavailable:
            # Etcd does not answer: the background goes on trying, nobody needs to wait for it.
            self._clean_up(machinery, session, 0.0)
            raise
        except BaseException:
            self._clean_up(machinery, session, timing.CLEANUP)
            raise
        finally:
            self._line.leave(ticket)

    def cancel_campaign(self) -> bool:
        """Cancels the campaigns that run or are queued now.

        Takes no lock: may be called in a signal handler.

        Returns:
            Whether there was one; after True none of them returns a leadership.
        """
        cancelled = [ticket.cancel() for ticket in self._line.tickets() if ticket.campaigns]
        return any(cancelled)

    def resign(self, *, timeout: float | None = None) -> None:
        """Gives leadership up; does nothing if not leading.

        Waits for a running campaign first.

        Args:
            timeout: Seconds for all of it; None: the connection's.

        Raises:
            OperationTimeout: A campaign went on for longer.
            EtcdError: Etcd did not confirm that the key is gone.
        """
        machinery, deadline = self._ready(timeout)
        ticket = Ticket(campaigns=False)
        try:
            self._enter(ticket)
            if not machinery.driver(ticket.inbox).run(wait_turn(self._link, deadline)):
                raise errors.OperationTimeout("resign: a campaign is still running")
            leadership = self._leadership
            if leadership is not None:
                leadership.resign(timeout=self._left(deadline))
        except Interrupted:
            raise errors.ClientClosed from None
        finally:
            self._line.leave(ticket)

    def leader(self, *, timeout: float | None = None) -> Leader:
        """Who leads now: a linearizable read. Needs no session.

        Args:
            timeout: Seconds; None: the connection's.

        Raises:
            NoLeader: Nobody does.
            EtcdError: As etcd answered.
        """
        machinery, deadline = self._ready(timeout)
        return machinery.run(reading.leader(self._link, self._name, deadline=deadline))

    def candidates(self, *, timeout: float | None = None) -> list[Leader]:
        """Everybody in the queue, the leader first: a linearizable read.

        Args:
            timeout: Seconds; None: the connection's.

        Raises:
            EtcdError: As etcd answered.
        """
        machinery, deadline = self._ready(timeout)
        return machinery.run(reading.candidates(self._link, self._name, deadline=deadline))

    @overload
    def observe(self, *, vacancies: Literal[False] = False) -> Observer[Leader]: ...
    @overload
    def observe(self, *, vacancies: bool) -> Observer[Leader | None]: ...
    def observe(self, *, vacancies: bool = False) -> Observer[Any]:
        """The leaders of this election, from the present one on.

        Args:
            vacancies: Also yield None when nobody leads.

        Returns:
            An iterator that ends when it or this client is closed.
        """
        self._ready(None)
        observer: Observer[Any] = Observer(self, vacancies=bool(vacancies))
        self._observers.add(observer)
        return observer

    def close(self, *, revoke: bool = True, timeout: float | None = None) -> None:
        """Ends everything: campaigns, leadership, observers, the lease. Idempotent.

        Args:
            revoke: False leaves a leader's key and lease to a successor (``lease=``), renewed once
                more. In any other state the key is removed all the same.
            timeout: Seconds for confirming the removal; None: 2. What is not confirmed then is no
                longer renewed.
        """
        given = arguments.optional_seconds("timeout", timeout)
        deadline = self._link.clock() + (timing.CLEANUP if given is None else given)
        with self._lock:
            if self._closed:
                return
            self._closed = True
            session = self._session
        if self._finalizer is not None:
            self._finalizer.detach()
        leadership = self._leadership
        led = leadership is not None and leadership._state.end(LostReason.CLOSED)
        if not self._etcd._foreign():
            for observer in list(self._observers):
                observer.close()
            self._line.close()
            self._line.wait_empty(self._left(deadline))
            if session is not None:
                self._leave(session, leadership if led and not revoke else None, deadline)
        if self._resume is not None:
            self._link.release(self._resume)
        if self._owns:
            self._etcd._close(deadline)

    def __enter__(self) -> ElectionClient:
        try:
            self.open()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def _link(self) -> Link:
        return self._etcd._link

    def _is_closed(self) -> bool:
        return self._closed

    def _ready(self, timeout: float | None) -> tuple[Machinery, float]:
        """What to work with, and the deadline of an operation that begins now."""
        patience = arguments.optional_seconds("timeout", timeout)
        if self._closed:
            raise errors.ClientClosed
        machinery = self._etcd._in_use()
        if patience is None:
            patience = self._link.timeout
        return machinery, self._link.clock() + patience

    def _session_of(self, machinery: Machinery) -> Session:
        with self._lock:
            if self._session is None:
                self._session = Session(self._link, machinery.engine, self._ttl, self._resume)
                self._finalizer = weakref.finalize(
                    self, _collected, machinery.engine, self._session, repr(self._name)
                )
                self._finalizer.atexit = False
            return self._session

    def _left(self, deadline: float) -> float:
        return max(0.0, deadline - self._link.clock())

    def _enter(self, ticket: Ticket) -> None:
        if not self._line.enter(ticket):
            raise errors.ClientClosed

    def _current(self) -> LeadershipState | None:
        leadership = self._leadership
        return leadership._state if leadership is not None else None

    def _elected(
        self, machinery: Machinery, ticket: Ticket, candidate: Candidate, state: LeadershipState
    ) -> Leadership:
        """Publishes a win, unless it was cancelled meanwhile."""
        leadership = self._leadership
        if leadership is None or leadership._state is not state:
            leadership = Leadership(self, state)
            machinery.engine.watch_over(state)
            won = ticket.win() and not self._closed
            if not won:
                state.end(LostReason.RESIGNED)
                raise errors.ClientClosed if self._closed else errors.CampaignCancelled
            self._leadership = leadership
            state.lease.tainted = not candidate.clean
        elif not ticket.win():
            raise errors.CampaignCancelled
        return leadership

    def _clean_up(self, machinery: Machinery, session: Session, patience: float) -> None:
        """A campaign ended without a leadership: nothing of it is to be left."""
        lease = session.lease
        leading_now = self.leadership
        if leading_now is not None and leading_now._state.lease is lease:
            return
        if lease is not None and session.drop_tainted() and lease.ttl:
            machinery.engine.retiring(lease).done.wait(patience)

    def _leave(self, session: Session, hands_on: Leadership | None, deadline: float) -> None:
        """Removes the lease, or leaves it to a successor."""
        machinery = self._etcd._in_use(closing=True)
        lease = session.lease
        if lease is None:
            return
        if hands_on is not None and lease is hands_on._state.lease:
            try:
                machinery.run(leading.hand_on(self._link, hands_on._state, deadline=deadline))
            except errors.EtcdError as error:
                logger.warning("lease %x is left without a last renewal: %s", lease.lease_id, error)
            finally:
                lease.end(LostReason.CLOSED)
                self._link.release(lease.lease_id)
        else:
            session.drop()
            task = machinery.engine.retiring(lease)
            task.done.wait(self._left(deadline))


def _collected(engine: Engine, session: Session, name: str) -> None:
    """A client was collected unclosed: it renews no more. Runs anywhere: takes no lock."""

    def end() -> None:
        if session.lease is not None:
            session.lease.end(LostReason.CLOSED)

    engine.later(end)
    warnings.warn(f"unclosed ElectionClient of {name}", ResourceWarning, stacklevel=2)

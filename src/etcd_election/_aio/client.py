"""A client of one election: at most one candidacy, one lease."""

from __future__ import annotations

import asyncio
import warnings
import weakref
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from types import TracebackType
from typing import Any, Literal, TypeVar, overload

from .. import errors
from .._core import arguments, timing
from .._core.candidate import Session
from .._core.draining import Draining
from .._core.line import Ticket
from .._core.link import Link
from .._core.looping import Conditions
from .._core.member import Member, Terms
from .._core.plans import reading, session
from .._core.plans.campaign import campaign, wait_turn
from .._core.plans.interrupting import Interrupted
from .._core.view import ClientView
from ..types import Leader, LostReason
from .connection import Etcd, Machinery
from .engine import Engine, Inbox
from .leadership import Leadership
from .observer import Observer
from .terms import Run, one_term
from .waiting import CleanUp

T = TypeVar("T")


class ElectionClient(ClientView[Leadership]):
    """Takes part in one election.

    Nothing is sent and no lease granted before it is needed. Bound to the event loop of its
    connection; what is not awaited may be used on any thread. A second ``campaign()`` waits for the
    first.

    Args:
        etcd: An ``Etcd``, or endpoints: then the client owns the connection and closes it.
        name: The election; the keys of its candidates are ``name/<lease in hexadecimal>``.
        ttl: The lease's time to live in whole seconds, at least 2. The server may grant more.
        lease: A lease to go on with, left by a predecessor's ``close(revoke=False)``. Safe only
            after that, or when the predecessor is surely dead.
        via: "service": campaigns and observes with the server's Election service, watched over by
            reads and watches. "kv": joins the queue by a transaction and waits by watches alone,
            for which etcd has no limit. The keys are the same, and so is the queue.

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
        terms = Terms.checked(name, ttl, lease, via)
        self._owns = not isinstance(etcd, Etcd)
        self._etcd = etcd if isinstance(etcd, Etcd) else Etcd(etcd)
        self._member: Member[Leadership] = Member(self._link, terms)
        self._observers: weakref.WeakSet[Observer[Any]] = weakref.WeakSet()
        self._finalizer: weakref.finalize[Any, Any] | None = None
        self._etcd._clients.add(self)

    async def open(self, timeout: float | None = None) -> None:
        """Checks that etcd answers. No lease is granted.

        Args:
            timeout: Seconds; None: the connection's.

        Raises:
            Unavailable: It does not answer in time.
            ClientClosed: The client is closed.
        """
        self._ready(timeout)
        await self._etcd._open(timeout)

    async def campaign(self, value: str | bytes, *, timeout: float | None = None) -> Leadership:
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
        own = self._session(machinery)
        inbox = Inbox(machinery.engine)
        ticket = Ticket(campaigns=True, tell=inbox.tell)
        candidate = self._member.candidate(own, proposed, patience, inbox.tell)
        try:
            self._member.enter(ticket)
            plan = campaign(candidate, self._member.current)
            state = await machinery.engine.run(plan, inbox)
            face = partial(Leadership, self, machinery.engine)
            return self._member.elected(machinery.background, ticket, candidate, state, face)
        except (errors.Unavailable, GeneratorExit) as error:
            # Etcd does not answer: the background goes on trying, nobody needs to wait for it. Or
            # the event loop is gone, and nobody can.
            self._member.abandon(candidate, ticket, error)
            raise
        except BaseException as error:
            lease = self._member.abandon(candidate, ticket, error)
            if lease is not None:
                clean_up = CleanUp()
                await clean_up.settled(machinery.background.retiring(lease).done, timing.CLEANUP)
                clean_up.over()
            raise
        finally:
            self._member.line.leave(ticket)

    async def run(
        self,
        lead: Callable[[Leadership], Awaitable[T]],
        value: str | bytes,
        *,
        once: bool = False,
        cooldown: float = timing.COOLDOWN,
        renew_while: Callable[[], object] | None = None,
        max_term: float | None = None,
    ) -> T | None:
        """Campaigns, leads, and after a loss campaigns again, until the work is done.

        On a loss ``lead`` is cancelled, and waited for.
        The next campaign never begins before ``lead`` is over. An outage or a lost session is
        outlasted, with backoff and jitter.

        Args:
            lead: The work of a leader, called with its leadership. When it returns while leading,
                that is resigned and the loop is over; when it raises, too. When it resigns and
                returns, or raises what ``leadership.check()`` raises, there is another campaign.
            value: What others read of the leader: ``str`` (as UTF-8) or ``bytes``.
            once: After one term the loop is over; what leadership was lost for is raised.
            cooldown: Seconds to the next campaign after leadership was given up: resigned by
                ``lead``, or no longer renewed.
            renew_while: Asked before every renewal, every third of the ttl. While it says no,
                raises or does not return, nothing is renewed, and leadership ends with its lease.
            max_term: Seconds that one term may last, no less than the ttl: the last renewal is one
                that does not reach beyond.

        Returns:
            What ``lead`` returned while leading; None after ``stop()``.

        Raises:
            SessionExpired, NotLeader: With ``once``: leadership was lost.
            ClientClosed: The client is closed, or was meanwhile.
            EtcdError: Etcd refused for good, as the class says.
            RuntimeError: ``run()`` is running already on this client.
            BaseException: What ``lead`` raised.
        """
        conditions = Conditions(self._link, self._member.terms.ttl, renew_while, max_term)
        if not callable(lead):
            raise TypeError(f"lead must be callable, not {type(lead).__name__}")
        proposed = arguments.octets("value", value)
        self._ready(None)
        one = Run(self, once=once, cooldown=cooldown, conditions=conditions)
        return await one.run(lead, proposed)

    def lead(
        self,
        value: str | bytes,
        *,
        timeout: float | None = None,
        renew_while: Callable[[], object] | None = None,
        max_term: float | None = None,
    ) -> AbstractAsyncContextManager[Leadership]:
        """Leads for the time of a ``with`` block: campaigns first, resigns at its end.

        On a loss the block is cancelled and the reason raised, as ``asyncio.timeout()`` does.

        Args:
            value: What others read of the leader: ``str`` (as UTF-8) or ``bytes``.
            timeout: Seconds to campaign for; None waits for ever, 0: elected at once or not at all.
            renew_while: As for ``run()``.
            max_term: As for ``run()``.

        Raises:
            SessionExpired, NotLeader: At the end of the block: leadership was lost before. An
                exception of the block comes first.
            ElectionError: At its beginning, as ``campaign()`` does; at its end, as ``resign()``.
        """
        conditions = Conditions(self._link, self._member.terms.ttl, renew_while, max_term)
        proposed = arguments.octets("value", value)
        patience = arguments.optional_seconds("timeout", timeout)
        return one_term(self, proposed, patience, conditions)

    async def resign(self, *, timeout: float | None = None) -> None:
        """Gives leadership up; does nothing if not leading.

        Waits for a running campaign first.

        Args:
            timeout: Seconds for all of it; None: the connection's.

        Raises:
            OperationTimeout: A campaign went on for longer.
            EtcdError: Etcd did not confirm that the key is gone.
        """
        machinery, deadline = self._ready(timeout)
        inbox = Inbox(machinery.engine)
        ticket = Ticket(campaigns=False, tell=inbox.tell)
        try:
            self._member.enter(ticket)
            if not await machinery.engine.run(wait_turn(self._link, deadline), inbox):
                raise errors.OperationTimeout("resign: a campaign is still running")
            leadership = self._member.latest
            if leadership is not None:
                await leadership.resign(timeout=self._left(deadline))
        except Interrupted:
            raise errors.ClientClosed from None
        finally:
            self._member.line.leave(ticket)

    async def leader(self, *, timeout: float | None = None) -> Leader:
        """Who leads now: a linearizable read. Needs no session.

        Args:
            timeout: Seconds; None: the connection's.

        Raises:
            NoLeader: Nobody does.
            EtcdError: As etcd answered.
        """
        machinery, deadline = self._ready(timeout)
        return await machinery.engine.run(reading.leader(self._link, self.name, deadline=deadline))

    async def candidates(self, *, timeout: float | None = None) -> list[Leader]:
        """Everybody in the queue, the leader first: a linearizable read.

        Args:
            timeout: Seconds; None: the connection's.

        Raises:
            EtcdError: As etcd answered.
        """
        machinery, deadline = self._ready(timeout)
        return await machinery.engine.run(
            reading.candidates(self._link, self.name, deadline=deadline)
        )

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
        if self._member.closed:
            raise errors.ClientClosed
        self._etcd._check_open()
        observer: Observer[Any] = Observer(self, vacancies=bool(vacancies))
        self._observers.add(observer)
        return observer

    async def close(self, *, revoke: bool = True, timeout: float | None = None) -> None:
        """Ends everything: campaigns, leadership, observers, the lease. Idempotent.

        Args:
            revoke: False leaves key and lease to a successor (``lease=``), renewed once more: those
                of a leader, or with ``via="kv"`` those of a candidate that waits, for its place in
                the queue. In any other state the key is removed all the same.
            timeout: Seconds for confirming the removal; None: 2. What is not confirmed then is no
                longer renewed.
        """
        given = arguments.optional_seconds("timeout", timeout)
        draining = Draining(self._link.clock, given)
        if not self._end(revoke=bool(revoke)):
            return
        clean_up = CleanUp()
        if self._etcd._alive():
            await self._await_line(clean_up, draining.deadline)
            await self._leave(clean_up, draining.deadline)
        if self._owns:
            await self._etcd._close(clean_up, draining)
        clean_up.over()

    async def __aenter__(self) -> ElectionClient:
        try:
            await self.open()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def _link(self) -> Link:
        return self._etcd._link

    def _ready(self, timeout: float | None) -> tuple[Machinery, float]:
        """What to work with, and the deadline of an operation that begins now."""
        patience = arguments.optional_seconds("timeout", timeout)
        if self._member.closed:
            raise errors.ClientClosed
        machinery = self._etcd._in_use()
        if patience is None:
            patience = self._link.timeout
        return machinery, self._link.clock() + patience

    def _session(self, machinery: Machinery) -> Session:
        begun = self._member.session
        if begun is None:
            begun = self._member.begin_session(machinery.background)
            self._finalizer = weakref.finalize(
                self, _collected, machinery.engine, begun, repr(self.name)
            )
            self._finalizer.atexit = False
        return begun

    def _left(self, deadline: float) -> float:
        return max(0.0, deadline - self._link.clock())

    def _end(self, *, revoke: bool = True) -> bool:
        """Begins closing; False if it had begun before."""
        if self._member.closed:
            return False
        alive = self._etcd._alive()
        if alive:
            self._etcd._check_loop()
        self._member.close(revoke=revoke)
        if self._finalizer is not None:
            self._finalizer.detach()
        if alive or self._etcd._machinery is None:
            for observer in list(self._observers):
                observer.close()
            self._member.line.close()
        return True

    async def _await_line(self, clean_up: CleanUp, deadline: float) -> None:
        """Waits until all calls that were under way are over, or the deadline."""
        emptied: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._member.line.when_empty(lambda: emptied.set_result(None))
        await clean_up.settled(emptied, self._left(deadline))

    async def _leave(self, clean_up: CleanUp, deadline: float) -> None:
        """Removes the lease, or leaves it to a successor."""
        machinery = self._etcd._machinery
        lease = self._member.bequest()
        if machinery is not None and lease is not None:
            task = machinery.engine.start(session.bequeath(self._link, lease, deadline=deadline))
            await clean_up.settled(task.done, self._left(deadline))
            self._member.handed_on(lease)
            return
        lease = self._member.drop()
        if machinery is not None and lease is not None:
            task = machinery.background.retiring(lease)
            await clean_up.settled(task.done, self._left(deadline))


def _collected(engine: Engine, session: Session, name: str) -> None:
    """A client was collected unclosed: it renews no more. Runs anywhere: takes no lock."""

    def end() -> None:
        if session.lease is not None:
            session.lease.end(LostReason.CLOSED)

    engine.later(end)
    warnings.warn(f"unclosed ElectionClient of {name}", ResourceWarning, stacklevel=2)

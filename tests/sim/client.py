"""A virtual front-end: a client of one election, with callbacks where others wait.

What is decided is the core's; this file only starts plans and passes on how they end, as the
blocking front-end does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from etcd_election import errors
from etcd_election._core import timing
from etcd_election._core.candidate import Candidate
from etcd_election._core.leadership import LeadershipState
from etcd_election._core.line import Ticket
from etcd_election._core.member import Member, Terms
from etcd_election._core.plans import leading
from etcd_election._core.plans.campaign import campaign
from etcd_election._core.running import Running
from etcd_election.types import LostReason

from .process import Process

Told = Callable[["Leadership | None", "Exception | None"], None]


class Leadership:
    """What is handed out."""

    def __init__(self, state: LeadershipState) -> None:
        self._state = state

    @property
    def held(self) -> bool:
        return self._state.held

    @property
    def state(self) -> LeadershipState:
        return self._state


class Client:
    """One client on a process of its own."""

    def __init__(self, process: Process, name: str, ttl: int, via: str) -> None:
        self.process = process
        self._terms = Terms(name=name.encode(), ttl=ttl, lease=None, via=via)
        self.member: Member[Leadership] = Member(process.link, self._terms)

    def campaign(self, value: bytes, timeout: float | None, told: Told) -> None:
        """Campaigns; ``told`` gets a leadership or an error."""
        process, member = self.process, self.member
        session = member.session or member.begin_session(process)
        running: Running[LeadershipState]

        def tell(fact: Any) -> None:
            # From another thread: it takes a moment.
            process.world.after(0.001 * process.world.random(), process.run, running.tell, fact)

        ticket = Ticket(campaigns=True, tell=tell)
        candidate = member.candidate(session, value, timeout, tell)
        plan = campaign(candidate, member.current)

        def ended(running: Running[LeadershipState]) -> None:
            self._over(running, ticket, candidate, told)

        running = Running(process, plan, ended)
        if not member.line.enter(ticket):
            told(None, errors.ClientClosed())
            return
        process.soon(running.start)

    def _over(
        self,
        running: Running[LeadershipState],
        ticket: Ticket,
        candidate: Candidate,
        told: Told,
    ) -> None:
        process, member = self.process, self.member
        error = running.error
        if error is None:
            assert running.result is not None
            try:
                leadership = member.elected(process, ticket, candidate, running.result, Leadership)
                member.line.leave(ticket)
                told(leadership, None)
                return
            except errors.ElectionError as lost:
                error = lost
        raised, given = error, [False]

        def give() -> None:
            if not given[0]:
                given[0] = True
                member.line.leave(ticket)
                told(None, raised)

        lease = member.abandon(candidate, ticket, error)
        if lease is None or isinstance(error, errors.Unavailable):
            give()
            return
        process.retiring(lease).when_done(give)
        process.after(timing.CLEANUP, give)

    def cancel_campaign(self) -> bool:
        """As the blocking front-end's."""
        tickets = self.member.line.tickets()
        cancelled = [ticket.cancel() for ticket in tickets if ticket.campaigns]
        return any(cancelled)

    def resign(self, leadership: Leadership, told: Callable[[Exception | None], None]) -> None:
        """Gives leadership up, as ``Leadership.resign``; ``told`` gets what went wrong."""
        state, link = leadership.state, self.process.link
        state.end(LostReason.RESIGNED)
        if state.lost is not LostReason.RESIGNED or not state.key_left or self.member.closed:
            told(None)
            return
        deadline = link.clock() + link.timeout
        self._start(leading.resign(link, self.process, state, deadline=deadline), told)

    def proclaim(
        self, leadership: Leadership, value: bytes, told: Callable[[Exception | None], None]
    ) -> None:
        """Replaces the leader's value."""
        link = self.process.link
        deadline = link.clock() + link.timeout
        self._start(leading.proclaim(link, leadership.state, value, deadline=deadline), told)

    def _start(self, plan: Any, told: Callable[[Exception | None], None]) -> None:
        running: Running[Any] = Running(self.process, plan, lambda over: told(over.error))
        self.process.soon(running.start)

    def close(self, told: Callable[[], None]) -> None:
        """Ends everything; ``told`` when the removal is confirmed or its time is up."""
        process, member = self.process, self.member
        member.close(revoke=True)
        member.line.close()
        given = [False]

        def give() -> None:
            if not given[0]:
                given[0] = True
                told()

        def leave() -> None:
            if member.session is not None:
                member.session.drop()
            drain()

        def drain() -> None:
            # The connection is the client's own: what else is being removed is waited for, too.
            tasks = [task for task in process.retirements() if not task.done]
            if tasks:
                tasks[0].when_done(drain)
            else:
                give()

        member.line.when_empty(leave)
        process.after(timing.CLEANUP, give)

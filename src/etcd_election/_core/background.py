"""What goes on in the background of a connection, started here for both front-ends."""

from __future__ import annotations

import threading
import weakref
from typing import Generic, Protocol, TypeVar

from ..events import Elected, LeadershipLost
from ..types import LostReason
from .effects import Fact, Plan, Word
from .leadership import LeadershipState
from .lease import LeaseClock
from .link import Link
from .plans import leading, session

K = TypeVar("K")


class Runner(Protocol[K]):
    """Starts plans, each as a task of the front-end's kind."""

    def start(self, plan: Plan[object]) -> K:
        """Starts a plan."""
        ...

    def tell(self, task: K, fact: Fact) -> None:
        """Puts a fact into a plan's inbox; on any thread."""


class Background(Generic[K]):
    """A ``Host``: renews leases, watches over leaderships, removes what is left. Thread-safe.

    Attributes:
        confirmed_at: When etcd last confirmed that a lease is gone.
    """

    def __init__(self, link: Link, runner: Runner[K]) -> None:
        self._link = link
        self._runner = runner
        self.confirmed_at = float("-inf")
        self._lock = threading.Lock()
        self._retiring: weakref.WeakKeyDictionary[LeaseClock, K] = weakref.WeakKeyDictionary()

    def keep(self, lease: LeaseClock) -> None:
        """Renews the lease at every beat until it ends."""
        runner = self._runner
        task = runner.start(session.keep(self._link, lease))
        lease.when_ended(lambda: runner.tell(task, Word.STOP))

    def watch_over(self, state: LeadershipState) -> None:
        """Ends the leadership when its key is gone or written by others."""
        runner = self._runner
        task = runner.start(leading.watch_over(self._link, self, state))

        def ended() -> None:
            # Who resigns is about to call: the end of the key tells the watch, and its plan, with
            # no work beside that call. Where the watch is deaf the beat lets go of it.
            if state.lost is not LostReason.RESIGNED:
                runner.tell(task, Word.STOP)

        state.when_ended(ended)

    def announce(self, state: LeadershipState, *, began_at: float) -> None:
        """Tells of a leadership that is handed out, and later of its end."""
        link, lease, token = self._link, state.lease, state.token
        name, number = state.name, lease.lease_id
        elected_at = link.clock()
        waited = elected_at - began_at
        link.tell(Elected(name=name, lease_id=number, token=token, waited=waited))

        def lost() -> None:
            reason = state.lost
            # A child process has not lost what its parent goes on leading.
            if reason is not None and reason is not LostReason.FORKED:
                led = lease.since(elected_at)
                event = LeadershipLost(
                    name=name, lease_id=number, token=token, reason=reason, led=led
                )
                link.tell(event)

        state.when_ended(lost)

    def retire(self, lease: LeaseClock) -> None:
        """Stops believing in the lease and revokes it until etcd has confirmed."""
        self.retiring(lease)

    def retiring(self, lease: LeaseClock) -> K:
        """The task that retires the lease, or has retired it; started if there is none."""
        lease.end(LostReason.CLOSED)
        with self._lock:
            task = self._retiring.get(lease)
            if task is None:
                task = self._runner.start(self._retire(lease))
                self._retiring[lease] = task
            return task

    def _retire(self, lease: LeaseClock) -> Plan[bool]:
        confirmed = yield from session.retire(self._link, lease)
        if confirmed:
            self.confirmed_at = self._link.clock()
        return confirmed

    def retirements(self) -> list[K]:
        """The tasks that retire leases, or have done so."""
        with self._lock:
            return list(self._retiring.values())

"""What one ``campaign()`` works on, and the lease that a client's candidacies rest on.

Whatever a campaign may leave on the server hangs on ``Session.lease``, which is tainted from the
moment a request is about to leave that may write under it. A front-end that ends a campaign in any
other way than by a leadership drops a tainted lease: it is revoked, and the key goes with it.
"""

from __future__ import annotations

from collections.abc import Callable

from .. import errors
from ..events import SessionEnded, SessionGranted
from ..types import LostReason
from . import timing
from .effects import Fact, Word
from .host import Host
from .lease import LeaseClock
from .link import Link


class Session:
    """The lease that a client's candidacies and leaderships rest on.

    Attributes:
        lease: The present lease, None before the first campaign and after one was dropped.
        resume: A lease that a predecessor left, to be taken up by the first campaign.
    """

    def __init__(self, link: Link, host: Host, ttl: int, resume: int | None) -> None:
        self.ttl = ttl
        self.lease: LeaseClock | None = None
        self.resume = resume
        self._link = link
        self._host = host

    def adopt(self, lease: LeaseClock, *, resumed: bool = False) -> None:
        """From now on the lease is ours, and renewed."""
        self.lease = lease
        self._link.claim(lease.lease_id)
        self._tell_of(lease, resumed)
        self._host.keep(lease)

    def _tell_of(self, lease: LeaseClock, resumed: bool) -> None:
        """Tells that the lease is there, and will tell of its end."""
        link, name, number = self._link, lease.name, lease.lease_id
        granted_at = link.clock()
        link.tell(SessionGranted(name=name, lease_id=number, ttl=lease.ttl, resumed=resumed))

        def ended() -> None:
            reason = lease.ended or LostReason.SESSION_EXPIRED
            lasted = lease.since(granted_at)
            link.tell(SessionEnded(name=name, lease_id=number, reason=reason, lasted=lasted))

        lease.when_ended(ended)

    def drop(self) -> None:
        """The lease is not to be used again."""
        lease, self.lease = self.lease, None
        if lease is not None:
            self._link.release(lease.lease_id)
            self._host.retire(lease)

    def drop_tainted(self) -> bool:
        """A campaign ended without a leadership: drops what it may have left; True if anything."""
        lease = self.lease
        if lease is None or not (lease.tainted or not lease.ttl):
            return False
        self.drop()
        return True


class Candidate:
    """What one ``campaign()`` works on.

    Attributes:
        began_at: When its turn came.
        reached: True once etcd has answered anything.
        stood: True once the key of the present candidacy was seen.
        stood_before: True once that of an earlier one was.
        settled: True while that key stands, as far as is known, and no call is open or under way
            that may write or delete it.
        clean: True after a win that left no request under way which may write under the lease.
    """

    def __init__(
        self,
        link: Link,
        session: Session,
        *,
        name: bytes,
        value: bytes,
        via: str,
        timeout: float | None,
        tell: Callable[[Fact], None],
    ) -> None:
        self.link = link
        self.session = session
        self.name = name
        self.value = value
        self.via = via
        self.tell = tell
        now = link.clock()
        self.timeout = timeout
        self.gives_up_at = float("inf") if not timeout else now + timeout
        self._unavailable_at = 0.0
        self.given(link.timeout)
        self._asked_at = now
        self._queued = 0.0
        self.began_at = now
        self.reached = False
        self.stood = False
        self.stood_before = False
        self.settled = False
        self.clean = False

    @property
    def patient(self) -> bool:
        """False for ``timeout=0``: elected at once or not at all."""
        return self.timeout != 0

    @property
    def endures(self) -> bool:
        """True while it waits in the queue: then no outage ends it, whatever the reason."""
        return self.stood or self.stood_before

    def deadline(self) -> float:
        """Until when a call before the key stands may take."""
        return min(self.gives_up_at, self.unavailable_at)

    def started(self) -> None:
        """Its turn has come (a campaign may have run before it): the time to connect starts now."""
        now = self.began_at = self.link.clock()
        self._queued = now - self._asked_at
        self.given(self.link.timeout)

    def given(self, seconds: float) -> None:
        """So long, from now on, etcd has for making a key stand."""
        self._unavailable_at = self.link.clock() + seconds - self.link.gate.held_up

    @property
    def unavailable_at(self) -> float:
        """When that is over. While calls are held up by others of the connection, it moves."""
        return self._unavailable_at + self.link.gate.held_up

    def check_time(self) -> None:
        """Raises CampaignTimeout when the time is up."""
        if self.link.clock() >= self.gives_up_at:
            raise self.timed_out()

    def too_hasty(self, error: errors.Unavailable) -> bool:
        """True if the time given, rather than etcd, is why there was no answer.

        Etcd had answered before, or had less time than one attempt is given: little was given, or
        little was left of it when the turn came.
        """
        hasty = self.timeout is not None and self.timeout - self._queued < timing.PATIENCE[0]
        return self.reached or (hasty and error.maybe_applied)

    def timed_out(self) -> errors.CampaignTimeout:
        """The error for it."""
        if not self.patient:
            return errors.CampaignTimeout(f"not elected in {self.name!r} at once")
        return errors.CampaignTimeout(f"not elected in {self.name!r} within {self.timeout} s")

    def expired(self, lease: LeaseClock) -> errors.SessionExpired:
        """The error for a lease that ended while we waited."""
        return errors.SessionExpired(
            f"lease {lease.lease_id:x} ended while campaigning in {self.name!r}: campaign()"
            " again, with a new one",
            lease_id=lease.lease_id,
            reason=LostReason.SESSION_EXPIRED,
        )

    def stopped(self, word: Word) -> errors.ElectionError:
        """The error for a word from outside."""
        if word is Word.CANCELLED:
            return errors.CampaignCancelled()
        return errors.ClientClosed()

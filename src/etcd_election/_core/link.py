"""What all plans of one connection share: where to call, with what, and what has been learnt."""

from __future__ import annotations

import logging
import random as random_module
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..events import ClusterChanged, EndpointLeft, Event
from ..types import LostReason
from . import timing, weights
from .budget import Gate, Stagger, WaitBudget
from .callbacks import Callbacks
from .cluster import ClusterWatch, Header
from .effects import Metadata
from .endpoints import Endpoint, EndpointRing
from .identity import Identity, NoIdentity
from .lease import LeaseClock
from .method import Method
from .names import Names
from .speech import Speech
from .token import TokenSlot

logger = logging.getLogger("etcd_election")

_REQUIRE_LEADER = ("hasleader", "true")
"""Makes a member without a raft leader say so in 5 ms instead of hanging."""


class Link:
    """The state of a connection. Thread-safe.

    Args:
        hosts: The names among the endpoints that are to be looked up.
        listener: Is told every event, on any thread, and must be quick.

    Attributes:
        given: The endpoints that were asked for.
        names: Their addresses.
        speech: What probes have found.
        identity: The certificates that connections are made with.
        timeout: What one operation may take in all, in seconds.
        clock: Goes on while the machine sleeps.
        jumps: Who waits by it, and is to look again when it has jumped, which no wait sees. That of
            a machine jumps while it sleeps, and no wait is long enough for that to matter; that
            of ``etcd_election.testing`` when a test says so.
        random: Uniform in [0, 1).
        credentials: User and password, or None.
        gate: What limits the unary calls under way.
        latency: What an answered call takes where nothing stands still, smoothed, in seconds.
        ages: Per endpoint, grows when its connections are to be made anew.
        closed: True when nothing is to be sent any more.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        *,
        timeout: float = timing.DEFAULT_TIMEOUT,
        clock: timing.Clock = timing.system_clock,
        random: timing.Random = random_module.random,
        credentials: tuple[str, str] | None = None,
        hosts: Iterable[str] = (),
        listener: Callable[[Event], object] | None = None,
    ) -> None:
        self.given = tuple(endpoints)
        self.names = Names(self.given, hosts)
        self.speech = Speech()
        self.identity: Identity = NoIdentity()
        self.timeout = timeout
        self.clock = clock
        self.jumps = Callbacks()
        self.random = random
        self.credentials = credentials
        self.ring = EndpointRing(len(self.given))
        self.tokens = TokenSlot()
        self.cluster = ClusterWatch()
        self.gate = Gate(timing.MAX_CALLS, clock)
        self.waits = WaitBudget(timing.MAX_WAITS)
        self.stagger = Stagger(timing.STAGGER)
        self.latency = 0.0
        self.ages = [0] * len(self.given)
        self.closed = False
        self._listener = listener
        self._lock = threading.Lock()
        self._leases: weakref.WeakSet[LeaseClock] = weakref.WeakSet()
        self._lease_ids: set[int] = set()
        self._warned: set[bytes] = set()

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """All endpoints, by the numbers that effects use; addresses that are found are added."""
        return self.names.endpoints

    def member(self, endpoint: int) -> int:
        """The first of the endpoints that may be the same member: all addresses of one name."""
        authority = self.endpoints[endpoint].authority
        return next(i for i, known in enumerate(self.endpoints) if known.authority == authority)

    def found(self, host: str, addresses: Sequence[str]) -> None:
        """A name has these addresses, as far as is known."""
        with self._lock:
            endpoints, changed = self.names.found(host, addresses)
            # In this order: whoever is given a number finds what belongs to it.
            self.ages += [0] * (len(endpoints) - len(self.ages))
            self.names.endpoints = endpoints
            self.ring.grow(len(endpoints))
            for endpoint in changed:
                self.ring.renew(endpoint)

    def metadata(self) -> tuple[Metadata, int]:
        """What goes with every call, and the generation of the token in it."""
        token, generation = self.tokens.current()
        if token is None:
            return (_REQUIRE_LEADER,), generation
        return (_REQUIRE_LEADER, ("token", token)), generation

    def answered(
        self, endpoint: int, method: Method, response: Any, sent_at: float, floor: int
    ) -> None:
        """Learns from a response: endpoint, latency, cluster."""
        now = self.clock()
        self.ring.worked(endpoint, now)
        took = now - sent_at
        if not self.latency:
            self.latency = took
        elif took < self.latency:
            self.latency -= (self.latency - took) / 2
        else:
            # One answer counts twice the latency at most: what stood still while it was under way
            # (this process, a raft election) says nothing of the way. Believed at once, it made the
            # next attempts so patient that one at a member which stands still cost a lease.
            self.latency += min(took - self.latency, self.latency) / 8
        header: Header = response.header
        self.saw(header, floor=floor if method.linearizable else None)

    def tell(self, event: Event) -> None:
        """Logs an event, and tells it to the user who asked for events."""
        logger.log(weights.level(event), "%r", event)
        if self._listener is not None:
            self._listener(event)

    def unanswered(self, endpoint: int, sent_at: float, *, reached: bool, said: str) -> None:
        """A call brought no answer; a suspected connection that stands is made anew."""
        with self._lock:
            # Together: of several calls that fail at the same time, one finds it out.
            known = self.ring.suspected(endpoint)
            suspected = self.ring.failed(endpoint, sent_at, self.clock())
        if suspected and reached:
            self.ages[endpoint] += 1
        if suspected and not known:
            self.tell(EndpointLeft(endpoint=self.endpoints[endpoint].shown, said=said))

    def suspect(self, endpoint: int, said: str) -> None:
        """An endpoint is to be left although it answers."""
        with self._lock:
            known = self.ring.suspected(endpoint)
            self.ring.suspect(endpoint, self.clock())
        if not known:
            self.tell(EndpointLeft(endpoint=self.endpoints[endpoint].shown, said=said))

    def saw(self, header: Header, *, floor: int | None) -> None:
        """Looks at a header; another cluster ends every lease of this connection."""
        with self._lock:
            # Together: whoever sees the other cluster next finds no lease of the former one alive.
            former_id = self.cluster.cluster_id
            if not self.cluster.saw(header, floor=floor):
                return
            leases = list(self._leases)
            sessions = sum(lease.ttl > 0 and lease.alive for lease in leases)
            for lease in leases:
                lease.condemn(LostReason.CLUSTER_CHANGED)
        logger.warning(
            "another etcd cluster, or a restored backup, answers at %s: all leaderships end",
            ", ".join(endpoint.shown for endpoint in self.endpoints),
        )
        self.tell(
            ClusterChanged(cluster_id=header.cluster_id, former_id=former_id, sessions=sessions)
        )
        for lease in leases:
            lease.settle()

    def new_lease(self, lease_id: int | None = None, *, name: bytes = b"") -> LeaseClock:
        """A clock for a lease of this number, or of a fresh random one (63 bits, never 0).

        Args:
            lease_id: The number.
            name: The election that it is for, as events tell it.
        """
        if lease_id is None:
            lease_id = int(self.random() * (1 << 31)) << 32 | int(self.random() * (1 << 32)) or 1
        lease = LeaseClock(lease_id, clock=self.clock, name=name)
        with self._lock:
            self._leases.add(lease)
        return lease

    def claim(self, lease_id: int) -> bool:
        """Marks a lease as used by a client of this connection; False if it is already."""
        with self._lock:
            if lease_id in self._lease_ids:
                return False
            self._lease_ids.add(lease_id)
            return True

    def release(self, lease_id: int) -> None:
        """The lease is no longer used by a client of this connection."""
        with self._lock:
            self._lease_ids.discard(lease_id)

    def warn_foreign(self, name: bytes, key: bytes) -> None:
        """Says once per election that a key in its queue is not a candidate's."""
        with self._lock:
            if name in self._warned:
                return
            self._warned.add(name)
        logger.warning(
            "key %r stands in the queue of election %r but is no candidate's: an election owns "
            "every key under its name and a slash, those of an election %r too; "
            "such a key leads when it is the oldest",
            key,
            name,
            name + b"/...",
        )

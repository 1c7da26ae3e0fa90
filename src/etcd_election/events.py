"""What ``Etcd(on_event=...)`` tells: the facts that an operator counts, times or is woken for.

Every event is a frozen dataclass whose fields have names and no order, so it is matched by them::

    match event:
        case Elected(name=name, token=token):
            ...
        case LeadershipLost(reason=LostReason.SESSION_EXPIRED, led=seconds):
            ...

Fields that are called the same mean the same: ``name`` is the election; ``lease_id`` etcd's number
of a lease; ``token`` the fencing token; ``endpoint`` is ``host:port`` as it was given, the address
behind it where names were looked up. Durations are float seconds, on a clock that goes on while the
machine sleeps. No event holds a value, a password or an authentication token.

Further events, and further fields, may come with any version.
"""

from __future__ import annotations

from dataclasses import dataclass

from .types import LostReason

__all__ = [
    "AuthenticatedAgain",
    "CampaignStarted",
    "ClusterChanged",
    "Elected",
    "EndpointLeft",
    "Event",
    "EventsDropped",
    "LeadershipLost",
    "ObserverMoved",
    "SessionEnded",
    "SessionGranted",
    "SessionRenewedLate",
    "WaitRescued",
]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Event:
    """Something has happened; what, says the subclass."""

    # Said once for all: made for each of them anew, these methods would be 3 ms of every import.

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).values()))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({shown})"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SessionGranted(Event):
    """A client has a lease, which is renewed from now on.

    Attributes:
        name: The election.
        lease_id: The lease.
        ttl: Whole seconds, as etcd granted them.
        resumed: True for a lease that a predecessor left (``lease=``).
    """

    name: bytes
    lease_id: int
    ttl: int
    resumed: bool


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SessionRenewedLate(Event):
    """A renewal was answered when less than a third of the ttl was left: that was close.

    Attributes:
        name: The election.
        lease_id: The lease.
        ttl: Whole seconds.
        remaining: Seconds that had been left to the local deadline when the answer came.
    """

    name: bytes
    lease_id: int
    ttl: int
    remaining: float


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SessionEnded(Event):
    """A lease is not believed in any more; told for every ``SessionGranted``, once.

    Attributes:
        name: The election.
        lease_id: The lease.
        reason: CLOSED: given up by the client, which does so as well where a campaign needs a fresh
            one. SESSION_EXPIRED, CLUSTER_CHANGED, and what a leadership on it was lost for: it was
            lost.
        lasted: Seconds from its grant to its end.
    """

    name: bytes
    lease_id: int
    reason: LostReason
    lasted: float


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class CampaignStarted(Event):
    """A campaign has its turn on its client, and is about to join the queue.

    Attributes:
        name: The election.
        via: "service" or "kv", as the client.
    """

    name: bytes
    via: str


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Elected(Event):
    """A leadership is handed out.

    Attributes:
        name: The election.
        lease_id: The lease that the candidate key hangs on.
        token: The fencing token.
        waited: Seconds from ``CampaignStarted``.
    """

    name: bytes
    lease_id: int
    token: int
    waited: float


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class LeadershipLost(Event):
    """A leadership is over; told for every ``Elected``, once.

    Attributes:
        name: The election.
        lease_id: The lease that the candidate key hung on.
        token: The fencing token.
        reason: RESIGNED and CLOSED: given up. All others: lost.
        led: Seconds from ``Elected`` to the end, which lies before its discovery where this process
            stood still.
    """

    name: bytes
    lease_id: int
    token: int
    reason: LostReason
    led: float


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class EndpointLeft(Event):
    """An endpoint is suspected: calls go elsewhere first, if there is an elsewhere.

    Told once until it has answered again.

    Attributes:
        endpoint: The endpoint.
        said: What it, or the connection to it, answered last.
    """

    endpoint: str
    said: str


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class AuthenticatedAgain(Event):
    """A further authentication token was fetched, the former one having been refused.

    Attributes:
        user: As whom.
        endpoint: Where.
    """

    user: str
    endpoint: str


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class WaitRescued(Event):
    """The beat found a candidate first in the queue whose member's Election service hangs.

    The campaign goes on without it; that etcd should be restarted (etcd issue 20716).

    Attributes:
        name: The election.
        lease_id: The lease of the candidacy that is given up.
        endpoint: The member that hangs.
    """

    name: bytes
    lease_id: int
    endpoint: str


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ObserverMoved(Event):
    """An observed election is followed at another endpoint; once for all its observers.

    Attributes:
        name: The election.
        endpoint: Where it is followed now.
        former: Where it was before.
    """

    name: bytes
    endpoint: str
    former: str


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ClusterChanged(Event):
    """Another cluster, or a restored backup, answers; the events of what that ended follow.

    Attributes:
        cluster_id: Etcd's number of the cluster that answers now.
        former_id: The one before; the same where a backup was restored under it.
        sessions: How many leases ended with it.
    """

    cluster_id: int
    former_id: int
    sessions: int


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class EventsDropped(Event):
    """The callback did not keep up: events between the last one and the next were dropped.

    Attributes:
        count: How many.
    """

    count: int

"""The calls of etcd that this library makes, by the names of etcd's own services."""

from __future__ import annotations

import enum


class Lane(enum.Enum):
    """Which of an endpoint's channels carries a call.

    Long calls must not starve short ones (a server may limit the streams of a connection), and
    neither may delay a keepalive.
    """

    CALLS = "calls"
    KEEPALIVES = "keepalives"
    WAITS = "waits"


class Method(enum.Enum):
    """(service, method, lane, linearizable, doubles).

    Attributes:
        linearizable: True where an answer proves a revision of the whole cluster.
        doubles: True where nothing is changed by a second request that lands long after the first.
            Such a call may be under way on two endpoints; a lease or a key is not written twice.
    """

    RANGE = ("KV", "Range", Lane.CALLS, True, True)
    TXN = ("KV", "Txn", Lane.CALLS, True, False)
    GRANT = ("Lease", "LeaseGrant", Lane.CALLS, False, False)
    REVOKE = ("Lease", "LeaseRevoke", Lane.CALLS, False, True)
    KEEPALIVE = ("Lease", "LeaseKeepAlive", Lane.KEEPALIVES, False, True)
    CAMPAIGN = ("Election", "Campaign", Lane.WAITS, False, False)
    PROCLAIM = ("Election", "Proclaim", Lane.CALLS, False, False)
    LEADER = ("Election", "Leader", Lane.CALLS, True, True)
    OBSERVE = ("Election", "Observe", Lane.WAITS, False, False)
    RESIGN = ("Election", "Resign", Lane.CALLS, False, True)
    AUTHENTICATE = ("Auth", "Authenticate", Lane.CALLS, False, False)

    def __init__(
        self, service: str, rpc: str, lane: Lane, linearizable: bool, doubles: bool
    ) -> None:
        self.service = service
        self.rpc = rpc
        self.lane = lane
        self.linearizable = linearizable
        self.doubles = doubles

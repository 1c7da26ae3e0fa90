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
    """(service, method, lane, whether its answers prove a revision of the whole cluster)."""

    RANGE = ("KV", "Range", Lane.CALLS, True)
    TXN = ("KV", "Txn", Lane.CALLS, True)
    GRANT = ("Lease", "LeaseGrant", Lane.CALLS, False)
    REVOKE = ("Lease", "LeaseRevoke", Lane.CALLS, False)
    KEEPALIVE = ("Lease", "LeaseKeepAlive", Lane.KEEPALIVES, False)
    CAMPAIGN = ("Election", "Campaign", Lane.WAITS, False)
    PROCLAIM = ("Election", "Proclaim", Lane.CALLS, False)
    LEADER = ("Election", "Leader", Lane.CALLS, True)
    OBSERVE = ("Election", "Observe", Lane.WAITS, False)
    RESIGN = ("Election", "Resign", Lane.CALLS, False)
    AUTHENTICATE = ("Auth", "Authenticate", Lane.CALLS, False)

    def __init__(self, service: str, rpc: str, lane: Lane, linearizable: bool) -> None:
        self.service = service
        self.rpc = rpc
        self.lane = lane
        self.linearizable = linearizable

    @property
    def doubles(self) -> bool:
        """True where nothing is changed by a second request that lands long after the first.

        Such a call may be under way on two endpoints. A lease or a key must not be written twice.
        """
        return self in (Method.RANGE, Method.LEADER, Method.KEEPALIVE, Method.REVOKE, Method.RESIGN)

"""The plain values that users meet: who leads, in which state a client is, why leadership ended."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

__all__ = ["Leader", "LostReason", "State"]


class State(enum.Enum):
    """What a client is doing."""

    IDLE = "idle"
    CAMPAIGNING = "campaigning"
    LEADING = "leading"
    CLOSED = "closed"


class LostReason(enum.Enum):
    """Why a leadership is no longer held."""

    SESSION_EXPIRED = "session expired"
    """The lease's local deadline passed, or etcd said that the lease is gone."""
    KEY_DELETED = "key deleted"
    """Somebody else removed the candidate key, or revoked its lease."""
    TAKEN_OVER = "taken over"
    """Somebody else wrote the candidate key."""
    CLUSTER_CHANGED = "cluster changed"
    """Another etcd cluster, or a restored backup, answers at the endpoints."""
    RESIGNED = "resigned"
    CLOSED = "closed"
    FORKED = "forked"
    """This process is a child of the one that was elected."""


@dataclass(frozen=True)
class Leader:
    """A candidate's entry in the queue of an election, as etcd stored it.

    Attributes:
        name: The election.
        key: The candidate's key, ``name/<lease in hexadecimal>``.
        value: What the candidate proclaimed last.
        lease_id: The lease that the key hangs on; 0 if somebody put it there without one.
        token: The fencing token, the key's create revision. It grows from leader to leader.
        mod_revision: The revision of the last change to the key.
        revision: Etcd's revision when this was read. Not compared.
    """

    name: bytes
    key: bytes
    value: bytes
    lease_id: int
    token: int
    mod_revision: int
    revision: int = field(compare=False)

    @property
    def text(self) -> str:
        """The value as UTF-8, undecodable bytes kept as surrogate escapes."""
        return self.value.decode("utf-8", "surrogateescape")

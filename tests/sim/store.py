"""Etcd's keys and leases, as one state machine: what raft has agreed upon.

Every put and delete takes one revision. The keys are kept in the order of their create revisions,
which is the queue of an election. Messages are plain objects with the fields that are read of them;
requests are the core's own protobufs.

Not modelled: versions, history (a read is always of now), and keys outside of one election.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from etcd_election._core.effects import Failure

from .world import Event, World

LEASE_NOT_FOUND = Failure("NOT_FOUND", "etcdserver: requested lease not found")
LEASE_EXISTS = Failure("FAILED_PRECONDITION", "etcdserver: lease already exists")

_DESCEND = 2


@dataclass(slots=True)
class Kv:
    """One state of a key; never changed."""

    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    lease: int


@dataclass(slots=True)
class Header:
    """Of every answer."""

    cluster_id: int
    revision: int
    raft_term: int


@dataclass(slots=True)
class RangeAnswer:
    """To a Range; also inside of a transaction's answer, there without a header."""

    header: Header | None
    kvs: list[Kv]
    more: bool = False


@dataclass(slots=True)
class OpAnswer:
    """To one operation of a transaction."""

    response_range: RangeAnswer


@dataclass(slots=True)
class TxnAnswer:
    """To a transaction."""

    header: Header
    succeeded: bool
    responses: list[OpAnswer]


@dataclass(slots=True)
class LeaseAnswer:
    """To a grant, a keepalive or a revoke."""

    header: Header
    ID: int = 0
    TTL: int = 0


@dataclass(slots=True, repr=False)
class Lease:
    """A lease, with the true time at which it is let die."""

    number: int
    ttl: int
    owner: str
    expires_at: float = 0.0
    late: bool = False
    keys: set[bytes] = field(default_factory=set)
    timer: Event | None = None

    def __repr__(self) -> str:
        return f"<Lease {self.number:x} of {self.owner}>"


class Refused(Exception):
    """Etcd answers this instead of carrying the request out."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure = failure


Watcher = Callable[[Kv, bool], None]
"""Is told of a put (the new state, False) or a delete (the last state, True)."""


class Store:
    """Keys, leases and who watches them.

    Args:
        world: Its time.
        deleted: Is told of every delete, with its cause, before anybody else.
        expires: Whether leases may expire now (there is a raft leader).
    """

    def __init__(
        self,
        world: World,
        deleted: Callable[[Kv, str], None],
        expires: Callable[[], bool],
    ) -> None:
        self.world = world
        self.revision = 1
        self.term = 2
        self.keys: dict[bytes, Kv] = {}
        self.leases: dict[int, Lease] = {}
        self.revoked_at: dict[int, float] = {}
        self.watchers: dict[bytes, list[Watcher]] = {}
        self._deleted = deleted
        self._expires = expires

    def header(self) -> Header:
        return Header(7, self.revision, self.term)

    # -- keys

    def put(self, key: bytes, value: bytes, lease: int | None) -> Kv:
        """Writes a key; ``lease`` None keeps the one it has."""
        old = self.keys.get(key)
        if lease is None:
            lease = old.lease if old else 0
        self.revision += 1
        revision = self.revision
        kv = Kv(key, value, old.create_revision if old else revision, revision, lease)
        self.keys[key] = kv
        if lease:
            self.leases[lease].keys.add(key)
        if self.world.trace is not None:
            self.world.say("etcd    %s put, created %d", key.decode(), kv.create_revision)
        self._tell(kv, deleted=False)
        return kv

    def delete(self, key: bytes, cause: str) -> None:
        """Removes a key that stands."""
        kv = self.keys.pop(key)
        self.revision += 1
        if self.world.trace is not None:
            self.world.say("etcd    %s (%d) deleted: %s", key.decode(), kv.create_revision, cause)
        lease = self.leases.get(kv.lease)
        if lease is not None:
            lease.keys.discard(key)
        self._deleted(kv, cause)
        gone = Kv(key, b"", 0, self.revision, 0)
        self._tell(gone, deleted=True)

    def _tell(self, kv: Kv, *, deleted: bool) -> None:
        for watched in (kv.key, kv.key[: kv.key.rindex(b"/") + 1]):
            for watcher in list(self.watchers.get(watched, ())):
                watcher(kv, deleted)

    def watch(self, key: bytes, watcher: Watcher) -> None:
        """Tells of one key, or of all that begin so if it ends in a slash."""
        self.watchers.setdefault(key, []).append(watcher)

    def unwatch(self, key: bytes, watcher: Watcher) -> None:
        watchers = self.watchers.get(key, [])
        if watcher in watchers:
            watchers.remove(watcher)

    def first(self) -> Kv | None:
        """The head of the queue."""
        return next(iter(self.keys.values()), None)

    def before(self, revision: int) -> Kv | None:
        """The newest key that is older than this create revision."""
        found = None
        for kv in self.keys.values():
            if kv.create_revision >= revision:
                break
            found = kv
        return found

    def range(self, request: Any) -> tuple[list[Kv], bool]:
        """Reads one key, or the queue in either order; and whether there are more."""
        key = request.key
        if not request.range_end:
            kv = self.keys.get(key)
            return ([kv] if kv else []), False
        if not key.endswith(b"/"):
            return [], False
        kvs = list(self.keys.values())
        most = request.max_create_revision
        if most:
            kvs = [kv for kv in kvs if kv.create_revision <= most]
        if request.sort_order == _DESCEND:
            kvs.reverse()
        limit = request.limit
        return (kvs[:limit] if limit else kvs), bool(limit) and len(kvs) > limit

    def txn(self, request: Any) -> TxnAnswer:
        """Carries a transaction out.

        Raises:
            Refused: It puts a key on a lease that does not exist.
        """
        succeeded = all(self._holds(compare) for compare in request.compare)
        operations = request.success if succeeded else request.failure
        answers: list[OpAnswer] = []
        for operation in operations:
            kvs: list[Kv] = []
            if operation.HasField("request_range"):
                kvs, _ = self.range(operation.request_range)
            else:
                put = operation.request_put
                if put.lease and put.lease not in self.leases:
                    raise Refused(LEASE_NOT_FOUND)
                self.put(put.key, put.value, None if put.ignore_lease else put.lease)
            answers.append(OpAnswer(RangeAnswer(None, kvs)))
        return TxnAnswer(self.header(), succeeded, answers)

    def _holds(self, compare: Any) -> bool:
        kv = self.keys.get(compare.key)
        created = kv.create_revision if kv else 0
        wanted: int = compare.create_revision
        return created == wanted

    # -- leases

    def grant(self, number: int, ttl: int, owner: str) -> Lease:
        """Makes a lease.

        Raises:
            Refused: It exists already.
        """
        if number in self.leases:
            raise Refused(LEASE_EXISTS)
        lease = self.leases[number] = Lease(number, ttl, owner)
        if self.world.trace is not None:
            self.world.say("etcd    lease %x granted to %s", number, owner)
        self.renew(lease)
        return lease

    def renew(self, lease: Lease, extra: float = 0.0) -> None:
        """The ttl counts from now; what runs out is found at most half a second later."""
        world = self.world
        lease.expires_at = (
            world.now + lease.ttl + extra + 0.005 + max(0.0, world.random() * 0.7 - 0.205)
        )
        timer = lease.timer
        if timer is None or timer[0] > lease.expires_at:
            if timer is not None:
                timer[2] = None
            self._wake(lease)

    def revoke(self, number: int, cause: str) -> bool:
        """Ends a lease and its keys; False if there is none."""
        lease = self.leases.pop(number, None)
        if lease is None:
            return False
        if lease.timer is not None:
            lease.timer[2] = None
        if self.world.trace is not None:
            self.world.say("etcd    lease %x ends: %s", number, cause)
        self.revoked_at[number] = self.world.now
        for key in sorted(lease.keys):
            self.delete(key, cause)
        return True

    def extend(self, extra: float) -> None:
        """A new raft leader gives every lease its whole ttl, and more."""
        for lease in self.leases.values():
            self.renew(lease, extra)

    def _wake(self, lease: Lease) -> None:
        delay = max(0.0, lease.expires_at - self.world.now)
        lease.timer = self.world.after(delay, self._due, lease)

    def _due(self, lease: Lease) -> None:
        if lease.expires_at > self.world.now:
            self._wake(lease)
        elif not self._expires():
            lease.expires_at = self.world.now + 0.5
            self._wake(lease)
        else:
            self.world.counts["hazard: lease expired"] += 1
            self.revoke(lease.number, "expired")

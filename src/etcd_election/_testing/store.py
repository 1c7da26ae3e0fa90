"""The keys and leases of an in-memory etcd, and what a request does to them.

A request is carried out as a whole or refused; what it changes takes one revision. The messages are
etcd's own. The simulation of the library's tests has a store of its own (``tests/sim/store.py``):
plain objects without a copy, one election, and hazards at every turn, for it runs through thousands
of schedules; here a request may be any that a user's transaction brings.

Not modelled: history (a read is always of now, a watch begins now), and compaction.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message

from .._core.effects import Failure
from .._core.timing import MIN_TTL
from ..pb import kv_pb2, rpc_pb2, v3election_pb2

_LARGEST = 1_572_864
"""Bytes of a request: etcd's own limit, by default."""
_TERM = 2
_FIELDS = {
    rpc_pb2.RangeRequest.KEY: "key",
    rpc_pb2.RangeRequest.VERSION: "version",
    rpc_pb2.RangeRequest.CREATE: "create_revision",
    rpc_pb2.RangeRequest.MOD: "mod_revision",
    rpc_pb2.RangeRequest.VALUE: "value",
}
"""What a read can be sorted by."""
_TARGETS = {
    rpc_pb2.Compare.VERSION: "version",
    rpc_pb2.Compare.CREATE: "create_revision",
    rpc_pb2.Compare.MOD: "mod_revision",
    rpc_pb2.Compare.VALUE: "value",
    rpc_pb2.Compare.LEASE: "lease",
}
"""What a comparison can look at."""
_RELATIONS: dict[int, Callable[[Any, Any], bool]] = {
    rpc_pb2.Compare.EQUAL: operator.eq,
    rpc_pb2.Compare.GREATER: operator.gt,
    rpc_pb2.Compare.LESS: operator.lt,
    rpc_pb2.Compare.NOT_EQUAL: operator.ne,
}

Sink = Callable[[kv_pb2.Event], None]


class Refused(Exception):
    """Etcd answers this instead of carrying the request out."""

    def __init__(self, code: str, details: str) -> None:
        super().__init__(details)
        self.failure = Failure(code, details)

    def in_election(self) -> Failure:
        """As the Election service says it."""
        return Failure("UNKNOWN", self.failure.details)


@dataclass
class Lease:
    """A lease, and the instant at which it runs out."""

    ttl: int
    expires_at: float
    keys: set[bytes] = field(default_factory=set)


class Store:
    """Keys, leases, and who watches them. Not thread-safe.

    Args:
        cluster_id: Its number.
        clock: Its time.
    """

    def __init__(self, cluster_id: int, clock: Callable[[], float]) -> None:
        self.cluster_id = cluster_id
        self.revision = 1
        self.keys: dict[bytes, kv_pb2.KeyValue] = {}
        self.leases: dict[int, Lease] = {}
        self._clock = clock
        self._revision_of_change = 0
        self._watches: dict[object, tuple[bytes, bytes, Sink]] = {}
        self._requests: dict[type, Callable[[Any], Message]] = {
            rpc_pb2.RangeRequest: self.range,
            rpc_pb2.PutRequest: self.put,
            rpc_pb2.DeleteRangeRequest: self.delete,
            rpc_pb2.TxnRequest: self.txn,
            rpc_pb2.LeaseGrantRequest: self.grant,
            rpc_pb2.LeaseRevokeRequest: self.revoke,
            rpc_pb2.LeaseKeepAliveRequest: self.keep_alive,
            rpc_pb2.AuthenticateRequest: _no_users,
            v3election_pb2.LeaderRequest: self.leader,
            v3election_pb2.ProclaimRequest: self.proclaim,
            v3election_pb2.ResignRequest: self.resign,
        }

    def carry_out(self, request: Message) -> Any:
        """Answers a unary request.

        Raises:
            Refused: Etcd does not like it; nothing was changed.
        """
        if request.ByteSize() > _LARGEST:
            in_election = isinstance(request, v3election_pb2.ProclaimRequest)
            code = "UNKNOWN" if in_election else "INVALID_ARGUMENT"
            raise Refused(code, "etcdserver: request is too large")
        self._revision_of_change = self.revision + 1
        response: Any = self._requests[type(request)](request)
        response.header.CopyFrom(self.header())
        return response

    def header(self) -> rpc_pb2.ResponseHeader:
        """Of an answer given now."""
        return rpc_pb2.ResponseHeader(
            cluster_id=self.cluster_id, member_id=1, revision=self.revision, raft_term=_TERM
        )

    def queue(self, name: bytes) -> list[kv_pb2.KeyValue]:
        """The candidates of an election, the leader first."""
        found = (kv for key, kv in self.keys.items() if key.startswith(name + b"/"))
        return sorted(found, key=lambda kv: kv.create_revision)

    def watch(self, key: bytes, end: bytes, sink: Sink) -> Callable[[], None]:
        """Tells of every change from now on; returns what ends that."""
        mark = object()
        self._watches[mark] = key, end, sink

        def unwatch() -> None:
            self._watches.pop(mark, None)

        return unwatch

    # -- keys

    def range(self, request: rpc_pb2.RangeRequest) -> rpc_pb2.RangeResponse:
        """Reads keys."""
        found = [
            kv
            for kv in self._covered(request.key, request.range_end)
            if _within(kv.create_revision, request.min_create_revision, request.max_create_revision)
            and _within(kv.mod_revision, request.min_mod_revision, request.max_mod_revision)
        ]
        found.sort(key=operator.attrgetter(_FIELDS[request.sort_target]))
        if request.sort_order == rpc_pb2.RangeRequest.DESCEND:
            found.reverse()
        limited = found[: request.limit or None]
        response = rpc_pb2.RangeResponse(count=len(found), more=len(limited) < len(found))
        if not request.count_only:
            response.kvs.extend(limited)
        if request.keys_only:
            for kv in response.kvs:
                kv.value = b""
        return response

    def put(self, request: rpc_pb2.PutRequest) -> rpc_pb2.PutResponse:
        """Writes a key."""
        self._check_put(request)
        old = self.keys.get(request.key)
        lease = old.lease if old and request.ignore_lease else request.lease
        self.revision = revision = self._revision_of_change
        kv = kv_pb2.KeyValue(
            key=request.key,
            value=old.value if old and request.ignore_value else request.value,
            create_revision=old.create_revision if old else revision,
            mod_revision=revision,
            version=old.version + 1 if old else 1,
            lease=lease,
        )
        if old is not None and old.lease in self.leases:
            self.leases[old.lease].keys.discard(request.key)
        if lease:
            self.leases[lease].keys.add(request.key)
        self.keys[request.key] = kv
        self._tell(kv_pb2.Event(type=kv_pb2.Event.PUT, kv=kv))
        return rpc_pb2.PutResponse(prev_kv=old if request.prev_kv else None)

    def delete(self, request: rpc_pb2.DeleteRangeRequest) -> rpc_pb2.DeleteRangeResponse:
        """Removes keys."""
        gone = list(self._covered(request.key, request.range_end))
        for kv in gone:
            self._remove(kv)
        response = rpc_pb2.DeleteRangeResponse(deleted=len(gone))
        if request.prev_kv:
            response.prev_kvs.extend(gone)
        return response

    def txn(self, request: rpc_pb2.TxnRequest) -> rpc_pb2.TxnResponse:
        """Carries out one list of operations or the other."""
        self._check(request.success)
        self._check(request.failure)
        return self._txn(request)

    def _txn(self, request: rpc_pb2.TxnRequest) -> rpc_pb2.TxnResponse:
        succeeded = all(map(self._holds, request.compare))
        response = rpc_pb2.TxnResponse(succeeded=succeeded)
        for operation in request.success if succeeded else request.failure:
            answer = response.responses.add()
            kind = operation.WhichOneof("request")
            if kind == "request_range":
                answer.response_range.CopyFrom(self.range(operation.request_range))
            elif kind == "request_put":
                answer.response_put.CopyFrom(self.put(operation.request_put))
            elif kind == "request_delete_range":
                answer.response_delete_range.CopyFrom(self.delete(operation.request_delete_range))
            elif kind == "request_txn":
                answer.response_txn.CopyFrom(self._txn(operation.request_txn))
        return response

    def _check(self, operations: Iterable[rpc_pb2.RequestOp]) -> None:
        """A transaction that cannot be carried out as a whole changes nothing."""
        for operation in operations:
            if operation.HasField("request_put"):
                self._check_put(operation.request_put)
            self._check(operation.request_txn.success)
            self._check(operation.request_txn.failure)

    def _check_put(self, request: rpc_pb2.PutRequest) -> None:
        if not request.key:
            raise Refused("INVALID_ARGUMENT", "etcdserver: key is not provided")
        if request.lease and request.lease not in self.leases:
            raise _lease_not_found()
        if (request.ignore_lease or request.ignore_value) and request.key not in self.keys:
            raise Refused("INVALID_ARGUMENT", "etcdserver: key not found")

    def _holds(self, compare: rpc_pb2.Compare) -> bool:
        target = _TARGETS[compare.target]
        wanted = getattr(compare, target)
        kvs = list(self._covered(compare.key, compare.range_end))
        if not kvs:
            if target == "value":
                return False
            kvs = [kv_pb2.KeyValue()]
        return all(_RELATIONS[compare.result](getattr(kv, target), wanted) for kv in kvs)

    def _covered(self, key: bytes, end: bytes) -> Iterator[kv_pb2.KeyValue]:
        return (self.keys[known] for known in sorted(self.keys) if _covers(key, end, known))

    def _remove(self, kv: kv_pb2.KeyValue) -> None:
        del self.keys[kv.key]
        if kv.lease in self.leases:
            self.leases[kv.lease].keys.discard(kv.key)
        self.revision = self._revision_of_change
        gone = kv_pb2.KeyValue(key=kv.key, mod_revision=self.revision)
        self._tell(kv_pb2.Event(type=kv_pb2.Event.DELETE, kv=gone))

    def _tell(self, event: kv_pb2.Event) -> None:
        for key, end, sink in list(self._watches.values()):
            if _covers(key, end, event.kv.key):
                sink(event)

    # -- leases

    def grant(self, request: rpc_pb2.LeaseGrantRequest) -> rpc_pb2.LeaseGrantResponse:
        """Makes a lease."""
        if request.ID in self.leases:
            raise Refused("FAILED_PRECONDITION", "etcdserver: lease already exists")
        number = request.ID or next(n for n in range(1, 1 << 63) if n not in self.leases)
        ttl = max(MIN_TTL, request.TTL)
        self.leases[number] = Lease(ttl, self._clock() + ttl)
        return rpc_pb2.LeaseGrantResponse(ID=number, TTL=ttl)

    def revoke(self, request: rpc_pb2.LeaseRevokeRequest) -> rpc_pb2.LeaseRevokeResponse:
        """Ends a lease, and its keys with it."""
        lease = self.leases.pop(request.ID, None)
        if lease is None:
            raise _lease_not_found()
        for key in sorted(lease.keys):
            self._remove(self.keys[key])
        return rpc_pb2.LeaseRevokeResponse()

    def keep_alive(self, request: rpc_pb2.LeaseKeepAliveRequest) -> rpc_pb2.LeaseKeepAliveResponse:
        """Gives a lease its whole ttl again."""
        lease = self.leases.get(request.ID)
        if lease is None:
            return rpc_pb2.LeaseKeepAliveResponse(ID=request.ID, TTL=0)
        lease.expires_at = self._clock() + lease.ttl
        return rpc_pb2.LeaseKeepAliveResponse(ID=request.ID, TTL=lease.ttl)

    def expire(self) -> None:
        """Ends all leases whose time is up."""
        now = self._clock()
        for number in [n for n, lease in self.leases.items() if lease.expires_at <= now]:
            self.carry_out(rpc_pb2.LeaseRevokeRequest(ID=number))

    # -- elections

    def leader(self, request: v3election_pb2.LeaderRequest) -> v3election_pb2.LeaderResponse:
        """Who leads."""
        for kv in self.queue(request.name)[:1]:
            return v3election_pb2.LeaderResponse(kv=kv)
        raise Refused("UNKNOWN", "election: no leader")

    def proclaim(self, request: v3election_pb2.ProclaimRequest) -> v3election_pb2.ProclaimResponse:
        """Gives a candidate's key another value."""
        leader = request.leader
        if not self._stands(leader) or leader.lease not in self.leases:
            raise Refused("UNKNOWN", "election: not leader")
        self.put(rpc_pb2.PutRequest(key=leader.key, value=request.value, lease=leader.lease))
        return v3election_pb2.ProclaimResponse()

    def resign(self, request: v3election_pb2.ResignRequest) -> v3election_pb2.ResignResponse:
        """Removes a candidate's key."""
        if self._stands(request.leader):
            self._remove(self.keys[request.leader.key])
        return v3election_pb2.ResignResponse()

    def _stands(self, leader: v3election_pb2.LeaderKey) -> bool:
        kv = self.keys.get(leader.key)
        return kv is not None and kv.create_revision == leader.rev


def _covers(key: bytes, end: bytes, known: bytes) -> bool:
    if not end:
        return known == key
    return key <= known and (end == b"\0" or known < end)


def _within(revision: int, least: int, most: int) -> bool:
    return revision >= least and (not most or revision <= most)


def _no_users(_: rpc_pb2.AuthenticateRequest) -> rpc_pb2.AuthenticateResponse:
    raise Refused("FAILED_PRECONDITION", "etcdserver: authentication is not enabled")


def _lease_not_found() -> Refused:
    return Refused("NOT_FOUND", "etcdserver: requested lease not found")

"""A candidate's place in the queue of an election.

The queue is the keys under ``name/`` in the order of their create revisions; the first one leads.
One linearizable Range brings the candidate's key and the one just before it: the two newest of
those that are no newer than the candidate's. Never a read-only transaction: one whose caller gives
up in the wrong moment ends the whole server (etcd issue 14110, up to 3.5.4; seen on 3.5.1).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ..pb import kv_pb2, rpc_pb2
from ..types import Leader

_CANDIDATE = re.compile(rb"[0-9a-f]{1,16}\Z")


class Standing(NamedTuple):
    """A place in the queue.

    Attributes:
        own: The candidate's key, or None if it does not stand.
        before: The key just before it; None: the candidate is first (or has no key).
        revision: Etcd's revision of the read.
    """

    own: kv_pb2.KeyValue | None
    before: kv_pb2.KeyValue | None
    revision: int

    @property
    def first(self) -> bool:
        """True if the candidate leads, as far as keys go."""
        return self.own is not None and self.before is None


def prefix(name: bytes) -> bytes:
    """What the keys of an election begin with."""
    return name + b"/"


def candidate_key(name: bytes, lease_id: int) -> bytes:
    """The key that etcd's Election service gives to a candidate."""
    return b"%s%x" % (prefix(name), lease_id)


def is_candidate_key(name: bytes, key: bytes) -> bool:
    """False for a key that no Campaign can have put there."""
    return bool(_CANDIDATE.match(key, len(prefix(name))))


def prefix_end(start: bytes) -> bytes:
    """The first key behind all that begin with ``start``, which ends in a slash."""
    return start[:-1] + bytes([start[-1] + 1])


def queue(
    name: bytes,
    *,
    limit: int = 0,
    up_to: int = 0,
    newest_first: bool = False,
    keys_only: bool = False,
) -> rpc_pb2.RangeRequest:
    """A read of the queue in its order.

    Args:
        name: The election.
        limit: How many at most; 0 for all.
        up_to: Only keys of this create revision or an older one; 0 for all.
        newest_first: From the end of the queue.
        keys_only: Leave out the values.
    """
    request = rpc_pb2.RangeRequest
    return rpc_pb2.RangeRequest(
        key=prefix(name),
        range_end=prefix_end(prefix(name)),
        limit=limit,
        max_create_revision=up_to,
        sort_target=request.CREATE,
        sort_order=request.DESCEND if newest_first else request.ASCEND,
        keys_only=keys_only,
    )


def one(key: bytes) -> rpc_pb2.RangeRequest:
    """A read of one key."""
    return rpc_pb2.RangeRequest(key=key)


def newest(name: bytes, *, up_to: int = 0) -> rpc_pb2.RangeRequest:
    """A read of the two newest keys of the queue.

    With their values: etcd 3.7 leaves the lease out together with them (measured on 3.7.3).
    """
    return queue(name, limit=2, up_to=up_to, newest_first=True)


def joining(name: bytes, key: bytes, value: bytes, lease_id: int) -> rpc_pb2.TxnRequest:
    """Puts a candidate's key at the end of the queue, unless it stands; reads the place with it.

    A key just put is the newest, so the two newest are it and the one before it.
    """
    put = rpc_pb2.PutRequest(key=key, value=value, lease=lease_id)
    return rpc_pb2.TxnRequest(
        compare=[created_at(key, 0)],
        success=[
            rpc_pb2.RequestOp(request_put=put),
            rpc_pb2.RequestOp(request_range=newest(name)),
        ],
        failure=[rpc_pb2.RequestOp(request_range=one(key))],
    )


def created_at(key: bytes, revision: int) -> rpc_pb2.Compare:
    """True where the key has this create revision; 0: where it does not exist."""
    return rpc_pb2.Compare(
        key=key,
        target=rpc_pb2.Compare.CREATE,
        result=rpc_pb2.Compare.EQUAL,
        create_revision=revision,
    )


def found(response: rpc_pb2.TxnResponse, index: int) -> list[kv_pb2.KeyValue]:
    """The keys that read number ``index`` of a transaction brought; none if it is not there."""
    if index >= len(response.responses):
        return []
    return list(response.responses[index].response_range.kvs)


def as_leader(name: bytes, kv: kv_pb2.KeyValue, revision: int) -> Leader:
    """An entry of the queue, for users."""
    return Leader(
        name=name,
        key=kv.key,
        value=kv.value,
        lease_id=kv.lease,
        token=kv.create_revision,
        mod_revision=kv.mod_revision,
        revision=revision,
    )

"""What one candidate, leader and observer cost etcd once they stand: a model. Pure.

Made of the library's own times and of the messages that it sends, for `via="kv"`; by way of the
service a candidate has an open call besides, which costs nothing while it waits. Bytes are those of
the messages, as etcd counts them; the frames and headers of HTTP/2 come on top.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from etcd_election._core import standing, timing
from etcd_election.pb import kv_pb2, rpc_pb2

from .table import Row

HEAD = "What one of each costs etcd, by the model, in an election with a name of ten letters"
LEASE = (1 << 63) - 1
REVISION = 1 << 20


@dataclass(frozen=True)
class Cost:
    """Of one of a kind.

    Attributes:
        calls: A second.
        watches: Open on etcd.
        received: Bytes a second that etcd gets.
        sent: Bytes a second that it sends.
    """

    calls: float
    watches: int
    received: float
    sent: float


def _header() -> rpc_pb2.ResponseHeader:
    number = 1 << 62
    return rpc_pb2.ResponseHeader(
        cluster_id=number, member_id=number, revision=REVISION, raft_term=2
    )


def _kv(key: bytes, value: bytes) -> kv_pb2.KeyValue:
    return kv_pb2.KeyValue(
        key=key,
        value=value,
        create_revision=REVISION,
        mod_revision=REVISION,
        version=1,
        lease=LEASE,
    )


def _read(request: rpc_pb2.RangeRequest, *kvs: kv_pb2.KeyValue) -> tuple[int, int]:
    answer = rpc_pb2.RangeResponse(header=_header(), kvs=kvs, count=len(kvs))
    return request.ByteSize(), answer.ByteSize()


def _renewal(ttl: int) -> tuple[int, int]:
    request = rpc_pb2.LeaseKeepAliveRequest(ID=LEASE)
    answer = rpc_pb2.LeaseKeepAliveResponse(header=_header(), ID=LEASE, TTL=ttl)
    return request.ByteSize(), answer.ByteSize()


def _every(seconds: float, watches: int, *messages: tuple[int, int]) -> Cost:
    """So many calls once in so many seconds, each of (bytes there, bytes back)."""
    return Cost(
        calls=len(messages) / seconds,
        watches=watches,
        received=sum(there for there, _ in messages) / seconds,
        sent=sum(back for _, back in messages) / seconds,
    )


def _beat(ttl: int) -> float:
    """Seconds from one beat to the next, on average."""
    return timing.beat(ttl, lambda: 0.5)


def candidate(ttl: int, name: bytes, value: bytes) -> Cost:
    """One that waits behind another: its key and the one before it are watched and read."""
    key = standing.candidate_key(name, LEASE)
    read = _read(standing.newest(name, up_to=REVISION), _kv(key, value), _kv(key, value))
    return _every(_beat(ttl), 2, _renewal(ttl), read)


def leader(ttl: int, name: bytes, value: bytes) -> Cost:
    """One that leads: its key is watched and read."""
    key = standing.candidate_key(name, LEASE)
    return _every(_beat(ttl), 1, _renewal(ttl), _read(standing.one(key), _kv(key, value)))


def observer(name: bytes, value: bytes) -> Cost:
    """One election that is followed, by however many observers of one connection."""
    key = standing.candidate_key(name, LEASE)
    read = _read(standing.queue(name, limit=1), _kv(key, value))
    return _every(timing.OBSERVE_BEAT * 0.95, 1, read)


def rows(ttls: Sequence[int] = (15, 30)) -> list[Row]:
    """What one of each costs, as a table."""
    name, value = b"my-service", b"host-1"
    shown = [
        *((f"a waiting candidate, ttl {ttl}", candidate(ttl, name, value)) for ttl in ttls),
        *((f"a leader, ttl {ttl}", leader(ttl, name, value)) for ttl in ttls),
        ("an election that is followed", observer(name, value)),
    ]
    return [
        {
            "one": one,
            "calls a second": f"{cost.calls:.3f}",
            "watches": f"{cost.watches}",
            "bytes a second to etcd": f"{cost.received:.1f}",
            "bytes a second from etcd": f"{cost.sent:.1f}",
        }
        for one, cost in shown
    ]


KINDS: dict[str, Callable[[int, bytes, bytes], Cost]] = {
    "candidates": candidate,
    "leaders": leader,
    "observers": lambda _ttl, name, value: observer(name, value),
}
"""By ttl, name and value."""

"""Leases: what is granted, what a keepalive proves, when a lease ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from etcd_election.pb import rpc_pb2
from tests.support.raw import as_bytes

from .bench import LONG, Bench, Rows, clock, let_go, outcome, pause, spread
from .watches import WatchStream

UNKNOWN_LEASE = 0x7EADBEEF
BEFORE = 3
"""Keepalives sent before the revoke, less one."""


def leases(bench: Bench) -> Rows:
    """Grants, keepalives and questions about leases."""
    raw = bench.raw
    for ttl in (0, 1, 2, 5, 9_000_000_000, 9_000_000_001):
        yield f"LeaseGrant, ttl {ttl}", outcome(_granted, bench, ttl)
    taken = raw.grant()
    yield "LeaseGrant, id exists", outcome(raw.grant, lease=taken)
    yield "LeaseGrant, id of 63 bits", outcome(raw.grant, lease=(1 << 63) - 1)
    yield "LeaseKeepAlive as a unary call (one request, half-closed)", _renewed(bench, taken)
    yield "LeaseKeepAlive, unknown lease", _renewed(bench, UNKNOWN_LEASE)
    yield "LeaseTimeToLive, unknown lease", f"OK, TTL={raw.time_to_live(UNKNOWN_LEASE)}"
    yield from _after_revoke(bench)
    yield from _unknown_on_a_stream(bench)


def _granted(bench: Bench, ttl: int) -> str:
    answer = bench.raw.lease.LeaseGrant(rpc_pb2.LeaseGrantRequest(TTL=ttl), timeout=LONG)
    bench.raw.revoke(answer.ID)
    return f"OK, TTL={answer.TTL}"


def _renewed(bench: Bench, lease: int) -> str:
    request = rpc_pb2.LeaseKeepAliveRequest(ID=lease)
    answer: rpc_pb2.LeaseKeepAliveResponse = _keepalive(bench)(request, timeout=LONG)
    header = answer.header
    whole = header.cluster_id and header.revision and header.raft_term
    return f"OK, TTL={answer.TTL}, header {'complete' if whole else 'lacks facts'}"


def _keepalive(bench: Bench) -> Any:
    """For a client that knows no streams: one request, and the first answer is the answer."""
    return bench.raw.channel.unary_unary(
        "/etcdserverpb.Lease/LeaseKeepAlive",
        request_serializer=rpc_pb2.LeaseKeepAliveRequest.SerializeToString,
        response_deserializer=rpc_pb2.LeaseKeepAliveResponse.FromString,
    )


def _after_revoke(bench: Bench) -> Rows:
    times = bench.times(100)
    after = 0
    for _ in range(times):
        lease = bench.raw.grant()
        bench.raw.revoke(lease)
        after += bench.raw.keep_alive(lease) > 0
    yield "keepalive after the answer to a revoke: TTL above 0", f"{after}/{times}"
    stale = answers = 0
    for _ in range(bench.times(20)):
        for answer, revoked_at in _beside_a_revoke(bench):
            if answer.header.revision >= revoked_at:
                answers += 1
                stale += answer.TTL > 0
    yield (
        "keepalive beside a revoke that its header.revision includes: TTL above 0",
        (f"{stale}/{answers}"),
    )


def _beside_a_revoke(bench: Bench) -> Iterator[tuple[rpc_pb2.LeaseKeepAliveResponse, int]]:
    """Revokes a lease with some keys among keepalives; each answer, and the revoke's revision."""
    lease, name = bench.raw.grant(), bench.name()
    for i in range(20):
        bench.raw.put(f"{name}{i}", "v", lease=lease)
    request = rpc_pb2.LeaseRevokeRequest(ID=lease)
    renew = _keepalive(bench)
    calls = []
    for i in range(12):
        calls.append(renew.future(rpc_pb2.LeaseKeepAliveRequest(ID=lease), timeout=LONG))
        if i == BEFORE:
            revoking = bench.raw.lease.LeaseRevoke.future(request, timeout=LONG)
    revoked_at = revoking.result().header.revision
    for call in calls:
        yield call.result(), revoked_at


def _unknown_on_a_stream(bench: Bench) -> Rows:
    """One stream for many leases: does an unknown one spoil it?"""
    known = bench.raw.grant(30)
    asked = (known, UNKNOWN_LEASE, known)
    requests = [rpc_pb2.LeaseKeepAliveRequest(ID=lease) for lease in asked]
    answers = bench.raw.lease.LeaseKeepAlive(iter(requests), timeout=LONG)
    ttls = [str(answer.TTL) for answer in answers]
    yield "one stream: a lease of 30 s, an unknown one, the first again", f"TTL {', '.join(ttls)}"


def expiry(bench: Bench) -> Rows:
    """A lease of 2 s that nobody renews: when do others hear that its key is gone?"""
    name, times = bench.name(), bench.times(12)
    stream = WatchStream(bench)
    stream.create(name, 1, prefix=True)
    stream.next()
    due_at: dict[bytes, float] = {}
    for key in (f"{name}{i}" for i in range(times)):
        sent_at = clock()
        bench.raw.put(key, "v", lease=bench.raw.grant(2))
        due_at[as_bytes(key)] = sent_at + 2
        pause(0.07)
    late: list[float] = []
    while len(late) < times:
        heard = [event.kv.key for event in stream.next().events if event.type == event.DELETE]
        late += [clock() - due_at[key] for key in heard]
    stream.close()
    yield "DELETE after ttl, counted from the send (least / median / most)", spread(late)
    yield "DELETE before that", f"{sum(delay < 0 for delay in late)}/{times}"


def waiting(bench: Bench) -> Rows:
    """A lease of 2 s under a waiting Campaign, renewed by nobody."""
    names, lease = bench.names(5), bench.raw.grant(2)
    for name in names:
        bench.raw.put(f"{name}/0", "in the way")
    calls = bench.join_all(names, lease)
    pause(3.0)
    left = sum(bench.stands(name, lease) for name in names)
    yield "its key stands after 3 s", f"{left}/{len(names)}"
    yield "its call has ended", f"{sum(call.done() for call in calls)}/{len(names)}"
    let_go(calls)

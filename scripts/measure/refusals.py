"""Every way to be refused: code and details, call by call."""

from __future__ import annotations

from collections.abc import Callable

from etcd_election.pb import rpc_pb2, v3election_pb2
from tests.support.raw import as_bytes

from .bench import LONG, Bench, LeaderKey, Rows, counted, outcome, pause, said, yes

UNKNOWN_LEASE = 0x7EADBEEF
SERVER_LEASE_TTL = 60


def elections(bench: Bench) -> Rows:
    """The Election service."""
    raw, name = bench.raw, bench.name()
    yield "Leader, nobody leads", outcome(raw.leader, name)
    unknown = raw.campaign(name, UNKNOWN_LEASE)
    yield "Campaign, unknown lease", outcome(unknown.result, timeout=LONG)
    yield "Campaign, lease 0", outcome(_lease_zero, bench, name)
    for what, spoil in _SPOILT:
        leader = bench.lead(bench.name())
        spoil(bench, leader)
        yield f"Proclaim, {what}", outcome(bench.proclaim, leader)
        yield f"Resign, {what}", outcome(raw.resign, leader)
    yield "Resign with a wrong rev: deletes the key", yes(_wrong_rev_deletes(bench))
    proclaim = v3election_pb2.ProclaimRequest(value=b"v")
    yield "Proclaim without `leader`", outcome(raw.election.Proclaim, proclaim, timeout=LONG)
    yield "Proclaim, empty `leader`", outcome(bench.proclaim, LeaderKey())
    resign = v3election_pb2.ResignRequest()
    yield "Resign without `leader`", outcome(raw.election.Resign, resign, timeout=LONG)
    yield "Resign, empty `leader`", outcome(raw.resign, LeaderKey())
    yield from _by_a_waiting_candidate(bench)
    yield "Proclaim with another lease in `leader`", outcome(_moves_key, bench)


def _lease_zero(bench: Bench, name: str) -> str:
    leader = bench.raw.campaign(name, 0).result(timeout=LONG).leader
    ttl = bench.raw.time_to_live(leader.lease)
    bench.raw.revoke(leader.lease)
    granted = SERVER_LEASE_TTL - 1 <= ttl <= SERVER_LEASE_TTL
    return "OK, under a lease of 60 s of the server's" if granted else f"OK, ttl {ttl}"


def _wrong_rev(_: Bench, leader: LeaderKey) -> None:
    leader.rev -= 1


_SPOILT: tuple[tuple[str, Callable[[Bench, LeaderKey], object]], ...] = (
    ("key deleted", lambda bench, leader: bench.raw.delete(leader.key)),
    ("resigned before", lambda bench, leader: bench.raw.resign(leader)),
    ("lease revoked", lambda bench, leader: bench.raw.revoke(leader.lease)),
    ("wrong rev", _wrong_rev),
)


def _wrong_rev_deletes(bench: Bench) -> bool:
    leader = bench.lead(bench.name())
    leader.rev -= 1
    bench.raw.resign(leader)
    return bench.raw.get(leader.key) is None


def _by_a_waiting_candidate(bench: Bench) -> Rows:
    raw, name, lease = bench.raw, bench.name(), bench.raw.grant()
    bench.lead(name)
    call = bench.join(name, lease)
    own = bench.found(bench.key(name, lease))
    waiting = LeaderKey(name=as_bytes(name), key=own.key, lease=lease, rev=own.create_revision)
    yield "Proclaim by a waiting candidate", outcome(bench.proclaim, waiting, b"mine")
    changed = bench.found(own.key).value == b"mine"
    yield "and changes its own key alone", yes(changed and raw.leader(name).value != b"mine")
    yield "Resign by a waiting candidate", outcome(raw.resign, waiting)
    pause(0.3)
    gone = raw.get(own.key) is None
    yield "and its key is gone, its Campaign goes on waiting", yes(gone and not call.done())
    call.cancel()


def _moves_key(bench: Bench) -> str:
    leader = bench.lead(bench.name())
    leader.lease = bench.raw.grant()
    bench.proclaim(leader)
    moved = bench.found(leader.key).lease == leader.lease
    return f"OK, key moved to it: {yes(moved)}"


def others(bench: Bench) -> Rows:
    """KV, leases and authentication while it is off."""
    raw = bench.raw
    yield "Put with an unknown lease", outcome(raw.put, "k", "v", lease=UNKNOWN_LEASE)
    put = rpc_pb2.PutRequest(key=b"k", value=b"v", lease=UNKNOWN_LEASE)
    txn = rpc_pb2.TxnRequest(success=[rpc_pb2.RequestOp(request_put=put)])
    yield "Txn that puts with an unknown lease", outcome(raw.kv.Txn, txn, timeout=LONG)
    absent = rpc_pb2.PutRequest(key=b"absent", value=b"v", ignore_lease=True)
    yield "Put with ignore_lease, no such key", outcome(raw.kv.Put, absent, timeout=LONG)
    yield "LeaseRevoke, unknown lease", outcome(raw.revoke, UNKNOWN_LEASE)
    yield "Range at a compacted revision", outcome(_compacted, bench)
    for what, call, request in (
        ("Leader", raw.election.Leader, v3election_pb2.LeaderRequest(name=b"x")),
        ("Range", raw.kv.Range, rpc_pb2.RangeRequest(key=b"k")),
        ("LeaseGrant", raw.lease.LeaseGrant, rpc_pb2.LeaseGrantRequest(TTL=5)),
    ):
        token = (("token", "no.1"),)
        answer = outcome(call, request, timeout=LONG, metadata=token)
        yield f"{what} with a token while auth is off", answer
    user = rpc_pb2.AuthenticateRequest(name="u")
    answer = outcome(raw.auth.Authenticate, user, timeout=LONG)
    yield "Authenticate while auth is off", answer
    yield from _too_large(bench)


def _compacted(bench: Bench) -> object:
    first = bench.raw.put("k", "v")
    bench.raw.put("k", "v")
    bench.raw.compact()
    return bench.raw.kv.Range(rpc_pb2.RangeRequest(key=b"k", revision=first), timeout=LONG)


def _too_large(bench: Bench) -> Rows:
    raw = bench.raw
    for mib in (1.4, 1.6, 3.0):
        value = b"v" * int(mib * (1 << 20))
        yield f"Put, value of {mib:g} MiB", outcome(raw.put, "large", value)
        call = raw.campaign(bench.name(), raw.grant(), value)
        yield f"Campaign, value of {mib:g} MiB", outcome(call.result, timeout=LONG)
    raw.delete("large")


def deadlines(bench: Bench) -> Rows:
    """What a client sees whose deadline passes."""
    ends, lease = [], bench.raw.grant()
    for name in bench.names(bench.times(40)):
        bench.raw.put(f"{name}/0", "in the way")
        request = v3election_pb2.CampaignRequest(name=as_bytes(name), lease=lease)
        call = bench.raw.election.Campaign.future(request, timeout=0.03)
        call.exception()
        ends.append(said(call))
    yield "Campaign, the client's deadline passes", counted(ends)

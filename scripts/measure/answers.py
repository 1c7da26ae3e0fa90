"""What answers carry, and what transactions can: all that a client may want to build on."""

from __future__ import annotations

from etcd_election.pb import kv_pb2, rpc_pb2, v3election_pb2
from tests.support.raw import as_bytes, prefix_end

from .bench import LONG, SETTLED, Bench, LeaderKey, Rows, pause, won, yes


def headers(bench: Bench) -> Rows:
    """Which facts the headers have."""
    raw, name = bench.raw, bench.name()
    election = raw.election
    campaign = raw.campaign(name, raw.grant()).result(timeout=LONG)
    yield "Campaign", _facts(campaign.header)
    yield "Campaign that had to wait", _facts(_contested(bench))
    asked = v3election_pb2.LeaderRequest(name=as_bytes(name))
    yield "Leader", _facts(election.Leader(asked, timeout=LONG).header)
    stream = election.Observe(asked, timeout=LONG)
    answers = iter(stream)
    yield "Observe, first answer", _facts(next(answers).header)
    yield "Proclaim", _facts(bench.proclaim(campaign.leader).header)
    yield "Observe, further answer", _facts(next(answers).header)
    stream.cancel()
    request = v3election_pb2.ResignRequest(leader=campaign.leader)
    yield "Resign", _facts(election.Resign(request, timeout=LONG).header)
    again = election.Resign(request, timeout=LONG)
    yield "Resign that had nothing to delete", _facts(again.header)
    reading = rpc_pb2.RequestOp(request_range=rpc_pb2.RangeRequest(key=b"k"))
    txn = raw.kv.Txn(rpc_pb2.TxnRequest(success=[reading]), timeout=LONG)
    yield "Txn of reads", _facts(txn.header)
    yield "a read inside a Txn", _facts(txn.responses[0].response_range.header)


def _facts(header: rpc_pb2.ResponseHeader) -> str:
    facts = {
        "cluster_id": header.cluster_id,
        "revision": header.revision,
        "raft_term": header.raft_term,
    }
    return ", ".join(fact for fact, value in facts.items() if value) or "nothing"


def _contested(bench: Bench) -> rpc_pb2.ResponseHeader:
    name = bench.name()
    leader = bench.lead(name)
    call = bench.join(name, bench.raw.grant())
    bench.raw.resign(leader)
    header: rpc_pb2.ResponseHeader = call.result(timeout=LONG).header
    return header


def revisions(bench: Bench) -> Rows:
    """How the numbers in the answers relate to those of the key."""
    raw, name, lease = bench.raw, bench.name(), bench.raw.grant()
    leader = raw.campaign(name, lease, "v").result(timeout=LONG).leader
    kv = bench.found(leader.key)
    yield "the key is name + `/` + lease in hex", yes(leader.key == bench.key(name, lease))
    yield "LeaderKey.rev is the key's create_revision", yes(leader.rev == kv.create_revision)
    raw.put("between", "v")
    proclaimed_at = bench.proclaim(leader).header.revision
    kv = bench.found(leader.key)
    what = "Proclaim's header.revision is the key's new mod_revision"
    yield what, yes(proclaimed_at == kv.mod_revision)
    again = raw.campaign(name, lease, "x").result(timeout=LONG)
    yield "Campaign with the same lease: same key and rev", yes(again.leader == leader)
    yield "and the key has the new value", yes(bench.found(leader.key).value == b"x")
    yield from _waited(bench)
    yield from _leader_is_current(bench)


def _waited(bench: Bench) -> Rows:
    name, lease = bench.name(), bench.raw.grant()
    leader = bench.lead(name)
    call = bench.join(name, lease)
    put_at = bench.found(bench.key(name, lease)).create_revision
    bench.raw.resign(leader)
    revision = call.result(timeout=LONG).header.revision
    yield (
        "Campaign that had to wait: header.revision is that of its own put",
        yes(revision == put_at),
    )


def _leader_is_current(bench: Bench) -> Rows:
    name = bench.name()
    bench.lead(name)
    asked = v3election_pb2.LeaderRequest(name=as_bytes(name))
    before = bench.raw.put("between", "v")
    answer = bench.raw.election.Leader(asked, timeout=LONG)
    yield "Leader's header.revision is the present one", yes(answer.header.revision >= before)


def transactions(bench: Bench) -> Rows:
    """Joining, reading and writing without the Election service."""
    raw, name = bench.raw, bench.name()
    leases = [raw.grant() for _ in range(3)]
    joined = [_join(bench, name, lease) for lease in leases]
    own = [answer.responses[0].response_put.header.revision for answer in joined]
    newest = [answer.responses[1].response_range.kvs for answer in joined]
    yield (
        "a Txn that puts a key reads it, as the newest of its queue",
        yes(
            all(
                kvs[0].key == bench.key(name, lease) and kvs[0].create_revision == revision
                for kvs, lease, revision in zip(newest, leases, own, strict=True)
            )
        ),
    )
    yield (
        "and the one before it",
        yes(len(newest[0]) == 1 and newest[2][1].key == bench.key(name, leases[1])),
    )
    before = _just_before(bench, name, own[2])
    yield (
        "the key just before one: max_create_revision, DESCEND, limit 1",
        yes([kv.key for kv in before] == [bench.key(name, leases[1])]),
    )
    yield "nobody before the first", yes(not _just_before(bench, name, own[0]))
    yield "Put with ignore_lease keeps the lease", yes(_keeps_lease(bench, name, leases[0]))
    yield from _nested(bench, bench.key(name, leases[0]), own[0])
    leader = LeaderKey(
        name=as_bytes(name), key=bench.key(name, leases[0]), rev=own[0], lease=leases[0]
    )
    call = raw.campaign(name, leases[1])
    pause(SETTLED)
    raw.resign(leader)
    yield "Campaign takes up a key put by a Txn, and waits its turn", yes(won(call, 1.0))


def _join(bench: Bench, name: str, lease: int) -> rpc_pb2.TxnResponse:
    first, key = as_bytes(name) + b"/", bench.key(name, lease)
    absent = rpc_pb2.Compare(key=key, target=rpc_pb2.Compare.CREATE, create_revision=0)
    put = rpc_pb2.PutRequest(key=key, value=b"v", lease=lease)
    newest = rpc_pb2.RangeRequest(
        key=first,
        range_end=prefix_end(first),
        limit=2,
        sort_target=rpc_pb2.RangeRequest.CREATE,
        sort_order=rpc_pb2.RangeRequest.DESCEND,
    )
    operations = [rpc_pb2.RequestOp(request_put=put), rpc_pb2.RequestOp(request_range=newest)]
    request = rpc_pb2.TxnRequest(compare=[absent], success=operations)
    return bench.raw.kv.Txn(request, timeout=LONG)


def _just_before(bench: Bench, name: str, revision: int) -> list[kv_pb2.KeyValue]:
    first = as_bytes(name) + b"/"
    request = rpc_pb2.RangeRequest(
        key=first,
        range_end=prefix_end(first),
        limit=1,
        max_create_revision=revision - 1,
        sort_target=rpc_pb2.RangeRequest.CREATE,
        sort_order=rpc_pb2.RangeRequest.DESCEND,
        keys_only=True,
    )
    return list(bench.raw.kv.Range(request, timeout=LONG).kvs)


def _keeps_lease(bench: Bench, name: str, lease: int) -> bool:
    key = bench.key(name, lease)
    bench.raw.kv.Put(rpc_pb2.PutRequest(key=key, value=b"w", ignore_lease=True), timeout=LONG)
    kv = bench.raw.get(key)
    return kv is not None and kv.value == b"w" and kv.lease == lease


def _nested(bench: Bench, key: bytes, revision: int) -> Rows:
    """A Txn of the user's, inside one that asks whether the leader's key stands."""
    put = rpc_pb2.PutRequest(key=as_bytes(bench.name()), value=b"v")
    no = rpc_pb2.Compare(key=b"absent", target=rpc_pb2.Compare.CREATE, create_revision=7)
    for what, compare in (("holds", []), ("does not hold", [no])):
        inner = rpc_pb2.TxnRequest(compare=compare, success=[rpc_pb2.RequestOp(request_put=put)])
        stands = rpc_pb2.Compare(key=key, target=rpc_pb2.Compare.CREATE, create_revision=revision)
        request = rpc_pb2.TxnRequest(
            compare=[stands], success=[rpc_pb2.RequestOp(request_txn=inner)]
        )
        answer = bench.raw.kv.Txn(request, timeout=LONG)
        told = answer.responses[0].response_txn.succeeded
        works = answer.succeeded and told == (not compare)
        yield f"a Txn inside a Txn, its condition {what}", "works" if works else "does not work"

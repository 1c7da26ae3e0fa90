"""What etcd answers when it asks who calls. Simple tokens."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import grpc

from etcd_election.pb import auth_pb2, rpc_pb2, v3election_pb2
from tests.support.raw import RawEtcd, as_bytes, prefix_end

from .bench import (
    GAP,
    LONG,
    SETTLED,
    Bench,
    Rows,
    counted,
    ended,
    let_go,
    outcome,
    pause,
    said,
    yes,
)

GRANTED = "granted-"
SECOND = "second-"
KEY = b"granted-x"
Metadata = tuple[tuple[str, str], ...]


class Guarded:
    """A server with authentication.

    User `one` may use keys from `granted-` on, `two` those from `second-` on, `other` none.
    """

    def __init__(self, bench: Bench) -> None:
        self.raw: RawEtcd = bench.raw
        auth = self.raw.auth
        for role, first in (("root", ""), ("some", GRANTED), ("more", SECOND)):
            auth.RoleAdd(rpc_pb2.AuthRoleAddRequest(name=role), timeout=LONG)
            if first:
                key = as_bytes(first)
                allowed = auth_pb2.Permission(
                    permType=auth_pb2.Permission.READWRITE, key=key, range_end=prefix_end(key)
                )
                grant = rpc_pb2.AuthRoleGrantPermissionRequest(name=role, perm=allowed)
                auth.RoleGrantPermission(grant, timeout=LONG)
        for user, role in (("root", "root"), ("one", "some"), ("two", "more"), ("other", "")):
            auth.UserAdd(rpc_pb2.AuthUserAddRequest(name=user, password=user), timeout=LONG)
            if role:
                give = rpc_pb2.AuthUserGrantRoleRequest(user=user, role=role)
                auth.UserGrantRole(give, timeout=LONG)
        auth.AuthEnable(rpc_pb2.AuthEnableRequest(), timeout=LONG)
        self.root = self.token("root")

    def token(self, user: str) -> Metadata:
        """Metadata with a fresh token."""
        request = rpc_pb2.AuthenticateRequest(name=user, password=user)
        return (("token", self.raw.auth.Authenticate(request, timeout=LONG).token),)

    def lease(self) -> int:
        """A lease."""
        request = rpc_pb2.LeaseGrantRequest(TTL=60)
        return self.raw.lease.LeaseGrant(request, timeout=LONG, metadata=self.root).ID

    def campaign(self, name: str, lease: int, token: Metadata) -> Any:
        """A Campaign on its way."""
        request = v3election_pb2.CampaignRequest(name=as_bytes(name), lease=lease, value=b"v")
        return self.raw.election.Campaign.future(request, metadata=token)

    def lead(self, name: str, token: Metadata) -> Any:
        """Wins an election that is vacant."""
        return self.campaign(name, self.lease(), token).result(timeout=LONG).leader

    def resign(self, leader: Any) -> None:
        """Resigns, as root."""
        request = v3election_pb2.ResignRequest(leader=leader)
        self.raw.election.Resign(request, timeout=LONG, metadata=self.root)

    def stands(self, name: str, lease: int) -> bool:
        """Whether a candidate's key is there."""
        request = rpc_pb2.RangeRequest(key=as_bytes(name) + b"/%x" % lease)
        return bool(self.raw.kv.Range(request, timeout=LONG, metadata=self.root).kvs)


@contextlib.contextmanager
def _guarded(bench: Bench, *args: str) -> Iterator[Guarded]:
    with bench.apart("--bcrypt-cost=4", *args) as own:
        yield Guarded(own)


def refusals(bench: Bench) -> Rows:
    """No token, a bad one, one without permission."""
    with _guarded(bench) as guarded:
        tokens: tuple[tuple[str, Metadata], ...] = (
            ("no token", ()),
            ("a bad token", (("token", "nonsense.1"),)),
            ("no permission", guarded.token("other")),
        )
        for what, token in tokens:
            for method, answer in _calls(guarded, token):
                yield f"{method}, {what}", answer
            yield f"Observe, {what}", _observed(guarded, token)
            yield f"Watch, {what}", _watched(guarded, token)
        for user, password in (("one", "wrong"), ("nobody", "wrong"), ("", "")):
            request = rpc_pb2.AuthenticateRequest(name=user, password=password)
            answer = outcome(guarded.raw.auth.Authenticate, request, timeout=LONG)
            yield f"Authenticate as `{user}` with the password `{password}`", answer
        yield from _changed_roles(guarded)
        yield from _cancelled(guarded, bench.times(20))
    # On a server of its own: it may be wedged afterwards.
    with _guarded(bench) as guarded:
        yield from _two_users(guarded)


def _calls(guarded: Guarded, token: Metadata) -> Rows:
    raw, lease = guarded.raw, guarded.lease()
    leader = guarded.lead(f"{GRANTED}led-{lease:x}-", guarded.root)
    put = rpc_pb2.PutRequest(key=KEY, value=b"v")
    txn = rpc_pb2.TxnRequest(success=[rpc_pb2.RequestOp(request_put=put)])
    revoke = rpc_pb2.LeaseRevokeRequest(ID=leader.lease)
    calls: tuple[tuple[str, Any, Any], ...] = (
        ("Leader", raw.election.Leader, v3election_pb2.LeaderRequest(name=KEY)),
        ("Campaign", raw.election.Campaign, v3election_pb2.CampaignRequest(name=KEY, lease=lease)),
        ("Proclaim", raw.election.Proclaim, v3election_pb2.ProclaimRequest(leader=leader)),
        ("Resign", raw.election.Resign, v3election_pb2.ResignRequest(leader=leader)),
        ("Range", raw.kv.Range, rpc_pb2.RangeRequest(key=KEY)),
        ("Txn", raw.kv.Txn, txn),
        ("LeaseGrant", raw.lease.LeaseGrant, rpc_pb2.LeaseGrantRequest(TTL=5)),
        ("LeaseKeepAlive", _keepalive(raw), rpc_pb2.LeaseKeepAliveRequest(ID=lease)),
        ("LeaseRevoke of a lease with a key", raw.lease.LeaseRevoke, revoke),
    )
    for method, call, request in calls:
        yield method, outcome(call, request, timeout=LONG, metadata=token)


def _keepalive(raw: RawEtcd) -> Callable[..., object]:
    def first(request: rpc_pb2.LeaseKeepAliveRequest, **options: Any) -> object:
        return next(iter(raw.lease.LeaseKeepAlive(iter([request]), **options)))

    return first


def _observed(guarded: Guarded, token: Metadata) -> str:
    request = v3election_pb2.LeaderRequest(name=KEY)
    stream = guarded.raw.election.Observe(request, timeout=2.0, metadata=token)
    with contextlib.suppress(grpc.RpcError):
        answers = len(list(stream))
        return f"{said(stream)} after {answers} answers"
    return said(stream)


def _watched(guarded: Guarded, token: Metadata) -> str:
    create = rpc_pb2.WatchCreateRequest(key=KEY, watch_id=7)
    requests = iter([rpc_pb2.WatchRequest(create_request=create)])
    stream = guarded.raw.watch.Watch(requests, timeout=2.0, metadata=token)
    try:
        answer = next(iter(stream))
    except grpc.RpcError:
        return said(stream)
    stream.cancel()
    flags = f"created {yes(answer.created)}, canceled {yes(answer.canceled)}"
    return f"watch_id {answer.watch_id}, {flags}, `{answer.cancel_reason}`"


def _changed_roles(guarded: Guarded) -> Rows:
    token = guarded.token("one")
    request = rpc_pb2.AuthRoleAddRequest(name="another")
    guarded.raw.auth.RoleAdd(request, timeout=LONG, metadata=guarded.root)
    key = rpc_pb2.RangeRequest(key=KEY)
    answer = outcome(guarded.raw.kv.Range, key, timeout=LONG, metadata=token)
    yield "Range with a token from before a change of roles", answer


def _cancelled(guarded: Guarded, times: int) -> Rows:
    token = guarded.token("one")
    left = 0
    for i in range(times):
        name, lease = f"{GRANTED}{i}-", guarded.lease()
        leader = guarded.lead(name, token)
        call = guarded.campaign(name, lease, token)
        pause(0.02)
        call.cancel()
        pause(0.05)
        left += guarded.stands(name, lease)
        guarded.resign(leader)
    yield "a waiting Campaign is cancelled: its key stays", f"{left}/{times}"


def _two_users(guarded: Guarded) -> Rows:
    """Each waits in an election of its own, on one member."""
    waiting = []
    for user, name in (("one", GRANTED), ("two", SECOND)):
        token, lease = guarded.token(user), guarded.lease()
        leader = guarded.lead(name, token)
        waiting.append((leader, lease, guarded.campaign(name, lease, token)))
        pause(2 * SETTLED)
    (first_leader, first_lease, first), (_, lease, second) = waiting
    yield "two users wait in elections of their own: the later call", _end(second, 0.5)
    yield "and its key stands", yes(guarded.stands(SECOND, lease))
    guarded.resign(first_leader)
    yield "the leader of the earlier one resigns: that call", _end(first, 2.0)
    yield "and its key stands, first in the queue", yes(guarded.stands(GRANTED, first_lease))
    let_go((first, second))


def _end(call: Any, seconds: float) -> str:
    return said(call) if ended(call, seconds) else "goes on"


def outlived(bench: Bench) -> Rows:
    """A Campaign waits for longer than its token lives (1 s)."""
    with _guarded(bench, "--auth-token-ttl=1") as guarded:
        token, waiting = guarded.token("one"), []
        for i in range(5):
            name, lease = f"{GRANTED}{i}-", guarded.lease()
            leader = guarded.lead(name, token)
            waiting.append((leader, name, lease, guarded.campaign(name, lease, token)))
        pause(3.0)
        yield "the call ends with the token", yes(any(call.done() for *_, call in waiting))
        guarded.root = guarded.token("root")
        for leader, *_ in waiting:
            guarded.resign(leader)
            pause(GAP)
        ends = [_end(call, 1.0) for *_, call in waiting]
        yield "the leader resigns: Campaign", counted(ends)
        left = sum(guarded.stands(name, lease) for _, name, lease, _ in waiting)
        yield "and its key stays", f"{left}/{len(waiting)}"
        fresh = guarded.token("one")
        _, name, lease, _ = waiting[0]
        again = guarded.campaign(name, lease, fresh)
        yield (
            "the same Campaign with a fresh token",
            outcome(again.result, timeout=LONG),
        )
        let_go(call for *_, call in waiting)
        pause(SETTLED)

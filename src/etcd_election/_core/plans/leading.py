"""What a leader does: watch over its key, proclaim, write under its guard, resign."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from ... import errors
from ...pb import rpc_pb2, v3election_pb2
from ...types import LostReason
from .. import status, timing
from ..effects import Fact, KeyGone, KeyPut, Plan, Receive, Watch, WatchBroken, WatchStands
from ..host import Host
from ..leadership import OURS, LeadershipState
from ..link import Link
from ..method import Method
from ..standing import created_at, one
from ..status import Meaning
from .call import Answer, Refusal, ask, call

logger = logging.getLogger("etcd_election")


def watch_over(link: Link, host: Host, state: LeadershipState) -> Plan[None]:
    """Ends a leadership whose key is gone or written by others. Runs in the background.

    The watch says so at once, the beat where the watch is deaf. What is left of a leadership lost
    is removed with its lease.
    """
    ttl = state.lease.ttl
    broken = False

    def matters(fact: Fact) -> bool:
        nonlocal broken
        if isinstance(fact, WatchBroken):
            broken = True
        if isinstance(fact, WatchStands):
            # All that happens after it is told; what was before is known, or to be read.
            return broken or not state.knows(fact.revision)
        # A watch may still tell of an earlier key of this name.
        if isinstance(fact, KeyGone):
            return fact.revision > state.token
        if isinstance(fact, KeyPut):
            return fact.kv.mod_revision > state.token and state.judge(fact.kv) is not None
        return True

    # A term that is over at once costs etcd no watch, and the first step of its leader no time.
    yield Receive(timing.SHORT_TERM)
    if state.held:
        yield Watch(frozenset((state.key,)), matters=matters)
    beat_at = timing.beat_after(link.clock(), ttl, link.random)
    while state.held:
        now = link.clock()
        fact = yield Receive(max(0.0, min(beat_at - now, state.remaining())))
        if not state.held:
            break
        if isinstance(fact, KeyGone):
            state.end(LostReason.KEY_DELETED)
        elif isinstance(fact, KeyPut):
            _judge(state, state.judge(fact.kv))
        elif fact is not None or link.clock() >= beat_at:
            beat_at = timing.beat_after(link.clock(), ttl, link.random)
            yield from _look(link, state, beat=fact is None)
    state.settle()
    if state.lost not in OURS:
        host.retire(state.lease)


def _judge(state: LeadershipState, reason: LostReason | None) -> None:
    if reason is not None:
        state.end(reason)


def _look(link: Link, state: LeadershipState, *, beat: bool) -> Plan[None]:
    """Reads the key, within what is left of the lease."""
    deadline = link.clock() + state.remaining()
    try:
        answer = yield from call(
            link,
            "read the own key",
            Method.RANGE,
            one(state.key),
            deadline=deadline,
            enduring=True,
            beat=beat,
        )
    except errors.EtcdError as error:
        logger.warning("the leader's key %r could not be read: %s", state.key, error)
        return
    kvs = answer.message.kvs
    _judge(state, state.judge(kvs[0] if kvs else None))


def leader_key(state: LeadershipState) -> v3election_pb2.LeaderKey:
    """What Proclaim and Resign want to know."""
    return v3election_pb2.LeaderKey(
        name=state.name, key=state.key, rev=state.token, lease=state.lease.lease_id
    )


def proclaim(link: Link, state: LeadershipState, value: bytes, *, deadline: float) -> Plan[None]:
    """Replaces the leader's value.

    Raises:
        EtcdError: Etcd refused, or the outcome is not known (``maybe_applied``).
    """
    proposal = state.proposed(value)
    request = v3election_pb2.ProclaimRequest(leader=leader_key(state), value=value)
    answer = yield from ask(
        link, "proclaim", Method.PROCLAIM, request, deadline=deadline, idempotent=False
    )
    if isinstance(answer, Answer):
        state.confirmed(proposal, answer.message.header.revision)
        return
    state.refused(proposal)
    if answer.meaning is not Meaning.NOT_LEADER:
        raise status.error("proclaim", answer.failure)
    state.end(LostReason.KEY_DELETED)


def transaction(
    link: Link,
    state: LeadershipState,
    success: Iterable[rpc_pb2.RequestOp],
    failure: Iterable[rpc_pb2.RequestOp],
    compare: Iterable[rpc_pb2.Compare],
    *,
    deadline: float,
) -> Plan[rpc_pb2.TxnResponse | None]:
    """Carries out a transaction inside one that asks for this leadership; None: it does not stand.

    Raises:
        EtcdError: Etcd refused, or the outcome is not known (``maybe_applied``).
    """
    inner = rpc_pb2.TxnRequest(compare=compare, success=success, failure=failure)
    request = rpc_pb2.TxnRequest(
        compare=[created_at(state.key, state.token)],
        success=[rpc_pb2.RequestOp(request_txn=inner)],
    )
    answer = yield from call(
        link, "transaction", Method.TXN, request, deadline=deadline, idempotent=False
    )
    outer: rpc_pb2.TxnResponse = answer.message
    if not outer.succeeded:
        state.end(LostReason.KEY_DELETED)
        return None
    response = outer.responses[0].response_txn
    response.header.CopyFrom(outer.header)
    return response


def resign(link: Link, host: Host, state: LeadershipState, *, deadline: float) -> Plan[None]:
    """Removes the key of a leadership that was ended before.

    The lease stays for the next campaign, unless a call of unknown outcome may still write under
    it. If etcd does not confirm, the lease is retired and the key goes with it.

    Raises:
        EtcdError: Etcd did not confirm; may be called again.
    """
    request = v3election_pb2.ResignRequest(leader=leader_key(state))
    confirmed = False
    try:
        answer = yield from ask(link, "resign", Method.RESIGN, request, deadline=deadline)
        if isinstance(answer, Refusal):
            raise status.error("resign", answer.failure)
        confirmed = True
        state.key_left = False
        state.lease.condition = None
    finally:
        if not confirmed or state.lease.tainted:
            host.retire(state.lease)

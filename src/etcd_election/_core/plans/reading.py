"""Reads that anybody may do: who leads, who waits, does etcd answer."""

from __future__ import annotations

from ... import errors
from ...pb import rpc_pb2, v3election_pb2
from ...types import Leader
from .. import status
from ..effects import Plan
from ..link import Link
from ..method import Method
from ..standing import as_leader, is_candidate_key, queue
from ..status import Meaning
from .call import Refusal, ask, call


def check(link: Link, *, deadline: float) -> Plan[None]:
    """Asks etcd for a linearizable answer, whatever it is: one about permissions will do.

    Raises:
        Unavailable: Nobody answered.
        AuthenticationFailed: Etcd wants to know who asks, or does not know them.
    """
    request = rpc_pb2.RangeRequest(key=b"\0", keys_only=True, limit=1)
    answer = yield from ask(link, "open", Method.RANGE, request, deadline=deadline)
    if isinstance(answer, Refusal) and answer.meaning is not Meaning.DENIED:
        raise status.error("open", answer.failure)


def leader(link: Link, name: bytes, *, deadline: float) -> Plan[Leader]:
    """Who leads now, by the server's own Election service.

    Raises:
        NoLeader: Nobody does.
        EtcdError: As etcd answered.
    """
    request = v3election_pb2.LeaderRequest(name=name)
    answer = yield from ask(link, "leader", Method.LEADER, request, deadline=deadline)
    if isinstance(answer, Refusal):
        if answer.meaning is Meaning.NO_LEADER:
            raise errors.NoLeader(f"nobody leads {name!r}", name=name)
        raise status.error("leader", answer.failure)
    return as_leader(name, answer.message.kv, answer.message.header.revision)


def candidates(link: Link, name: bytes, *, deadline: float) -> Plan[list[Leader]]:
    """Everybody in the queue, the leader first.

    Raises:
        EtcdError: As etcd answered.
    """
    answer = yield from call(link, "candidates", Method.RANGE, queue(name), deadline=deadline)
    response: rpc_pb2.RangeResponse = answer.message
    for kv in response.kvs:
        if not is_candidate_key(name, kv.key):
            link.warn_foreign(name, kv.key)
    return [as_leader(name, kv, response.header.revision) for kv in response.kvs]

"""Reads: who leads, who waits, where a candidate stands, does etcd answer."""

from __future__ import annotations

from ... import errors
from ...pb import rpc_pb2, v3election_pb2
from ...types import Leader
from .. import status
from ..effects import Plan
from ..link import Link
from ..method import Method
from ..standing import Standing, as_leader, found, is_candidate_key, one, queue, reading
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


def read_standing(
    link: Link, name: bytes, key: bytes, token: int | None, *, deadline: float
) -> Plan[Standing]:
    """Reads a candidate's place: one transaction if its token is known, else up to two."""
    if token is None:
        head = queue(name, limit=1)
        answer = yield from call(
            link, "read the queue", Method.TXN, reading(one(key), head), deadline=deadline
        )
        own = found(answer.message, 0)
        first = found(answer.message, 1)
        revision = answer.message.header.revision
        if not own or (first and first[0].key == key):
            return Standing(own[0] if own else None, None, revision)
        token = own[0].create_revision
    just_before = queue(name, limit=1, below=token, newest_first=True, keys_only=True)
    answer = yield from call(
        link, "read the queue", Method.TXN, reading(one(key), just_before), deadline=deadline
    )
    own, before = found(answer.message, 0), found(answer.message, 1)
    revision = answer.message.header.revision
    if not own or own[0].create_revision != token:
        return Standing(None, None, revision)
    return Standing(own[0], before[0] if before else None, revision)

"""Reads: who leads, who waits, where a candidate stands, does etcd answer."""

from __future__ import annotations

from ... import errors
from ...pb import rpc_pb2, v3election_pb2
from ...types import Leader
from .. import status
from ..effects import Plan
from ..link import Link
from ..method import Method
from ..standing import Standing, as_leader, is_candidate_key, newest, one, queue
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
    link: Link,
    name: bytes,
    key: bytes,
    token: int | None,
    *,
    deadline: float,
    enduring: bool = False,
    beat: bool = False,
) -> Plan[Standing]:
    """Reads a candidate's place: one Range if its token is known, else up to three.

    Who has just joined is mostly the newest of all, and one Range does here, too.
    """
    if token is None:
        response = yield from _read(link, newest(name), deadline, enduring, beat)
        kvs = list(response.kvs)
        if kvs and kvs[0].key == key:
            return Standing(kvs[0], kvs[1] if len(kvs) > 1 else None, response.header.revision)
        if not response.more:
            own = kvs[1] if len(kvs) > 1 and kvs[1].key == key else None
            return Standing(own, None, response.header.revision)
        response = yield from _read(link, one(key), deadline, enduring, beat)
        if not response.kvs:
            return Standing(None, None, response.header.revision)
        token = response.kvs[0].create_revision
    response = yield from _read(link, newest(name, up_to=token), deadline, enduring, beat)
    kvs = list(response.kvs)
    if not kvs or kvs[0].key != key or kvs[0].create_revision != token:
        return Standing(None, None, response.header.revision)
    return Standing(kvs[0], kvs[1] if len(kvs) > 1 else None, response.header.revision)


def _read(
    link: Link, request: rpc_pb2.RangeRequest, deadline: float, enduring: bool, beat: bool
) -> Plan[rpc_pb2.RangeResponse]:
    answer = yield from call(
        link,
        "read the queue",
        Method.RANGE,
        request,
        deadline=deadline,
        enduring=enduring,
        beat=beat,
    )
    response: rpc_pb2.RangeResponse = answer.message
    return response

"""The life of a lease: granted, renewed at every beat, revoked."""

from __future__ import annotations

import logging

from ... import errors
from ...events import SessionRenewedLate
from ...pb import rpc_pb2
from ...types import LostReason
from .. import status, timing
from ..condition import Condition
from ..effects import Consult, Consulted, Plan, Receive
from ..lease import LeaseClock
from ..link import Link
from ..method import Method
from ..status import Meaning
from .call import Answer, ask, call
from .interrupting import pause

logger = logging.getLogger("etcd_election")

_PAUSE = 0.05
_REFUSED_PAUSE = 0.5
_CONSULT_POLL = 0.5


def grant(
    link: Link, lease: LeaseClock, ttl: int, *, deadline: float, enduring: bool = False
) -> Plan[None]:
    """Grants a lease under a number of ours, which makes the grant repeatable.

    Raises:
        EtcdError: It could not be granted; the lease may exist all the same and is to be retired.
    """
    request = rpc_pb2.LeaseGrantRequest(ID=lease.lease_id, TTL=ttl)
    answer = yield from ask(
        link, "grant a lease", Method.GRANT, request, deadline=deadline, enduring=enduring
    )
    if isinstance(answer, Answer):
        granted = answer.message
        if lease.lease_id != granted.ID or granted.TTL <= 0:
            raise errors.EtcdError("grant a lease: the answer makes no sense", maybe_applied=True)
        lease.renewed(sent_at=answer.sent_at, ttl=granted.TTL)
    elif answer.meaning is Meaning.LEASE_EXISTS and answer.attempt:
        # An earlier attempt was carried out and its answer lost. When it was sent counts for
        # nothing: a renewal brings a deadline that is sure.
        yield from renew(link, lease, deadline=deadline, enduring=enduring)
    else:
        raise status.error("grant a lease", answer.failure, maybe_applied=answer.attempt > 0)


def renew(link: Link, lease: LeaseClock, *, deadline: float, enduring: bool = False) -> Plan[bool]:
    """Sends one keepalive, on whatever way answers; False if the lease has ended.

    Raises:
        EtcdError: Nobody answered by ``deadline``, or etcd refused.
    """
    request = rpc_pb2.LeaseKeepAliveRequest(ID=lease.lease_id)
    while True:
        answer = yield from call(
            link, "renew the lease", Method.KEEPALIVE, request, deadline=deadline, enduring=enduring
        )
        if not link.cluster.stale_term(answer.message.header.raft_term):
            return lease.renewed(sent_at=answer.sent_at, ttl=answer.message.TTL)
        link.suspect(answer.endpoint, "it answers for a raft leader that was deposed")
        yield from pause(_PAUSE)


def keep(link: Link, lease: LeaseClock) -> Plan[None]:
    """Renews a lease at every beat until it ends. Runs in the background."""
    renewed_at, due_at = float("-inf"), 0.0
    while lease.alive:
        if lease.renewed_at != renewed_at:
            # By the campaign too; drawn once, for every further number would put it off.
            renewed_at, due_at = lease.renewed_at, lease.next_beat(link.random)
        due_in = due_at - link.clock()
        if due_in > 0:
            yield Receive(due_in)
            continue
        if not (yield from _permitted(link, lease)):
            yield Receive(min(timing.beat(lease.ttl, link.random), lease.remaining()))
            continue
        try:
            deadline = link.clock() + lease.remaining()
            yield from renew(link, lease, deadline=deadline, enduring=True)
            _note_late(link, lease, deadline)
        except errors.EtcdError as error:
            logger.warning("lease %x could not be renewed: %s", lease.lease_id, error)
            yield Receive(min(_REFUSED_PAUSE, lease.remaining()))
    lease.settle()


def _note_late(link: Link, lease: LeaseClock, deadline: float) -> None:
    """Tells of a renewal that came when little was left to the deadline before it."""
    remaining = deadline - link.clock()
    if lease.alive and remaining < timing.enough(lease.ttl):
        link.tell(
            SessionRenewedLate(
                name=lease.name,
                lease_id=lease.lease_id,
                ttl=lease.ttl,
                remaining=max(0.0, remaining),
            )
        )


def _permitted(link: Link, lease: LeaseClock) -> Plan[bool]:
    """Whether what the leadership is bound to allows a renewal now."""
    condition = lease.condition
    if condition is None:
        return True
    permitted = not condition.outlasts(link.clock(), lease.ttl)
    if permitted and condition.asks:
        permitted = yield from _asked(lease, condition)
    if lease.condition is not condition:
        return True
    condition.withheld = condition.withheld or not permitted
    return permitted


def _asked(lease: LeaseClock, condition: Condition) -> Plan[bool]:
    """What the user answers; no, where that takes longer than the lease or the leadership lasts."""
    yield Consult(condition)
    # A question that hangs holds up this leadership, and not the next one on the same lease.
    while lease.alive and lease.condition is condition:
        fact = yield Receive(min(_CONSULT_POLL, lease.remaining()))
        if isinstance(fact, Consulted) and fact.condition is condition:
            return fact.renews
    return False


def bequeath(link: Link, lease: LeaseClock, *, deadline: float) -> Plan[None]:
    """Renews once more a lease that is left to a successor, who then has the whole ttl."""
    try:
        yield from renew(link, lease, deadline=deadline)
    except errors.ElectionError as error:
        # ClientClosed, too: where another thread closes the connection meanwhile.
        logger.warning("lease %x is left without a last renewal: %s", lease.lease_id, error)


def revoke(link: Link, lease: LeaseClock, *, deadline: float, enduring: bool = False) -> Plan[bool]:
    """Revokes a lease and with it its keys; False if etcd did not know it (any more).

    Raises:
        EtcdError: Etcd did not confirm.
    """
    request = rpc_pb2.LeaseRevokeRequest(ID=lease.lease_id)
    answer = yield from ask(
        link, "revoke the lease", Method.REVOKE, request, deadline=deadline, enduring=enduring
    )
    if isinstance(answer, Answer):
        return True
    if answer.meaning is not Meaning.LEASE_GONE:
        raise status.error("revoke the lease", answer.failure)
    # After an attempt without an answer, the one that did it may have been ours.
    return answer.attempt > 0


def retire(link: Link, lease: LeaseClock) -> Plan[bool]:
    """Revokes a lease, over and over until etcd confirms or it must have run out by itself.

    Runs in the background, for a lease that nobody is to use again. True if etcd confirmed.
    """
    lease.end(LostReason.CLOSED)
    began_at = link.clock()
    until = began_at + lease.ttl + timing.RETIRE_AFTER
    delay = _PAUSE
    while (now := link.clock()) < until:
        try:
            known = yield from revoke(link, lease, deadline=min(until, now + link.timeout))
            # A grant without an answer may land later, and then stands unknown to everybody.
            if known or lease.ttl or now > began_at + timing.GRANT_MAY_LAND:
                return True
        except errors.EtcdError as error:
            logger.debug("lease %x is still to be revoked: %s", lease.lease_id, error)
        yield Receive(delay)
        delay = min(1.0, delay * 2)
    return False

"""One candidacy, from joining the queue to a verified win.

Ends with a leadership, with an error that ends the campaign, or with ``CandidacyOver``: nothing
more is to be waited for here, and the campaign goes on with another one.
"""

from __future__ import annotations

import logging
from typing import NoReturn

from ... import errors
from ...events import WaitRescued
from ...pb import rpc_pb2, v3election_pb2
from ...types import LostReason
from .. import status, timing
from ..candidacy import Action, Candidacy
from ..candidate import Candidate
from ..effects import Ended, Failure, Invoke, LeaseEnded, Open, Plan, Receive, Watch, Word
from ..leadership import LeadershipState
from ..lease import LeaseClock
from ..link import Link
from ..method import Method
from ..standing import Standing, candidate_key, created_at, found, is_candidate_key, joining
from ..status import Meaning
from . import session
from .authenticating import authenticate
from .call import Refusal, ask, call
from .interrupting import interruptible
from .reading import read_standing

logger = logging.getLogger("etcd_election")


class CandidacyOver(Exception):
    """This candidacy brings nothing any more; the campaign goes on."""

    def __init__(self, action: Action, *, sent: bool = True) -> None:
        super().__init__(action)
        self.sent = sent


def compete(candidate: Candidate, lease: LeaseClock, fresh: bool) -> Plan[LeadershipState]:
    """One candidacy, from joining the queue to a verified win."""
    link = candidate.link
    key = candidate_key(candidate.name, lease.lease_id)
    endpoint = link.ring.pick()
    member = link.member(endpoint)
    in_call = candidate.via == "service" and link.waits.take(member)
    unheard = lease.when_ended(lambda: candidate.tell(LeaseEnded()))
    waiting: Open | None = None
    try:
        candidacy = Candidacy(
            key=key, ttl=lease.ttl, now=link.clock(), random=link.random, waits_in_call=in_call
        )
        lease.tainted = True
        repeated = False
        if in_call:
            request = v3election_pb2.CampaignRequest(
                name=candidate.name, lease=lease.lease_id, value=candidate.value
            )
            yield from authenticate(link, candidate.deadline())
            metadata, _ = link.metadata()
            waiting = Open(endpoint, Method.CAMPAIGN, request, metadata)
            yield waiting
        else:
            standing, repeated = yield from _join(candidate, key, lease, fresh)
            candidacy.read(standing, link.clock())
        while True:
            step = candidacy.next(link.clock())
            if step.action is Action.WAIT:
                yield from _wait(candidate, candidacy, lease, fresh, step.until)
            elif step.action is Action.READ:
                if waiting is not None and candidacy.call_open:
                    yield from _keep_token(link, waiting, lease)
                yield from _read(candidate, candidacy, lease, beat=step.beat)
            elif step.action is Action.WON:
                state = yield from _won(candidate, candidacy, lease)
                if state is not None:
                    # A Campaign that was answered writes no more.
                    candidate.clean = in_call or not repeated
                    return state
            else:
                if step.action is Action.REJOIN and candidacy.refusal is not None:
                    raise candidacy.refusal
                _explain(candidate, step.action, endpoint, lease)
                raise CandidacyOver(step.action)
    finally:
        unheard()
        if in_call:
            link.waits.give(member)


def _keep_token(link: Link, waiting: Open, lease: LeaseClock) -> Plan[None]:
    """Uses a blocked call's token on its member: there a simple token lives by use.

    Otherwise it runs out (after 300 s by default) and the call fails when its turn comes.
    """
    metadata, _ = link.metadata()
    if link.credentials is None:
        return
    if waiting.metadata == metadata and waiting.endpoint == link.ring.pick():
        return  # as the read that follows
    request = rpc_pb2.RangeRequest(key=b"\0", serializable=True, count_only=True)
    timeout = timing.patience(0, link.latency, lease.remaining())
    until = link.clock() + timeout - link.gate.held_up
    metadata = waiting.metadata
    yield from interruptible(
        Invoke(waiting.endpoint, Method.RANGE, request, timeout, metadata, until=until)
    )


def _explain(candidate: Candidate, action: Action, endpoint: int, lease: LeaseClock) -> None:
    """Says what the next candidacy is for, and lets it go about things differently."""
    link = candidate.link
    target = link.endpoints[endpoint].shown
    if action is Action.HANGS:
        candidate.via = "kv"
        logger.warning(
            "the Election service of %s hangs (etcd issue 20716); it helps to restart that etcd. "
            "The campaign in %r goes on without it",
            target,
            candidate.name,
        )
        link.tell(WaitRescued(name=candidate.name, lease_id=lease.lease_id, endpoint=target))
    elif action is Action.STUCK:
        link.suspect(endpoint, f"no key within {timing.KEY_WITHIN} s of a Campaign")
        if len(link.endpoints) == 1:
            # A server that limits the streams of a connection may have none left for this call.
            candidate.via = "kv"
        logger.info("no key within %s s of a Campaign on %s", timing.KEY_WITHIN, target)


def _wait(
    candidate: Candidate, candidacy: Candidacy, lease: LeaseClock, fresh: bool, until: float
) -> Plan[None]:
    """Waits for the next fact and passes it on."""
    link = candidate.link
    now = link.clock()
    wakes_at = min(until, candidate.gives_up_at, now + lease.ttl / 3, now + lease.remaining())
    if not candidate.stood:
        wakes_at = min(wakes_at, candidate.unavailable_at)
    fact = yield Receive(max(0.0, wakes_at - now))
    if isinstance(fact, Word):
        raise candidate.stopped(fact)
    if isinstance(fact, Ended):
        _ended(candidate, candidacy, lease, fresh, fact)
    elif fact is not None:
        candidacy.told(fact, link.clock())
    if not lease.alive:
        raise candidate.expired(lease)
    candidate.check_time()
    if not candidate.stood and link.clock() >= candidate.unavailable_at:
        raise errors.Unavailable(
            f"campaign: no key stands in {candidate.name!r} after {link.timeout} s"
        )


def _ended(
    candidate: Candidate, candidacy: Candidacy, lease: LeaseClock, fresh: bool, fact: Ended
) -> None:
    """The Campaign call is over."""
    now = candidate.link.clock()
    if not isinstance(fact.reply, Failure):
        candidate.reached = True
        candidacy.call_ended(now)
        return
    meant = status.meaning(fact.reply)
    if meant in status.BROKEN_OFF:
        candidacy.call_broke()
    elif meant is Meaning.LEASE_GONE:
        _lease_gone(candidate, lease, fresh)
    elif meant in (Meaning.COMPACTED, Meaning.BUSY, Meaning.TOKEN_REFUSED):
        candidacy.call_ended(now)
    else:
        candidacy.call_refused(status.error("campaign", fact.reply), now)


def _lease_gone(candidate: Candidate, lease: LeaseClock, fresh: bool) -> NoReturn:
    """Etcd does not know the lease: one from before this campaign is replaced, once."""
    lease.end(LostReason.SESSION_EXPIRED)
    if fresh:
        raise candidate.expired(lease)
    raise CandidacyOver(Action.REJOIN, sent=False)


def _read(
    candidate: Candidate, candidacy: Candidacy, lease: LeaseClock, *, beat: bool
) -> Plan[None]:
    """Reads the queue, and watches what its answer makes worth watching."""
    link = candidate.link
    deadline = min(candidate.gives_up_at, link.clock() + lease.remaining())
    if not candidate.stood:
        deadline = min(deadline, candidate.unavailable_at)
    try:
        standing = yield from read_standing(
            link,
            candidate.name,
            candidacy.key,
            candidacy.token,
            deadline=deadline,
            enduring=candidate.endures,
            beat=beat,
        )
    except errors.Unavailable:
        if not lease.alive:
            raise candidate.expired(lease) from None
        if not candidate.stood:
            raise
        candidate.check_time()
        candidacy.unread(link.clock())
        return
    candidate.reached = True
    candidacy.read(standing, link.clock())
    if standing.own is not None:
        candidate.stood = True
    yield from _stand(candidate, candidacy.key, standing)


def _join(
    candidate: Candidate, key: bytes, lease: LeaseClock, fresh: bool
) -> Plan[tuple[Standing, bool]]:
    """Joins the queue by a transaction: an uncontested win in one round trip.

    The second value tells whether it was sent more than once: then the first may still land, even
    when the key is gone again.
    """
    link = candidate.link
    request = joining(candidate.name, key, candidate.value, lease.lease_id)
    answer = yield from ask(
        link,
        "campaign",
        Method.TXN,
        request,
        deadline=candidate.deadline(),
        enduring=candidate.endures,
    )
    candidate.reached = True
    if isinstance(answer, Refusal):
        if answer.meaning is Meaning.LEASE_GONE:
            _lease_gone(candidate, lease, fresh)
        raise status.error("campaign", answer.failure)
    candidate.stood = True
    response: rpc_pb2.TxnResponse = answer.message
    if response.succeeded:
        kvs = found(response, 1)
        before = kvs[1] if len(kvs) > 1 else None
        standing = Standing(kvs[0] if kvs else None, before, response.header.revision)
    else:
        own = found(response, 0)
        standing = yield from _rejoin_own(candidate, key, own[0].create_revision if own else 0)
    candidate.settled = standing.own is not None
    yield from _stand(candidate, key, standing)
    return standing, answer.attempt > 0


def _stand(candidate: Candidate, key: bytes, standing: Standing) -> Plan[None]:
    """Looks at who stands before us, and watches them."""
    if standing.before is None:
        return
    if not is_candidate_key(candidate.name, standing.before.key):
        candidate.link.warn_foreign(candidate.name, standing.before.key)
    if not candidate.patient:
        raise candidate.timed_out()
    yield Watch(frozenset((key, standing.before.key)))


def _rejoin_own(candidate: Candidate, key: bytes, token: int) -> Plan[Standing]:
    """The key stands already (a predecessor's, or an answer was lost): give it our value."""
    put = rpc_pb2.PutRequest(key=key, value=candidate.value, ignore_lease=True)
    request = rpc_pb2.TxnRequest(
        compare=[created_at(key, token)], success=[rpc_pb2.RequestOp(request_put=put)]
    )
    yield from call(candidate.link, "campaign", Method.TXN, request, deadline=candidate.deadline())
    return (
        yield from read_standing(
            candidate.link, candidate.name, key, token, deadline=candidate.deadline()
        )
    )


def _won(
    candidate: Candidate, candidacy: Candidacy, lease: LeaseClock
) -> Plan[LeadershipState | None]:
    """The last questions before a leadership is handed out; None: ask again after a renewal."""
    link = candidate.link
    standing = candidacy.standing
    own = standing.own if standing else None
    if standing is None or own is None or own.lease != lease.lease_id:
        raise CandidacyOver(Action.REJOIN)
    if not lease.alive:
        raise candidate.expired(lease)
    if lease.remaining() < timing.enough(lease.ttl):
        deadline = min(candidate.gives_up_at, link.clock() + lease.remaining())
        try:
            renewed = yield from session.renew(link, lease, deadline=deadline, enduring=True)
        except errors.Unavailable:
            candidate.check_time()
            raise candidate.expired(lease) from None
        if not renewed:
            raise candidate.expired(lease)
        candidacy.doubt(link.clock())
        return None
    return LeadershipState(
        name=candidate.name,
        key=candidacy.key,
        token=own.create_revision,
        value=own.value,
        mod_revision=own.mod_revision,
        lease=lease,
        read_at=standing.revision,
    )
